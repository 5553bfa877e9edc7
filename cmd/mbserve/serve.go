package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"moonbridge/engine"
	"moonbridge/handler/pool"
)

// server is a running mbserve.
type server struct {
	o   *options
	log *slog.Logger
	out *logFile // nil: standard error, or the system log

	manager *notifier

	engine    *engine.Engine
	host      *pool.Host
	listeners [][]listener // by pool
}

// listener is a listener of the script: what it asked for, and what was opened for it (nil for an interval).
type listener struct {
	spec *pool.ListenerSpec
	ln   *engine.Listener
}

// serve is the ordinary run of mbserve. It returns the exit code.
func serve(o *options, d *detacher, stderr io.Writer) int {
	s := &server{o: o}
	manager, err := newNotifier()
	if err != nil {
		return complain(stderr, err)
	}
	s.manager = manager
	if s.log, s.out, err = openLog(o, stderr); err != nil {
		return complain(stderr, err)
	}
	if o.pidFile != "" {
		f, err := writePidFile(o.pidFile)
		if err != nil {
			return complain(stderr, err)
		}
		defer f.remove()
	}

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1)
	// A peer or a reader of our output that goes away is an error of that write, not the end of the server.
	signal.Ignore(syscall.SIGPIPE)

	if err := s.start(signals); errors.Is(err, errStopped) {
		s.log.Info(err.Error())
		return exitOK
	} else if err != nil {
		return complain(stderr, err)
	}
	s.announce()
	if err := d.detach(); err != nil {
		s.log.Error("going into the background", "err", err)
	}
	s.notify(s.manager.ready(s.status()))
	s.wait(signals)
	return exitOK
}

// errStopped says that a signal ended the server before the script was loaded.
var errStopped = errors.New("stopped while the script was loading")

// start loads the script, opens its listeners and serves them. The error is errStopped if a signal asked for the end before
// all of that was done.
func (s *server) start(signals chan os.Signal) (err error) {
	if err := readable(s.o.script); err != nil {
		return err
	}
	s.engine, err = engine.New(engine.Options{Loops: s.o.loops, Logger: s.log})
	if err != nil {
		return err
	}
	ctx, stopWatching := s.watch(signals)
	s.host, err = pool.Start(ctx, pool.Config{
		Script: s.o.script, Args: s.o.args, Version: version,
		Loops:      s.engine.Loops(),
		Logger:     s.log,
		Listen:     s.open,
		NoPairing:  s.o.noPairing,
		Credential: s.o.privileges.credential(),
	})
	stopWatching()
	switch {
	case ctx.Err() != nil:
		err = errStopped
	case err == nil:
		err = s.serveAll()
	}
	if err == nil {
		err = s.o.privileges.drop()
	}
	if err != nil {
		s.stopNow()
	}
	return err
}

// watch handles signals while the script is loading. The context ends with a signal that asks for the end; no signal is
// taken any more when stop has returned.
func (s *server) watch(signals chan os.Signal) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		for {
			select {
			case <-over:
				return
			case sig := <-signals:
				switch sig {
				case syscall.SIGUSR1:
					s.reopenLog()
				case syscall.SIGHUP: // what would be loaded anew is being loaded
				default:
					cancel()
					return
				}
			}
		}
	}()
	return ctx, func() { close(over); <-left }
}

// open opens the listeners of one listen{} call; its error becomes that of the call.
func (s *server) open(n int, spec *pool.PoolSpec) error {
	var opened []listener
	for i := range spec.Listeners {
		l := listener{spec: &spec.Listeners[i]}
		if network := l.spec.Network(); network != "" {
			o := engine.OpenOptions{}
			if l.spec.HasMode {
				o.Mode = l.spec.Mode
			}
			ln, err := s.engine.Open(network, l.spec.Address(), o)
			if err != nil {
				for _, l := range opened {
					if l.ln != nil {
						l.ln.Close()
					}
				}
				return err
			}
			l.ln = ln
		}
		opened = append(opened, l)
	}
	s.listeners = append(s.listeners, opened)
	return nil
}

// serveAll attaches the pools to the engine and lets connections in.
func (s *server) serveAll() error {
	for n, p := range s.host.Pools() {
		if err := s.engine.Attach(p); err != nil {
			return err
		}
		for i, l := range s.listeners[n] {
			if l.ln == nil {
				continue
			}
			var err error
			if l.spec.Raw() {
				err = s.engine.ServeSockets(l.ln, p, i)
			} else {
				err = s.engine.Serve(l.ln, p, i, limitsOf(l.spec.HTTP))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// limitsOf translates the options of an HTTP handler; there a time of 0 means no limit, and a size is never 0.
func limitsOf(h *pool.HTTPOptions) engine.Limits {
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

// announce says where the server can be reached.
func (s *server) announce() {
	for n, ls := range s.listeners {
		for _, l := range ls {
			if l.ln == nil {
				s.log.Info("timer", "pool", n, "name", l.spec.Name, "delay", l.spec.Delay)
				continue
			}
			s.log.Info("listening", "pool", n, "address", urlOf(l), "serves", servedAt(l))
		}
	}
	s.log.Info("ready", "version", version, "script", s.o.script, "pid", os.Getpid(), "loops", s.engine.Loops())
}

// urlOf is the address of a listener in a form that can be clicked on, where there is one.
func urlOf(l listener) string {
	switch {
	case l.spec.Proto == "local":
		return "unix:" + l.ln.Addr()
	case l.spec.Raw():
		return "tcp://" + l.ln.Addr()
	}
	return "http://" + l.ln.Addr() + "/"
}

// servedAt is what peers of a listener have to speak, as far as it is known here.
func servedAt(l listener) string {
	if l.spec.Raw() {
		return "raw"
	}
	return "http"
}

// wait handles signals until the server is to end, and ends it.
func (s *server) wait(signals chan os.Signal) {
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
		case sig := <-signals:
			switch sig {
			case syscall.SIGUSR1:
				s.reopenLog()
			case syscall.SIGHUP:
				s.log.Warn("reload is not supported yet: HUP ignored")
			case syscall.SIGQUIT:
				s.log.Info("stopping at once", "signal", "QUIT")
				s.notify(s.manager.stopping())
				s.lastStats()
				s.stopNow()
				return
			default:
				s.stop(signals)
				return
			}
		}
	}
}

// notify reports what went wrong when the service manager was told something: nothing depends on it.
func (s *server) notify(err error) {
	if err != nil {
		s.log.Warn(err.Error())
	}
}

// status is a line for the service manager.
func (s *server) status() string { return "serving " + s.o.script }

func (s *server) reopenLog() {
	if s.out == nil {
		return
	}
	if err := s.out.reopen(); err != nil {
		s.log.Error("log file not reopened: the old one stays in use", "err", err)
	}
}

// stop ends the server gracefully, at once when a second signal asks for it.
func (s *server) stop(signals chan os.Signal) {
	s.notify(s.manager.stopping())
	s.log.Info("stopping", "grace", s.o.grace, "connections", s.engine.Conns())
	ctx, cancel := context.WithTimeout(context.Background(), s.o.grace)
	defer cancel()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-signals:
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
	s.engine.Drain(ctx)
	s.lastStats()
	if err := s.host.Stop(ctx); err != nil {
		s.log.Warn("workers were killed", "err", err)
	}
	s.engine.Shutdown(ctx)
	s.log.Info("stopped")
}

func (s *server) stopNow() {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	if s.host != nil {
		s.host.Kill()
	}
	s.engine.Shutdown(done)
}

// lastStats comes before the pools end, and with them their figures.
func (s *server) lastStats() {
	if s.o.stats {
		s.logStats()
	}
}

func (s *server) logStats() {
	for n, p := range s.host.Pools() {
		st := p.Stats()
		s.log.Info("stats", "pool", n, "connections", s.engine.Conns(),
			"booting", st.Booting, "idle", st.Idle, "busy", st.Busy, "draining", st.Draining, "waiting", st.Waiting,
			"exchanges", st.Exchanges, "forks", st.Forks, "deaths", st.Deaths, "retries", st.Retries, "lost", st.Lost)
	}
}
