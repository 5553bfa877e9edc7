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
	if l.sealed == nil || l.sealed.conns[fd] == nil {
		return nil
	}
	c := l.sealed.conns[fd]
	if c.state == nil {
		c.state = backend.NewTLSState(c.tls.ConnectionState())
	}
	return c.state
}
