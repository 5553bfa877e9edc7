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
	to     *unix.SockaddrInet4
	asks   []byte // the request of a subscriber
	begins []byte // what a response begins with
	heads  int    // responses that have begun
	got    int    // messages
	buffer []byte
	events []unix.EpollEvent
}

const (
	// mark is in each message once, and nowhere else.
	mark = '\x01'
	// perAddress is far from the 28,000 client ports of an address: the system looks for a free one for long if few are left.
	perAddress, addresses = 5000, 200
	// opening is how many subscribers may wait for the head of their response.
	opening  = 128
	patience = 60 * time.Second
	// glance is how often subscribers look for messages.
	glance = time.Millisecond
)

var errSlow = errors.New("not in time")

const (
	askEvents    = "GET /sub HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n"
	askWebSocket = "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

// newCrowd makes an empty crowd for an address.
func newCrowd(address string, webSockets bool) (*crowd, error) {
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	c := &crowd{poll: poll, to: &unix.SockaddrInet4{Addr: [4]byte(to.IP.To4()), Port: to.Port}, buffer: make([]byte, 256<<10), events: make([]unix.EpollEvent, 512)}
	c.asks, c.begins = fmt.Appendf(nil, askEvents, address), []byte("HTTP/1.1 200 ")
	if webSockets {
		c.asks, c.begins = fmt.Appendf(nil, askWebSocket, address), []byte("HTTP/1.1 101 ")
	}
	return c, nil
}

// gather opens n subscribers, and waits until all have the head of the response.
func gather(address string, n int, webSockets bool) (*crowd, error) {
	c, err := newCrowd(address, webSockets)
	if err != nil {
		return nil, err
	}
	return c, c.add(0, n)
}

// add opens n further subscribers, which begin with the number from, and waits until all have the head of the response.
func (c *crowd) add(from, n int) error {
	before := c.heads
	for i := range n {
		if err := c.open(from + i); err != nil {
			return fmt.Errorf("subscriber %d: %w", from+i, err)
		}
		if err := c.until(func() bool { return c.heads > before+i-opening }); err != nil {
			return err
		}
	}
	return c.until(func() bool { return c.heads == before+n })
}

// open opens subscriber i.
func (c *crowd) open(i int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.fds = append(c.fds, fd)
	// The port is chosen by connect then, which may take one that an earlier connection to another server has had.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(1 + i/perAddress%addresses)}}); err != nil {
		return err
	}
	if err := unix.Connect(fd, c.to); err != nil {
		return err
	}
	if _, err := unix.Write(fd, c.asks); err != nil {
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
		if bytes.HasPrefix(p, []byte("HTTP/1.1 ")) && !bytes.HasPrefix(p, c.begins) {
			return fmt.Errorf("a subscriber was refused: %.200q", p)
		}
		c.heads += bytes.Count(p, c.begins)
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
		leave(fd)
	}
	unix.Close(c.poll)
}

// leave resets a connection: then no port is left behind that waits.
func leave(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}
