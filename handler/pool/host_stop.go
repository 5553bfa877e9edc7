package pool

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pollEvery  = 2 * time.Millisecond
	termGrace  = 300 * time.Millisecond // between TERM and KILL
	killWait   = 2 * time.Second        // for the news of killed workers
	endTimeout = time.Second            // for the fork server's own end

	hearTimeout   = 250 * time.Millisecond // for the last words of ended processes
	stdoutTimeout = 2 * time.Second        // for the last lines of standard output
)

// Stop ends the pools. No further exchange is taken, those in progress are completed, then workers run finish and end.
// When ctx ends first, workers get TERM, and KILL after a moment, and exchanges that are left fail. The error is that of
// ctx if it was needed. No process is left in any case. The engine's loops may be running or have ended.
func (h *Host) Stop(ctx context.Context) error {
	if !h.begin() {
		<-h.kept
		return nil
	}
	err := h.waitFor(ctx, func(p *Pool) bool {
		p.dismissAway()
		return p.living() == 0
	})
	for _, p := range h.Pools() {
		p.dismissAll()
	}
	gone := func(p *Pool) bool { return len(p.processes()) == 0 }
	if err == nil {
		err = h.waitFor(ctx, gone)
	}
	if err != nil {
		h.signalAll(unix.SIGTERM)
		soon, cancel := context.WithTimeout(context.Background(), termGrace)
		h.waitFor(soon, gone)
		cancel()
	}
	h.finish()
	return err
}

// Kill ends everything at once.
func (h *Host) Kill() {
	if !h.begin() {
		<-h.kept
		return
	}
	for _, p := range h.Pools() {
		p.dismissAll()
	}
	h.finish()
}

// begin is the first step of the end, once: no new exchanges, no new fork server.
func (h *Host) begin() bool {
	h.mu.Lock()
	first := !h.ended
	h.ended = true
	h.mu.Unlock()
	if !first {
		return false
	}
	close(h.stop)
	for _, p := range h.Pools() {
		p.refuse()
	}
	return true
}

// finish kills what is left, ends the fork server and lets go of the memory.
func (h *Host) finish() {
	gone := func(p *Pool) bool { return len(p.processes()) == 0 }
	soon, cancel := context.WithTimeout(context.Background(), killWait)
	defer cancel()
	if !h.done(gone) {
		h.signalAll(unix.SIGKILL)
		h.waitFor(soon, gone)
	}
	<-h.kept
	fs := h.server()
	if !h.done(gone) {
		fs.killGroup()
	}
	fs.end(endTimeout)
	h.hearOut()
	for _, p := range h.Pools() {
		p.sv.stop()
		p.detach()
	}
}

func (h *Host) done(is func(*Pool) bool) bool {
	for _, p := range h.Pools() {
		if !is(p) {
			return false
		}
	}
	return true
}

func (h *Host) waitFor(ctx context.Context, is func(*Pool) bool) error {
	for !h.done(is) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollEvery):
		}
	}
	return nil
}

// hearOut waits until everything that the processes have said is passed on, and ends the queue before standard output. A
// program that a handler has left running may hold a pipe open; it is not waited for.
func (h *Host) hearOut() {
	done := make(chan struct{})
	go func() {
		h.reading.Wait()
		close(done)
	}()
	t := time.NewTimer(hearTimeout)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
	h.lines.quota.Flush()
	if h.own != nil {
		h.own.Close(stdoutTimeout)
	}
}
