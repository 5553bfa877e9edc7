package route

import (
	"bytes"
	"errors"
	"io"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

const (
	// feedTurn is how many bytes of a body are given to a backend in a turn of the loop.
	feedTurn = 256 << 10
	// feedPiece is how many of them are read at a time.
	feedPiece = 64 << 10
)

// fed is the Exchange of a backend that takes a request body in parts, though it is in a file.
type fed struct {
	backend.Exchange
	l       *loop
	running backend.Running
	file    backend.File // nil: nothing of the body is left
	at      int64
	trailer []byte
	posted  bool // step is about to be called
}

// feed starts an exchange of a backend that takes no files.
func (l *loop) feed(to *backend.Wrapped, x backend.Exchange, h *httpparse.Head, listener int, body backend.File, trailer []byte) (backend.Running, error) {
	f := &fed{Exchange: x, l: l, file: body, trailer: bytes.Clone(trailer)}
	var err error
	if f.running, err = to.Next.Start(f.outward(), h, listener, nil, true); err != nil {
		return nil, err
	}
	f.later()
	return fedRunning{f}, nil
}

func (f *fed) later() {
	if !f.posted {
		f.posted = true
		f.l.on.Post(f.step)
	}
}

// step gives the backend more of the body, as far as it has room.
func (f *fed) step() {
	f.posted = false
	for given := 0; f.file != nil; {
		if given >= feedTurn {
			f.later()
			return
		}
		if f.at == f.file.Size() {
			f.complete()
			return
		}
		room, _ := f.running.BodyRoom()
		if len(room) == 0 {
			return // BodyRoom will be called
		}
		n, err := f.file.ReadAt(room[:min(int64(len(room)), feedPiece, f.file.Size()-f.at)], f.at)
		if n == 0 || err != nil && !errors.Is(err, io.EOF) {
			f.close()
			f.running.BodyAbort(false)
			return
		}
		f.at += int64(n)
		given += n
		f.running.BodyCommit(n)
	}
}

// complete: all of the body was given to the backend.
func (f *fed) complete() {
	f.close()
	if t, ok := f.running.(backend.Trailered); ok && len(f.trailer) > 0 {
		t.BodyTrailer(f.trailer)
	}
	f.running.BodyEnd()
}

// close gives the file back. After that the backend gets nothing more.
func (f *fed) close() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

// BodyRoom implements backend.Exchange: the backend has room again. It may be in the middle of a call.
func (f *fed) BodyRoom() {
	if f.file != nil {
		f.later()
	}
}

// BodyWanted implements backend.Exchange. The body is here.
func (f *fed) BodyWanted() {}

// Done implements backend.Exchange.
func (f *fed) Done(end backend.End) {
	f.close()
	f.Exchange.Done(end)
}

// Complete implements backend.Exchange.
func (f *fed) Complete(_ backend.Running, end backend.End) {
	f.close()
	f.Exchange.Complete(fedRunning{f}, end)
}

// Left implements backend.Exchange.
func (f *fed) Left(backend.Running) { f.Exchange.Left(fedRunning{f}) }

// Failed implements backend.Exchange.
func (f *fed) Failed(status int, retryAfter time.Duration) {
	f.close()
	f.Exchange.Failed(status, retryAfter)
}

// Refused implements backend.Refuser.
func (f *fed) Refused(err error) {
	f.close()
	backend.Refuse(f.Exchange, err)
}

// fedRunning is the Running of the same exchange, as the engine sees it: its body has come.
type fedRunning struct{ f *fed }

// BodyRoom implements backend.Running. It is not called, and neither are the next three.
func (r fedRunning) BodyRoom() (a, b []byte) { return nil, nil }

// BodyCommit implements backend.Running.
func (r fedRunning) BodyCommit(int) {}

// BodyEnd implements backend.Running.
func (r fedRunning) BodyEnd() {}

// BodyAbort implements backend.Running.
func (r fedRunning) BodyAbort(bool) {}

// OutputRoom implements backend.Running.
func (r fedRunning) OutputRoom() { r.f.running.OutputRoom() }

// PeerEnd implements backend.Running.
func (r fedRunning) PeerEnd() { r.f.running.PeerEnd() }

// Cancel implements backend.Running.
func (r fedRunning) Cancel() {
	r.f.close()
	r.f.running.Cancel()
}

// Upstream implements backend.Forwarded.
func (r fedRunning) Upstream() (address string, sent int) { return backend.UpstreamOf(r.f.running) }

// CacheTimes implements backend.CacheTimed.
func (r fedRunning) CacheTimes() (queue, service time.Duration, result backend.CacheResult) {
	return backend.TimesOf(r.f.running)
}
