package engine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// signalled is an engine that ShutdownOnSignal ends, with a request in progress.
type signalled struct {
	e     *Engine
	b     *testBackend
	p     *peer
	ended chan error
}

func newSignalled(t *testing.T, grace time.Duration, last ...func(context.Context) error) *signalled {
	t.Helper()
	s := &signalled{b: &testBackend{window: 64}, ended: make(chan error, 1)}
	var err error
	if s.e, err = New(Options{Loops: 1}); err != nil {
		t.Fatal(err)
	}
	ln, err := s.e.ServeTCP("127.0.0.1:0", s.b, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	s.p = dial(t, ln.Addr())
	s.p.say(get("/slow"))
	eventually(t, "the request is in progress", func() bool { return s.b.count(&s.b.started) == 1 })
	go func() { s.ended <- s.e.ShutdownOnSignal(grace, last...) }()
	return s
}

// raise sends a signal to this process until the shutdown has begun: until then the process catches it itself.
func (s *signalled) raise(t *testing.T, sig syscall.Signal) {
	t.Helper()
	own := make(chan os.Signal, 1)
	signal.Notify(own, sig)
	defer signal.Stop(own)
	eventually(t, "the shutdown begins", func() bool {
		if !s.e.isStopped() {
			syscall.Kill(os.Getpid(), sig)
			wait(t, own, "the signal")
		}
		return s.e.isStopped()
	})
}

// After either signal, a request in progress is answered.
func TestShutdownOnSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		s := newSignalled(t, waitMost)
		select {
		case err := <-s.ended:
			t.Fatalf("ended without a signal: %v", err)
		default:
		}
		s.raise(t, sig)
		s.b.release()
		if got := s.p.hears(200); got != "slow" {
			t.Errorf("%v: the request in progress: %q", sig, got)
		}
		s.p.Close() // the engine would wait for that
		if err := wait(t, s.ended, "the end"); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
}

// The error says that a connection was cut.
func TestShutdownOnSignalLate(t *testing.T) {
	s := newSignalled(t, time.Millisecond)
	s.raise(t, syscall.SIGTERM)
	err := wait(t, s.ended, "the end")
	if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "connections were cut after 1ms") {
		t.Errorf("%v", err)
	}
}

// What is to end last does so when the request was answered, or the time is over, in its order, and while loops run.
func TestShutdownOnSignalLast(t *testing.T) {
	broken := errors.New("broken")
	for _, grace := range []time.Duration{waitMost, time.Millisecond} {
		var s *signalled
		calls := make(chan string, 9)
		s = newSignalled(t, grace,
			func(ctx context.Context) error {
				if s.b.count(&s.b.ended) == 1 {
					calls <- "answered"
				}
				if ctx.Err() != nil {
					calls <- "late"
				}
				turned := make(chan struct{})
				s.e.Loop(0).Post(func() { close(turned) })
				select {
				case <-turned:
				case <-time.After(waitMost):
					calls <- "no loop"
				}
				return broken
			},
			func(context.Context) error { calls <- "second"; return nil })
		s.raise(t, syscall.SIGTERM)
		first := "late"
		if grace == waitMost {
			first = "answered"
			s.b.release()
			s.p.hears(200)
			s.p.Close()
		}
		err := wait(t, s.ended, "the end")
		if !errors.Is(err, broken) || errors.Is(err, context.DeadlineExceeded) != (first == "late") {
			t.Errorf("%v", err)
		}
		close(calls)
		for _, want := range []string{first, "second", ""} {
			if got := <-calls; got != want {
				t.Errorf("grace %v: %q, want %q", grace, got, want)
			}
		}
	}
}

const secondSignalEnv = "MOONBRIDGE_TEST_SECOND_SIGNAL"

// A second signal ends the process, although a request is in progress.
func TestShutdownOnSecondSignal(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestShutdownOnSecondSignalOfChild$", "-test.v")
	cmd.Env = append(os.Environ(), secondSignalEnv+"=1")
	out, err := cmd.CombinedOutput()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ctx.Err() != nil || !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("%v, not ended by the signal\n%s", err, out)
	}
}

// TestShutdownOnSecondSignalOfChild is the program of TestShutdownOnSecondSignal.
func TestShutdownOnSecondSignalOfChild(t *testing.T) {
	if os.Getenv(secondSignalEnv) == "" {
		return
	}
	s := newSignalled(t, time.Hour)
	s.raise(t, syscall.SIGINT)
	syscall.Kill(os.Getpid(), syscall.SIGTERM)
	<-s.ended
}
