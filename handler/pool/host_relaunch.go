package pool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// keep starts a new fork server whenever the current one dies.
func (h *Host) keep(fs *forkServer) {
	defer close(h.kept)
	var b backoff
	for {
		select {
		case <-h.stop:
			return
		case <-fs.gone:
		}
		h.log.Error("fork server died", "pid", fs.cmd.Process.Pid, "end", fs.cmd.ProcessState.String())
		if fs = h.relaunch(fs.generation+1, &b, time.Since(fs.started)); fs == nil {
			return
		}
	}
}

// relaunch tries until a fork server has loaded the script, or until the host is stopped: then it returns nil.
func (h *Host) relaunch(generation int, b *backoff, ran time.Duration) *forkServer {
	for ; ; generation++ {
		select {
		case <-h.stop:
			return nil
		case <-time.After(b.pause(ran)):
		}
		started := time.Now()
		fs, err := h.startAgain(generation)
		if err == nil {
			return fs
		}
		if errors.Is(err, errStopped) {
			return nil
		}
		h.log.Error("fork server not started", "err", err)
		ran = time.Since(started)
	}
}

var errStopped = errors.New("host stopped")

// loadTimeout is how long a fork server that is started again may take to load the script. A variable for tests.
var loadTimeout = time.Minute

// loadFactor is how many times as long as the first fork server it may take at least.
const loadFactor = 10

// startAgain starts another fork server and has the pools use it.
func (h *Host) startAgain(generation int) (*forkServer, error) {
	fs, err := startForkServer(h, generation)
	if err != nil {
		return nil, err
	}
	most := max(loadTimeout, loadFactor*h.loading)
	ctx, cancel := context.WithTimeoutCause(context.Background(), most, fmt.Errorf("not loaded within %v", most))
	defer cancel()
	go func() {
		select {
		case <-h.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	err = fs.await(ctx)
	h.mu.Lock()
	if h.ended {
		err = errStopped
	}
	if err == nil {
		h.fs = fs
	}
	h.mu.Unlock()
	if err != nil {
		fs.killGroup()
		<-fs.gone
		return nil, err
	}
	for _, p := range h.Pools() {
		p.useForkServer(fs)
	}
	if fs.dead() {
		for _, p := range h.Pools() {
			p.forkServerDied(fs)
		}
	}
	h.log.Info("fork server restarted", "pid", fs.cmd.Process.Pid)
	return fs, nil
}

// backoff is the pause before the fork server is started again. It doubles each time, until one has run for a while.
type backoff struct{ next time.Duration }

const (
	backoffFirst = 100 * time.Millisecond
	backoffMax   = 30 * time.Second
	backoffReset = time.Minute // a fork server that ran for that long did not end for the same reason as the last one
)

// pause is how long to wait after a fork server has run for the given time.
func (b *backoff) pause(ran time.Duration) time.Duration {
	if ran >= backoffReset || b.next == 0 {
		b.next = backoffFirst
	}
	p := b.next
	b.next = min(2*b.next, backoffMax)
	return p
}
