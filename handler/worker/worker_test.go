package worker

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

func TestVersion(t *testing.T) {
	if !strings.HasPrefix(Version(), luaName) {
		t.Errorf("Version() = %q", Version())
	}
}

func TestHello(t *testing.T) {
	w := mustLoad(t, "hello.lua").fork(0, small)
	for range 20 { // cells are used again
		w.check(w.get("/"), "HTTP/1.1 200 OK\nContent-Type: text/plain\nDate: X\nContent-Length: 5\n\nHello", 0)
	}
	if n := w.mem.OutWorker(0).Finished.Load(); n != 20 {
		t.Errorf("finished = %d; want 20", n)
	}
	if status := w.quit(); !status.Exited() || status.ExitStatus() != 0 {
		t.Errorf("worker ended with %#x\n%s", status, w.stderr)
	}
	if s := w.stderr.all(t); s != "" {
		t.Errorf("standard error: %s", s)
	}
}

// A worker serves its home queue first, and the others when there is nothing.
func TestHomeQueue(t *testing.T) {
	g := small
	g.Loops = 3
	w := mustLoad(t, "hello.lua").fork(0, g)
	for home := range uint32(3) {
		w.mem.InWorker(0).Home.Store(home)
		for loop := range 3 {
			if r := w.do(request{head: "GET /", loop: loop}); r.body() != "Hello" {
				t.Errorf("home %d, loop %d: %q", home, loop, r.text)
			}
		}
	}
}

// An exchange that another worker has claimed, or that was withdrawn, is skipped, even where the queue's tail was left behind.
func TestClaimSkips(t *testing.T) {
	w := mustLoad(t, "hello.lua").fork(0, small)
	q := w.queues[0]
	for _, who := range []uint32{shm.WhoFree, 4} {
		out, _ := w.mem.OutCell(0, 3)
		pos := q.Next()
		q.Push(3)
		out.Owner.Store(shm.Owner(pos, who)) // the worker sleeps: it has not been rung
		if r := w.get("/"); r.body() != "Hello" {
			t.Errorf("%q", r.text)
		}
		if got := out.Owner.Load(); got != shm.Owner(pos, who) {
			t.Errorf("owner = %#x", got)
		}
	}
}

// Workers that take from the same queues: every exchange is served, and served once.
func TestWorkersShareQueues(t *testing.T) {
	const total = 5000
	g := shm.Geometry{Loops: 2, Workers: 3, Cells: 16, InWindow: 4096, OutWindow: 4096}
	a := mustLoad(t, "hello.lua").fork(0, g)
	workers := []*worker{a, a.sibling(0, 1), a.sibling(0, 2)}
	for i, w := range workers {
		a.mem.InWorker(w.slot).Home.Store(uint32(i % 2))
	}
	block := a.headBlock(&request{head: "GET /"})
	var busy [2][16]bool
	for begun, served := 0, 0; served < total; {
		for l := range g.Loops {
			for i := range g.Cells {
				in, inWin := a.mem.InCell(l, i)
				out, outWin := a.mem.OutCell(l, i)
				if busy[l][i] {
					result := shm.ResultOf(out.Result.Load(), in.Gen.Load())
					if result == 0 {
						continue
					}
					n := out.OutHead.Load()
					p, q := shm.Ring(outWin, uint64(out.OutStart.Load()), n)
					if text := string(p) + string(q); !strings.HasSuffix(text, "\r\n\r\nHello") || result != shm.ResultDone {
						t.Fatalf("result %#x, %q", result, text)
					}
					busy[l][i] = false
					served++
				}
				if begun == total || a.queues[l].Full() {
					continue
				}
				copy(inWin, block)
				in.InHead.Store(uint64(len(block)))
				in.Gen.Store(a.queues[l].Next())
				out.OutHead.Store(0)
				out.Result.Store(0)
				a.queues[l].Push(i)
				busy[l][i] = true
				begun++
				workers[begun%3].ring()
			}
		}
		if served == begun || begun == total {
			for _, w := range workers {
				w.ring()
			}
		}
		unix.Nanosleep(&unix.Timespec{Nsec: 1000}, nil)
	}
	sum := uint64(0)
	for _, w := range workers {
		if status := w.quit(); status != 0 {
			t.Errorf("worker %d ended with %#x\n%s", w.slot, status, w.stderr)
		}
		sum += a.mem.OutWorker(w.slot).Finished.Load()
	}
	if sum != total {
		t.Errorf("finished: %d; want %d", sum, total)
	}
}

// Writing to a process that has ended is an error that the handler sees.
func TestBrokenPipe(t *testing.T) {
	w := mustLoad(t, "broken_pipe.lua").fork(0, small)
	if r := w.get("/"); r.body() != "nil Broken pipe" {
		t.Errorf("%q\n%s", r.text, w.stderr)
	}
}

func TestHooks(t *testing.T) {
	w := mustLoad(t, "hooks.lua").fork(0, small)
	if r := w.get("/"); r.body() != "1" {
		t.Errorf("prepare: %q", r.text)
	}
	if status := w.quit(); status != 0 {
		t.Errorf("worker ended with %#x", status)
	}
	s := w.stderr.all(t)
	for _, want := range []string{"finish\n", "finish: testdata/hooks.lua:21: finish failed\nstack traceback:", "finalizer\n"} {
		if strings.Count(s, want) != 1 {
			t.Errorf("standard error has not once %q:\n%s", want, s)
		}
	}
}

// A worker that ends because of its handler runs finish, too.
func TestRetire(t *testing.T) {
	w := mustLoad(t, "errors.lua").fork(0, small)
	w.check(w.get("/retire"), "HTTP/1.1 200 OK\nDate: X\nContent-Length: 0\n\n", shm.ResultRetire)
	if status := w.wait(); status != 0 {
		t.Errorf("worker ended with %#x", status)
	}
}

func TestPrepareError(t *testing.T) {
	w := mustLoad(t, "prepare_error.lua").fork(0, small)
	want := "testdata/prepare_error.lua:3: no database\nstack traceback:\n"
	if !strings.HasPrefix(w.failed, want) {
		t.Errorf("WORKER_FAILED %q; want %q", w.failed, want)
	}
	if status := w.wait(); status.ExitStatus() != 1 {
		t.Errorf("worker ended with %#x", status)
	}
}

// A worker that cannot make sense of its memory says so, and ends.
func TestBadSegment(t *testing.T) {
	w := mustLoad(t, "hello.lua").fork(0, small)
	for _, s := range []*worker{
		{slot: 1, swapped: true}, // the magic number is missing
		{slot: small.Workers},    // there is no such slot
		{slot: 1, bells: append(w.bells, w.bell)},
	} {
		s.t, s.f, s.mem = t, w.f, w.mem
		if s.bells == nil {
			s.bells = w.bells
		}
		s.attach(0)
		if s.failed == "" {
			t.Errorf("slot %d: no failure", s.slot)
		}
		if status := s.wait(); status.ExitStatus() != 1 {
			t.Errorf("worker ended with %#x", status)
		}
	}
}

func TestExitInHandler(t *testing.T) {
	w := mustLoad(t, "errors.lua").fork(0, small)
	w.start(request{head: "GET /exit"})
	if status := w.wait(); status.ExitStatus() != 7 {
		t.Errorf("worker ended with %#x", status)
	}
}

// A crash is seen as the signal that it is, and nothing is written about Go.
func TestCrash(t *testing.T) {
	f := mustLoad(t, "errors.lua")
	for _, sig := range []unix.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGABRT, unix.SIGILL} {
		w := f.fork(0, small)
		w.start(request{head: fmt.Sprintf("GET /crash?%d", sig)})
		if status := w.wait(); status.Signal() != sig {
			t.Errorf("%v: worker ended with %#x", sig, status)
		}
		if s := w.stderr.all(t); s != "" {
			t.Errorf("%v: standard error: %s", sig, s)
		}
	}
}

// Whatever Lua does, the worker ends when the server is gone.
func TestControlEOF(t *testing.T) {
	for _, busy := range []bool{false, true} {
		w := mustLoad(t, "errors.lua").fork(0, small)
		w.get("/ok")
		if busy {
			e := w.start(request{head: "GET /loop"})
			for uint32(e.out.Owner.Load()) == shm.WhoQueued {
				unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
			}
		}
		w.control.CloseWrite()
		if status := w.wait(); status != 0 {
			t.Errorf("busy %v: worker ended with %#x", busy, status)
		}
	}
}

func TestKill(t *testing.T) {
	f := mustLoad(t, "errors.lua")
	w := f.fork(0, small)
	w.start(request{head: "GET /loop"})
	send(t, f.control, shm.MsgKill, shm.Bytes(&shm.MsgKillBody{Pid: 1, Sig: int32(unix.SIGKILL)})) // no child
	send(t, f.control, shm.MsgKill, shm.Bytes(&shm.MsgKillBody{Pid: int32(w.pid), Sig: int32(unix.SIGKILL)}))
	if status := w.wait(); status.Signal() != unix.SIGKILL {
		t.Errorf("worker ended with %#x", status)
	}
}

func TestForkRefused(t *testing.T) {
	f := mustLoad(t, "hello.lua")
	for _, body := range [][]byte{shm.Bytes(&shm.MsgForkBody{Pool: 1}), shm.Bytes(&shm.MsgForkBody{}), {1}} {
		send(t, f.control, shm.MsgFork, body)
		m := message[shm.MsgForkedBody](t, f.control, shm.MsgForked)
		if m.Err != int32(unix.EINVAL) || m.Pid != 0 {
			t.Errorf("FORKED: %+v", m)
		}
	}
}

// Globals are shared by copy: each worker has the state that the script left.
func TestWorkersAreCopies(t *testing.T) {
	f := mustLoad(t, "interval.lua")
	a, b := f.fork(0, small), f.fork(0, small)
	a.do(request{interval: "clean", listener: 1})
	if r := a.get("/"); r.body() != "clean" {
		t.Errorf("a: %q", r.body())
	}
	if r := b.get("/"); r.body() != "" {
		t.Errorf("b: %q", r.body())
	}
	if got := a.quit(); got != 0 {
		t.Errorf("a ended with %#x", got)
	}
	if got := b.quit(); got != 0 {
		t.Errorf("b ended with %#x", got)
	}
}

func TestInterval(t *testing.T) {
	w := mustLoad(t, "interval.lua").fork(0, small)
	for _, name := range []string{"clean", "", "again"} {
		w.check(w.do(request{interval: name, listener: 1}), "", 0)
	}
	if r := w.get("/"); r.body() != "clean  again" {
		t.Errorf("ticks: %q", r.body())
	}
	w.check(w.do(request{interval: "bad", listener: 1}), "", 0)
	w.stderr.wait(t, "interval bad: testdata/interval.lua:8: tick failed\nstack traceback:")
	if r := w.get("/"); r.body() != "clean  again" {
		t.Errorf("after an error: %q", r.body())
	}
}

func TestListenFromHandler(t *testing.T) {
	w := mustLoad(t, "late_listen.lua").fork(0, small)
	w.do(request{interval: "x"})
	w.stderr.wait(t, "late_listen.lua:2: listen() must be called by the script itself, not from a handler\n")
}

// Handlers that fail.
func TestErrors(t *testing.T) {
	w := mustLoad(t, "errors.lua").fork(0, small)
	status := func(n uint32) uint32 { return n << shm.ResultStatusShift }
	for _, c := range []struct {
		path, want string
		result     uint32
		log        string
	}{
		{"error", "", status(500), "GET /error: testdata/errors.lua:6: first line\nsecond line\nstack traceback:\n"},
		{"table", "", status(500), "GET /table: error object of type table\n"},
		{"object", "", status(500), "GET /object: an object\n"},
		{"none", "", status(500), "GET /none: testdata/errors.lua:28: the handler has sent no status: it returned without calling send_status\n"},
		{"after_data", "", status(500), "GET /after_data: testdata/errors.lua:10: late\n"},
		{"after_flush", "HTTP/1.1 200 OK\nDate: X\nTransfer-Encoding: chunked\n\n1\r\nx\r\n", shm.ResultReset,
			"GET /after_flush: testdata/errors.lua:11: too late\n"},
		{"after_interim", "HTTP/1.1 103 Early Hints\n\nHTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\n" +
			"Date: X\r\nContent-Length: 22\r\nConnection: close\r\n\r\nInternal Server Error\n", shm.ResultClose,
			"GET /after_interim: testdata/errors.lua:12: interim\n"},
		{"length", "", status(500), "GET /length: testdata/errors.lua:28: finish: less data (2 bytes) than the Content-Length that was sent (10)\n"},
		{"length_flushed", "HTTP/1.1 200 OK\nContent-Length: 10\nDate: X\n\n12", shm.ResultReset,
			"GET /length_flushed: testdata/errors.lua:28: finish: less data (2 bytes) than the Content-Length that was sent (10)\n"},
		{"ok", "HTTP/1.1 200 OK\nDate: X\nContent-Length: 0\n\n", 0, ""},
	} {
		got := w.get("/" + c.path)
		w.check(got, c.want, c.result)
		w.stderr.wait(t, c.log)
		if got.failed != (c.log != "") {
			t.Errorf("%s: the result says failed: %v", c.path, got.failed)
		}
	}
	w.do(request{head: "GET /%22\\%ff" + strings.Repeat("x", 500)})
	w.stderr.wait(t, `GET /%22\x5c%ffxxx`)
	w.stderr.wait(t, "xxx...: ")
}

func TestAfterFinish(t *testing.T) {
	w := mustLoad(t, "after_finish.lua").fork(0, small)
	for _, method := range []string{"send_status", "send_header", "send_data", "flush", "finish_headers"} {
		w.check(w.get("/"+method), "HTTP/1.1 200 OK\nDate: X\nContent-Length: 4\n\ndone", 0)
		w.stderr.wait(t, "after_finish.lua:10: "+method+": the response is already finished\n")
	}
	w.check(w.get("/finish"), "HTTP/1.1 200 OK\nDate: X\nContent-Length: 4\n\ndone", 0)
}
