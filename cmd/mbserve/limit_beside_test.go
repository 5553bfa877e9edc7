package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// stream is a series of requests that run in parallel with a test. None of them may fail.
type stream struct {
	t    testing.TB
	stop atomic.Bool
	done atomic.Int64
	slow atomic.Int64 // answered with 504, where there is a time limit
	wg   sync.WaitGroup
	errs chan error
}

// askBeside requests a path on a few connections, one request after another, until the test calls end.
func askBeside(t testing.TB, address, path string) *stream {
	return askLimited(t, address, path, false)
}

// askLimited does so. limited: there is a time limit, which even a short handler may exceed on a busy machine.
func askLimited(t testing.TB, address, path string, limited bool) *stream {
	b := &stream{t: t, errs: make(chan error, 2)}
	for range cap(b.errs) {
		p := dial(t, address)
		b.wg.Go(func() {
			for !b.stop.Load() {
				status, body, err := p.ask(path)
				if err == nil && status == 504 && limited {
					b.slow.Add(1)
					continue
				}
				if err == nil && status != 200 {
					err = fmt.Errorf("status %d: %s", status, body)
				}
				if err != nil {
					b.errs <- err
					return
				}
				b.done.Add(1)
			}
		})
	}
	return b
}

// end checks that there were requests and that none has failed.
func (b *stream) end() {
	b.t.Helper()
	b.stop.Store(true)
	b.wg.Wait()
	close(b.errs)
	for err := range b.errs {
		b.t.Errorf("a parallel request: %v", err)
	}
	if done, slow := b.done.Load(), b.slow.Load(); done <= slow {
		b.t.Errorf("%d parallel requests were answered, %d took too long", done, slow)
	}
}
