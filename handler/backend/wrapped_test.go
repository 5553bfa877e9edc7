package backend

import (
	"math"
	"testing"
	"time"

	"moonbridge/httpparse"
)

type plain struct{}

func (plain) Start(Exchange, *httpparse.Head, int, []byte, bool) (Running, error) {
	return nil, ErrStopped
}

// able has all optional interfaces of a LoopBackend.
type able struct {
	plain
	FileBackend
	SocketBackend
}

func (able) Overlap() int  { return 3 }
func (able) Pressed() bool { return false }

// A wrapper has the optional interfaces of the backend that it wraps.
func TestWrapped(t *testing.T) {
	for _, c := range []struct {
		next           LoopBackend
		files, sockets bool
		overlap        int
		pressed        bool
	}{
		{nil, false, false, math.MaxInt, true},
		{plain{}, false, false, math.MaxInt, true},
		{able{}, true, true, 3, false},
	} {
		w := Wrap(c.next)
		if w.Next != c.next || (w.Files != nil) != c.files || (w.Sockets != nil) != c.sockets || w.Overlap() != c.overlap || w.Pressed() != c.pressed {
			t.Errorf("%T: %+v, overlap %d, pressed %v", c.next, w, w.Overlap(), w.Pressed())
		}
	}
}

type timed struct{ Running }

func (timed) Times() (queue, service time.Duration) { return 1, 2 }

type cacheTimed struct{ Running }

func (cacheTimed) CacheTimes() (queue, service time.Duration, result CacheResult) {
	return 3, 4, CacheHit
}

func TestTimesOf(t *testing.T) {
	for _, c := range []struct {
		r              Running
		queue, service time.Duration
		result         CacheResult
	}{
		{struct{ Running }{}, -1, -1, CacheNone},
		{timed{}, 1, 2, CacheNone},
		{cacheTimed{}, 3, 4, CacheHit},
	} {
		if queue, service, result := TimesOf(c.r); queue != c.queue || service != c.service || result != c.result {
			t.Errorf("%T: %d, %d, %v", c.r, queue, service, result)
		}
	}
}
