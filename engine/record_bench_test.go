package engine

import (
	"testing"
	"time"
)

// BenchmarkRequest is what a request costs in the engine without the system: alone, with records for those who only count, and with
// records for a log.
func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct {
		name  string
		log   func(*Access)
		brief bool
	}{{"alone", nil, false}, {"counted", func(*Access) {}, true}, {"logged", func(*Access) {}, false}} {
		b.Run(c.name, func(b *testing.B) {
			m := newCrowd(b, 64, c.log)
			m.l.e.accessBrief, m.l.e.counts = c.brief, c.brief
			if c.brief {
				m.l.turn, m.l.clock = func() int64 { return 0 }, func() int64 { return int64(time.Since(startedAt)) }
			}
			m.request = "GET /hello HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
			b.ReportAllocs()
			for i := 0; i < b.N; i += 64 {
				m.round([]byte(crowdHead), []byte(crowdBody))
			}
		})
	}
}
