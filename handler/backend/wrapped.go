package backend

import (
	"errors"
	"math"
	"time"
)

// Wrapped is a backend on one loop to which another one passes exchanges on, with its optional interfaces. A LoopBackend that
// embeds it has the same Overlap, and is pressed whenever this one is.
type Wrapped struct {
	Next    LoopBackend   // nil: none
	Files   FileBackend   // Next, if it is one, or nil
	Sockets SocketBackend // likewise

	overlapping Overlapping
	pressable   Pressable
}

// Wrap returns the Wrapped of next.
func Wrap(next LoopBackend) Wrapped {
	w := Wrapped{Next: next}
	w.Files, _ = next.(FileBackend)
	w.Sockets, _ = next.(SocketBackend)
	w.overlapping, _ = next.(Overlapping)
	w.pressable, _ = next.(Pressable)
	return w
}

// errNoNext is a mistake of whoever has made the wrapper.
var errNoNext = errors.New("backend: there is no backend (nil) that requests could be passed on to")

// AttachWrapped attaches b to l. If b is nil, the error says so.
func AttachWrapped(b Backend, l Loop) (Wrapped, error) {
	if b == nil {
		return Wrapped{}, errNoNext
	}
	next, err := b.Attach(l)
	return Wrap(next), err
}

// Overlap implements Overlapping: without a bound of Next there is none.
func (w *Wrapped) Overlap() int {
	if w.overlapping == nil {
		return math.MaxInt
	}
	return w.overlapping.Overlap()
}

// Pressed implements Pressable. A backend that does not say so is taken to be pressed.
func (w *Wrapped) Pressed() bool { return w.pressable == nil || w.pressable.Pressed() }

// UpstreamOf returns what r says of itself, as a Forwarded.
func UpstreamOf(r Running) (address string, sent int) {
	if f, ok := r.(Forwarded); ok {
		return f.Upstream()
	}
	return "", 0
}

// TimesOf returns what r says of itself, as a Timed or a CacheTimed. Unknown times are negative.
func TimesOf(r Running) (queue, service time.Duration, result CacheResult) {
	switch r := r.(type) {
	case Timed:
		queue, service = r.Times()
		return queue, service, CacheNone
	case CacheTimed:
		return r.CacheTimes()
	}
	return -1, -1, CacheNone
}
