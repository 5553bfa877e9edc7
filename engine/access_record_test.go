package engine

import "testing"

// The other loop objects of a loop look at the clock as it does.
func TestClocksOfParts(t *testing.T) {
	for _, brief := range []bool{false, true} {
		e := startEngine(t, Options{Loops: 1, AccessBrief: brief, AccessLog: func(*Access) {}})
		onLoop(t, e.loops[0].shown, func() {
			l := e.loops[0]
			for what, part := range map[string]*loop{"TLS": l.tlsPart().twin, "HTTP/2": l.h2Part().twin, "HTTP/2 with TLS": l.tlsPart().twin.h2Part().twin} {
				if (part.turn != nil) != brief || (part.clock != nil) != brief {
					t.Errorf("brief: %v; %s has other clocks", brief, what)
				}
			}
		})
	}
}

// Who only counts pays one look at the clock for a request, besides that of the turn.
func TestClockPerCountedRequest(t *testing.T) {
	const conns, rounds = 16, 10
	counted := 0
	m := newCrowd(t, conns, func(a *Access) {
		counted++
		if a.Total != 7 || a.ID != nil || a.Status != 200 || a.Bytes != int64(len(crowdBody)) {
			t.Errorf("%+v", a)
		}
	})
	looks := 0
	m.l.e.accessBrief, m.l.e.counts = true, true
	m.l.turn, m.l.clock = func() int64 { return 1000 }, func() int64 { looks++; return 1007 }
	m.l.began, m.l.ended = nil, nil // these would be looks, too
	m.request = get("/hello")
	for range rounds {
		m.round([]byte(crowdHead), []byte(crowdBody))
	}
	if looks != conns*rounds || counted != conns*rounds {
		t.Errorf("%d looks, %d counted for %d requests", looks, counted, conns*rounds)
	}
}
