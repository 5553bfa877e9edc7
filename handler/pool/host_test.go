package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/shm"
)

func TestHello(t *testing.T) {
	r := start(t, setup{})
	for i := range 50 {
		wantOut(t, r.get("hello?"+strconv.Itoa(i)), "hello "+strconv.Itoa(i))
	}
	r.quiet()
	r.ready(2)
	if s := r.p.Stats(); s.Exchanges != 50 || s.Deaths != 0 || s.Forks < 2 {
		t.Errorf("stats %+v", s)
	}
	r.log.await(t, "worker says hello")
	r.log.await(t, "fork server says hello")
}

func TestStartErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		s    setup
		want string
	}{
		{"script fails", setup{script: "fail"}, "script.lua:1: boom"},
		{"exits early", setup{script: "exit-early"}, "ended before the script was loaded (exit status 7)"},
		{"listen refused", setup{options: [][3]any{{0, "pre_fork", "x"}}}, "listen: option pre_fork: number expected, got string"},
		{"bind fails", setup{listen: func(int, *listen.Spec) error { return errors.New("in use") }}, "listen: in use"},
		{"nothing listens", setup{listen: func(int, *listen.Spec) error { return errors.New("in use") }, script: "pcall"},
			"the script has not called listen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := Start(context.Background(), c.s.config(&logBuffer{}))
			var se *ScriptError
			if !errors.As(err, &se) || !strings.Contains(se.Text, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if h != nil {
				h.Kill()
			}
		})
	}
	t.Run("hangs", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := Start(ctx, setup{script: "hang"}.config(&logBuffer{})); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	// In the process that is to be the fork server, package worker takes over before main. A program that does not import it must not start
	// itself again and again.
	t.Run("no worker", func(t *testing.T) {
		t.Setenv(shm.Env, "3")
		if _, err := Start(context.Background(), setup{}.config(&logBuffer{})); err == nil || !strings.Contains(err.Error(), "does not import moonbridge/handler/worker") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no program", func(t *testing.T) {
		c := setup{}.config(&logBuffer{})
		c.Program = "/nonexistent/program"
		if _, err := Start(context.Background(), c); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTwoPools(t *testing.T) {
	var seen []int
	r := start(t, setup{more: [][3]any{{0, "max_fork", 1}}, listen: func(n int, s *listen.Spec) error {
		seen = append(seen, n, s.Options.MaxFork)
		return nil
	}})
	if fmt.Sprint(seen) != "[0 16 1 1]" || len(r.h.Pools()) != 2 {
		t.Errorf("listen calls %v", seen)
	}
	wantOut(t, r.get("hello?a"), "hello a")
}

// Stop completes running and waiting exchanges, and makes workers run finish.
func TestStopGraceful(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 1}}})
	running, waiting := r.send(&request{target: "sleep?100"}), r.send(&request{target: "hello?x"})
	r.loops[0].do(func() {})
	if err := r.stop(testPatience); err != nil {
		t.Error(err)
	}
	wantOut(t, running.wait(), "slept")
	wantOut(t, waiting.wait(), "hello x")
	if got := r.get("hello?y"); !errors.Is(got.err, backend.ErrStopped) {
		t.Errorf("after Stop: %+v", got)
	}
	r.log.await(t, "worker finishes")
}

func TestStopDeadline(t *testing.T) {
	r := start(t, setup{})
	q := r.send(&request{target: "sleep?3600000"})
	r.loops[0].do(func() {})
	eventually(t, "taken", func() bool { return r.p.Stats().Waiting == 0 })
	if err := r.stop(50 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got := q.wait(); got.status < 502 || got.calls != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestKill(t *testing.T) {
	r := start(t, setup{loops: 2})
	q := r.send(&request{target: "sleep?3600000"})
	r.loops[0].do(func() {})
	r.ready(2)
	pids := r.h.pids()
	r.h.Kill()
	for _, pid := range pids {
		eventually(t, "the process is gone", func() bool { return unix.Kill(pid, 0) != nil || zombie(pid) })
	}
	if got := q.wait(); got.status < 502 {
		t.Errorf("got %+v", got)
	}
}

// The loops may have ended before Stop: engines stop in this order.
func TestStopAfterLoops(t *testing.T) {
	r := start(t, setup{})
	wantOut(t, r.get("hello?"), "hello ")
	l := r.loops[0]
	l.Post(func() { l.stopped = true })
	<-l.ended
	if err := r.stop(testPatience); err != nil {
		t.Error(err)
	}
	r.loops = nil
}

// The death of the fork server costs no exchange: its workers go on until those of a new one are ready.
func TestForkServerDies(t *testing.T) {
	r := start(t, setup{loops: 2, options: [][3]any{{0, "min_fork", 3}, {0, "max_fork", 4}}})
	r.ready(3)
	old := r.h.pids()
	slow := r.send(&request{target: "sleep?300"})
	r.loops[0].do(func() {})
	unix.Kill(r.h.server().cmd.Process.Pid, unix.SIGKILL)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				wantOut(t, r.sendOn(i%2, &request{target: "hello?z"}).wait(), "hello z")
			}
		}
	})
	r.log.await(t, "fork server restarted")
	eventually(t, "old workers replaced", func() bool {
		for _, pid := range old {
			if unix.Kill(pid, 0) == nil && !zombie(pid) {
				return false
			}
		}
		s := r.p.Stats()
		return s.Idle+s.Busy >= 3
	})
	close(stop)
	wg.Wait()
	wantOut(t, slow.wait(), "slept")
	r.quiet()
}

// The fork server dies with all its workers: exchanges wait or are refused until there are others.
func TestEverythingDies(t *testing.T) {
	r := start(t, setup{})
	r.ready(2)
	for _, pid := range append(r.h.pids(), r.h.server().cmd.Process.Pid) {
		unix.Kill(pid, unix.SIGKILL)
	}
	eventually(t, "served again", func() bool { return r.get("hello?").out == "hello " })
	r.quiet()
}

// When a script calls listen differently after a restart, the log says so, and the settings of the first call stay.
func TestScriptChangesOnRelaunch(t *testing.T) {
	r := start(t, setup{})
	if err := r.h.listen(1, 0, r.p.Spec()); err != nil || strings.Contains(r.log.String(), "differently") {
		t.Errorf("the same call: %v", err)
	}
	if err := r.h.listen(1, 0, &listen.Spec{}); err != nil {
		t.Error(err)
	}
	r.log.await(t, "calls listen differently")
	wantOut(t, r.get("hello?"), "hello ")
}
