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

// overdue: the handler has run for request_timeout. The client is answered at once. The worker is killed a moment later, so
// it has a chance to log a traceback.
func (c *cell) overdue(now int64) {
	w := c.worker
	attrs := []slog.Attr{
		slog.Int("pid", int(w.pid.Load())),
		slog.Duration("running", c.watch.lasts(now).Round(time.Millisecond)),
		slog.String("request", c.about().String()),
		slog.String("phase", c.phase()),
	}
	c.l.p.log.LogAttrs(context.Background(), slog.LevelWarn, "request_timeout: ending the worker", withCrash(attrs, c.workerFails(w))...)
	w.in.Quit.Store(1) // if the handler returns now, the worker takes no other exchange that would be killed with it
	w.ask(shm.CtlTraceback)
	time.AfterFunc(traceTime, func() { w.kill("request_timeout") })
	c.setState(cellKilling)
	c.failEarly(504, "request_timeout")
}

// phase says how far the exchange has come, as far as can be seen from here.
func (c *cell) phase() string {
	switch {
	case c.kind == shm.KindSocket && c.descriptor.state == descriptorHeld:
		return "waiting for the socket"
	case c.kind != shm.KindHTTP:
		return "running"
	case c.answered:
		return "after the response"
	case c.response.left() > 0:
		return fmt.Sprintf("response: %d bytes sent, the peer has stopped reading", c.response.taken)
	case c.response.published > 0:
		return fmt.Sprintf("response: %d bytes sent", c.response.taken)
	case c.body.flags&shm.InEnd == 0:
		return "request body: incomplete"
	}
	return "no response yet"
}
