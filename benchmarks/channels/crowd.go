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
	first  []byte // what a connection begins with: the request, or the preface of HTTP/2
	heads  int    // responses that have begun
	got    int    // messages
	size   int    // subscribers
	buffer []byte
	events []unix.EpollEvent

	webSockets bool
	streams    int // of a connection with HTTP/2; 0: HTTP/1.1
	h2         map[int]*h2Conn
}

const (
	// A message begins with this letter, and its first byte, mark, is nowhere else: not in headers, nor in those of short frames.
	letter = "é"
	mark   = 0xC3
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
	askEvents    = "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n"
	askWebSocket = "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

// newCrowd makes an empty crowd for a server.
func newCrowd(s *server, o *options) (*crowd, error) {
	address, path := s.address, "/sub"
	if s.name == centrifugo {
		path = centrifugoEvents
	}
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	c := &crowd{poll: poll, to: &unix.SockaddrInet4{Addr: [4]byte(to.IP.To4()), Port: to.Port}, buffer: make([]byte, 256<<10), events: make([]unix.EpollEvent, 512)}
	c.asks, c.begins = fmt.Appendf(nil, askEvents, path, address), []byte("HTTP/1.1 200 ")
	if c.webSockets, c.streams = o.webSockets, o.streams; c.webSockets {
		c.asks, c.begins = fmt.Appendf(nil, askWebSocket, address), []byte("HTTP/1.1 101 ")
	}
	c.first = c.asks
	if c.streams > 0 {
		c.asks, c.first, c.h2 = h2Block(address, c.webSockets), h2Preface(), make(map[int]*h2Conn)
	}
	return c, nil
}

// gather opens n subscribers, and waits until all have the head of the response.
func gather(s *server, o *options) (*crowd, error) {
	c, err := newCrowd(s, o)
	if err != nil {
		return nil, err
	}
	return c, c.add(0, o.subscribers)
}

// add opens n further subscribers, which begin with the number from, and waits until all have the head of the response.
func (c *crowd) add(from, n int) error {
	before, each := c.heads, max(1, c.streams)
	c.size = n
	for i := 0; i < n; i += each {
		if err := c.open(from/each+i/each, min(each, n-i)); err != nil {
			return fmt.Errorf("subscriber %d: %w", from+i, err)
		}
		if err := c.until(func() bool { return c.heads > before+i-opening }); err != nil {
			return err
		}
	}
	return c.until(func() bool { return c.heads == before+n })
}

// open opens connection i, which has so many subscribers.
func (c *crowd) open(i, subscribers int) error {
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
	if c.h2 != nil {
		c.h2[fd] = &h2Conn{streams: subscribers}
	}
	if _, err := unix.Write(fd, c.first); err != nil {
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
		if c.h2 != nil {
			if err := c.frames(int(e.Fd), p); err != nil {
				return err
			}
			continue
		}
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
