package pool

import (
	"context"
	"time"

	"moonbridge/handler/pool/listen"
	"moonbridge/handler/shm"
)

// quietShare is the part of the time for a stop after which the input of a quiet raw connection ends.
const quietShare = 10

// quietMax is the longest time after which it ends. A variable for tests.
var quietMax = 3 * time.Second

// Drain is for the time before Stop and during it, when the whole server is to end before ctx does. Exchanges are taken as
// before. Connections that workers are alone with are brought to their end: HTTP on raw connections when no request is in
// progress, other raw connections when nothing has happened on them for a tenth of the time, or for three seconds. Then
// their handlers find the end of the input. Drain returns at once.
func (h *Host) Drain(ctx context.Context) {
	quiet := quietMax
	if end, ok := ctx.Deadline(); ok {
		quiet = min(quiet, max(time.Until(end)/quietShare, pollEvery))
	}
	for _, p := range h.Pools() {
		p.drain()
	}
	go h.endAway(ctx, quiet)
}

// endAway makes workers end their raw connections, until ctx or the host ends.
func (h *Host) endAway(ctx context.Context, quiet time.Duration) {
	often, sometimes := time.NewTicker(pollEvery), time.NewTicker(quiet)
	defer often.Stop()
	defer sometimes.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.over:
			return
		case <-often.C:
			h.each((*Pool).dismissAway)
		case <-sometimes.C:
			h.each((*Pool).endInputs)
		}
	}
}

func (h *Host) each(do func(*Pool)) {
	for _, p := range h.Pools() {
		do(p)
	}
}

// drain has the pool fork on demand only.
func (p *Pool) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	p.announceStop()
	p.kick()
}

// announceStop lets the handlers know that ask whether they are to end (moonbridge_io.poll). Nothing else changes for them.
// Under mu.
func (p *Pool) announceStop() {
	for w := range p.workers() {
		if w.state.Alive() { // the memory that others had may be freed at this moment: see detach
			w.in.Stopping.Store(1)
			w.wake()
		}
	}
}

// endInputs asks the workers at raw connections to end the input of those on which nothing has happened since they were last
// asked.
func (p *Pool) endInputs() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.workers() {
		if w.away.Load() != 0 {
			w.ask(shm.CtlEndInput)
		}
	}
}

// options are those that the policy goes by. When the pool is about to end, it forks on demand only, and when no further
// exchange comes, idle workers end at once. Under mu.
func (p *Pool) options() *listen.Options {
	stopping := p.stopping.Load()
	if !stopping && !p.draining {
		return &p.spec.Options
	}
	o := p.spec.Options
	o.MinFork, o.PreFork = 0, 0
	if stopping && p.waiting() == 0 {
		o.ExitDelay = 0
	}
	return &o
}
