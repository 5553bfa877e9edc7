package reactor

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// diary records what happens in a turn.
type diary struct {
	got   []string
	again int
}

func (d *diary) note(what string) { d.got = append(d.got, what) }
func (d *diary) BeginTurn()       { d.note("begin") }
func (d *diary) EndTurn() bool {
	d.note("end")
	d.again--
	return d.again >= 0
}

// TestOrderOfATurn makes everything due at once.
func TestOrderOfATurn(t *testing.T) {
	l, err := NewLoop(Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := &diary{}
	a, b := pair(t)
	unix.Write(b, []byte("x"))
	if err := l.Add(a, ready(func(Readiness) { d.note("event"); l.Close(a) })); err != nil {
		t.Fatal(err)
	}
	l.After(0, func() {
		d.note("timer")
		if !isOpen(a) {
			t.Error("the descriptor was closed before the end of the turn")
		}
		l.After(0, func() { d.note("timer"); l.Stop() })
		l.Post(func() { d.note("task") })
	})
	time.Sleep(2 * time.Millisecond)
	l.Post(func() { d.note("task"); l.Post(func() { d.note("task") }) })
	l.OnTurn(d)
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	unix.Close(b)
	rank := map[string]int{"begin": 0, "event": 1, "task": 2, "timer": 3, "end": 4}
	count := map[string]int{}
	last := "end"
	for _, what := range d.got {
		count[what]++
		if (last == "end") != (what == "begin") || what != "begin" && rank[what] < rank[last] {
			t.Errorf("%s after %s: %v", what, last, d.got)
		}
		last = what
	}
	if last != "end" || count["begin"] != count["end"] || count["event"] != 1 || count["task"] != 3 || count["timer"] != 2 {
		t.Errorf("got %v", d.got)
	}
}

// TestAgain: if EndTurn returns true, another turn follows even though nothing else happens.
func TestAgain(t *testing.T) {
	l := startLoop(t, Options{})
	d := &diary{}
	on(t, l, func() {
		l.OnTurn(d)
		d.again = 1000
	})
	eventually(t, l, "1000 turns", func() bool { return d.again < 0 })
}

func TestHooksAlternate(t *testing.T) {
	ln := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{})
	l := serve(t, ln, newEcho)
	d := &diary{}
	on(t, l, func() { l.OnTurn(d) })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			conn := dial(t, ln)
			for range 100 {
				exchange(t, conn, []byte("hello"))
			}
		})
	}
	all.Wait()
	on(t, l, func() {
		got := d.got
		if len(got) > 0 && got[0] == "end" { // of the turn in which it was added
			got = got[1:]
		}
		for i, what := range got {
			if what != []string{"begin", "end"}[i%2] {
				t.Fatalf("%d. is %s", i, what)
			}
		}
	})
}

// TestPostOrder posts from many goroutines. All tasks run on the loop, those of each goroutine in their order.
func TestPostOrder(t *testing.T) {
	const posters, posts = 8, 5000
	l := startLoop(t, Options{})
	next := make([]int, posters)
	var all sync.WaitGroup
	for p := range posters {
		all.Go(func() {
			for i := range posts {
				if !l.Post(func() {
					if next[p] != i {
						t.Errorf("task %d of %d when %d was due", i, p, next[p])
					}
					next[p]++
				}) {
					t.Error("refused")
				}
			}
		})
	}
	all.Wait()
	on(t, l, func() {
		for p, n := range next {
			if n != posts {
				t.Errorf("%d tasks of %d", n, p)
			}
		}
	})
}

// Posted counts what was posted and has not been called: in the queue, and what was taken from it for this turn and later ones.
func TestPosted(t *testing.T) {
	const more = postedPerTurn + 10
	l := startLoop(t, Options{})
	started, goOn, seen := make(chan struct{}), make(chan struct{}), make(chan int)
	l.Post(func() { close(started); <-goOn })
	wait(t, started, "start")
	for range more {
		l.Post(func() { seen <- l.Posted() })
	}
	if n := l.Posted(); n != more {
		t.Errorf("%d are waiting, want %d", n, more)
	}
	close(goOn)
	for i := range more {
		if n := wait(t, seen, "task"); n != more-1-i {
			t.Errorf("%d behind task %d of %d", n, i, more)
		}
	}
	if n := l.Posted(); n != 0 {
		t.Errorf("%d in the end", n)
	}
}

// TestPostFloodDoesNotStarve: tasks that keep posting themselves do not starve events and timers.
func TestPostFloodDoesNotStarve(t *testing.T) {
	ln := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{})
	l := serve(t, ln, newEcho)
	var flood func()
	stop := false
	flood = func() {
		if !stop {
			l.Post(flood)
		}
	}
	for range 2560 {
		l.Post(flood)
	}
	fired := make(chan struct{})
	on(t, l, func() { l.After(time.Millisecond, func() { close(fired) }) })
	conn := dial(t, ln)
	for range 20 {
		exchange(t, conn, []byte("hello"))
	}
	wait(t, fired, "timer")
	on(t, l, func() { stop = true })
}

// TestStopRunsWhatWasPosted: every task that was not refused runs, even if Stop is called meanwhile.
func TestStopRunsWhatWasPosted(t *testing.T) {
	for range 50 {
		l, err := NewLoop(Options{})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- l.Run() }()
		var all sync.WaitGroup
		ran, accepted := 0, make([]int, 4)
		for p := range accepted {
			all.Go(func() {
				for accepted[p] < 20_000 && l.Post(func() { ran++ }) { // a bound: a loop that gets little time should end too
					accepted[p]++
				}
			})
		}
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
		l.Stop()
		l.Stop()
		if err := wait(t, ended, "end"); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		l.Stop()
		if sum := accepted[0] + accepted[1] + accepted[2] + accepted[3]; ran != sum {
			t.Fatalf("%d tasks ran, %d were accepted", ran, sum)
		}
	}
}

func TestStopBeforeRun(t *testing.T) {
	l, err := NewLoop(Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := pair(t)
	defer unix.Close(b)
	if err := l.Add(a, ready(func(Readiness) {})); err != nil {
		t.Fatal(err)
	}
	ran := false
	l.Post(func() { ran = true })
	l.Stop()
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	if !ran || isOpen(a) || l.openCount() != 0 || l.Post(func() {}) {
		t.Errorf("ran %v, open %v %d", ran, isOpen(a), l.openCount())
	}
}

// TestStopClosesEverything: connections and the listening socket, but not a watched descriptor.
func TestStopClosesEverything(t *testing.T) {
	watched, other := pair(t)
	defer unix.Close(watched)
	defer unix.Close(other)
	ln := listen(t, "tcp4", "127.0.0.1:0", ListenOptions{})
	l, err := NewLoop(Options{})
	if err != nil {
		t.Fatal(err)
	}
	attach(t, ln, l, newEcho)
	if err := l.Watch(watched, func() {}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Run() }()
	conns := []net.Conn{}
	for range 10 {
		conn := dial(t, ln)
		exchange(t, conn, []byte("hello"))
		conns = append(conns, conn)
	}
	on(t, l, func() {
		if l.openCount() != 11 {
			t.Errorf("%d descriptors open", l.openCount())
		}
	})
	l.Stop()
	if err := wait(t, ended, "end"); err != nil {
		t.Fatal(err)
	}
	for _, conn := range conns {
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("read %d bytes from a loop that has ended", n)
		}
	}
	if conn, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		conn.Close()
		t.Error("still listening")
	}
	if !isOpen(watched) {
		t.Error("a watched descriptor was closed")
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
}

func TestIndexAndCount(t *testing.T) {
	if l := startLoop(t, Options{}); l.Index() != 0 || l.Count() != 1 {
		t.Errorf("%d of %d", l.Index(), l.Count())
	}
	if l := startLoop(t, Options{Index: 2, Count: 3}); l.Index() != 2 || l.Count() != 3 {
		t.Errorf("%d of %d", l.Index(), l.Count())
	}
}
