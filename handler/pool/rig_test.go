package pool

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/handler/pool/listen"
	"moonbridge/handler/pool/listen/listentest"
)

// rig is a host with its loops.
type rig struct {
	t     *testing.T
	h     *Host
	p     *Pool // the first
	loops []*fakeLoop
	lbs   []backend.LoopBackend // of the first pool
	log   *logBuffer

	sockets atomic.Int64 // raw connections that have not ended: see startSocket
}

// setup is what a test wants. Zero: one loop, small memory, an HTTP listener.
type setup struct {
	loops     int
	script    string
	options   [][3]any // entries of the listen{} call
	more      [][3]any // of a second call
	in, out   int
	listen    func(int, *listen.Spec) error
	noPairing bool
	mainEnded func(pool int, name string, failed bool)
	intervals *Intervals
	crashed   func(*Crash)
	crashLost func()
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// await waits until the log contains a text.
func (l *logBuffer) await(t *testing.T, text string) {
	t.Helper()
	eventually(t, "log line "+text, func() bool { return strings.Contains(l.String(), text) })
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(testPatience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", testPatience, what)
		}
	}
}

func (s setup) config(log *logBuffer) Config {
	c := Config{
		Script: s.script, Loops: max(1, s.loops), Listen: s.listen, NoPairing: s.noPairing, MainEnded: s.mainEnded,
		InWindow: s.in, OutWindow: s.out, Intervals: s.intervals, Crashed: s.crashed, CrashLost: s.crashLost,
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if c.Script == "" {
		c.Script = "ok"
	}
	if c.InWindow == 0 {
		c.InWindow, c.OutWindow = 4096, 4096
	}
	options := append([][3]any{}, s.options...)
	if !slices.ContainsFunc(options, func(o [3]any) bool { return o[1] == "queue_timeout" }) {
		options = append(options, [3]any{0, "queue_timeout", false}) // a busy machine may take long
	}
	c.Args = []string{hex.EncodeToString(listentest.Message(append(options, listentest.Listener...)...))}
	if s.more != nil {
		c.Args = append(c.Args, hex.EncodeToString(listentest.Message(append(append([][3]any{}, s.more...), listentest.Listener...)...)))
	}
	return c
}

func start(t *testing.T, s setup) *rig {
	t.Helper()
	r := &rig{t: t, log: &logBuffer{}}
	for i := range max(1, s.loops) {
		r.loops = append(r.loops, startLoop(t, i, max(1, s.loops)))
	}
	openPoller()
	fds := listFiles()
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	h, err := Start(ctx, s.config(r.log))
	if err != nil {
		t.Fatal(err)
	}
	r.h, r.p = h, h.Pools()[0]
	t.Cleanup(func() {
		r.stop(10 * time.Second)
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
		for _, l := range r.loops {
			l.do(func() {}) // has let go of the pool
		}
		if len(r.loops) == 0 {
			return // no loop lets go of the memory
		}
		for end := time.Now().Add(testPatience); openFiles() > len(fds); time.Sleep(2 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("descriptors left: %q before, %q now", fds, listFiles())
			}
			runtime.GC()
		}
	})
	for _, l := range r.loops {
		for j, p := range h.Pools() {
			l.do(func() {
				lb, err := p.Attach(l)
				if err != nil {
					t.Error(err)
				}
				if j == 0 {
					r.lbs = append(r.lbs, lb)
				}
			})
		}
	}
	return r
}

// openPoller has Go's runtime open the descriptors that it keeps for all others.
func openPoller() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

func openFiles() int {
	return len(listFiles())
}

// listFiles says what the open descriptors are. A host has the state of each worker open: that of one that lives is
// not counted, since it may be a worker of another host of the test.
func listFiles() (names []string) {
	es, _ := os.ReadDir("/proc/self/fd")
	for _, e := range es {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(to, "/proc/"), "/stat"))
		if err != nil || gone(pid) {
			names = append(names, e.Name()+" "+to)
		}
	}
	return names
}

// stop ends the host, and checks that nothing is left.
func (r *rig) stop(grace time.Duration) error {
	r.t.Helper()
	pids := append(r.h.pids(), r.h.server().cmd.Process.Pid)
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := r.h.Stop(ctx)
	for _, pid := range pids { // a killed process may take a moment
		eventually(r.t, "the process is gone", func() bool { return gone(pid) })
	}
	return err
}

func gone(pid int) bool { return unix.Kill(pid, 0) != nil || zombie(pid) }

func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

// quiet waits until no exchange is left, and checks that all cells are free.
func (r *rig) quiet() {
	r.t.Helper()
	eventually(r.t, "no exchange in flight", func() bool { return r.p.inFlight.Load() == 0 })
	for i, l := range r.loops {
		l.do(func() {
			b := r.lbs[i].(*loop)
			s := &b.cells
			if len(s.inUse) != 0 || len(s.free) != len(s.all) || s.open != 0 || b.living.Load() != 0 {
				r.t.Errorf("loop %d: %d in use, %d free of %d, %d open, %d living",
					i, len(s.inUse), len(s.free), len(s.all), s.open, b.living.Load())
			}
		})
	}
	if n := r.sockets.Load(); n != 0 {
		r.t.Errorf("%d raw connections have not ended", n)
	}
}

// pids are the processes of all workers.
func (h *Host) pids() (pids []int) {
	for _, p := range h.Pools() {
		for _, w := range p.processes() {
			if pid := int(w.pid.Load()); pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func (r *rig) send(q *request) *request { return r.sendOn(0, q) }

func (r *rig) sendOn(loop int, q *request) *request {
	return q.start(r.t, r.loops[loop], r.lbs[loop])
}

func (r *rig) get(target string) result {
	r.t.Helper()
	return r.send(&request{target: target}).wait()
}

// ready waits until n workers are ready, and the server knows their processes: it may hear of that after they say that they are
// ready.
func (r *rig) ready(n int) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%d workers ready", n), func() bool {
		s := r.p.Stats()
		return s.Idle+s.Busy >= n && s.Booting == 0 && !r.p.has(func(w *Worker) bool { return w.pid.Load() == 0 })
	})
}

// occupy keeps a worker busy with an exchange until the function that it returns is called. The exchange is sent again if
// it was given up before a worker had it.
func (r *rig) occupy() (release func()) {
	r.t.Helper()
	name := filepath.Join(r.t.TempDir(), "released")
	var q *request
	eventually(r.t, "a worker is occupied", func() (is bool) {
		if q == nil {
			q = r.send(&request{target: "hold?" + name})
		}
		r.loops[0].do(func() {
			if q.over {
				q = nil
			} else {
				is = q.r.(*cell).state == cellClaimed
			}
		})
		return is
	})
	return func() {
		r.t.Helper()
		if !marker(name) {
			r.t.Error("released twice")
		}
		wantOut(r.t, q.wait(), "held")
	}
}

// claimed waits until a worker was seen to have an exchange.
func (r *rig) claimed(q *request) {
	r.t.Helper()
	eventually(r.t, "the exchange is claimed", func() (is bool) {
		q.l.do(func() { is = q.over || q.r != nil && q.r.(*cell).state == cellClaimed })
		return is
	})
}

func wantOut(t *testing.T, got result, out string) {
	t.Helper()
	if got.out != out || got.err != nil || got.status != 0 || got.calls != 1 || got.end != backend.EndKeep {
		t.Errorf("got %.200q %+v, want %.200q", got.out, got, out)
	}
}

func wantStatus(t *testing.T, got result, status int) {
	t.Helper()
	if got.status != status || got.err != nil || got.calls != 1 {
		t.Errorf("got %+v, want status %d", got, status)
	}
}

// testPatience is for how long tests wait for what must come.
const testPatience = 60 * time.Second
