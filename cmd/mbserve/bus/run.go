package bus

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// run connects, again and again.
func (b *Bus) run(ctx context.Context) {
	defer close(b.done)
	for delay := delayMin; ; delay = min(2*delay, delayMax) {
		began := time.Now()
		err := b.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errLate) || time.Since(began) > steady {
			delay = delayMin
		}
		b.report(err)
		select {
		case <-time.After(delay/2 + rand.N(delay/2)):
		case <-ctx.Done():
			return
		}
	}
}

// report logs why there is no connection, unless that is known.
func (b *Bus) report(err error) {
	if text := err.Error(); text != b.lastErr {
		b.lastErr = text
		b.log.Warn("bus away: messages wait", "bus", b.address.String(), "err", err)
	}
}

// connect makes a connection, and uses it until it breaks.
func (b *Bus) connect(ctx context.Context) error {
	soon, stop := context.WithTimeout(ctx, replyTimeout)
	defer stop()
	s, err := b.open(soon, &b.window)
	if err != nil {
		return err
	}
	defer s.close()
	log, err := s.about(soon)
	if err != nil {
		return err
	}
	after := b.begin(log)
	b.lastErr = ""
	b.log.Info("bus connected", "bus", b.address.String())
	return b.use(ctx, s, log, after)
}

// use passes messages on in both directions. It returns when one of them fails, or when ctx is done.
func (b *Bus) use(ctx context.Context, s session, log about, after uint64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	b.mu.Lock()
	b.abort = cancel
	b.stats.Connected = true
	b.stats.Connections++
	b.mu.Unlock()
	var both sync.WaitGroup
	if b.filling && b.late.Load() {
		cancel(errLate) // since begin, and restart has found no session
	} else {
		both.Go(func() { cancel(b.write(ctx, s)) })
		both.Go(func() { cancel(b.read(ctx, s, log, after)) })
	}
	<-ctx.Done()
	s.close() // ends what waits for an answer
	both.Wait()
	b.mu.Lock()
	b.abort = nil
	b.stats.Connected = false
	b.mu.Unlock()
	return context.Cause(ctx)
}

// write appends what waits.
func (b *Bus) write(ctx context.Context, s session) error {
	for {
		next, err := b.next(ctx)
		if err != nil {
			return err
		}
		soon, stop := context.WithTimeout(ctx, replyTimeout)
		err = s.append(soon, next)
		stop()
		refused := errors.Is(err, errRefused)
		if err != nil && !refused {
			return err
		}
		if refused {
			b.log.Error("bus: messages were dropped", "count", len(next.entries), "err", err)
		}
		b.confirm(refused)
	}
}

// placeOf is the place of the first message of an entry, and endOf the one after the last message that it can have.
func placeOf(entry uint64) uint64 { return entry << placeBits }
func endOf(entry uint64) uint64   { return entry<<placeBits | batchMessages }
func entryOf(at uint64) uint64    { return at >> placeBits }

// begin says after which entry the hub goes on.
func (b *Bus) begin(log about) (after uint64) {
	from := log.last
	if !b.late.Load() {
		from = log.first - 1
	}
	name := log.name + b.suffix
	at, known := b.hub.Follow(name, endOf(from))
	after = entryOf(at)
	switch {
	case b.followed == "" && !known:
		b.note(func(*Stats) { b.seen = origins{} }) // what another process has seen, this hub has not
	case b.followed != "" && b.followed != name:
		b.gap("it is another one than before")
		b.window.reset()
	case after > max(log.last, log.first-1):
		// What comes now may be other entries with numbers that the hub knows already.
		b.gap("it has lost its last messages")
		b.suffix = newSuffix()
		b.window.reset()
		name, after = log.name+b.suffix, log.last
		b.hub.Follow(name, endOf(after))
	case b.filling && b.late.Load():
		after = log.last
		b.note(func(*Stats) { b.seen.miss() }) // not those that are passed over here
		b.hub.Skip(endOf(after))
	case after+1 < log.first:
		b.gap("it does not have the next messages any more")
		after = log.first - 1
		b.hub.Skip(endOf(after))
	}
	b.filling = (b.filling || b.followed == "" && !known) && !b.late.Load()
	b.followed = name
	return after
}

// gap says that the hub has missed messages. Its subscribers are told by the hub.
func (b *Bus) gap(why string) {
	b.note(func(s *Stats) { s.Gaps++; b.seen.miss() })
	b.log.Warn("bus: messages of other servers are missing", "bus", b.address.String(), "err", why)
}

// read gives the hub what is in the log.
func (b *Bus) read(ctx context.Context, s session, log about, after uint64) error {
	if after >= log.last {
		b.filled()
	}
	return s.follow(ctx, after, func(e *entry) error {
		err := b.pass(ctx, e)
		if err == nil && e.number >= log.last {
			b.filled()
		}
		return err
	})
}

// filled says that the hub has what was in the log.
func (b *Bus) filled() {
	b.filling = false
	b.fullOnce.Do(func() { close(b.full) })
}

// pass gives the hub an entry. If the hub has too much to do, the log has to wait.
func (b *Bus) pass(ctx context.Context, e *entry) error {
	if len(e.data) == 0 {
		return nil // it says only that there is a log
	}
	next, err := parseBatch(e.data)
	if err != nil {
		b.note(func(s *Stats) { s.Malformed++ })
		return nil
	}
	switch b.look(next) {
	case batchAgain:
		return nil
	case batchMissing:
		b.gap("the log has become shorter before they were read")
		b.hub.Skip(endOf(e.number - 1))
	}
	for b.hub.Apply(placeOf(e.number), e.time, next.entries, func() { b.applied(next) }) != nil {
		select {
		case <-time.After(busyWait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (b *Bus) look(next *batch) verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen.look(next.origin, next.number)
}

// applied takes note of a batch that the hub has.
func (b *Bus) applied(next *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen.note(next.origin, next.number)
	if next.origin != b.origin && !slices.Contains(b.others, next.origin) {
		b.stats.Received += uint64(len(next.entries))
	}
}
