package pool

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"moonbridge/handler/shm"
)

// traceTime is how long a worker that is to be killed has for saying what it is at: less than anybody would wait for.
const traceTime = 100 * time.Millisecond

// namedMax is how many bytes of a method or a path are logged.
const namedMax = 200

// overdue: the handler has run for request_timeout. The client is answered at once, the worker killed a moment later: it has
// a chance to log a traceback.
func (c *cell) overdue(now int64) {
	w := c.worker
	c.l.p.log.LogAttrs(context.Background(), slog.LevelWarn, "request_timeout: ending the worker",
		slog.Int("pid", int(w.pid.Load())),
		slog.Duration("running", time.Duration(now-c.claimed).Round(time.Millisecond)),
		slog.String("request", c.name()),
		slog.String("phase", c.phase()))
	w.in.Quit.Store(1) // should the handler come to its end now, no other exchange is to be killed with it
	w.ask(shm.CtlTraceback)
	time.AfterFunc(traceTime, func() { w.condemn("request_timeout") })
	c.setState(cellCondemned)
	c.fail(504, 0)
}

// name says what the exchange is about, as the worker's own messages do: "GET /path", "interval name", "connection".
func (c *cell) name() string {
	if c.kind == shm.KindSocket {
		return "connection"
	}
	if c.title != "" || !c.headThere() {
		return c.title
	}
	// Workers cannot write here where the system prevents it; elsewhere they might have.
	var h shm.Head
	copy(shm.Bytes(&h), c.inWin)
	raw := part(c.inWin, h.RawOff, min(h.RawLen, uint32(len(c.inWin))-min(h.RawOff, uint32(len(c.inWin)))))
	if c.kind == shm.KindInterval {
		return "interval " + quoted(raw)
	}
	return quoted(part(raw, h.MethodOff, h.MethodLen)) + " /" + quoted(part(raw, h.PathOff, h.PathLen))
}

// headThere reports whether the in-window still begins with the request's head.
func (c *cell) headThere() bool { return c.inHead <= uint64(len(c.inWin)) }

// keepTitle is called before bytes are put into the in-window: where the worker has taken some out, these may come to
// stand where the head is.
func (c *cell) keepTitle() {
	if c.inTail > 0 && c.title == "" && c.headThere() && c.l.p.spec.Options.RequestTimeout > 0 {
		c.title = c.name()
	}
}

// part is nil where there is no such part.
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
	case c.kind == shm.KindSocket && c.socket == socketHeld:
		return "before it had the socket"
	case c.kind != shm.KindHTTP:
		return "running"
	case c.response.published > c.response.taken:
		return fmt.Sprintf("response: %d bytes sent, the peer does not read on", c.response.taken)
	case c.response.published > 0:
		return fmt.Sprintf("response: %d bytes sent", c.response.taken)
	case c.flags&shm.InEnd == 0:
		return "request body: not yet there in full"
	}
	return "no response yet"
}
