package pool

import (
	"crypto/rand"
	"strconv"
	"sync"
	"time"

	"moonbridge/handler/logging"
)

const (
	// crashBytesMax is how much is kept of a request, with its body.
	crashBytesMax = 256 << 10
	// crashKeptMax is the same when the worker has taken a part of the body, and its place is needed.
	crashKeptMax = 64 << 10
	// Errors of handlers are recorded errorsPerSecond times a second, and errorsBurst at once; ends of workers have a quota of
	// their own.
	errorsPerSecond = 1
	errorsBurst     = 10
	endsPerSecond   = 5
	endsBurst       = 20
	// crashQueueMax is how many failures may wait for Config.Crashed.
	crashQueueMax = 16
	// crashEndTimeout is how long the end of a host waits for Config.Crashed.
	crashEndTimeout = 5 * time.Second
)

// causeError is the Crash.Cause of a handler that has raised an error.
const causeError = "error"

// Crash is what is known of an exchange whose handler has raised an error, or whose worker has ended or was killed while it had the
// exchange. What is not known is empty.
type Crash struct {
	ID       string // in the log: crash=ID
	Time     time.Time
	Pool     int
	Listener int
	Cause    string // "error", "request_timeout", "on_client_gone", "broken protocol", "signal SIGSEGV", "status 1" …

	Kind      string // http, interval, connection, main, websocket
	Name      string // of an interval or a main handler
	Method    string
	Path      string // without the query
	Client    string
	RequestID string
	TraceID   string // "": it is not traced

	Head       []byte // of an HTTP request, as it was sent; one of HTTP/2 is translated to HTTP/1.1
	Body       []byte // the beginning of it, or all
	BodyLength int64  // -1: not known
	BodyWhole  bool   // Body is all of it
	Secure     bool   // the client has asked for https

	Waited, Running time.Duration // for a worker, and since then
	Phase           string        // how far it has come
	Retried         bool          // another worker gets it

	PID       int
	Age       time.Duration // of the worker
	Exchanges uint64        // that it had finished
	Memory    int64         // its resident memory in bytes; 0: not known
	End       string        // of the process; empty: it lives
	Core      bool          // the system says that there is a core

	Message, Traceback string
	Lines              []string // the last ones of the worker's standard error
}

// crashes collects the failures of a host's pools.
type crashes struct {
	h            *Host
	prefix       string // of ids
	errors, ends *logging.Quota
	queue        chan *draft
	ended        chan struct{}

	mu     sync.Mutex
	closed bool
}

// newCrashes returns nil if nobody wants to know of failures.
func newCrashes(h *Host) *crashes {
	if h.cfg.Crashed == nil {
		return nil
	}
	s := &crashes{h: h, prefix: rand.Text()[:8], queue: make(chan *draft, crashQueueMax), ended: make(chan struct{})}
	tell := func(count int) { h.log.Warn("crashes not recorded: too many", "count", count) }
	s.errors = logging.NewQuota(errorsPerSecond, errorsBurst, tell)
	s.ends = logging.NewQuota(endsPerSecond, endsBurst, tell)
	go s.run()
	return s
}

// admit reports whether one more failure is recorded.
func (s *crashes) admit(quota *logging.Quota) bool {
	ok := quota.Allow()
	if !ok {
		s.lose()
	}
	return ok
}

// lose notes that a failure is not passed on.
func (s *crashes) lose() {
	if lost := s.h.cfg.CrashLost; lost != nil {
		lost()
	}
}

// id is the id of the failure of an exchange with a worker: another one may fail with it too.
func (s *crashes) id(w *Worker, exchange uint64) string {
	return s.prefix + "-" + strconv.Itoa(w.p.index) + "-" + strconv.FormatUint(w.seq, 36) + "-" + strconv.FormatUint(exchange, 36)
}

// put has a failure passed on. It does not block: loops call it.
func (s *crashes) put(d *draft) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		select {
		case s.queue <- d:
			return
		default:
		}
	}
	s.lose()
	d.close()
	s.h.log.Warn("crash not recorded: too many wait", "crash", d.ID)
}

// run passes failures on until end is called.
func (s *crashes) run() {
	defer close(s.ended)
	for d := range s.queue {
		d.complete()
		s.h.cfg.Crashed(&d.Crash)
	}
}

// end waits until the last one is passed on, for a bounded time. s may be nil.
func (s *crashes) end() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.closed = true
	close(s.queue)
	s.mu.Unlock()
	select {
	case <-s.ended:
	case <-time.After(crashEndTimeout):
		s.h.log.Warn("the last crashes could not be recorded in time")
	}
	s.errors.Flush()
	s.ends.Flush()
}
