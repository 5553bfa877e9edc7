package pool

import (
	"fmt"
	"io"
	"testing"
	"time"
)

// abandoned waits until n exchanges have left the queue because their peers had gone.
func (r *rig) abandoned(n uint64) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%d exchanges abandoned", n), func() bool { return r.p.Stats().Abandoned == n })
}

// A raw connection that waits leaves the queue when its peer has gone: at once if it was reset, after gone_after if the peer
// has only finished sending.
func TestSocketPeerGoneInQueue(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 1}, {0, "gone_after", 3600}}})
	r.ready(1)
	first := r.connect(rawAsk)
	first.ask("hello")
	vanishes, ends, stays := r.connect(rawAsk), r.connect(rawAsk), r.connect(rawAsk)
	vanishes.SetLinger(0)
	vanishes.Close()
	r.abandoned(1)
	fmt.Fprintln(ends, "half-closed")
	ends.CloseWrite()
	time.Sleep(4 * slowTickEvery) // nothing comes of it for an hour
	if s := r.p.Stats(); s.InFlight != 3 || s.Abandoned != 1 {
		t.Errorf("%+v", s)
	}
	first.finish()
	if got, err := io.ReadAll(ends.r); string(got) != "half-closed\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got := stays.ask("hello"); got != "hello" {
		t.Errorf("got %q", got)
	}
	stays.finish()
	r.quiet()
}

func TestSocketPeerEndInQueue(t *testing.T) {
	for _, c := range []struct {
		option any
		served bool
	}{{nil, false}, {0.2, false}, {false, true}} {
		t.Run(fmt.Sprint(c.option), func(t *testing.T) {
			options := [][3]any{{0, "max_fork", 1}}
			if c.option != nil {
				options = append(options, [3]any{0, "gone_after", c.option})
			}
			r := start(t, setup{options: options})
			r.ready(1)
			first := r.connect(rawAsk)
			first.ask("hello")
			ends := r.connect(rawAsk)
			fmt.Fprintln(ends, "half-closed")
			ends.CloseWrite()
			if !c.served {
				r.abandoned(1)
				ends.wantReset()
			} else {
				time.Sleep(8 * slowTickEvery)
			}
			first.finish()
			if got, err := io.ReadAll(ends.r); c.served && (string(got) != "half-closed\n" || err != nil) {
				t.Errorf("got %q, %v", got, err)
			}
			r.quiet()
		})
	}
}

// One that finds a free worker at once is served, though its peer has finished sending.
func TestSocketPeerEndIsServed(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 1}, {0, "gone_after", 3600}}})
	r.ready(1)
	p, fd := r.tcpPair()
	fmt.Fprintln(p, "half-closed")
	p.CloseWrite()
	r.startSocket(0, p, fd, rawAsk)
	if got, err := io.ReadAll(p.r); string(got) != "half-closed\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	r.quiet()
}
