package compress

import (
	"math"
	"testing"

	"moonbridge/handler/backend"
)

// busyInner is a backend with the optional interfaces that say how busy it is.
type busyInner struct{ bodyInner }

func (f *busyInner) Attach(backend.Loop) (backend.LoopBackend, error) { return f, nil }
func (f *busyInner) Overlap() int                                     { return 3 }
func (f *busyInner) Pressed() bool                                    { return false }

// TestForwarded: the optional interfaces of the inner backend are those of the backends in front of it.
func TestForwarded(t *testing.T) {
	for name, wrap := range map[string]func(backend.Backend) backend.Backend{
		"Backend": func(b backend.Backend) backend.Backend {
			c, err := New(b, Options{}, NewShared())
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		"Decoder": func(b backend.Backend) backend.Backend { return NewDecoder(b, 1) },
	} {
		busy, err := wrap(new(busyInner)).Attach(newFakeLoop())
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := busy.(backend.FileBackend); !ok || busy.(backend.Overlapping).Overlap() != 3 || busy.(backend.Pressable).Pressed() {
			t.Errorf("%s: files %v", name, ok)
		}
		plain, err := wrap(new(fakeInner)).Attach(newFakeLoop())
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := plain.(backend.FileBackend); ok || plain.(backend.Overlapping).Overlap() != math.MaxInt || !plain.(backend.Pressable).Pressed() {
			t.Errorf("%s in front of a backend without them: files %v", name, ok)
		}
	}
}
