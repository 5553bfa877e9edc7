package pool

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"moonbridge/handler/shm"
)

// traceTime is how long a worker that is to be killed has to log a traceback. It is too short to matter to a client.
const traceTime = 100 * time.Millisecond

// namedMax is how many bytes of a method or a path are logged.
const namedMax = 200

// overdue: the handler has run for request_timeout. The client is answered at once. The worker is killed a moment later, so
// it has a chance to log a traceback.
func (c *cell) overdue(now int64) {
	w := c.worker
	c.l.p.log.LogAttrs(context.Background(), slog.LevelWarn, "request_timeout: ending the worker",
		slog.Int("pid", int(w.pid.Load())),
		slog.Duration("running", c.watch.lasts(now).Round(time.Millisecond)),
		slog.String("request", c.name()),
		slog.String("phase", c.phase()))
	w.in.Quit.Store(1) // if the handler returns now, the worker takes no other exchange that would be killed with it
	w.ask(shm.CtlTraceback)
	time.AfterFunc(traceTime, func() { w.kill("request_timeout") })
	c.setState(cellKilling)
	c.fail(504, 0)
}

// name says what the exchange is about, as the worker's own messages do: "GET /path", "interval name", "connection".
func (c *cell) name() string {
	if c.kind == shm.KindSocket {
		return "connection"
	}
	if c.title != "" || !c.body.holdsHead() {
		return c.title
	}
	// On some systems workers can write to the window: nothing in it is trusted.
	var h shm.Head
	copy(shm.Bytes(&h), c.body.window)
	size := uint32(len(c.body.window))
	raw := part(c.body.window, h.RawOff, min(h.RawLen, size-min(h.RawOff, size)))
	if c.kind == shm.KindInterval {
		return "interval " + quoted(raw)
	}
	return quoted(part(raw, h.MethodOff, h.MethodLen)) + " /" + quoted(part(raw, h.PathOff, h.PathLen))
}

// keepTitle is called before bytes are put into the in-window: they may overwrite the head if the worker has taken it.
func (c *cell) keepTitle() {
	named := c.l.p.spec.Options.RequestTimeout > 0 || c.peer.handler != nil
	if named && c.body.tail > 0 && c.title == "" && c.body.holdsHead() {
		c.title = c.name()
	}
}

// part is n bytes of b; nil if there are no such bytes.
func part(b []byte, off, n uint32) []byte {
	if uint64(off)+uint64(n) > uint64(len(b)) {
		return nil
	}
	return b[off:][:n]
}

// quoted is what a peer has sent, fit for a log.
func quoted(b []byte) string {
	cut := ""
	if len(b) > namedMax {
		b, cut = b[:namedMax], "…"
	}
	q := fmt.Sprintf("%q", b)
	return q[1:len(q)-1] + cut
}

// phase says how far the exchange has come, as far as can be seen from here.
func (c *cell) phase() string {
	switch {
	case c.kind == shm.KindSocket && c.socket.state == socketHeld:
		return "waiting for the socket"
	case c.kind != shm.KindHTTP:
		return "running"
	case c.response.left() > 0:
		return fmt.Sprintf("response: %d bytes sent, the peer has stopped reading", c.response.taken)
	case c.response.published > 0:
		return fmt.Sprintf("response: %d bytes sent", c.response.taken)
	case c.body.flags&shm.InEnd == 0:
		return "request body: incomplete"
	}
	return "no response yet"
}
