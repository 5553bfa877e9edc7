package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// pieces is the body of output.lua for n pieces of size bytes.
func pieces(n, size int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		b.WriteString(strings.Repeat(string(rune('a'-1+i%26)), size))
	}
	return b.String()
}

func TestStreamOut(t *testing.T) {
	for _, window := range []int{64 << 10, 4096, 64} {
		w := mustLoad(t, "output.lua").fork(0, windows(64<<10, window))
		for _, c := range []struct{ n, size int }{
			{1, 1}, {1, 3000}, {1, 4096}, {1, 70000}, {1, 500000}, {3, 1000}, {10, 1000}, {25, 20000}, {2000, 7}, {20000, 11}, {5, 0},
		} {
			want := pieces(c.n, c.size)
			for _, query := range []string{"", "?length", "?flush", "?length&flush"} {
				if query != "" && c.n > 100 {
					continue
				}
				for _, version := range []string{"1.1", "1.0"} {
					r := w.do(request{head: fmt.Sprintf("GET /%d/%d%s HTTP/%s%s", c.n, c.size, query, version, map[bool]string{true: "\nHost: x"}[version == "1.1"])})
					if got := r.body(); got != want {
						t.Errorf("window %d, %d × %d%s, %s: %d bytes, want %d: %.300q", window, c.n, c.size, query, version,
							len(got), len(want), r.text)
					}
					chunked := strings.Contains(r.text, "\r\nTransfer-Encoding: chunked\r\n")
					length := strings.Contains(r.text, fmt.Sprintf("\r\nContent-Length: %d\r\n", len(want)))
					if chunked && version == "1.0" || chunked && length || version == "1.1" && !chunked && !length {
						t.Errorf("window %d, %d × %d%s, %s: framing: %.300q", window, c.n, c.size, query, version, r.text)
					}
					close := uint32(0)
					if version == "1.0" {
						close = shm.ResultClose
					}
					if r.result != shm.ResultDone|close {
						t.Errorf("window %d, %d × %d%s, %s: result %#x", window, c.n, c.size, query, version, r.result)
					}
				}
			}
		}
		if s := w.stderr.String(); s != "" {
			t.Errorf("standard error: %s", s)
		}
	}
}

// Small pieces are joined to chunks of minimum_output_chunk_size; a big one is a chunk of its own.
func TestChunks(t *testing.T) {
	w := mustLoad(t, "output.lua").fork(0, windows(64<<10, 64))
	r := w.get("/30/100")
	if n := strings.Count(r.text, "\r\n44c\r\n"); n != 2 { // 1100 bytes: the first multiple of 100 from 1024 on
		t.Errorf("%d chunks of 1100 bytes: %q", n, r.text)
	}
	if r := w.get("/1/20000"); !strings.Contains(r.text, "\r\n\r\n4e20\r\n") {
		t.Errorf("%.300q", r.text)
	}
}

// A reader that takes nothing stops the handler; one that goes away ends it.
func TestBackPressure(t *testing.T) {
	w := mustLoad(t, "output.lua").fork(0, windows(4096, 4096))
	for _, cancel := range []bool{false, true} {
		e := w.start(request{head: "GET /100/1000"})
		e.hold = true
		e.until("a full window", func() bool { return e.out.OutHead.Load() == 4096 })
		for w.mem.OutWorker(0).Asleep.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		if cancel {
			e.flags = shm.InCancel
			e.feed()
			if r := e.finish(); r.result != shm.ResultDone|shm.ResultReset {
				t.Errorf("result %#x", r.result)
			}
			continue
		}
		e.hold = false
		if r := e.finish(); r.body() != pieces(100, 1000) {
			t.Errorf("%.300q", r.text)
		}
	}
	if s := w.stderr.String(); s != "" {
		t.Errorf("standard error: %s", s)
	}
}

// Data that has reached the minimum goes out at the request of the server while the handler goes on.
func TestControlFlush(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := mustLoad(t, "output.lua", fifo).fork(0, small)
	for _, c := range []struct{ query, early, late string }{
		{"2/1000?wait=data", "Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + pieces(2, 1000) + "\r\n", "0\r\n\r\n"},
		{"2/1000?length&wait=data", "Content-Length: 2000\r\nDate: X\r\n\r\n" + pieces(2, 1000), ""},
		{"0/0?wait=headers", "Transfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"},
	} {
		e := w.start(request{head: "GET /" + c.query})
		e.untilPending()
		if n := e.out.OutHead.Load(); n != 0 {
			t.Errorf("%s: %d bytes went out before they were asked for", c.query, n)
		}
		if _, err := w.control.Write([]byte{shm.CtlFlush}); err != nil {
			t.Fatal(err)
		}
		e.until("output", func() bool { return len(e.got) > 0 })
		early := dateField.ReplaceAllString(string(e.got), "Date: X\r\n")
		if !strings.HasSuffix(early, c.early) {
			t.Errorf("%s: %q; want %q at the end", c.query, early, c.early)
		}
		if e.out.Flags.Load()&shm.OutPending != 0 {
			t.Errorf("%s: still pending", c.query)
		}
		if _, err := f.WriteString("go on\n"); err != nil {
			t.Fatal(err)
		}
		if r := e.finish(); r.text != early+c.late || r.result != shm.ResultDone {
			t.Errorf("%s: %#x %q; want %q", c.query, r.result, r.text, early+c.late)
		}
	}
	// Nothing to flush: nothing happens. Less than the minimum is no reason to flush either.
	e := w.start(request{head: "GET /1/100?wait=data"})
	if _, err := w.control.Write([]byte{shm.CtlFlush}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("go on\n"); err != nil {
		t.Fatal(err)
	}
	w.check(e.finish(), "HTTP/1.1 200 OK\nDate: X\nContent-Length: 100\n\n"+pieces(1, 100), 0)
}

// untilPending waits until output is held back that should be sent. The worker does not ring for that.
func (e *exchange) untilPending() {
	e.w.t.Helper()
	for end := time.Now().Add(patience); e.out.Flags.Load()&shm.OutPending == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			e.w.t.Fatalf("nothing is pending\nstderr:\n%s", e.w.stderr)
		}
	}
}

// The flushing thread against the sending one.
func TestFlushRace(t *testing.T) {
	w := mustLoad(t, "output.lua").fork(0, windows(64<<10, 16<<10))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				w.control.Write([]byte{shm.CtlFlush})
			}
		}
	}()
	for i := range 500 {
		n := 1 + i%40
		if r := w.get(fmt.Sprintf("/%d/700", n)); r.body() != pieces(n, 700) || r.result != shm.ResultDone {
			t.Errorf("%d pieces: %#x %.300q", n, r.result, r.text)
			break
		}
	}
	close(stop)
	<-stopped
}
