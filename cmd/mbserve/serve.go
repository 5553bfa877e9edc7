package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"moonbridge/cmd/mbserve/acme"
	"moonbridge/cmd/mbserve/bus"
	"moonbridge/cmd/mbserve/otlp"
	"moonbridge/engine"
	"moonbridge/handler/channel"
	"moonbridge/handler/compress"
	"moonbridge/handler/logging"
	"moonbridge/handler/pool"
	"moonbridge/handler/pool/limits"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/websocket"
)

// server is a running mbserve.
type server struct {
	o          *options
	dir        workDir
	program    string // started by USR2
	log        *slog.Logger
	logQueue   *logging.Queue // before the log
	out        *logFile       // nil: standard error, or the system log
	stdout     *logging.Queue // before standard output, for what scripts print
	access     *accessLog     // nil: none
	pid        *pidFile       // nil: none
	manager    *notifier
	inherited  *inherited
	heir       *heir               // nil: not taking over from another process
	credential *syscall.Credential // for fork servers, while we are root
	root       *rootFiles          // opens files as root when we are not; nil: not needed, or not there
	engine     *engine.Engine
	intervals  *pool.Intervals // the timers of all generations
	shared     *pool.Dictionaries
	channels   *channel.Hub
	bus        *bus.Bus // nil: there is none
	websockets *pool.WebSockets
	compressor *compress.Shared
	caches     caches
	admin      *adminSide     // nil: there is no admin listener
	crashes    *crashSide     // nil: failed requests are not recorded
	traces     *otlp.Exporter // nil: they are not sent

	certificates certificates
	tickets      *tickets
	acme         *acme.Keepers
	development  development

	signals chan os.Signal
	mains   chan mainEnd // the first end of a main handler
	files   *fileWatch   // the script's files; nil: not watched

	// Owned by the goroutine that handles signals.
	exit       int           // exit code, when the server has stopped
	asked      bool          // to stop, by a signal
	hurried    bool          // to stop at once
	early      []os.Signal   // received before the server was ready, and not handled yet
	reloading  *reloader     // nil: none is in progress
	upgrading  *upgrade      // nil: none is in progress
	handedOver bool          // another process has taken over
	handing    chan struct{} // closed when that has all that was published here; nil: there is no such process
	successor  *os.Process   // that process, until the service manager is told of it

	predecessor chan struct{} // closed when the process that we have taken over from has ended; nil: there was none

	// Owned by the goroutine that loads a generation.
	loaded    int          // number of generations so far
	devFirst  int          // --dev: devNumber of the first one
	onlyTests bool         // "mbserve test": no address is opened
	failure   *failurePage // --dev: shown instead of the serving generation; nil: none

	// listening is held while names are looked up and files of sockets are looked at, which may take long: nothing that ends the
	// server may wait for it.
	listening sync.Mutex
	addresses []*address

	mu      sync.Mutex
	serving *generation
	old     *retired // the previous generation

	kept map[*generation]map[*acme.Keeper][]string // the domains of generations that have not ended

	tune      sync.Once  // makes collector, when the first listener with TLS serves
	collector *collector // nil: Go's own
}

func newServer(o *options) *server {
	return &server{
		o: o, credential: o.privileges.credential(), intervals: pool.NewIntervals(), shared: pool.NewDictionaries(), channels: channel.New(channel.Options{}), websockets: pool.NewWebSockets(), signals: make(chan os.Signal, 8),
		mains: make(chan mainEnd, 1), compressor: compress.NewShared(), devFirst: rand.IntN(1 << 30),
	}
}

// serve runs the server until it is stopped. It returns the exit code.
func serve(o *options, d *detacher, stderr io.Writer) int {
	s := newServer(o)
	err := s.run(d, stderr)
	if err != nil && s.heir != nil && s.log != nil && (o.logFile != "" || o.logFacility != "") {
		s.log.Error("takeover failed", "err", errorText(err)) // standard error may lead nowhere by now
	}
	s.collector.end()
	s.closeLogs()
	if err != nil {
		return complain(stderr, err)
	}
	return s.exit
}

// run runs the server until it is stopped, or returns why it could not be started.
func (s *server) run(d *detacher, stderr io.Writer) error {
	// If a peer or a reader of our output goes away, the write fails; that must not end the server.
	signal.Ignore(syscall.SIGPIPE)
	// Signals that would end a process that does not handle them are remembered until the server can do what they ask for.
	signal.Notify(s.signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	s.dir = findWorkDir()
	var err error
	if s.program, err = s.dir.program(os.Args[0]); err != nil {
		return err
	}
	defer func() { s.endSoon("the watch of files", s.files.end) }()
	defer func() { s.endSoon("the admin listener", s.admin.end) }()
	if err := s.open(stderr); err != nil {
		s.leavePidFile()
		return err
	}
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	if err := s.start(); err != nil {
		s.leavePidFile()
		if errors.Is(err, errStopped) {
			s.log.Info(err.Error())
			return nil
		}
		return err
	}
	s.announce()
	s.tellReady(d)
	watched := make(chan struct{})
	go s.keepWatchdog(watched)
	s.wait()
	close(watched)
	s.releaseLocks()
	s.removePidFile()
	s.awaitPredecessor()
	s.tellSuccessor()
	return nil
}

// leavePidFile removes the pid file of a server that has not come to serve, unless it belongs to the process that this one was to replace.
func (s *server) leavePidFile() {
	if s.heir == nil {
		s.removePidFile()
	}
}

// tellReady tells all waiting processes that the server is serving.
func (s *server) tellReady(d *detacher) {
	if err := d.detach(); err != nil {
		s.log.Error("cannot detach from the terminal", "err", err)
	}
	if s.heir != nil {
		s.admin.begin()
		if err := s.pid.takeOver(); err != nil {
			s.log.Error("pid file not written", "err", err)
		}
		if err := s.heir.tellReady(); err != nil {
			s.log.Error("takeover: the old process is gone", "err", err)
		}
		if s.heir.timers != nil {
			s.predecessor = make(chan struct{})
			go s.followTimers(s.heir.timers)
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
	s.kept = make(map[*generation]map[*acme.Keeper][]string)
	s.tickets = newTickets(passed.tickets)
	go s.tickets.rotateAlways()
	s.certificates.takeOver(passed.certs)
	if err = s.startHelper(); err != nil {
		return err
	}
	if s.log, s.logQueue, s.out, err = openServerLog(s.o, stderr, s.opener(rootLog, logFlag), passed.log); err != nil {
		return err
	}
	// Before anything else that a running server would be in the way of: the exit code says that it runs.
	if s.o.pidFile != "" {
		if s.pid, err = writePidFile(s.o.pidFile, s.opener(rootPid, pidFlag), passed.pid); err != nil {
			return err
		}
	}
	if err = s.openAdmin(passed.admin, passed.token); err != nil {
		return err
	}
	s.log = s.admin.keepErrors(s.log)
	if err = s.openCrashes(); err != nil {
		return err
	}
	if err = s.openTraces(); err != nil {
		return err
	}
	s.acme = acme.New(s.log, "moonbridge/"+version)
	s.openBus()
	var stdout io.Writer = &logFile{f: os.Stdout}
	if isJournal(os.Stdout, os.Getenv("JOURNAL_STREAM")) {
		stdout = &journalLines{to: stdout}
	}
	s.stdout = logging.NewQueue(stdout, logging.Options{
		Lost: func(lost int, err error) { warnLost(s.log, "standard output", lost, err) },
	})
	if s.o.accessLog != "" {
		if s.access, err = openAccessLog(s.o, s.log, s.opener(rootAccess, logFlag), passed.access); err != nil {
			return err
		}
	}
	return nil
}

// closeLogs waits until all logs are written, for a bounded time. A log that says that another one is incomplete is closed
// last.
func (s *server) closeLogs() {
	var others sync.WaitGroup
	others.Go(s.access.close)
	others.Go(func() { s.traces.Close(tracesCloseTimeout) })
	others.Go(func() {
		if s.stdout != nil && !s.stdout.Close(logCloseTimeout) {
			s.log.Warn("standard output: the last lines could not be written in time")
		}
	})
	others.Wait()
	if s.logQueue != nil {
		s.logQueue.Close(logCloseTimeout)
	}
}

// errStopped means that a signal ended the server before the script was loaded.
var errStopped = errors.New("stopped while the script was loading")

// start loads the script, opens its listeners and serves them. It returns errStopped if a signal asks the server to
// stop before that is done.
func (s *server) start() (err error) {
	ctx, release := s.stopOnSignal()
	defer release()
	if err := s.o.readable(); err != nil {
		return err
	}
	if s.o.watch.on {
		s.files = newFileWatch(s.log, s.o.watch.absolute(s.dir))
	}
	if s.heir == nil {
		s.admin.begin()
	}
	began := time.Now()
	o := engine.Options{Loops: s.o.loops, Fill: s.o.fillLoops, Batch: s.o.scheduling == schedulingBatch, Logger: s.log, Spool: engine.Spool{Dir: s.o.spoolDir, Bytes: int64(s.o.spoolLimit)}}
	switch {
	case s.access != nil:
		o.AccessLog = s.access.record
	case s.o.dev:
		o.AccessLog = s.logRequest
	}
	s.admin.options(&o)
	s.traceOptions(&o)
	s.engine, err = engine.New(o)
	if err != nil {
		return err
	}
	if s.credential == nil { // otherwise it is checked later, with the rights of the user
		err = s.checkSpool()
	}
	if err == nil {
		err = s.heir.inOldDir(s.adoptSockets)
	}
	if err == nil {
		err = s.serveFirst(ctx, release)
	}
	if err != nil {
		s.leaveShared()
		s.stopNow()
		return err
	}
	s.admin.noteLoad(began, "started", nil)
	for _, k := range s.inherited.unused() {
		s.log.Warn("the script does not listen on a socket that was passed to the server", "socket", k)
	}
	return nil
}

// serveFirst loads the first generation and makes it serve. Root privileges are given up in between. ctx and release are of stopOnSignal.
func (s *server) serveFirst(ctx context.Context, release func()) (err error) {
	if s.heir != nil && s.heir.timers != nil {
		s.intervals.Await()
	}
	s.adoptDictionaries()
	s.serving, err = s.load(ctx)
	s.shared.Settle()
	if err == nil {
		err = s.heir.awaitWorkers(ctx, s.serving)
	}
	release()
	if ctx.Err() != nil {
		return errStopped
	}
	if err != nil {
		return err
	}
	if err := s.o.privileges.drop(); err != nil {
		return err
	}
	if err := s.prepareFirst(); err != nil {
		return err
	}
	if err := s.testFirst(); err != nil {
		return err
	}
	s.takeOverChannels()
	s.startBus()
	if err := s.serving.serve(); err != nil {
		return err
	}
	s.admin.serves(s.serving)
	return nil
}

// prepareFirst prepares the first generation, with the rights that the server has from now on. Its files may be on a disk that does not
// answer, so a signal can stop this, too.
func (s *server) prepareFirst() (err error) {
	ctx, release := s.stopOnSignal()
	if s.credential != nil {
		err = s.checkSpool()
	}
	s.credential = nil
	if err == nil {
		err = s.serving.prepare()
	}
	release()
	if ctx.Err() != nil {
		return errStopped
	}
	return err
}

// checkSpool checks whether files can be created in the spool directory, with the rights that the server has now.
func (s *server) checkSpool() error {
	if s.o.spoolLimit == 0 {
		return nil
	}
	if err := s.engine.CheckSpool(); err != nil {
		return fmt.Errorf("%w; choose another --spool-dir", err)
	}
	return nil
}

// limits are the limits for the clients of an HTTP handler.
func (s *server) limits(h *listen.HTTPOptions) engine.Limits {
	l := limitsOf(h)
	if s.o.spoolLimit == 0 {
		l.SpoolBody, l.SpoolOutput = false, 0
	}
	return l
}

func limitsOf(h *listen.HTTPOptions) engine.Limits {
	l := limits.Of(h)
	if h.EncodedBody == listen.EncodedDecode {
		l.BodyCodings = compress.Codings
	}
	return l
}

// announce logs that the server is ready, and its addresses.
func (s *server) announce() {
	s.serving.announce()
	s.log.Info("ready", "version", version, s.o.subjectAttr(), "pid", os.Getpid(), "loops", s.engine.Loops())
}

// wait handles signals and other events until the server is told to stop, and stops it.
func (s *server) wait() {
	var tick <-chan time.Time
	if s.o.stats {
		t := time.NewTicker(time.Minute)
		defer t.Stop()
		tick = t.C
	}
	for _, sig := range s.early {
		s.handle(sig) // none of them stops the server
	}
	for {
		select {
		case <-tick:
			s.logStats()
		case <-s.reloading.over():
			s.reloaded()
		case err := <-s.upgrading.over():
			if s.upgraded(err) {
				s.tellSuccessor()
				s.websockets.SetDrainCode(websocket.CodeRestart) // the new process takes the clients that come back
				s.stop(s.engine.Retire)
				return
			}
		case <-s.files.changes():
			s.reload()
		case end := <-s.mains:
			s.stopAfterMain(end)
			return
		case sig := <-s.signals:
			if s.handle(sig) {
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
func (s *server) status() string { return "serving " + s.o.subject() }

func (s *server) reopenLog() {
	s.access.reopen()
	if s.out == nil {
		return
	}
	s.out.reopen(func(err error) {
		if err != nil {
			s.log.Error("log file not reopened: the old one stays in use", "err", err)
		}
	})
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
	s.logConnections()
	s.logChannels()
	s.crashes.logStats()
	s.logBus()
	s.logWebSockets()
}
