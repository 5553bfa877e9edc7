package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"moonbridge/handler/pool"
)

// A reload loads the script beside the generation that serves. When the new one has workers, the listeners go over to it
// in one step, and the old one completes what it has begun. If anything goes wrong before that step, the old one goes on as
// if nothing had happened. There are never more than two generations with processes: a further reload first waits for the
// old one.

// workersTimeout is how long the workers of a new generation may take to get ready.
const workersTimeout = time.Minute

// reloader is the one reload that is in progress.
type reloader struct {
	cancel context.CancelFunc // ends it
	done   chan struct{}      // closed when it is over
	again  bool               // a further one was asked for meanwhile
}

// over is closed when the reload is over. nil if there is none, which blocks for ever.
func (r *reloader) over() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.done
}

// reload begins a reload, or has one follow that is in progress. It returns at once.
func (s *server) reload() {
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
		if err := s.replace(ctx); ctx.Err() != nil {
			s.log.Info("reload given up")
		} else if err != nil {
			s.log.Error("reload failed: the running script stays in use", "err", errorText(err))
			if s.o.dev {
				s.showFailure(err)
			}
		}
	}()
}

// reloaded is called when the reload is over. It begins the one that was asked for meanwhile.
func (s *server) reloaded() {
	again := s.reloading.again
	s.reloading.cancel()
	s.reloading = nil
	s.notify(s.manager.ready(s.status()))
	if again {
		s.reload()
	}
}

// replace loads a new generation and lets it take over.
func (s *server) replace(ctx context.Context) error {
	if err := s.awaitOld(ctx); err != nil {
		return err
	}
	s.log.Info("reloading", "script", s.o.script)
	g, err := s.load(ctx)
	if err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, workersTimeout)
	defer cancel()
	err = g.host.AwaitWorkers(soon)
	if err == nil {
		err = g.serve()
	}
	if err != nil {
		g.host.Kill()
		g.closeListeners()
		return err
	}
	g.announce()
	s.log.Info("reloaded", "script", s.o.script, "generation", g.number)
	s.files.settle(g.number)
	s.failureOver()
	s.retire(g)
	return nil
}

// retire makes g the generation that serves, and ends the one before it in the background.
func (s *server) retire(g *generation) {
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	old := &retired{g: s.serving, cancel: cancel, done: make(chan struct{})}
	s.serving, s.old = g, old
	s.mu.Unlock()
	go func() {
		defer close(old.done)
		if err := old.g.end(ctx); err != nil {
			old.g.log.Warn("the replaced script has not ended by itself", "err", err)
		} else {
			old.g.log.Info("the replaced script has ended")
		}
	}()
}

// retired is a generation that ends.
type retired struct {
	g      *generation
	cancel context.CancelFunc // cuts it short
	done   chan struct{}      // closed when it has ended
}

// awaitOld waits until the generation before the one that serves has ended; it has no longer than the grace time now.
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
	s.log.Info("reload waits for the script that was replaced before", "grace", s.o.grace)
	t := time.NewTimer(s.o.grace)
	defer t.Stop()
	select {
	case <-old.done:
		return nil
	case <-t.C:
		old.cancel()
		<-old.done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endReload ends a reload in progress, before the server itself ends.
func (s *server) endReload() {
	if r := s.reloading; r != nil {
		r.cancel()
		<-r.done
		s.reloading = nil
	}
}

// errorText is an error as it is to stand in the log.
func errorText(err error) string {
	var script *pool.ScriptError
	if errors.As(err, &script) {
		return strings.TrimRight(script.Text, "\n")
	}
	return err.Error()
}
