package engine

import "moonbridge/handler/backend"

// Splice implements backend.Conn.
func (c *rawConn) Splice(to backend.Conn) {
	if c.state != rawOpen {
		return
	}
	o := to.(*rawConn)
	c.spliced, c.paused = o, o.state.over()
	c.Follow(to)
	c.due = c.due || c.input.Len() > 0 || c.socket.eof
	c.again()
}

// pass sends the input to the connection that gets it.
func (c *rawConn) pass() {
	c.spliced.Write(c.input.Unread())
	c.input.Discard(c.input.Len())
	if c.socket.eof {
		c.spliced.CloseWrite()
	}
}
