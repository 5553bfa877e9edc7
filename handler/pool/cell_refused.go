package pool

import (
	"log/slog"

	"moonbridge/handler/logging"
	"moonbridge/handler/shm"
)

// Messages of what is counted by cause, and logged at a bounded rate.
const (
	requestsRefused    = "requests refused"
	requestsFailed     = "requests failed"
	connectionsRefused = "connections refused"
)

// count counts an exchange that ends without a response of a worker, before it is left. Ticks and raw connections that a worker
// had are reported with the end of that worker.
func (c *cell) count(status int, cause string) {
	e := logging.Event{Level: slog.LevelWarn, Message: requestsFailed, Status: status, Cause: cause}
	switch {
	case c.x == nil || c.answered || c.withoutConnection():
		return
	case c.kind == shm.KindSocket && (status != 503 || c.descriptor.state != descriptorHeld):
		return
	case c.kind == shm.KindSocket:
		e.Message, e.Status = connectionsRefused, 0
	case status == 503:
		e.Message = requestsRefused
	case c.response.taken > 0:
		e.Status = 0 // the response breaks off
	}
	c.l.p.tally.Add(e, func() []slog.Attr { return c.about().attrs() })
}
