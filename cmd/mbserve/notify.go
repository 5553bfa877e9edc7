package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notifier tells the service manager about the server's state, with the protocol of sd_notify(3). It does nothing if
// there is no service manager.
type notifier struct {
	address  *net.UnixAddr
	watchdog time.Duration // how often the manager has to hear of us; 0: never
}

// newNotifier reads the address from the environment and removes it there: scripts and their child processes are not
// the service.
func newNotifier() (*notifier, error) {
	name := os.Getenv("NOTIFY_SOCKET")
	os.Unsetenv("NOTIFY_SOCKET")
	watchdog := watchdogPeriod()
	if name == "" {
		return &notifier{}, nil
	}
	if name[0] != '/' && name[0] != '@' {
		return &notifier{}, fmt.Errorf("NOTIFY_SOCKET=%s: neither a path nor an abstract name", name)
	}
	return &notifier{&net.UnixAddr{Name: name, Net: "unixgram"}, watchdog}, nil
}

// notifyTimeout is how long a message waits for a manager that does not read. Signals wait meanwhile.
const notifyTimeout = time.Second

// send sends assignments, such as "READY=1".
func (n *notifier) send(assignments ...string) error {
	if n.address == nil {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, n.address)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(notifyTimeout))
	if _, err := c.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

func (n *notifier) ready(status string) error { return n.send("READY=1", "STATUS="+status) }

// reloading must be followed by ready, whether or not the reload succeeds. The time identifies the reload.
func (n *notifier) reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	return n.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000), "STATUS=reloading the script")
}

func (n *notifier) stopping() error { return n.send("STOPPING=1", "STATUS=stopping") }
