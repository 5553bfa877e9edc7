package pool

import (
	"context"
	"errors"
	"time"
)

// keep starts a new fork server whenever the last one has died.
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
		if fs = h.relaunch(fs.generation+1, &b, time.Since(fs.born)); fs == nil {
			return
		}
	}
}

// relaunch tries until a fork server has loaded the script, or the host is stopped (nil).
func (h *Host) relaunch(generation int, b *backoff, lived time.Duration) *forkServer {
	for ; ; generation++ {
		select {
		case <-h.stop:
			return nil
		case <-time.After(b.pause(lived)):
		}
		born := time.Now()
		fs, err := h.again(generation)
		if err == nil {
			return fs
		}
		if errors.Is(err, errStopped) {
			return nil
		}
		h.log.Error("fork server not started", "err", err)
		lived = time.Since(born)
	}
}

var errStopped = errors.New("host stopped")

// again starts one more fork server and has the pools use it.
func (h *Host) again(generation int) (*forkServer, error) {
	fs, err := startForkServer(h, generation)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
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
	h.log.Info("fork server started anew", "pid", fs.cmd.Process.Pid)
	return fs, nil
}

// backoff is the pause before the fork server is started again: it doubles as long as the fork server does not live for
// a while.
type backoff struct{ next time.Duration }

const (
	backoffFirst = 100 * time.Millisecond
	backoffMax   = 30 * time.Second
	backoffReset = time.Minute // of life: what ended then is not what ended before
)

// pause is how long to wait after a life of the given length.
func (b *backoff) pause(lived time.Duration) time.Duration {
	if lived >= backoffReset || b.next == 0 {
		b.next = backoffFirst
	}
	p := b.next
	b.next = min(2*b.next, backoffMax)
	return p
}
