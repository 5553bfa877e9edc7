package handler

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// Goroutines serve one exchange after the other. Those that are not needed end, the rest go on.
func TestBlockingGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 4
		gate := make(chan struct{})
		b := Blocking(Func(func(w *Response, r *Request) {
			<-gate
			if string(r.Target()) == "/goexit" {
				runtime.Goexit()
			}
		}), limit).(*blocking)
		f := attach(t, b)
		serve := func(n int, head string) {
			t.Helper()
			for range n {
				f.start(0, head, "", false)
			}
			for range n {
				gate <- struct{}{}
			}
			synctest.Wait()
		}
		idle := func(want int) {
			t.Helper()
			synctest.Wait()
			b.mu.Lock()
			defer b.mu.Unlock()
			if got := len(b.idlers.waiting); got != want || b.running != 0 {
				t.Fatalf("%d goroutines wait, %d run, want %d and none", got, b.running, want)
			}
		}
		for range 10 {
			serve(1, get11)
		}
		idle(1)
		serve(3*limit, get11)
		idle(limit)
		serve(1, "GET /goexit HTTP/1.1\nHost: a\n\n")
		idle(limit - 1)

		time.Sleep(goroutineIdle)
		for range 20 { // two are in use from time to time
			time.Sleep(goroutineIdle / 4)
			serve(2, get11)
		}
		idle(2)
		time.Sleep(2 * goroutineIdle)
		idle(0)
		time.Sleep(2 * goroutineIdle)
		if b.idlers.sweeps {
			t.Error("a sweep is due, though no goroutine waits")
		}
	})
}
