package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// stream is a stream of requests beside what a test does: none of them may fail.
type stream struct {
	t    testing.TB
	stop atomic.Bool
	done atomic.Int64
	wg   sync.WaitGroup
	errs chan error
}

// askBeside asks for a path on some connections, one request after the other, until the test has called end.
func askBeside(t testing.TB, address, path string) *stream {
	b := &stream{t: t, errs: make(chan error, 2)}
	for range cap(b.errs) {
		p := dial(t, address)
		b.wg.Add(1)
		go func() {
			defer b.wg.Done()
			for !b.stop.Load() {
				status, body, err := p.ask(path)
				if err == nil && status != 200 {
					err = fmt.Errorf("status %d: %s", status, body)
				}
				if err != nil {
					b.errs <- err
					return
				}
				b.done.Add(1)
			}
		}()
	}
	return b
}

// end wants that all was well, and that there was something.
func (b *stream) end() {
	b.t.Helper()
	b.stop.Store(true)
	b.wg.Wait()
	close(b.errs)
	for err := range b.errs {
		b.t.Errorf("a request beside: %v", err)
	}
	if b.done.Load() == 0 {
		b.t.Error("no request beside has come through")
	}
}
