package pool

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// fakeLoop is a loop of an engine: the smallest thing that keeps the contract of backend.Loop.
type fakeLoop struct {
	index, count int
	wake         *shm.Doorbell

	mu    sync.Mutex
	posts []func()

	// Of the loop's goroutine.
	now     int64
	watched map[int]func()
	turns   []backend.Turn
	timers  []*fakeTimer
	stopped bool
	ended   chan struct{}
	blocked int // how often it blocked
}

type fakeTimer struct {
	l   *fakeLoop
	at  int64
	fn  func()
	off bool
}

func (t *fakeTimer) Stop() bool {
	was := !t.off
	t.off = true
	return was
}

var clockZero = time.Now()

func startLoop(t *testing.T, index, count int) *fakeLoop {
	t.Helper()
	bell, err := shm.NewDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	l := &fakeLoop{index: index, count: count, wake: bell, watched: map[int]func(){}, ended: make(chan struct{})}
	go l.run()
	t.Cleanup(func() {
		l.Post(func() { l.stopped = true })
		<-l.ended
		bell.Close()
	})
	return l
}

func (l *fakeLoop) Index() int   { return l.index }
func (l *fakeLoop) Count() int   { return l.count }
func (l *fakeLoop) Now() int64   { return l.now }
func (l *fakeLoop) Clock() int64 { return int64(time.Since(clockZero)) }

func (l *fakeLoop) Post(fn func()) {
	l.mu.Lock()
	l.posts = append(l.posts, fn)
	l.mu.Unlock()
	l.wake.Ring()
}

func (l *fakeLoop) After(d time.Duration, fn func()) backend.Timer {
	t := &fakeTimer{l: l, at: l.Clock() + int64(d), fn: fn}
	l.timers = append(l.timers, t)
	return t
}

func (l *fakeLoop) Watch(fd int, ready func()) error { l.watched[fd] = ready; return nil }
func (l *fakeLoop) Unwatch(fd int) error             { delete(l.watched, fd); return nil }
func (l *fakeLoop) OnTurn(t backend.Turn)            { l.turns = append(l.turns, t) }

func (l *fakeLoop) OffTurn(t backend.Turn) {
	l.turns = slices.DeleteFunc(l.turns, func(u backend.Turn) bool { return u == t })
}

func (l *fakeLoop) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(l.ended)
	again := false
	for !l.stopped {
		got := l.poll(again)
		l.now = l.Clock()
		for _, t := range l.turns {
			t.BeginTurn()
		}
		for _, fn := range got {
			fn()
		}
		l.fire()
		l.mu.Lock()
		posts := l.posts
		l.posts = nil
		l.mu.Unlock()
		for _, fn := range posts {
			fn()
		}
		again = false
		for _, t := range l.turns {
			again = t.EndTurn() || again
		}
	}
}

func (l *fakeLoop) poll(again bool) (got []func()) {
	fds := []unix.PollFd{{Fd: int32(l.wake.Reader()), Events: unix.POLLIN}}
	for fd := range l.watched {
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	timeout := int64(-1)
	for _, t := range l.timers {
		if left := max(0, (t.at-l.Clock()+999_999)/1_000_000); !t.off && (timeout < 0 || left < timeout) {
			timeout = left
		}
	}
	if again {
		timeout = 0
	} else {
		l.blocked++
	}
	unix.Poll(fds, int(timeout))
	for i, p := range fds {
		if p.Revents != 0 && i == 0 {
			l.wake.Drain()
		} else if p.Revents != 0 {
			got = append(got, l.watched[int(p.Fd)])
		}
	}
	return got
}

func (l *fakeLoop) fire() {
	due := slices.DeleteFunc(slices.Clone(l.timers), func(t *fakeTimer) bool { return t.off || t.at > l.now })
	l.timers = slices.DeleteFunc(l.timers, func(t *fakeTimer) bool { return t.off || t.at <= l.now })
	for _, t := range due {
		if !t.off {
			t.off = true
			t.fn()
		}
	}
}

// do calls fn on the loop and waits for it.
func (l *fakeLoop) do(fn func()) {
	done := make(chan struct{})
	l.Post(func() { fn(); close(done) })
	<-done
}
