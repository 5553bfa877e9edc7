package engine

import (
	"strings"
	"testing"
	"time"
)

// The stall timeout is about bytes that do not move, the response timeout about all of a request, also while a small body
// is waited for.
func TestSlowSmallBody(t *testing.T) {
	const gap = 100 * time.Millisecond
	body := strings.Repeat("x", 14)
	for _, c := range []struct {
		name string
		lim  Limits
		want int
	}{
		{"longer than the stall timeout", Limits{StallTimeout: 10 * gap}, 200},
		{"longer than the response timeout", Limits{StallTimeout: 10 * gap, ResponseTimeout: 5 * gap}, 408},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, addr := start(t, Options{Loops: 1}, c.lim, &testBackend{window: 64})
			p := dial(t, addr)
			head, _, _ := strings.Cut(post("/echo", body), "x")
			p.say(head)
			for i := range body {
				time.Sleep(gap)
				if _, err := p.Write([]byte(body[i : i+1])); err != nil {
					break // answered and closed
				}
			}
			p.hears(c.want)
		})
	}
}

// A peer that takes nothing has stalled, even if the handler goes on adding to what waits for it.
func TestStallBesideOutput(t *testing.T) {
	b := &testBackend{window: 64}
	_, addr := start(t, Options{Loops: 1}, Limits{StallTimeout: 300 * time.Millisecond, OutputBytes: 128 << 20}, b)
	p := dial(t, addr)
	p.say(get("/drip/64000000"))
	eventually(t, "the connection is reset", func() bool { return b.count(&b.cancelled) == 1 })
}
