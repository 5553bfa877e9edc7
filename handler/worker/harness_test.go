package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// The tests play the server: this test binary, started again, is the fork server.

// patience bounds every wait of a test.
const patience = time.Minute

// entry is one entry of a LISTEN message.
type entry struct {
	scope      uint32
	typ        uint32
	key, value string
}

// fork is a fork server.
type fork struct {
	t       testing.TB
	cmd     *exec.Cmd
	control *net.UnixConn
	out     *output // its standard output and error
	listens [][]entry
	exited  bool

	stillborn bool // workers may end before they say anything
}

// output collects what a process writes to a pipe, and what else is put into it.
type output struct {
	mu      sync.Mutex
	b       bytes.Buffer
	more    chan struct{}
	sources sync.WaitGroup
}

func collect(r *os.File) *output {
	o := &output{more: make(chan struct{}, 1)}
	o.sources.Go(func() {
		defer r.Close()
		var b [4096]byte
		for {
			n, err := r.Read(b[:])
			o.put(b[:n])
			if err != nil {
				return
			}
		}
	})
	return o
}

func (o *output) put(b []byte) {
	o.mu.Lock()
	o.b.Write(b)
	o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// wait waits until the output contains s.
func (o *output) wait(t testing.TB, s string) {
	t.Helper()
	timeout := time.After(patience)
	for !strings.Contains(o.String(), s) {
		select {
		case <-o.more:
		case <-timeout:
			t.Fatalf("output has no %q:\n%s", s, o)
		}
	}
}

// all waits for the end of the output.
func (o *output) all(t testing.TB) string {
	t.Helper()
	end := make(chan struct{})
	go func() {
		o.sources.Wait()
		close(end)
	}()
	select {
	case <-end:
	case <-time.After(patience):
		t.Fatal("output does not end")
	}
	return o.String()
}

// load starts a fork server with a script of testdata, and answers its listen{} calls with OK, or what judge says. err is
// the text of a FAILED message, or says how the process ended.
func load(t testing.TB, script string, judge func(n int, e []entry) string, args ...string) (f *fork, err error) {
	t.Helper()
	ours, theirs := socketpair(t)
	r, w, e := os.Pipe()
	if e != nil {
		t.Fatal(e)
	}
	f = &fork{t: t, control: ours, out: collect(r)}
	f.cmd = exec.Command(os.Args[0])
	f.cmd.Args = append([]string{"title", filepath.Join("testdata", script)}, args...)
	// Under the race detector a process sleeps for a second before it ends, unless told otherwise.
	f.cmd.Env = append(os.Environ(), shm.Env+"=3 1.2 test", "GORACE=atexit_sleep_ms=0")
	f.cmd.ExtraFiles = []*os.File{theirs}
	f.cmd.Stdout, f.cmd.Stderr = w, w
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	theirs.Close()
	t.Cleanup(f.close)
	for {
		typ, body, err := recv(f.control)
		switch {
		case err != nil:
			state := f.wait()
			return f, fmt.Errorf("%s: %s", state, f.out.all(t))
		case typ == shm.MsgReady:
			return f, nil
		case typ == shm.MsgFailed:
			if state := f.wait(); state != "exit status 3" {
				t.Errorf("fork server ended with %s", state)
			}
			return f, errors.New(string(body))
		case typ != shm.MsgListen:
			t.Fatalf("message %d before READY", typ)
		}
		entries := decode(t, body)
		if text := ""; judge != nil {
			if text = judge(len(f.listens), entries); text != "" {
				send(t, f.control, shm.MsgListenErr, []byte(text))
				continue
			}
		}
		f.listens = append(f.listens, entries)
		send(t, f.control, shm.MsgListenOK, nil)
	}
}

// mustLoad is load for scripts without faults.
func mustLoad(t testing.TB, script string, args ...string) *fork {
	t.Helper()
	f, err := load(t, script, nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fork) wait() string {
	f.exited = true
	f.cmd.Wait()
	return f.cmd.ProcessState.String()
}

func (f *fork) close() {
	f.control.Close()
	if f.exited {
		return
	}
	if state := f.wait(); state != "exit status 0" {
		f.t.Errorf("fork server ended with %s\n%s", state, f.out)
	}
}

func decode(t testing.TB, b []byte) (entries []entry) {
	for len(b) > 0 {
		word := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
		e := entry{scope: word(0), typ: word(3)}
		k, v := word(1), word(2)
		if len(b) < 16+int(k)+int(v) {
			t.Fatal("malformed LISTEN message")
		}
		e.key, e.value = string(b[16:16+k]), string(b[16+k:16+k+v])
		b = b[16+k+v:]
		entries = append(entries, e)
	}
	return entries
}

// socketpair makes a control socket: our end and the other one, which blocks.
func socketpair(t testing.TB) (*net.UnixConn, *os.File) {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours := os.NewFile(uintptr(p[0]), "control")
	defer ours.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.UnixConn), os.NewFile(uintptr(p[1]), "control")
}

func send(t testing.TB, c *net.UnixConn, typ uint32, body []byte, fds ...int) {
	t.Helper()
	m := append(shm.Bytes(&shm.Msg{Type: typ, Len: uint32(len(body))}), body...)
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if _, _, err := c.WriteMsgUnix(m, rights, nil); err != nil {
		t.Fatal(err)
	}
}

func recv(c *net.UnixConn) (typ uint32, body []byte, err error) {
	c.SetReadDeadline(time.Now().Add(patience))
	var m shm.Msg
	if _, err := io.ReadFull(c, shm.Bytes(&m)); err != nil {
		return 0, nil, err
	}
	if m.Len > shm.MsgMax {
		return 0, nil, errors.New("message too long")
	}
	body = make([]byte, m.Len)
	_, err = io.ReadFull(c, body)
	return m.Type, body, err
}

// worker is a worker process and its memory, with one loop unless geometry says otherwise.
type worker struct {
	t        testing.TB
	f        *fork
	slot     int
	swapped  bool // give it the segments in the wrong order
	pid      int
	control  *net.UnixConn
	accesses chan []byte // records of requests; nothing else is read while one waits
	stderr   *output     // its standard error, and what it reports
	mem      *shm.Memory
	bell     *shm.Doorbell
	bells    []*shm.Doorbell
	queues   []*shm.Queue
	cell     int // the next one to use
	failed   string

	mu      sync.Mutex
	reports []report
}

// small is the geometry of most tests.
var small = shm.Geometry{Loops: 1, Workers: 4, Cells: 4, InWindow: 64 << 10, OutWindow: 64 << 10}

func windows(in, out int) shm.Geometry {
	g := small
	g.InWindow, g.OutWindow = in, out
	return g
}

// fork makes the fork server fork a worker in slot 0, with separate shared memory.
func (f *fork) fork(pool uint32, g shm.Geometry) *worker {
	t := f.t
	t.Helper()
	mem, err := shm.Create(g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mem.Close() })
	w := &worker{t: t, f: f, mem: mem}
	for l := range g.Loops {
		b, err := shm.NewDoorbell()
		if err != nil {
			t.Fatal(err)
		}
		w.bells = append(w.bells, b)
		w.queues = append(w.queues, mem.Queue(l))
	}
	t.Cleanup(func() {
		for _, b := range w.bells {
			b.Close()
		}
	})
	w.attach(pool)
	return w
}

// sibling has another worker forked, in another slot of the same memory.
func (w *worker) sibling(pool uint32, slot int) *worker {
	w.t.Helper()
	s := &worker{t: w.t, f: w.f, slot: slot, mem: w.mem, bells: w.bells, queues: w.queues}
	s.attach(pool)
	return s
}

// attach has the worker's process forked.
func (w *worker) attach(pool uint32) {
	t, f := w.t, w.f
	t.Helper()
	var err error
	if w.bell, err = shm.NewDoorbell(); err != nil {
		t.Fatal(err)
	}
	r, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := socketpair(t)
	in, out := w.mem.Files()
	if w.swapped {
		in, out = out, in
	}
	fds := []int{int(in.Fd()), int(out.Fd()), int(theirs.Fd()), int(stderr.Fd()), w.bell.Reader()}
	for _, b := range w.bells {
		fds = append(fds, b.Writer())
	}
	send(t, f.control, shm.MsgFork, shm.Bytes(&shm.MsgForkBody{Pool: pool, Slot: uint32(w.slot)}), fds...)
	stderr.Close()
	theirs.Close()
	w.control, w.stderr, w.accesses = ours, collect(r), make(chan []byte)
	t.Cleanup(w.close)
	forked := message[shm.MsgForkedBody](t, f.control, shm.MsgForked)
	if forked.Err != 0 || forked.Pid <= 0 || forked.Pool != pool || int(forked.Slot) != w.slot {
		t.Fatalf("FORKED: %+v", forked)
	}
	w.pid = int(forked.Pid)
	typ, text, err := recv(w.control)
	for ; err == nil && typ == shm.MsgReport && !isFailure(text); typ, text, err = recv(w.control) {
		w.note(text)
	}
	switch {
	case err != nil && f.stillborn:
	case err != nil:
		t.Fatalf("worker: %v\n%s", err, w.stderr)
	case typ == shm.MsgWorkerFailed:
		w.failed = string(text)
	case typ == shm.MsgReport:
		r := w.report(text)
		w.failed = strings.TrimSuffix(r.message+"\n"+r.traceback, "\n")
	case typ != shm.MsgWorkerReady:
		t.Fatalf("worker: message %d", typ)
	}
	w.stderr.sources.Go(w.listen)
}

// listen takes the reports of the worker until its control socket is closed.
func (w *worker) listen() {
	for {
		typ, body, err := recv(w.control)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return
		case typ == shm.MsgReport:
			w.note(body)
		case typ == shm.MsgAccess:
			select {
			case w.accesses <- body:
			case <-w.t.Context().Done():
				return
			}
		case typ != shm.MsgFiles:
			w.t.Errorf("worker: message %d", typ)
		}
	}
}

// report is what a worker reports.
type report struct {
	shm.MsgReportBody
	message, traceback, in, method, path, id, trace, interval string
}

func isFailure(body []byte) bool { return binary.NativeEndian.Uint32(body) == shm.LevelError }

func (w *worker) report(body []byte) (r report) {
	n := copy(shm.Bytes(&r.MsgReportBody), body)
	for _, part := range []struct {
		to  *string
		len uint32
	}{{&r.message, r.MessageLen}, {&r.traceback, r.TracebackLen}, {&r.in, r.InLen}, {&r.method, r.MethodLen},
		{&r.path, r.PathLen}, {&r.id, r.IDLen}, {&r.trace, r.TraceLen}, {&r.interval, r.IntervalLen}} {
		if uint64(len(body)) < uint64(n)+uint64(part.len) {
			w.t.Errorf("malformed report: %q", body)
			return r
		}
		*part.to = string(body[n : n+int(part.len)])
		n += int(part.len)
	}
	if n != len(body) || r.message == "" || r.in == "" {
		w.t.Errorf("malformed report: %q", body)
	}
	w.mu.Lock()
	w.reports = append(w.reports, r)
	w.mu.Unlock()
	return r
}

// note adds a report to the output, as text. What is the peer's fault is no error and does not count as one.
func (w *worker) note(body []byte) {
	r := w.report(body)
	who := r.in
	if r.interval != "" {
		who = r.in + " " + r.interval
	} else if r.method != "" {
		who = r.method + " " + r.path
	}
	if r.Level != shm.LevelInfo {
		w.stderr.put(fmt.Appendf(nil, "%s: %s\n", who, strings.TrimSuffix(r.message+"\n"+r.traceback, "\n")))
	}
}

// last returns the report that came last, after waiting for n of them.
func (w *worker) last(n int) (r report) {
	w.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		got := len(w.reports)
		if got > 0 {
			r = w.reports[got-1]
		}
		w.mu.Unlock()
		if got == n {
			return r
		}
		if time.Now().After(end) {
			w.t.Fatalf("%d reports, want %d\n%s", got, n, w.stderr)
		}
	}
}

// message receives a message of a fixed type and size.
func message[T any](t testing.TB, c *net.UnixConn, typ uint32) (m T) {
	t.Helper()
	got, body, err := recv(c)
	if err != nil || got != typ || len(body) != len(shm.Bytes(&m)) {
		t.Fatalf("message %d of %d bytes, %v; want type %d", got, len(body), err, typ)
	}
	copy(shm.Bytes(&m), body)
	return m
}

// wait waits for the end of the worker process and returns how it ended.
func (w *worker) wait() unix.WaitStatus {
	w.t.Helper()
	m := message[shm.MsgExitedBody](w.t, w.f.control, shm.MsgExited)
	if int(m.Pid) != w.pid {
		w.t.Fatalf("EXITED %d; want %d", m.Pid, w.pid)
	}
	w.pid = 0
	return unix.WaitStatus(m.Status)
}

// quit ends the worker normally.
func (w *worker) quit() unix.WaitStatus {
	w.mem.InWorker(w.slot).Quit.Store(1)
	w.ring()
	return w.wait()
}

func (w *worker) ring() {
	if w.mem.OutWorker(w.slot).Asleep.Swap(0) != 0 {
		w.bell.Ring()
	}
}

func (w *worker) close() {
	w.control.Close()
	if w.pid != 0 {
		w.wait() // the control socket's end of file has it exit
	}
	w.bell.Close()
}
