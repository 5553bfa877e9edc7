package pool

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/pool/listen/listentest"
	"moonbridge/handler/shm"
)

// endings are listeners besides the first: handlers of listener 1 are ended when their client has gone, within 100 ms. Those
// of listener 2 may take any time.
var endings = [][3]any{
	{2, "proto", "tcp4"}, {2, "port", 0}, {2, "connect", listentest.HTTP("on_client_gone=1\nclient_gone_timeout=0.1\n")},
	{3, "proto", "tcp4"}, {3, "port", 0}, {3, "connect", listentest.HTTP("on_client_gone=1\nclient_gone_timeout=0\n")},
}

// An exchange whose peer has finished sending leaves the queue when it has waited for gone_after. One that a worker has goes
// on.
func TestPeerEndInQueue(t *testing.T) {
	for _, c := range []struct {
		name      string
		option    any
		after     time.Duration // the start
		waits     time.Duration // until it is withdrawn; 0: it is not
		withdrawn bool
	}{
		{"default", nil, 0, 100 * time.Millisecond, true},
		{"in the meantime", nil, 60 * time.Millisecond, 100 * time.Millisecond, true},
		{"later", nil, time.Second, time.Second, true},
		{"option", 0.5, 0, 500 * time.Millisecond, true},
		{"never", false, 0, 5 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var options [][3]any
			if c.option != nil {
				options = append(options, [3]any{0, "gone_after", c.option})
			}
			s := newStill(t, 1, options...)
			held, waiting := &plain{}, &plain{}
			s.begin(held, 0)
			first := s.claim(0)
			cell := s.begin(waiting, 0)
			now := s.on.now
			passes := func(until time.Duration) {
				for s.on.now < now+int64(until) {
					s.turn(5 * time.Millisecond)
				}
			}
			passes(c.after)
			cell.PeerEnd()
			passes(c.waits - 5*time.Millisecond)
			if waiting.failed != 0 {
				t.Fatalf("withdrawn before it has waited for %v", c.waits)
			}
			passes(c.waits + 2*slowTickEvery)
			if got := waiting.status; c.withdrawn != (got == 499) || !c.withdrawn && waiting.failed != 0 {
				t.Errorf("failed %d times, with status %d", waiting.failed, got)
			}
			s.answer(0, first, 1)
			s.turn(0)
			if !c.withdrawn {
				s.answer(0, s.claim(0), 1)
				s.turn(0)
			}
			if _, ok := s.peers[0].Claim(); ok {
				t.Error("something is left in the queue")
			}
			if held.done != 1 || waiting.done+waiting.failed != 1 || len(s.l.cells.inUse) != 0 {
				t.Errorf("ends: %+v, %+v", held, waiting)
			}
			if got := s.l.p.Stats().Abandoned; (got == 1) != c.withdrawn {
				t.Errorf("abandoned: %d", got)
			}
		})
	}
}

// One that finds a free worker at once is answered, though its peer is known to have finished.
func TestPeerEndIsAnswered(t *testing.T) {
	s := newStill(t, 1)
	x := &plain{}
	cell := s.begin(x, 0)
	cell.PeerEnd()
	c := s.claim(0)
	for range 100 {
		s.turn(10 * time.Millisecond)
	}
	s.answer(0, c, 3)
	s.turn(0)
	if x.done != 1 || x.bytes != 3 || s.l.p.Stats().Abandoned != 0 {
		t.Errorf("%+v, %+v", x, s.l.p.Stats())
	}
}

// The worker can see it, in this exchange only.
func TestPeerEndIsSeen(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 1}, {0, "gone_after", false}}})
	r.ready(1)
	for _, ends := range []bool{true, false} {
		name := filepath.Join(t.TempDir(), "name")
		q := r.send(&request{target: "peer?" + name})
		want := "ended false, told 0 times"
		if ends {
			want = "ended true, told 0 times"
			q.peerEnds()
		}
		marker(name)
		wantOut(t, q.wait(), want)
	}
	r.quiet()
}

// A peer that resets its connection leaves the queue at once.
func TestVanishedInQueue(t *testing.T) {
	s := newStill(t, 1)
	cell := s.begin(&plain{}, 0)
	cell.Cancel()
	if _, ok := s.peers[0].Claim(); ok || s.l.p.Stats().Abandoned != 1 || len(s.l.cells.inUse) != 0 {
		t.Errorf("claimed: %v, %+v", ok, s.l.p.Stats())
	}
}

// The worker is told to end the handler, once, if the script wants that.
func TestHandlerEnded(t *testing.T) {
	for name, gone := range map[string]func(q *request){"FIN": (*request).peerEnds, "RST": (*request).cancel} {
		t.Run(name, func(t *testing.T) {
			r := start(t, setup{options: append(endings, [3]any{0, "max_fork", 1})})
			r.ready(1)
			q := r.send(&request{target: "until-gone", listener: 2})
			r.claimed(q)
			gone(q)
			gone(q)
			q.wait()
			if name == "FIN" {
				wantStatus(t, q.got, 499)
			}
			wantOut(t, r.get("peer"), "ended false, told 0 times")
			r.quiet()
			if s := r.p.Stats(); s.Deaths != 0 || s.Forks != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The worker is told even if it claims the exchange at the moment at which the peer ends.
func TestHandlerEndedUnseen(t *testing.T) {
	s := newStill(t, 1, endings...)
	s.workers[0].conn = testControl(t)
	cell := s.begin(&plain{}, 2)
	c := s.claim(0)
	cell.PeerEnd() // the loop does not know of the claim
	if cell.peer.told {
		t.Fatal("told, although no worker was seen to have it")
	}
	for range 10 {
		s.turn(slowTickEvery)
	}
	if !cell.peer.told {
		t.Error("the worker was not told")
	}
	s.answer(0, c, 1)
	s.turn(0)
}

// If a handler does not end, its worker is killed, and the log says why, once.
func TestHandlerOutlivesClient(t *testing.T) {
	for name, gone := range map[string]func(q *request){"FIN": (*request).peerEnds, "RST": (*request).cancel} {
		t.Run(name, func(t *testing.T) {
			r := start(t, setup{options: append(endings, [3]any{0, "max_fork", 1}, [3]any{0, "fork_error_delay", 0.01})})
			r.ready(1)
			q := r.send(&request{target: "hold?" + filepath.Join(t.TempDir(), "never"), listener: 1})
			r.claimed(q)
			gone(q)
			q.wait()
			if name == "FIN" {
				wantStatus(t, q.got, 499)
			}
			r.log.await(t, "has not ended within 100ms")
			wantOut(t, r.get("hello?x"), "hello x")
			r.quiet()
			if text := r.log.String(); strings.Count(text, "on_client_gone: GET /hold has not ended within 100ms") != 1 ||
				strings.Count(text, "level=WARN") != 1 || strings.Contains(text, "level=ERROR") {
				t.Errorf("log:\n%s", text)
			}
			// The new worker may have answered before the server has read that it was forked.
			eventually(t, "two forks are counted", func() bool { return r.p.Stats().Forks == 2 })
			if s := r.p.Stats(); s.Lost != 0 || s.Retries != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Without the option the handler may take as long as it likes, whatever its client does.
func TestHandlerIgnoresClient(t *testing.T) {
	r := start(t, setup{options: append(endings, [3]any{0, "max_fork", 1})})
	r.ready(1)
	for _, listener := range []int{0, 2} { // no option; no time limit
		name := filepath.Join(t.TempDir(), "name")
		q := r.send(&request{target: "hold?" + name, listener: listener})
		r.claimed(q)
		q.peerEnds()
		time.Sleep(6 * slowTickEvery) // longer than the limit of listener 1: nothing comes of it
		marker(name)
		wantOut(t, q.wait(), "held")
	}
	r.quiet()
	if s := r.p.Stats(); s.Deaths != 0 || s.Forks != 1 {
		t.Errorf("%+v", s)
	}
}

// A retried exchange has a worker of its own that is told.
func TestHandlerEndedAfterRetry(t *testing.T) {
	s := newStill(t, 1, endings...)
	s.workers[0].conn = testControl(t)
	cell := s.begin(&plain{}, 2)
	s.claim(0)
	cell.PeerEnd()
	s.turn(slowTickEvery)
	s.turn(slowTickEvery)
	told := cell.peer.told
	cell.forgetWorker()
	s.l.publish(cell, s.on.now)
	if !told || cell.peer.told || cell.in.Flags.Load()&shm.InPeerEnd == 0 {
		t.Errorf("told %v, then %v, flags %#x", told, cell.peer.told, cell.in.Flags.Load())
	}
}

// testControl is our end of a control socket whose other end is not read.
func testControl(t *testing.T) *net.UnixConn {
	t.Helper()
	ours, theirs, err := controlPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours
}
