package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"moonbridge/cmd/mbserve/admin"
	"moonbridge/cmd/mbserve/metrics"
	"moonbridge/engine"
	"moonbridge/handler/pool"
)

// adminSide is what the server has for its admin listener. Without --admin there is none, and its methods do nothing.
type adminSide struct {
	s       *server
	started time.Time

	ln       net.Listener
	server   *admin.Server
	token    []byte
	errors   admin.Errors
	history  *admin.History
	recorder *metrics.Recorder
	registry metrics.Registry
	loops    loopFigures
	memory   memoryFigures

	stopping atomic.Bool // the server is to end
	working  atomic.Bool // the server serves

	mu      sync.Mutex
	live    []*generation // those that serve, or complete their requests
	past    map[int]*poolFigures
	reloads []admin.Reload
	results map[string]uint64 // of reloads so far
	current int               // number of the serving generation
}

// openAdmin opens the admin listener. passed is that of the process that we take over from, or nil, and token a pipe with its token.
func (s *server) openAdmin(passed, token *os.File) (err error) {
	if s.o.admin == "" {
		return nil
	}
	a := &adminSide{s: s, started: time.Now(), past: make(map[int]*poolFigures), results: make(map[string]uint64)}
	if s.o.adminToken != "" {
		if a.token, err = readToken(s.o.adminToken, token); err != nil {
			return fmt.Errorf("--admin-token-file: %w", err)
		}
	}
	if passed != nil {
		a.ln, err = net.FileListener(passed)
		passed.Close()
	} else {
		a.ln, err = s.o.adminAddress.Open()
	}
	if err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	a.recorder = metrics.NewRecorder(loopsOf(s.o))
	a.addFigures()
	s.admin = a
	return nil
}

// readToken reads the token from its file. If only root may do that, and this process has taken over from one that was root at first, it
// goes on with the token of that, which passed has.
func readToken(name string, passed *os.File) (token []byte, err error) {
	if passed != nil {
		defer passed.Close()
	}
	token, err = admin.ReadToken(name)
	if errors.Is(err, fs.ErrPermission) && passed != nil {
		return io.ReadAll(passed)
	}
	return token, err
}

// passToken passes the token to a process that takes over.
func (a *adminSide) passToken(pass *passing) error {
	if a.token == nil {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	pass.give("token", r)
	w.Write(a.token) // few enough bytes for any pipe
	return w.Close()
}

// loopsOf is how many loops the server has.
func loopsOf(o *options) int {
	return cmp.Or(max(o.loops, 0), engine.DefaultLoops())
}

// begin starts to answer. A process that takes over waits with that until it serves.
func (a *adminSide) begin() {
	if a == nil || a.server != nil {
		return
	}
	if ln, ok := a.ln.(*net.UnixListener); ok {
		ln.SetUnlinkOnClose(true) // not before: if this process does not come to serve, the file is that of the one that it was to replace
	}
	s := a.s
	a.history = admin.NewHistory(a.sampler())
	a.server = admin.NewServer(admin.Config{
		Log: s.log, Metrics: &a.registry, Missing: a.missing, Status: a.status, History: a.history,
		Token: a.token, Reload: a.order(syscall.SIGHUP), Stop: a.order(syscall.SIGTERM),
		Pprof: s.o.adminPprof, AnyHost: s.o.adminRemote || s.o.adminAddress.Network == "unix",
	})
	a.server.Serve(a.ln)
	s.log.Info("admin", "address", a.url())
}

// url is where the status page is.
func (a *adminSide) url() string {
	if addr := a.ln.Addr(); addr.Network() == "unix" {
		return "unix:" + addr.String()
	} else {
		return "http://" + addr.String() + "/status"
	}
}

// order returns what gives the server the order that a signal would give. One that has not been handled yet is enough.
func (a *adminSide) order(sig syscall.Signal) func() {
	return func() {
		select {
		case a.s.signals <- sig:
		default:
		}
	}
}

// end stops answering.
func (a *adminSide) end() {
	if a == nil {
		return
	}
	if a.server == nil {
		a.ln.Close()
		return
	}
	a.server.End()
	a.history.End()
}

// file is the listener, for the process that takes over. The caller closes it.
func (a *adminSide) file() (*os.File, error) {
	switch ln := a.ln.(type) {
	case *net.TCPListener:
		return ln.File()
	case *net.UnixListener:
		return ln.File()
	}
	return nil, fmt.Errorf("admin listener: %T has no file", a.ln)
}

// handOver leaves the listener to the process that takes over.
func (a *adminSide) handOver() {
	if a == nil {
		return
	}
	if ln, ok := a.ln.(*net.UnixListener); ok {
		ln.SetUnlinkOnClose(false)
	}
	a.ln.Close()
}

// serves notes that a generation serves from now on.
func (a *adminSide) serves(g *generation) {
	if a == nil {
		return
	}
	a.mu.Lock()
	a.live, a.current = append(a.live, g), g.number
	a.mu.Unlock()
	a.working.Store(true)
}

// stops notes that the server is to end: it is not ready any more.
func (a *adminSide) stops() {
	if a != nil {
		a.stopping.Store(true)
	}
}

// reloadsMax is how many loads of the script are remembered.
const reloadsMax = 20

// noteLoad remembers a load of the script that has begun at a time. result is how it ended.
func (a *adminSide) noteLoad(began time.Time, result string, err error) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r := admin.Reload{Time: began, Took: time.Since(began).Seconds(), Generation: a.current, Result: result}
	if err != nil {
		r.Error = errorText(err)
	}
	if len(a.reloads) == reloadsMax {
		a.reloads = a.reloads[1:]
	}
	a.reloads = append(a.reloads, r)
	if result != "started" {
		a.results[result]++
	}
}

// keepErrors returns a log whose warnings and errors the status page shows too.
func (a *adminSide) keepErrors(log *slog.Logger) *slog.Logger {
	if a == nil {
		return log
	}
	return slog.New(a.errors.Handler(log.Handler()))
}

// options adds to the options of the engine what the figures need.
func (a *adminSide) options(o *engine.Options) {
	if a == nil {
		return
	}
	o.MeasureTurns = true
	log := o.AccessLog
	if log == nil {
		o.AccessLog, o.AccessBrief = metrics.Record, true
		return
	}
	o.AccessLog = func(e *engine.Access) {
		metrics.Record(e)
		log(e)
	}
}

// rawOptions has requests on raw connections counted, too.
func (a *adminSide) rawOptions(cfg *pool.Config) {
	if a == nil {
		return
	}
	log := cfg.RawAccess
	cfg.RawAccess = func(pool int, e *engine.Access, lost int) {
		a.recorder.Account(poolLabel(pool)).RecordRaw(e, lost)
		if log != nil {
			log(pool, e, lost)
		}
	}
}

// account is what counts the requests of a pool; nil: nothing does.
func (a *adminSide) account(pool int) any {
	if a == nil {
		return nil
	}
	return a.recorder.Account(poolLabel(pool))
}
