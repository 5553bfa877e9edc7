package reactor

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A loop that parks waits as a goroutine, not as a thread, and is woken by events, posts and timers.
func TestPark(t *testing.T) {
	l := startLoop(t, Options{Park: true})
	for until := time.Now().Add(patience); !strings.Contains(stackOf("(*poller).run"), "[IO wait"); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("the loop is not parked:\n%s", stackOf("(*poller).run"))
		}
	}
	on(t, l, func() {})
	fired := make(chan struct{})
	on(t, l, func() { l.After(time.Millisecond, func() { close(fired) }) })
	wait(t, fired, "a timer")
}

// stackOf returns the stack of a goroutine that is in a function.
func stackOf(function string) string {
	stacks := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, function) {
			return stack
		}
	}
	return ""
}

// A goroutine that waits for a pipe goes on when a busy loop yields, though there is one processor only. With runtime.Gosched it would go
// on when sysmon has looked for events, thousands of turns later.
func TestYieldParked(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l, err := NewLoop(Options{Park: true})
	if err != nil {
		t.Fatal(err)
	}
	l.yieldEvery = 0
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()

	const rounds, turnsEach = 20, 10
	turns, read, done := 0, 0, make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 1); ; {
			if _, err := r.Read(b); err != nil {
				return
			}
			l.Post(func() { read++ })
		}
	}()
	written, ended := 0, make(chan struct{})
	var turn func()
	turn = func() {
		turns++
		switch {
		case read == rounds || turns > rounds*turnsEach:
			close(ended)
			return
		case read == written:
			written++
			w.Write([]byte{1})
		}
		l.Soon(turn)
	}
	l.Post(turn)
	runLoop(t, l)
	wait(t, ended, "end of the turns")
	w.Close()
	wait(t, done, "end of the reader")
	if read < rounds {
		t.Errorf("the goroutine has read %d bytes in %d turns", read, turns)
	}
}

// Work that waits holds up a parked loop no longer than another: another goroutine becomes the loop.
func TestParkAside(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l, err := NewLoop(Options{Park: true})
	if err != nil {
		t.Fatal(err)
	}
	runLoop(t, l)
	let := make(chan struct{})
	w := newWork(l, func(uint64) { <-let })
	on(t, l, func() { l.Aside(w) })
	on(t, l, func() {}) // by another goroutine
	close(let)
	w.expect(t, false, "work that has waited")
}
