package logging

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// target is what a queue of a test writes to. It can block, refuse, and take a part.
type target struct {
	mu   sync.Mutex
	text strings.Builder
	open chan struct{} // not nil: Write blocks until it is closed
	room int           // bytes that it still takes; -1: any number
}

var errFull = errors.New("no space left")

func newTarget() *target { return &target{room: -1} }

func (t *target) Write(p []byte) (int, error) {
	t.mu.Lock()
	open := t.open
	t.mu.Unlock()
	if open != nil {
		<-open
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.room >= 0 && len(p) > t.room {
		n := t.room
		t.text.Write(p[:n])
		t.room = 0
		return n, errFull
	}
	if t.room >= 0 {
		t.room -= len(p)
	}
	t.text.Write(p)
	return len(p), nil
}

// block makes writes block until the returned function is called.
func (t *target) block() (release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	open := make(chan struct{})
	t.open = open
	return func() {
		t.mu.Lock()
		t.open = nil
		t.mu.Unlock()
		close(open)
	}
}

func (t *target) setRoom(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.room = n
}

func (t *target) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

func mark(b []byte, lost int, err error) []byte { return fmt.Appendf(b, "<%d %v>\n", lost, err) }

// want waits until the queue has nothing more to do and compares what the target has.
func want(t *testing.T, to *target, text string) {
	t.Helper()
	synctest.Wait()
	if got := to.String(); got != text {
		t.Errorf("%q, want %q", got, text)
	}
}

func TestQueueWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newTarget()
		q := NewQueue(to, Options{})
		for i := range 3 {
			if n, err := fmt.Fprintf(q, "record %d\n", i); n != 9 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
		want(t, to, "record 0\nrecord 1\nrecord 2\n")
		if !q.Close(time.Second) || !q.Close(time.Second) {
			t.Error("not closed")
		}
	})
}

// A blocked target holds up no caller. Records that do not fit are counted, and the count is written where they are missing.
func TestQueueBlockedTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newTarget()
		q := NewQueue(to, Options{Bytes: 10, Mark: mark})
		release := to.block()
		fmt.Fprint(q, "a\n")
		synctest.Wait() // being written
		for _, c := range []struct {
			record string
			err    error
		}{{"12345\n", nil}, {"1234\n", ErrLost}, {"123\n", nil}, {"x\n", ErrLost}, {"y\nz", ErrLost}} {
			if _, err := fmt.Fprint(q, c.record); err != c.err {
				t.Errorf("%q: %v, want %v", c.record, err, c.err)
			}
		}
		time.Sleep(time.Hour)
		want(t, to, "")
		release()
		want(t, to, "a\n12345\n123\n<4 <nil>>\n")
		fmt.Fprint(q, "b\n")
		want(t, to, "a\n12345\n123\n<4 <nil>>\nb\n")
		q.Close(time.Second)
	})
}

// A record that does not fit even into an empty queue is lost and reported.
func TestQueueLongRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newTarget()
		q := NewQueue(to, Options{Bytes: 10, Mark: mark})
		fmt.Fprint(q, "0123456789\n")
		want(t, to, "<1 <nil>>\n")
		q.Close(time.Second)
	})
}

// Records that the target refuses are counted line by line, and reported when it takes records again, even if no more come.
func TestQueueRefused(t *testing.T) {
	for _, more := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			to := newTarget()
			q := NewQueue(to, Options{Mark: mark})
			to.setRoom(7)
			fmt.Fprint(q, "one\ntwo\nthree\n")
			synctest.Wait()
			fmt.Fprint(q, "four\n")
			want(t, to, "one\ntwo")
			to.setRoom(-1)
			if more {
				fmt.Fprint(q, "five\n")
				want(t, to, "one\ntwo<3 no space left>\nfive\n")
			} else {
				time.Sleep(2 * tellEvery)
				want(t, to, "one\ntwo<3 no space left>\n")
			}
			q.Close(time.Second)
		})
	}
}

// Lost is called while the target is blocked, at most once a second.
func TestQueueTellsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newTarget()
		var told []string
		var mu sync.Mutex
		q := NewQueue(to, Options{Bytes: 2, Lost: func(lost int, err error) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprint(lost, err))
		}})
		release := to.block()
		fmt.Fprint(q, "a\n")
		synctest.Wait()
		fmt.Fprint(q, "b\n")
		for range 5 {
			fmt.Fprint(q, "c\n")
			time.Sleep(tellEvery * 2 / 5)
		}
		to.setRoom(2)
		release()
		synctest.Wait()
		q.Close(time.Second)
		mu.Lock()
		defer mu.Unlock()
		// The second report is about two that did not fit and one that was refused.
		if got := strings.Join(told, ", "); got != "3 <nil>, 3 no space left" {
			t.Error(got)
		}
	})
}

// Records are collected for a while, unless there are many of them.
func TestQueueDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newTarget()
		q := NewQueue(to, Options{Lanes: 2, Bytes: 8, Delay: time.Second})
		q.Append(1, func(b []byte) []byte { return append(b, "b\n"...) })
		q.Append(0, func(b []byte) []byte { return append(b, "a\n"...) })
		time.Sleep(time.Second - 1)
		want(t, to, "")
		time.Sleep(1)
		want(t, to, "a\nb\n")
		fmt.Fprint(q, "1\n")
		fmt.Fprint(q, "2\n")
		want(t, to, "a\nb\n1\n2\n")
		fmt.Fprint(q, "3\n")
		q.Close(time.Minute)
		want(t, to, "a\nb\n1\n2\n3\n")
	})
}

// Close waits for a target that is slow, and not for one that is blocked.
func TestQueueClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newTarget()
		q := NewQueue(to, Options{})
		release := to.block()
		fmt.Fprint(q, "a\n")
		began := time.Now()
		if q.Close(time.Second) {
			t.Error("closed, although the target is blocked")
		}
		if d := time.Since(began); d != time.Second {
			t.Errorf("waited for %v", d)
		}
		go func() {
			time.Sleep(time.Second)
			release()
		}()
		if !q.Close(time.Minute) {
			t.Error("not closed")
		}
		want(t, to, "a\n")
	})
}

// Records of many goroutines are whole, and those of each are in order.
func TestQueueConcurrent(t *testing.T) {
	const writers, records = 8, 1000
	to := newTarget()
	q := NewQueue(to, Options{Lanes: 2})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range records {
				q.Append(w%2, func(b []byte) []byte { return fmt.Appendf(b, "%d %d\n", w, i) })
			}
		})
	}
	wg.Wait()
	if !q.Close(time.Minute) {
		t.Fatal("not closed")
	}
	next := map[int]int{}
	for line := range strings.Lines(to.String()) {
		var w, i int
		if n, err := fmt.Sscanf(line, "%d %d\n", &w, &i); n != 2 || err != nil || next[w] != i {
			t.Fatalf("%q, want number %d", line, next[w])
		}
		next[w]++
	}
	for w := range writers {
		if next[w] != records {
			t.Errorf("writer %d: %d records", w, next[w])
		}
	}
}
