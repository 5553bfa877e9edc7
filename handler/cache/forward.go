package cache

import (
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// The wrapper has the optional interfaces of the LoopBackend that it wraps.

// filesLoop is a loop whose backend takes bodies in files.
type filesLoop struct{ *loop }

// overlapLoop is a loop whose backend bounds overlaps.
type overlapLoop struct{ *loop }

// filesOverlapLoop is both.
type filesOverlapLoop struct{ filesLoop }

// wrapped returns l with the optional interfaces of l.next.
func (l *loop) wrapped() backend.LoopBackend {
	_, files := l.next.(backend.FileBackend)
	_, overlaps := l.next.(backend.Overlapping)
	switch {
	case files && overlaps:
		return filesOverlapLoop{filesLoop{l}}
	case files:
		return filesLoop{l}
	case overlaps:
		return overlapLoop{l}
	}
	return l
}

// Pressed implements backend.Pressable. A backend that is none is taken to be pressed.
func (l *loop) Pressed() bool {
	p, ok := l.next.(backend.Pressable)
	return !ok || p.Pressed()
}

// StartFile implements backend.FileBackend.
func (l filesLoop) StartFile(x backend.Exchange, h *httpparse.Head, listener int, body backend.File, trailer []byte) (backend.Running, error) {
	l.passed()
	next := l.next.(backend.FileBackend)
	switch string(h.Bytes(h.Method)) {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return next.StartFile(x, h, listener, body, trailer)
	}
	return l.startUnsafe(x, h, false, func(r *run) (backend.Running, error) { return next.StartFile(forwarded{r}, h, listener, body, trailer) })
}

// Overlap implements backend.Overlapping.
func (l overlapLoop) Overlap() int { return l.next.(backend.Overlapping).Overlap() }

// Overlap implements backend.Overlapping.
func (l filesOverlapLoop) Overlap() int { return l.next.(backend.Overlapping).Overlap() }
