package admin

import (
	"crypto/rand"
	"net"
	"sync"
)

// limited is a listener of which connsMax connections are open at a time.
type limited struct {
	net.Listener
	places chan struct{}
	once   sync.Once
	closed chan struct{}
}

func newLimited(ln net.Listener) *limited {
	return &limited{Listener: ln, places: make(chan struct{}, connsMax), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &placed{Conn: c, places: l.places}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// placed is a connection that has a place.
type placed struct {
	net.Conn
	places chan struct{}
	once   sync.Once
}

// Close implements net.Conn.
func (c *placed) Close() error {
	c.once.Do(func() { <-c.places })
	return c.Conn.Close()
}

// newNonce makes a word that no page can guess.
func newNonce() string { return rand.Text() }
