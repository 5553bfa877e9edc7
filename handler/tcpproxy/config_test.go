package tcpproxy

import (
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/handler/upstream"
)

func TestConfigOfNoSense(t *testing.T) {
	for _, c := range []Config{{ProxyOut: 3}, {ProxyOut: -1}, {Sniff: SniffBoth + 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v is taken", c)
				}
			}()
			New(c)
		}()
	}
}

// firstLoop is the only one.
type firstLoop struct{ backend.Loop }

func (firstLoop) Index() int { return 0 }
func (firstLoop) Count() int { return 1 }

// Sets that others have taken the place of are forgotten: a program may make one at each change of its configuration.
func TestClosedSetsAreForgotten(t *testing.T) {
	l := &loop{Loop: firstLoop{}, pickers: make(map[*upstream.Set]*upstream.Picker)}
	for range 10 {
		s := set(t, upstream.Options{}, "127.0.0.1:1")
		if k := l.picker(s); l.picker(s) != k {
			t.Error("another picker")
		}
		s.Close()
	}
	if n := len(l.pickers); n > 2 {
		t.Errorf("%d pickers of Sets that are closed", n)
	}
}
