package cache

import "moonbridge/handler/backend"

// Stream implements backend.Streamer.
func (r forwarded) Stream(running backend.Running) {
	r.inner = running
	if r.x != nil {
		backend.BeginStream(r.x, r.run)
	}
}

// Pending implements backend.Streamer.
func (r forwarded) Pending() int64 {
	if r.x == nil {
		return 0
	}
	return backend.PendingOf(r.x)
}

var _ backend.Streamer = forwarded{}
