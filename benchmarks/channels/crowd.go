package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// crowd are subscribers in one event loop. It counts the messages that they all have got together.
type crowd struct {
	poll   int
	fds    []int
	heads  int // responses that have begun
	got    int // messages
	buffer []byte
	events []unix.EpollEvent
}

const (
	// mark is in each message once, and nowhere else.
	mark = '\x01'
	// perAddress is far from the 28,000 client ports of an address: the system looks for a free one for long if few are left.
	perAddress = 5000
	// opening is how many subscribers may wait for the head of their response.
	opening  = 128
	patience = 60 * time.Second
	// glance is how often subscribers look for messages.
	glance = time.Millisecond
)

var errSlow = errors.New("not in time")

// gather opens n subscribers, and waits until all have the head of the response.
func gather(address string, n int) (*crowd, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	c := &crowd{poll: poll, buffer: make([]byte, 256<<10), events: make([]unix.EpollEvent, 512)}
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return c, err
	}
	for i := range n {
		if err := c.open(to, i); err != nil {
			return c, fmt.Errorf("subscriber %d: %w", i, err)
		}
		if err := c.until(func() bool { return c.heads > i-opening }); err != nil {
			return c, err
		}
	}
	return c, c.until(func() bool { return c.heads == n })
}

func (c *crowd) open(to *net.TCPAddr, i int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.fds = append(c.fds, fd)
	// The port is chosen by connect then, which may take one that an earlier connection to another server has had.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(1 + i/perAddress)}}); err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte(to.IP.To4()), Port: to.Port}); err != nil {
		return err
	}
	if _, err := unix.Write(fd, []byte("GET /sub HTTP/1.1\r\nHost: "+to.String()+"\r\nAccept: text/event-stream\r\n\r\n")); err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return unix.EpollCtl(c.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// step takes what has come. If there is nothing it sleeps, and does not wait for events: then no server pays for waking it.
func (c *crowd) step() error {
	n, err := unix.EpollWait(c.poll, c.events, 0)
	if n == 0 {
		unix.Nanosleep(&unix.Timespec{Nsec: int64(glance)}, nil)
	}
	if err == unix.EINTR {
		return nil
	}
	for _, e := range c.events[:max(n, 0)] {
		k, err := unix.Read(int(e.Fd), c.buffer)
		if k <= 0 && err != unix.EAGAIN {
			return fmt.Errorf("a subscriber was disconnected: %v", err)
		}
		p := c.buffer[:max(k, 0)]
		if bytes.HasPrefix(p, []byte("HTTP/1.1 ")) && !bytes.HasPrefix(p, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("a subscriber was refused: %.200q", p)
		}
		c.heads += bytes.Count(p, []byte("HTTP/1.1 200 OK"))
		c.got += bytes.Count(p, []byte{mark})
	}
	return err
}

func (c *crowd) until(ok func() bool) error {
	for end := time.Now().Add(patience); !ok(); {
		if err := c.step(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: %d responses, %d messages", errSlow, c.heads, c.got)
		}
	}
	return nil
}

func (c *crowd) close() {
	for _, fd := range c.fds {
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // a reset leaves no port behind that waits
		unix.Close(fd)
	}
	unix.Close(c.poll)
}
