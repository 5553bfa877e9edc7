package engine

import "crypto/tls"

// TLS implements backend.Secured.
func (c *conn) TLS() *tls.ConnectionState { return c.l.tlsState(c.socket.fd) }

// TLS implements backend.Secured.
func (p *pipelined) TLS() *tls.ConnectionState { return p.c.TLS() }

// TLS implements backend.Secured.
func (c *rawConn) TLS() *tls.ConnectionState {
	if c.state.over() {
		return nil
	}
	return c.l.tlsState(c.socket.fd)
}

// tlsState is what is known of the TLS of the connection fd, or nil.
func (l *loop) tlsState(fd int) *tls.ConnectionState {
	if l.sealed == nil || l.sealed.conns[fd] == nil {
		return nil
	}
	state := l.sealed.conns[fd].tls.ConnectionState()
	return &state
}
