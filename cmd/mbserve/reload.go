package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"moonbridge/handler/pool"
)

// A reload loads the script next to the generation that is serving. When the new generation has workers, the listeners
// switch to it in one step, and the old one completes its running requests. Before that step the new generation passes its
// tests, if there are some (selftest.go). If anything fails before that step, the old
// generation keeps serving as if nothing had happened. At most two generations have processes at any time: another
// reload first waits for the old one to end.

// workersTimeout is how long the workers of a new generation may take to become ready.
const workersTimeout = time.Minute

// reloader is the reload in progress; there is at most one.
type reloader struct {
	cancel context.CancelFunc // aborts it
	done   chan struct{}      // closed when it is over
	again  bool               // another one was requested meanwhile
}

// over returns a channel that is closed when the reload is over. It is nil, which blocks forever, if there is none.
func (r *reloader) over() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.done
}

// reload starts a reload, or requests another one after the one in progress. It returns at once. While a new process is about to take
// over, that process is to reload, or this one if that fails: two that load scripts at the same time would get in each other's way.
func (s *server) reload() {
	if u := s.upgrading; u != nil {
		if !u.hangup {
			s.log.Info("reload remembered until the upgrade is over")
		}
		u.hangup = true
		return
	}
	if s.reloading != nil {
		s.reloading.again = true
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &reloader{cancel: cancel, done: make(chan struct{})}
	s.reloading = r
	s.notify(s.manager.reloading())
	go func() {
		defer close(r.done)
		began := time.Now()
		err := s.replace(ctx)
		s.admin.noteLoad(began, reloadResult(ctx, err), err)
		if ctx.Err() != nil {
			s.log.Info("reload aborted")
		} else if err != nil {
			s.log.Error("reload failed: the running script stays in use", "err", errorText(err))
			if s.o.dev {
				s.showFailure(err)
			}
		}
	}()
}

// reloadResult is how a reload has ended, in a word.
func reloadResult(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return "aborted"
	case err != nil:
		return "failed"
	}
	return "reloaded"
}

// reloaded is called when the reload is over. It starts the one that was requested meanwhile.
func (s *server) reloaded() {
	again := s.reloading.again
	s.reloading.cancel()
	s.reloading = nil
	s.notify(s.manager.ready(s.status()))
	if again {
		s.reload()
	}
}

// replace loads a new generation and makes it serve.
func (s *server) replace(ctx context.Context) (err error) {
	if err := s.awaitOld(ctx); err != nil {
		return err
	}
	settle, err := s.dir.enter()
	if err != nil {
		return err
	}
	defer func() { settle(err == nil) }()
	s.log.Info("reloading", s.o.subjectAttr())
	g, err := s.load(ctx)
	if err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, workersTimeout)
	defer cancel()
	err = g.host.AwaitWorkers(soon)
	if err == nil {
		err = g.prepare()
	}
	if err == nil {
		err = g.selftest(ctx)
	}
	if err == nil {
		err = ctx.Err() // nothing waits any more for a reload that has hung
	}
	if err == nil {
		err = g.serve()
	}
	if err != nil {
		g.host.Kill()
		g.closeListeners()
		g.detach()
		return err
	}
	g.announce()
	s.log.Info("reloaded", s.o.subjectAttr(), "generation", g.number)
	s.files.forgetBefore(g.number)
	s.failureOver()
	s.retire(g)
	return nil
}

// retire makes g the serving generation and ends the previous one in the background.
func (s *server) retire(g *generation) {
	ctx, cancel := context.WithCancelCause(context.Background())
	s.mu.Lock()
	old := &retired{g: s.serving, cancel: cancel, done: make(chan struct{})}
	s.serving, s.old = g, old
	s.mu.Unlock()
	s.admin.serves(g)
	go func() {
		defer close(old.done)
		err := old.g.end(ctx)
		s.admin.ended(old.g)
		if err != nil {
			old.g.log.Warn("the replaced script did not end by itself", "err", err)
		} else {
			old.g.log.Info("the replaced script has ended")
		}
	}()
}

// retired is a generation that is ending.
type retired struct {
	g      *generation
	cancel context.CancelCauseFunc // cuts it short: see pool.Host.Stop
	done   chan struct{}           // closed when it has ended
}

// awaitOld waits until the previous generation has ended, for at most the grace time; then it is killed.
func (s *server) awaitOld(ctx context.Context) error {
	s.mu.Lock()
	old := s.old
	s.mu.Unlock()
	if old == nil {
		return nil
	}
	select {
	case <-old.done:
		return nil
	default:
	}
	s.log.Info("reload waits for the previously replaced script to end", "grace", s.o.grace)
	limit, cancel := context.WithTimeout(ctx, s.o.grace)
	defer cancel()
	old.g.host.Drain(limit)
	select {
	case <-old.done:
		return nil
	case <-limit.Done():
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	old.cancel(context.DeadlineExceeded)
	<-old.done
	return nil
}

// abortMax is how long a reload may take to end when it is aborted. One that needs longer waits for a disk that hangs.
const abortMax = 5 * time.Second

// endReload aborts a reload in progress, before the server ends or is replaced. false: it is still going on, and will come to nothing.
func (s *server) endReload() bool {
	r := s.reloading
	if r == nil {
		return true
	}
	r.cancel()
	late := time.NewTimer(abortMax)
	defer late.Stop()
	select {
	case <-r.done:
		s.reloading = nil
		return true
	case <-late.C:
		s.log.Warn("reload hangs: it is not waited for any more")
		return false
	}
}

// errorText returns the text of an error for the log.
func errorText(err error) string {
	if script, ok := errors.AsType[*pool.ScriptError](err); ok {
		return strings.TrimRight(script.Text, "\n")
	}
	return err.Error()
}
