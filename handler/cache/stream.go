package cache

import "moonbridge/handler/backend"

// Stream implements backend.Streamer.
func (r forwarded) Stream(running backend.Running) {
	r.inner = running
	if r.x != nil {
		backend.BeginStream(r.x, r.run)
	}
}

var _ backend.Streamer = forwarded{}
