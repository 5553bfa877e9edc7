package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/pool/listen"
)

// server is a running mbserve.
type server struct {
	o          *options
	log        *slog.Logger
	out        *logFile   // nil: standard error, or the system log
	access     *accessLog // nil: none
	pid        *pidFile   // nil: none
	manager    *notifier
	inherited  *inherited
	heir       *heir               // nil: not taking over from another process
	credential *syscall.Credential // for fork servers, while we are root
	engine     *engine.Engine
	signals    chan os.Signal
	files      *fileWatch // the script's files; nil: not watched

	// Owned by the goroutine that handles signals.
	reloading *reloader // nil: none is in progress
	upgrading *upgrade  // nil: none is in progress

	// Owned by the goroutine that loads a generation.
	loaded  int          // number of generations so far
	failure *failurePage // --dev: shown instead of the serving generation; nil: none

	mu        sync.Mutex
	addresses []*address
	serving   *generation
	old       *retired // the previous generation
}

// serve runs the server until it is stopped. It returns the exit code.
func serve(o *options, d *detacher, stderr io.Writer) int {
	s := &server{o: o, credential: o.privileges.credential(), signals: make(chan os.Signal, 8)}
	if err := s.open(stderr); err != nil {
		return complain(stderr, err)
	}
	defer s.access.close()
	defer func() { s.files.end() }()
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	// If a peer or a reader of our output goes away, the write fails; that must not end the server.
	signal.Ignore(syscall.SIGPIPE)

	if err := s.start(); err != nil {
		if s.heir == nil {
			s.pid.remove() // otherwise it belongs to the other process
		}
		if errors.Is(err, errStopped) {
			s.log.Info(err.Error())
			return exitOK
		}
		return complain(stderr, err)
	}
	s.announce()
	s.tellReady(d)
	s.wait()
	s.pid.remove()
	return exitOK
}

// tellReady tells all waiting processes that the server is serving.
func (s *server) tellReady(d *detacher) {
	if err := d.detach(); err != nil {
		s.log.Error("cannot detach from the terminal", "err", err)
	}
	if s.heir != nil {
		if err := s.pid.takeOver(); err != nil {
			s.log.Error("pid file not written", "err", err)
		}
		if err := s.heir.tellReady(); err != nil {
			s.log.Error("takeover: the old process is gone", "err", err)
		}
	}
	s.notify(s.manager.ready(s.status()))
}

// open opens the logs, the pid file, and the files passed by other processes.
func (s *server) open(stderr io.Writer) (err error) {
	if s.manager, err = newNotifier(); err != nil {
		return err
	}
	if s.inherited, err = inheritListeners(); err != nil {
		return err
	}
	if s.heir, err = newHeir(); err != nil {
		return err
	}
	passed := s.heir
	if passed == nil {
		passed = &heir{}
	}
	if s.log, s.out, err = openLog(s.o, stderr, passed.log); err != nil {
		return err
	}
	if s.o.accessLog != "" {
		if s.access, err = openAccessLog(s.o.accessLog, s.o.accessFormat, s.o.loops, s.log); err != nil {
			return err
		}
	}
	if s.o.pidFile != "" {
		s.pid, err = writePidFile(s.o.pidFile, passed.pid)
	}
	return err
}

// errStopped means that a signal ended the server before the script was loaded.
var errStopped = errors.New("stopped while the script was loading")

// start loads the script, opens its listeners and serves them. It returns errStopped if a signal asks the server to
// stop before that is done.
func (s *server) start() (err error) {
	if err := readable(s.o.script); err != nil {
		return err
	}
	if s.o.watch {
		s.files = newFileWatch(s.log)
	}
	o := engine.Options{Loops: s.o.loops, Logger: s.log}
	if s.access != nil {
		o.AccessLog = s.access.record
	}
	s.engine, err = engine.New(o)
	if err != nil {
		return err
	}
	ctx, release := s.stopOnSignal()
	s.serving, err = s.load(ctx)
	release()
	switch {
	case ctx.Err() != nil:
		err = errStopped
	case err == nil:
		if err = s.heir.awaitWorkers(s.serving); err == nil {
			err = s.serving.serve()
		}
	}
	if err == nil {
		err = s.o.privileges.drop()
		s.credential = nil
	}
	for _, k := range s.inherited.closeRest() {
		s.log.Warn("the script does not listen on a socket that was passed to the server", "socket", k)
	}
	if err != nil {
		s.stopNow()
	}
	return err
}

// stopOnSignal handles signals while the script is loading. A signal to stop cancels the context. After release has
// returned, no more signals are consumed.
func (s *server) stopOnSignal() (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		for {
			select {
			case <-over:
				return
			case sig := <-s.signals:
				switch sig {
				case syscall.SIGUSR1:
					s.reopenLog()
				case syscall.SIGHUP, syscall.SIGUSR2: // the script is being loaded anyway
				default:
					cancel()
					return
				}
			}
		}
	}()
	return ctx, func() { close(over); <-left }
}

// limitsOf translates the options of an HTTP handler. There a timeout of 0 means no limit, which the engine expresses
// as a negative value, and a size of at least 1 is required.
func limitsOf(h *listen.HTTPOptions) engine.Limits {
	return engine.Limits{
		HeadBytes:       max(1, h.RequestHeaderSizeLimit),
		BodyBytes:       max(1, h.RequestBodySizeLimit),
		IdleTimeout:     orNone(h.IdleTimeout),
		HeadTimeout:     orNone(h.RequestHeaderTimeout),
		StallTimeout:    orNone(h.StallTimeout),
		ResponseTimeout: orNone(h.ResponseTimeout),
		DrainTimeout:    orNone(h.DrainTimeout),
	}
}

func orNone(timeout time.Duration) time.Duration {
	if timeout == 0 {
		return -1
	}
	return timeout
}

// announce logs that the server is ready, and its addresses.
func (s *server) announce() {
	s.serving.announce()
	s.log.Info("ready", "version", version, "script", s.o.script, "pid", os.Getpid(), "loops", s.engine.Loops())
}

// wait handles signals and other events until the server is told to stop, and stops it.
func (s *server) wait() {
	var tick <-chan time.Time
	if s.o.stats {
		t := time.NewTicker(time.Minute)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-tick:
			s.logStats()
		case <-s.reloading.over():
			s.reloaded()
		case err := <-s.upgrading.over():
			if s.upgraded(err) {
				s.stop(s.engine.Retire)
				return
			}
		case <-s.files.changes():
			s.reload()
		case sig := <-s.signals:
			switch sig {
			case syscall.SIGUSR1:
				s.reopenLog()
			case syscall.SIGHUP:
				s.reload()
			case syscall.SIGUSR2:
				s.upgrade()
			case syscall.SIGQUIT:
				s.log.Info("stopping at once", "signal", "QUIT")
				s.notify(s.manager.stopping())
				s.endReload()
				s.upgrading.end()
				s.lastStats()
				s.stopNow()
				return
			default:
				s.notify(s.manager.stopping())
				s.endReload()
				s.upgrading.end()
				s.stop(s.engine.Drain)
				return
			}
		}
	}
}

// notify logs an error of a message to the service manager. Nothing else depends on these messages.
func (s *server) notify(err error) {
	if err != nil {
		s.log.Warn(err.Error())
	}
}

// status is the status line for the service manager.
func (s *server) status() string { return "serving " + s.o.script }

func (s *server) reopenLog() {
	s.access.reopen()
	if s.out == nil {
		return
	}
	if err := s.out.reopen(); err != nil {
		s.log.Error("log file not reopened: the old one stays in use", "err", err)
	}
}

// stop ends the server gracefully, or at once after a second signal. drain ends the connections.
func (s *server) stop(drain func(context.Context) error) {
	s.log.Info("stopping", "grace", s.o.grace, "connections", s.engine.Conns())
	ctx, cancel := context.WithTimeout(context.Background(), s.o.grace)
	defer cancel()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-s.signals:
				switch sig {
				case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT:
					s.log.Info("stopping at once")
					cancel()
				case syscall.SIGUSR1:
					s.reopenLog()
				}
			}
		}
	}()
	s.drainHosts(ctx)
	drain(ctx)
	s.lastStats()
	if err := s.serving.host.Stop(ctx); err != nil {
		s.log.Warn("workers were killed", "err", err)
	}
	s.endOld(ctx)
	s.engine.Shutdown(ctx)
	s.log.Info("stopped")
}

// drainHosts has workers end the connections that they are alone with, while the engine ends all others.
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
	s.engine.Shutdown(done)
}

// lastStats logs the statistics a last time. It is called before the pools end.
func (s *server) lastStats() {
	if s.o.stats {
		s.logStats()
	}
}

func (s *server) logStats() {
	s.mu.Lock()
	g := s.serving
	s.mu.Unlock()
	g.logStats()
}
