package handler

import (
	"fmt"
	"testing"

	"moonbridge/handler/backend"
)

// A connection gets half of the goroutines that are free.
func TestBlockingOverlap(t *testing.T) {
	release := make(chan struct{})
	b := attachBlocking(t, Config{}, Func(func(*Response, *Request) { <-release }), 10)
	lb := b.lb.(backend.Overlapping)
	var conns []*fakeConn
	for started, want := range []int{5, 4, 4, 3, 3, 2, 2, 1, 1, 1, 1} {
		if got := lb.Overlap(); got != want {
			t.Errorf("%d with %d exchanges, want %d", got, started, want)
		}
		if started < 10 {
			conns = append(conns, b.start(-1, fmt.Sprintf("GET /%d HTTP/1.1\nHost: a\n\n", started), "", false))
		}
	}
	close(release)
	for _, c := range conns {
		b.until("the end", func() bool { return c.over })
	}
}
