package websocket

// The Handler is called here. It works on what peers have sent, so a panic in it ends its own connection alone, with 1011. The log has the
// stack.

func (c *Conn) tellOpen() {
	defer c.caught("websocket.Handler.Open")
	c.handler.Open(c)
}

func (c *Conn) tellMessage(kind Kind, data []byte) {
	defer c.caught("websocket.Handler.Message")
	c.handler.Message(c, kind, data)
}

func (c *Conn) tellRoom(r interface{ Room(*Conn) }) {
	defer c.caught("websocket.Handler.Room")
	r.Room(c)
}

func (c *Conn) tellClose(code int, reason string) {
	defer c.caught("websocket.Handler.Close")
	c.handler.Close(c, code, reason)
}

// caught is deferred around a call of the Handler.
func (c *Conn) caught(function string) {
	if cause := recover(); cause != nil {
		c.e.panics.Log(function, cause)
		c.fail(CodeInternal, "")
	}
}

// ask calls Accept. The status is 0 if the request is accepted.
func (o *opening) ask(r *Request) (status int) {
	defer func() {
		if cause := recover(); cause != nil {
			o.l.panics.Log("websocket.Server.Accept", cause)
			status = 500
		}
	}()
	o.handler, o.value, status = o.l.Accept(r, &o.answer)
	if status == 0 && o.handler == nil {
		panic("it has returned neither a Handler nor a status")
	}
	return status
}
