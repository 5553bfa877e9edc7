package pool

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pollEvery  = 2 * time.Millisecond
	termGrace  = 300 * time.Millisecond // between TERM and KILL
	finishSpan = time.Second            // for finish, in workers that are idle when the time is over
	killWait   = 2 * time.Second        // for the news of killed workers
	endTimeout = time.Second            // for the fork server's own end

	hearTimeout   = 250 * time.Millisecond // for the last words of ended processes
	stdoutTimeout = 2 * time.Second        // for the last lines of standard output

	// reclaimWait is how long the loops may take to reclaim the cells of the last workers. It only matters to the log, which
	// says what was lost with them.
	reclaimWait = 300 * time.Millisecond
)

// Stop ends the pools. No further exchange is taken, those in progress are completed, then workers run finish and end.
// When ctx ends first, workers at an exchange get TERM, and KILL after a moment, with all that they have started and left in
// their process groups, and exchanges that are left fail. At a deadline, or if the cause of ctx's end is
// context.DeadlineExceeded, workers without an exchange still have a second to run finish. The error is that of ctx if
// workers were killed. No process is left in any case. The engine's loops may be running or have ended.
//
// Kill, and the end of the ctx of another Stop, hurry a Stop that is under way: all workers are killed.
func (h *Host) Stop(ctx context.Context) error {
	if !h.begin() {
		return h.awaitEnd(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-h.hurried:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := h.waitFor(ctx, func(p *Pool) bool {
		p.dismissAway()
		return p.living() == 0
	})
	h.each((*Pool).dismissAll)
	if err == nil {
		err = h.waitFor(ctx, noProcess)
	}
	if err != nil {
		h.cut(errors.Is(context.Cause(ctx), context.DeadlineExceeded))
	}
	if !h.finish() {
		return nil
	}
	return err
}

func noProcess(p *Pool) bool { return len(p.processes()) == 0 }

// cut ends what is left when the time is over. patient: workers without an exchange have finishSpan for finish.
func (h *Host) cut(patient bool) {
	stuck := func(w *Worker) bool { return !patient || w.stuck() }
	nothingStuck := func(p *Pool) bool { return !p.has(stuck) }
	finishing := time.Now().Add(finishSpan)
	if !h.done(nothingStuck) {
		h.signal(unix.SIGTERM, stuck)
		h.waitUntil(time.Now().Add(termGrace), nothingStuck)
		h.signal(unix.SIGKILL, stuck)
	}
	if patient {
		h.waitUntil(finishing, noProcess)
	}
}

// awaitEnd waits for the end that another call brings about, and hurries that when ctx ends.
func (h *Host) awaitEnd(ctx context.Context) error {
	select {
	case <-h.over:
		return nil
	default:
	}
	select {
	case <-h.over:
		return nil
	case <-ctx.Done():
	}
	h.hurry()
	<-h.over
	if !h.signalled {
		return nil
	}
	return ctx.Err()
}

// Kill ends everything at once.
func (h *Host) Kill() {
	h.hurry()
	if !h.begin() {
		<-h.over
		return
	}
	h.each((*Pool).dismissAll)
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
	h.each((*Pool).refuse)
	return true
}

// finish kills what is left, ends the fork server and lets go of the memory. It reports whether workers were killed, here or
// before.
func (h *Host) finish() (killed bool) {
	if !h.done(noProcess) {
		h.signal(unix.SIGKILL, func(*Worker) bool { return true })
		h.waitUntil(time.Now().Add(killWait), noProcess)
	}
	// The loops take back the cells of killed workers. They may have ended, too.
	h.waitUntil(time.Now().Add(reclaimWait), (*Pool).reclaimed)
	<-h.kept
	fs := h.server()
	if !h.done(noProcess) {
		fs.killGroup()
	}
	fs.end(endTimeout)
	h.each(func(p *Pool) { p.sv.sending.Wait() }) // each request fails now, and its worker is gone
	h.hearOut()
	h.releaseDictionaries()
	for _, p := range h.Pools() {
		p.sv.stop()
		p.detach()
	}
	h.tally.Flush()
	h.crashes.end()
	close(h.over)
	return h.signalled
}

// signal sends a signal to all workers of a kind.
func (h *Host) signal(sig unix.Signal, kind func(*Worker) bool) {
	for _, p := range h.Pools() {
		if p.signal(sig, kind) {
			h.signalled = true
		}
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
	waitAtMost(&h.reading, hearTimeout)
	h.lines.quota.Flush()
	if h.own {
		h.stdout.Close(stdoutTimeout)
	}
}

// waitAtMost waits for a group, or until the time is over.
func waitAtMost(group *sync.WaitGroup, limit time.Duration) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

func (h *Host) waitUntil(end time.Time, is func(*Pool) bool) {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	h.waitFor(ctx, is)
}
