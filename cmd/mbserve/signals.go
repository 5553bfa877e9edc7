package main

import (
	"context"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// stopOnSignal handles signals while the script is loading. A signal to stop cancels the context; if release is not called within quitGrace
// then, the process exits. What cannot be done before the server is ready is remembered in s.early. After release has returned, no more
// signals are consumed.
func (s *server) stopOnSignal() (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		var hangs *time.Timer
		defer func() {
			if hangs != nil {
				hangs.Stop()
			}
		}()
		for {
			select {
			case <-over:
				return
			case sig := <-s.signals:
				switch sig {
				case syscall.SIGUSR1:
					s.reopenLog()
				case syscall.SIGHUP, syscall.SIGUSR2:
					s.remember(sig)
				default:
					if hangs == nil {
						hangs = time.AfterFunc(quitGrace, s.leaveHanging)
					}
					cancel()
				}
			}
		}
	}()
	return ctx, sync.OnceFunc(func() { close(over); <-left })
}

// leaveHanging ends the process although its start goes on, because it waits for a disk that does not answer, for example.
func (s *server) leaveHanging() {
	s.log.Error("stopped although the start hangs: what it has left, such as a pid file, is replaced by the next one")
	s.closeLogs()
	os.Exit(exitStart)
}

// remember keeps a signal until the server is ready. Several of a kind have the effect of one.
func (s *server) remember(sig os.Signal) {
	if slices.Contains(s.early, sig) {
		return
	}
	s.early = append(s.early, sig)
	name := "HUP"
	if sig == syscall.SIGUSR2 {
		name = "USR2"
	}
	s.log.Info("signal remembered until the server is ready", "signal", name)
}

// hurries reports whether a signal that comes during a stop is to end it at once. The first one is not, if the server stops for another
// reason: it asks for what is done already.
func (s *server) hurries(sig os.Signal) bool {
	switch sig {
	case syscall.SIGQUIT:
		s.hurried = true
		return true
	case syscall.SIGTERM, syscall.SIGINT:
		if s.asked {
			s.hurried = true
			return true
		}
		s.asked = true
		s.log.Info("stopping already: another signal stops at once")
	case syscall.SIGUSR1:
		s.reopenLog()
	}
	return false
}

// handle does what a signal asks for. It reports whether the server has been stopped.
func (s *server) handle(sig os.Signal) (stopped bool) {
	switch sig {
	case syscall.SIGUSR1:
		s.reopenLog()
		if s.upgrading != nil {
			s.upgrading.reopen = true
		}
		return false
	case syscall.SIGHUP:
		s.reload()
		return false
	case syscall.SIGUSR2:
		s.upgrade()
		return false
	}
	s.asked = true
	if sig != syscall.SIGQUIT {
		s.stopGracefully()
		return true
	}
	s.hurried = true
	s.log.Info("stopping at once", "signal", "QUIT")
	s.beginStop(syscall.SIGQUIT)
	s.lastStats()
	s.stopNow()
	return true
}
