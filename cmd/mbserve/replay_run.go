package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"moonbridge/cmd/mbserve/crash"
	"moonbridge/engine"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/listen"
)

// replay sends a recorded request once more, to a worker of its own.
type replay struct {
	o      *replayOptions
	stdout io.Writer
	log    *replayLog

	record  *crash.Record
	request []byte
	script  string
	args    []string
	gdb     string // path of the debugger; "": none

	spec *listen.Spec // of the pool that gets the request; nil: not seen yet

	mu      sync.Mutex
	crashes []*pool.Crash
}

// run replays the request. It reports whether it has failed again.
func (r *replay) run() (failed bool, err error) {
	if err := r.prepare(); err != nil {
		return false, err
	}
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT}
	if r.gdb != "" {
		signals = signals[:2] // an interrupt from the terminal is for gdb
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	e, err := engine.New(engine.Options{Loops: 1, Logger: r.log.logger, Spool: engine.Spool{Dir: os.TempDir(), Bytes: 1 << 30}})
	if err != nil {
		return false, err
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	defer e.Shutdown(now)
	host, err := pool.Start(ctx, pool.Config{
		Script: r.script, Args: r.args, Version: version, Logger: r.log.logger, Adapt: r.adapt, Crashed: r.note,
	})
	if err != nil {
		return false, err
	}
	defer host.Kill()
	host.HoldTimers() // for good
	r.describe()
	socket, err := r.serve(e, host)
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(filepath.Dir(socket))
	if err := host.AwaitWorkers(ctx); err != nil {
		return false, err
	}
	if r.gdb != "" {
		err = r.underGDB(ctx, host, socket)
	} else {
		err = r.send(ctx, socket)
	}
	end, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	host.Stop(end) // what has failed is known then
	if ctx.Err() != nil {
		return false, errors.New("interrupted")
	}
	return r.judge(), err
}

// adapt leaves one worker, in the pool that gets the request.
func (r *replay) adapt(n int, spec *listen.Spec) {
	o := &spec.Options
	o.PreFork, o.MinFork = 0, 0
	if n != r.record.Request.Pool {
		return
	}
	o.MinFork, o.MaxFork, o.IdleTimeout = 1, 1, 0
	switch {
	case r.gdb != "":
		o.RequestTimeout = 0
	case r.o.timeout > 0:
		o.RequestTimeout = r.o.timeout
	case o.RequestTimeout == 0:
		o.RequestTimeout = replayTimeout
	}
	r.spec = spec
}

// serve serves the handler that had the request, at a socket that only this user can reach.
func (r *replay) serve(e *engine.Engine, host *pool.Host) (socket string, err error) {
	q := r.record.Request
	if r.spec == nil {
		return "", fmt.Errorf("%s has only %d listen{} calls, and the request was for number %d", r.script, len(host.Pools()), q.Pool)
	}
	if q.Listener < 0 || q.Listener >= len(r.spec.Listeners) || r.spec.Listeners[q.Listener].HTTP == nil {
		return "", fmt.Errorf("%s: there is no HTTP at listener %d of listen{} call %d", r.script, q.Listener, q.Pool)
	}
	dir, err := os.MkdirTemp("", "mbserve-replay-")
	if err != nil {
		return "", err
	}
	socket = filepath.Join(dir, "socket")
	ln, err := e.Open("unix", socket, engine.OpenOptions{Mode: 0o600})
	if err == nil {
		limits := limitsOf(r.spec.Listeners[q.Listener].HTTP)
		limits.BodyCodings = 0
		err = e.Serve(ln, host.Pools()[q.Pool], q.Listener, limits)
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	return socket, nil
}

// note keeps what has failed.
func (r *replay) note(c *pool.Crash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crashes = append(r.crashes, c)
}
