package engine

import (
	"bytes"
	"net"
	"os"

	"moonbridge/reactor"
)

// Detach implements backend.Conn.
func (c *rawConn) Detach() (net.Conn, error) {
	if c.state != rawOpen || !c.sends() && !c.finSent {
		return nil, net.ErrClosed
	}
	conn, err := c.l.takeOut(c.socket.fd)
	if err != nil {
		return nil, err
	}
	d := newDetached(conn, bytes.Clone(c.input.Unread()), append(c.pipeContents(), c.output.Unsent()...))
	c.state = rawDetached
	c.output.Release(c.l.pool)
	if !c.busy {
		c.input.Release(c.l.pool)
	}
	c.leave()
	end := c.l.takePlace(c.socket.fd)
	c.socket.fd = -1
	if end != nil {
		return newCounted(d, &count{end: end}), nil
	}
	return d, nil
}

// takeOut takes the connection fd off the loop. After an error nothing has changed.
func (l *loop) takeOut(fd int) (net.Conn, error) {
	conn, err := l.sys.duplicate(fd)
	if err != nil {
		return nil, err
	}
	if err := l.sys.leave(fd); err != nil {
		conn.Close()
		return nil, err
	}
	if l.sealed != nil {
		return l.sealed.detach(fd, conn), nil
	}
	return conn, nil
}

// duplicate makes a net.Conn of a duplicate of the descriptor fd.
func duplicate(fd int) (net.Conn, error) {
	other, err := reactor.Duplicate(fd)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(other), "connection")
	defer file.Close() // FileConn makes another duplicate
	return net.FileConn(file)
}
