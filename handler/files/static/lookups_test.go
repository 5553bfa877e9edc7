package static

import (
	"sync"
	"testing"
	"time"
)

// holds runs n functions for a rule that hang until the result is called. It counts how many have begun.
func holds(t *testing.T, l *lookups, of *rule, n int, begun *sync.WaitGroup) (release func()) {
	t.Helper()
	hold := make(chan struct{})
	begun.Add(n)
	for range n {
		if !l.run(of, func() { begun.Done(); <-hold }) {
			t.Fatal("refused")
		}
	}
	return func() { close(hold) }
}

// Rules that hang have their own goroutines, up to a number of rules. What waits then runs when any goroutine is free.
func TestLookupsOfRules(t *testing.T) {
	l := newLookups(2, 3, time.Hour)
	var begun sync.WaitGroup
	var releases []func()
	rules := make([]rule, rulesHung+2)
	for i := range rulesHung {
		releases = append(releases, holds(t, l, &rules[i], 2, &begun))
		begun.Wait() // all of them run
	}
	ran := make(chan int, 6)
	for i := range 6 {
		of := &rules[rulesHung+i%2]
		if !l.run(of, func() { ran <- i }) {
			t.Fatalf("%d: the queue of a rule is full because of others", i)
		}
		if len(l.rules[of].queue) != i/2+1 {
			t.Fatalf("%d: it does not wait", i)
		}
	}
	if l.run(&rules[rulesHung], func() {}) {
		t.Error("the queue has no bound")
	}
	releases[3]() // one rule works again
	for range 6 {
		<-ran
	}
	for i, release := range releases {
		if i != 3 {
			release()
		}
	}
	l.finish()
	for of, r := range l.rules {
		if r.running != 0 || len(r.queue) != 0 {
			t.Errorf("%p: %d run, %d wait", of, r.running, len(r.queue))
		}
	}
}

// If what waits has waited for too long, nothing is added to it.
func TestLookupsTooOld(t *testing.T) {
	l := newLookups(1, 100, time.Hour)
	var begun sync.WaitGroup
	var r rule
	release := holds(t, l, &r, 1, &begun)
	begun.Wait()
	if !l.run(&r, func() {}) || !l.run(&r, func() {}) {
		t.Fatal("refused")
	}
	l.mu.Lock()
	l.rules[&r].queue[0].since = time.Now().Add(-2 * time.Hour)
	l.mu.Unlock()
	if l.run(&r, func() {}) {
		t.Error("more is added to a queue that does not move")
	}
	release()
	l.finish()
	if !l.run(&r, func() {}) {
		t.Error("refused though nothing waits")
	}
	l.finish()
}
