package main

import (
	"context"
	"syscall"
	"time"

	"moonbridge/cmd/mbserve/acme"
)

// stopGracefully ends the server after what is in progress.
func (s *server) stopGracefully() {
	s.beginStop(syscall.SIGTERM)
	if s.awaitDrain() {
		s.stop(s.engine.Drain)
		return
	}
	s.log.Info("stopping at once")
	s.lastStats()
	s.stopNow()
}

// beginStop is the first step of every stop, which is graceful with SIGTERM, and not with SIGQUIT.
func (s *server) beginStop(sig syscall.Signal) {
	s.admin.stops()
	s.notify(s.manager.stopping())
	s.endReload()
	if s.upgrading.end(sig) {
		s.upgraded(nil) // from now on the sockets and the pid file are those of the new process, which may end before this one or after it
	}
}

// stop ends the server gracefully, or at once after a second signal. drain ends the connections.
func (s *server) stop(drain func(context.Context) error) {
	s.log.Info("stopping", "grace", s.o.grace, "connections", s.engine.Conns())
	ctx, cancel := context.WithTimeout(context.Background(), s.o.grace)
	left := make(chan struct{})
	defer func() { cancel(); <-left }()
	go func() {
		defer close(left)
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-s.signals:
				if s.hurries(sig) {
					s.log.Info("stopping at once")
					cancel()
				}
			}
		}
	}()
	s.serving.host.EndMains()
	s.channels.Drain()
	s.drainHosts(ctx)
	drain(ctx)
	s.websockets.Quiet(ctx)
	s.lastStats()
	if err := s.serving.host.Stop(ctx); err != nil {
		s.log.Warn("workers were killed", "err", err)
	}
	s.endOld(ctx)
	s.endChannels(ctx)
	s.endBus(ctx)
	if s.handedOver {
		s.intervals.Quiet(ctx)
	}
	s.engine.Shutdown(ctx)
	s.log.Info("stopped")
}

// drainHosts makes workers end the connections that only they hold, while the engine ends all others.
func (s *server) drainHosts(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving.host.Drain(ctx)
	if s.old != nil {
		s.old.g.host.Drain(ctx)
	}
}

// endOld ends the previous generation if it is still running.
func (s *server) endOld(ctx context.Context) {
	s.mu.Lock()
	old := s.old
	s.mu.Unlock()
	if old == nil {
		return
	}
	select {
	case <-old.done:
	case <-ctx.Done():
		old.cancel(ctx.Err())
		<-old.done
	}
}

func (s *server) stopNow() {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	s.endOld(done)
	if s.serving != nil {
		s.serving.host.Kill()
	}
	s.endBus(done)
	s.engine.Shutdown(done)
}

func (s *server) removePidFile() {
	s.endSoon("the pid file", func() { s.pid.remove(s.root) })
}

// closeKeepers is a variable for tests.
var closeKeepers = (*acme.Keepers).Close

// releaseLocks ends what obtains certificates.
func (s *server) releaseLocks() {
	s.endSoon("the locks of certificates", func() { closeKeepers(s.acme) })
}

// endMost is how long the end of the server waits for each thing that a disk may hold up, besides the logs and the sockets of listeners. A
// variable for tests.
var endMost = 2 * time.Second

// endSoon calls end, for a bounded time. What hangs goes on until the process has ended.
func (s *server) endSoon(what string, end func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		end()
	}()
	select {
	case <-ended:
	case <-time.After(endMost):
		if s.log != nil {
			s.log.Error("stopped although the end hangs", "of", what)
		}
	}
}
