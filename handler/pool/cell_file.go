package pool

import (
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// A request body in a file is not copied: the worker that claims the exchange asks for the file when its handler reads the
// body, gets a descriptor of its own, and reads. The cell has the file until it is free: another worker may get it, and a
// worker may ask for it after the connection has gone.

// StartFile implements backend.FileBackend. Workers are not told of trailer fields.
func (l *loop) StartFile(x backend.Exchange, h *httpparse.Head, listener int, body backend.File, _ []byte) (backend.Running, error) {
	c, err := l.reserve()
	if err != nil {
		return nil, err
	}
	if err := c.putRequest(x, h, listener, nil, false, body.Size()); err != nil {
		l.release(c)
		return nil, err
	}
	c.descriptor.holdFile(body)
	l.begin(c, x, h, listener)
	return c, nil
}

var _ backend.FileBackend = (*loop)(nil)
