package engine

import "moonbridge/handler/backend"

// TLS implements backend.Secured.
func (c *conn) TLS() *backend.TLSState { return c.l.tlsState(c.socket.fd) }

// TLS implements backend.Secured.
func (p *pipelined) TLS() *backend.TLSState { return p.c.TLS() }

// TLS implements backend.Secured.
func (c *rawConn) TLS() *backend.TLSState {
	if c.state.over() {
		return nil
	}
	return c.l.tlsState(c.socket.fd)
}

// tlsState is what is known about the TLS of the connection fd, or nil.
func (l *loop) tlsState(fd int) *backend.TLSState {
	if l.tlsOf == nil {
		return nil
	}
	return l.tlsOf(fd)
}

func (l *tlsLoop) tlsState(fd int) *backend.TLSState {
	c := l.conns[fd]
	if c == nil {
		return nil
	}
	if c.state == nil {
		c.state = backend.NewTLSState(c.tls.ConnectionState())
	}
	return c.state
}
