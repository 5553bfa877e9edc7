package compress

import (
	"io"
	"slices"
	"time"

	"moonbridge/handler/backend"
)

// decodingRunning is a decoding as the connection sees it.
type decodingRunning decoding

// BodyRoom implements backend.Running: room for bytes that are not decoded.
func (r *decodingRunning) BodyRoom() (x, y []byte) {
	b := (*decoding)(r)
	if b.over || !b.source.wants(b.moreRoom) {
		return nil, nil
	}
	if b.room == nil {
		b.room = make([]byte, decodePiece)
	}
	return b.room, nil
}

// moreRoom is called by the goroutine when it has used up what the connection has put into its room.
func (b *decoding) moreRoom() {
	b.l.on.Post(func() {
		if !b.over {
			b.Exchange.BodyRoom()
		}
	})
}

// BodyCommit implements backend.Running.
func (r *decodingRunning) BodyCommit(n int) {
	if n > 0 {
		r.source.put(slices.Clone(r.room[:n]))
	}
}

// BodyEnd implements backend.Running.
func (r *decodingRunning) BodyEnd() {
	r.room = nil
	r.source.close(io.EOF)
}

// BodyAbort implements backend.Running.
func (r *decodingRunning) BodyAbort(tooLarge bool) {
	b := (*decoding)(r)
	if !b.over {
		b.stop()
		b.r.BodyAbort(tooLarge)
	}
}

// BodyTrailer implements backend.Trailered.
func (r *decodingRunning) BodyTrailer(section []byte) { r.trailer = slices.Clone(section) }

// OutputRoom implements backend.Running.
func (r *decodingRunning) OutputRoom() { r.r.OutputRoom() }

// PeerEnd implements backend.Running.
func (r *decodingRunning) PeerEnd() { r.r.PeerEnd() }

// Cancel implements backend.Running.
func (r *decodingRunning) Cancel() {
	(*decoding)(r).stop()
	r.r.Cancel()
}

// CacheTimes implements backend.CacheTimed.
func (r *decodingRunning) CacheTimes() (queue, service time.Duration, result backend.CacheResult) {
	return backend.TimesOf(r.r)
}

// Upstream implements backend.Forwarded.
func (r *decodingRunning) Upstream() (address string, sent int) { return backend.UpstreamOf(r.r) }

var (
	_ backend.Forwarded  = (*decodingRunning)(nil)
	_ backend.CacheTimed = (*decodingRunning)(nil)
	_ backend.Trailered  = (*decodingRunning)(nil)
)
