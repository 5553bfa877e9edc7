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
