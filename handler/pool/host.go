package pool

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"moonbridge/handler/accesslog"
	"moonbridge/handler/channel"
	"moonbridge/handler/logging"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/shm"
)

// Config says what to run. The zero value of an optional field stands for its default.
type Config struct {
	Program string   // started as the fork server; default: the running program
	Script  string   // argv[1] of the fork server
	Args    []string // script arguments
	Loops   int      // of the engine; default 1
	Version string   // what the script sees as _MOONBRIDGE_VERSION; default "development"

	Logger *slog.Logger // must not block: loops use it. Default: nothing is logged

	// Stdout gets everything that fork server and workers write to their standard output, unchanged. Lines that do not fit
	// into it are lost. Default: a queue of the host's own in front of os.Stdout.
	Stdout *logging.Queue

	// Listen is called for each listen{} call of the script, while Start runs, with the number of the call. It opens the
	// listeners; its error becomes that of the call. It should refuse a Spec whose ServerOptions the program does not carry out. Optional.
	Listen func(pool int, spec *listen.Spec) error

	// NoPairing leaves it to the system on which CPUs workers run. Otherwise, on Linux, a worker with short exchanges
	// follows its loop: that was measured to be faster.
	NoPairing bool

	// Files is called with the files that make up the script, when they have been loaded or are about to be: before Start
	// returns with all that the fork server has loaded, even if the script fails, and later with what workers load. It may
	// be called by several goroutines at once. Optional.
	Files func([]File)

	// ErrorPages answers a Lua error in an HTTP handler with a page that shows it. For developers only.
	ErrorPages bool

	// Generation is put into these pages, which ask the server at /.moonbridge/generation for the number that serves now. It should be
	// another one after a restart.
	Generation int

	// Env is added to the environment of the fork server, and takes precedence over this process's.
	Env []string

	// MainEnded is called when a main handler has ended, of its own accord: not because of Stop or Kill. failed: with an error,
	// or its worker has died. It is called on a loop and must not block. Optional.
	MainEnded func(pool int, name string, failed bool)

	// RawAccess is called for each request that a worker of a pool has served on a raw connection, for an access log or for those who
	// count; nil: there is none. lost is how many other such requests the worker could not report. It is called by several goroutines
	// at once.
	RawAccess func(pool int, e *accesslog.Entry, lost int)

	// Purge removes from caches what a worker says is out of date: everything for a key, or, with prefix, for all keys that
	// begin with it. It is called by several goroutines at once. Optional.
	Purge func(key string, prefix bool)

	// Intervals is shared by hosts of which one replaces another, so that the ticks of a timer that both have do not overlap.
	// Default: one of the host's own.
	Intervals *Intervals

	// Dictionaries is shared by hosts of which one replaces another, so that the next one can keep the shared dictionaries of the
	// last one. Default: one of the host's own.
	Dictionaries *Dictionaries

	// Channels is the hub that scripts publish to, and that requests subscribe to. It may be shared by hosts. Default: one of the
	// host's own.
	Channels *channel.Hub

	// WebSockets are the connections that scripts accept. They may be shared by hosts: see WebSockets.Use. Default: those of the
	// host alone.
	WebSockets *WebSockets

	// Declared is called with the rules of channels that the script has declared so far, whenever it declares one. Its error becomes
	// that of the call. Default: they become those of Channels.
	Declared func(rules []channel.Rule) error

	// Credential is the user and groups that the fork server and its workers run as; nil: those of this process. Changing
	// them takes root.
	Credential *syscall.Credential

	// Crashed is called with each exchange whose handler has raised an error, or whose worker has ended or was killed while it had
	// the exchange, up to a number per second (errorsPerSecond, endsPerSecond). One goroutine calls it. It may take a while: Stop
	// waits for the last call, for a bounded time. Requests that a worker serves itself on a raw connection are not seen. Default:
	// nothing is kept of requests.
	Crashed func(c *Crash)

	// CrashLost is called for each failure that Crashed is not called with, because there are too many. It must not block. Optional.
	CrashLost func()

	// Adapt changes what a listen{} call asks for, before its pool is made. Optional.
	Adapt func(pool int, spec *listen.Spec)

	// InWindow and OutWindow are the sizes of a cell's windows in bytes: powers of two from 64 to 16 MiB; default 256 KiB.
	InWindow, OutWindow int
}

const defaultWindow = 256 << 10

// Host runs one script, with its fork server and its pools.
type Host struct {
	cfg   Config // immutable, completed
	self  string // path of the running program, if Config.Program is not set
	log   *slog.Logger
	lines *lineLog       // of fork servers
	tally *logging.Tally // of what is wrong with WebSockets, which clients can bring about again and again

	loading time.Duration // that the first fork server took to load the script; set before others are started

	warned bool // http_options are ignored; belongs to the goroutine that reads listen{} calls

	crashes *crashes // nil: nobody wants to know of them

	stdout  *logging.Queue
	own     bool           // stdout is the host's own queue
	reading sync.WaitGroup // of what processes say: pipes and control sockets

	mu    sync.Mutex
	pools []*Pool // appended to while the first fork server loads the script
	fs    *forkServer
	ended bool // Stop or Kill was called

	dictionaries map[string]*dictionary // by name
	released     bool                   // there are none any more

	rules []channel.Rule // that the script has declared; belongs to the goroutine that loads it

	stop chan struct{} // closed by Stop and Kill
	kept chan struct{} // closed when no fork server is started any more
	over chan struct{} // closed by Stop and Kill when everything has ended

	hurried chan struct{} // closed by hurry
	hurry   func()        // ends a Stop that is under way

	signalled bool // workers were killed; belongs to Stop and Kill

	testing  sync.Mutex  // held by Test
	heldBack atomic.Bool // timers wait for StartTimers
}

// errNoWorker is the error of a process that was started as the fork server and has come to main.
var errNoWorker = errors.New("pool: the program is started again as the fork server, but does not import moonbridge/handler/worker")

// Start loads the script and begins to fork workers. It returns when the script has been loaded, with a *ScriptError if it
// failed, or when ctx ends. The host must be stopped, even if none of its listeners is used.
func Start(ctx context.Context, cfg Config) (*Host, error) {
	h, fs, err := load(ctx, cfg)
	if err != nil {
		return nil, err
	}
	h.fs = fs
	for _, p := range h.pools {
		p.useForkServer(fs)
		go p.supervise()
	}
	go h.keep(fs)
	return h, nil
}

// Check loads the script as Start does, and returns what its listen{} calls ask for. It forks no worker, and leaves nothing
// running. If Config.Listen is nil, nothing is opened.
func Check(ctx context.Context, cfg Config) ([]*listen.Spec, error) {
	h, fs, err := load(ctx, cfg)
	if err != nil {
		return nil, err
	}
	fs.end(endTimeout)
	h.hearOut()
	h.crashes.end()
	h.releaseDictionaries()
	var specs []*listen.Spec
	for _, p := range h.Pools() {
		specs = append(specs, p.spec)
		p.close()
	}
	return specs, nil
}

// load makes a host and a fork server that has loaded the script. After an error nothing is left.
func load(ctx context.Context, cfg Config) (*Host, *forkServer, error) {
	if _, is := os.LookupEnv(shm.Env); is { // without this, it would start itself again and again
		return nil, nil, errNoWorker
	}
	h := &Host{cfg: cfg, stop: make(chan struct{}), kept: make(chan struct{}), over: make(chan struct{}), hurried: make(chan struct{})}
	h.hurry = sync.OnceFunc(func() { close(h.hurried) })
	if err := h.complete(); err != nil {
		return nil, nil, err
	}
	fs, err := startForkServer(h, 0)
	if err != nil {
		h.hearOut()
		h.crashes.end()
		return nil, nil, err
	}
	if err = fs.await(ctx); err == nil && len(h.Pools()) == 0 {
		err = &ScriptError{Text: cfg.Script + ": the script has not called listen"}
	}
	if err != nil {
		fs.killGroup()
		<-fs.gone
		h.hearOut()
		h.releaseDictionaries()
		for _, p := range h.Pools() {
			p.close()
		}
		h.crashes.end()
		return nil, nil, err
	}
	h.loading = time.Since(fs.started)
	return h, fs, nil
}

func (h *Host) complete() (err error) {
	c := &h.cfg
	if c.Program == "" {
		if h.self, err = os.Executable(); err != nil {
			return err
		}
	}
	c.Loops = cmp.Or(c.Loops, 1)
	c.InWindow = cmp.Or(c.InWindow, defaultWindow)
	c.OutWindow = cmp.Or(c.OutWindow, defaultWindow)
	if c.Intervals == nil {
		c.Intervals = NewIntervals()
	}
	if c.Dictionaries == nil {
		c.Dictionaries = NewDictionaries()
	}
	if c.Channels == nil {
		c.Channels = channel.New(channel.Options{})
	}
	if c.WebSockets == nil {
		c.WebSockets = NewWebSockets()
		c.WebSockets.Use(h)
	}
	if c.Declared == nil {
		c.Declared = declareIn(c.Channels)
	}
	if runtime.NumCPU() < 2 {
		c.NoPairing = true
	}
	h.log = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	h.lines = newLineLog(h.log)
	h.tally = logging.NewTally(h.log)
	h.crashes = newCrashes(h)
	if h.stdout = c.Stdout; h.stdout == nil {
		h.own = true
		h.stdout = logging.NewQueue(os.Stdout, logging.Options{Lost: func(lost int, err error) {
			h.log.Warn("standard output: lines lost", "count", lost, "err", err)
		}})
	}
	return nil
}

// Pools are the pools of the script, in the order of its listen{} calls.
func (h *Host) Pools() []*Pool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clip(h.pools)
}

// listen makes the pool of a listen{} call. When the script is run again because its fork server has died, the pool exists
// and its sockets are open: the call gets the pool that the first one made.
func (h *Host) listen(generation, n int, spec *listen.Spec) error {
	if h.cfg.Adapt != nil {
		h.cfg.Adapt(n, spec)
	}
	if generation > 0 {
		pools := h.Pools()
		if n >= len(pools) || !reflect.DeepEqual(pools[n].spec, spec) {
			h.log.Error("fork server: the restarted script calls listen differently; keeping the first call's settings", "pool", n)
		}
		return nil
	}
	h.warnIgnored(n, spec)
	p, err := newPool(h, n, spec)
	if err != nil {
		return err
	}
	if h.cfg.Listen != nil {
		if err := h.cfg.Listen(n, spec); err != nil {
			p.close()
			return err
		}
	}
	h.mu.Lock()
	h.pools = append(h.pools, p)
	h.mu.Unlock()
	return nil
}

// warnIgnored says, once for a script, what is ignored.
func (h *Host) warnIgnored(n int, spec *listen.Spec) {
	if !spec.Options.HTTPOptions || h.warned {
		return
	}
	h.warned = true
	h.log.Warn("listen: http_options is ignored: options of an HTTP handler are an argument of generate_handler", "pool", n)
}

// server is the fork server in use.
func (h *Host) server() *forkServer {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fs
}
