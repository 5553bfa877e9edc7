package main

import (
	"testing"
	"time"

	"moonbridge/timers"
)

// timeouts is the number of timers that wait: one for each connection.
const timeouts = 10_000

type silent struct{ timer timers.Timer }

func (s *silent) Expired(*timers.Timer) {}

// BenchmarkTimeout moves one of many timeouts, as a connection does with each request.
func BenchmarkTimeout(b *testing.B) {
	b.Run("move/ours", func(b *testing.B) {
		w := timers.NewWheel(0)
		all := make([]silent, timeouts)
		for i := range all {
			all[i].timer.Init(&all[i])
			w.Set(&all[i].timer, 65_000)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			w.Set(&all[i%timeouts].timer, w.Now()+65_000)
			if i%100 == 0 {
				w.Advance(w.Now() + 1)
			}
		}
	})
	b.Run("move/time.Timer", func(b *testing.B) {
		all := make([]*time.Timer, timeouts)
		for i := range all {
			all[i] = time.AfterFunc(time.Hour, func() {})
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			all[i%timeouts].Reset(time.Hour)
		}
		for _, one := range all {
			one.Stop()
		}
	})
}
