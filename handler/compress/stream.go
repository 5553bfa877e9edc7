package compress

import "moonbridge/handler/backend"

// Stream implements backend.Streamer.
func (e *exchange) Stream(r backend.Running) {
	if e.state == stateOver {
		return
	}
	e.r = r
	backend.BeginStream(e.x, (*running)(e))
}

// Stream implements backend.Streamer. What is left of the request body is not decoded.
func (b *decoding) Stream(r backend.Running) {
	b.stop()
	b.r = r
	backend.BeginStream(b.Exchange, (*decodingRunning)(b))
}

// Pending implements backend.Streamer.
func (e *exchange) Pending() int64 { return backend.PendingOf(e.x) }

// Pending implements backend.Streamer.
func (b *decoding) Pending() int64 { return backend.PendingOf(b.Exchange) }

var _, _ backend.Streamer = (*exchange)(nil), (*decoding)(nil)
