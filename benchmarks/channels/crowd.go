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
	ended  int // connections that have ended
	buffer []byte
	events []unix.EpollEvent
}

const (
	// mark is in each message once, and nowhere else.
	mark = '\x01'
	// perAddress leaves some of the 28,000 client ports of an address to others.
	perAddress = 20000
	patience   = 60 * time.Second
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
		if err := c.step(0); err != nil {
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

// step takes what has come.
func (c *crowd) step(timeoutMS int) error {
	n, err := unix.EpollWait(c.poll, c.events, timeoutMS)
	if err == unix.EINTR {
		return nil
	}
	for _, e := range c.events[:max(n, 0)] {
		k, err := unix.Read(int(e.Fd), c.buffer)
		if k <= 0 && err != unix.EAGAIN {
			c.ended++
			return fmt.Errorf("a subscriber was disconnected: %v", err)
		}
		p := c.buffer[:max(k, 0)]
		c.heads += bytes.Count(p, []byte("HTTP/1.1 200 OK"))
		c.got += bytes.Count(p, []byte{mark})
	}
	return err
}

func (c *crowd) until(ok func() bool) error {
	for end := time.Now().Add(patience); !ok(); {
		if err := c.step(100); err != nil {
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
		unix.Close(fd)
	}
	unix.Close(c.poll)
}
