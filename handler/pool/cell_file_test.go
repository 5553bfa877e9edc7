package pool

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

func testBody(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 / 3)
	}
	return b
}

// A body in a file gets to the worker whole, whatever the size of the windows, and the file is closed once.
func TestFileBody(t *testing.T) {
	r := start(t, setup{in: 256, out: 256})
	for _, size := range []int{1, 1000, 300_000} {
		for _, q := range []*request{
			{method: "POST", target: "file-echo"},
			{method: "POST", target: "file-echo", chunked: true},
			{method: "POST", target: "file-echo", fields: [][2]string{{"X", string(make([]byte, 1000))}}}, // the head has two windows
		} {
			body := testBody(size)
			q.file = newTestFile(t, body)
			got := r.send(q).wait()
			if !bytes.Equal([]byte(got.out), body) {
				t.Errorf("%d bytes came back of %d", len(got.out), size)
			}
			got.out = ""
			wantOut(t, got, "")
			q.file.isClosed(t)
		}
	}
	q := &request{method: "POST", target: "file-unread", file: newTestFile(t, testBody(1000))}
	wantOut(t, r.send(q).wait(), "unread")
	q.file.isClosed(t)
	if n := q.file.opened.Load(); n != 0 {
		t.Errorf("the file was opened %d times for a worker that did not ask", n)
	}
	r.quiet()
}

// When its worker dies, the next one gets the same file, from its start; if there is no next one, it is closed.
func TestFileBodyDeath(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	body := testBody(10_000)
	q := &request{method: "PUT", target: "file-die-once?" + filepath.Join(t.TempDir(), "a"), file: newTestFile(t, body)}
	wantOut(t, r.send(q).wait(), string(body))
	q.file.isClosed(t)
	for _, q := range []*request{
		{method: "POST", target: "file-die-once?" + filepath.Join(t.TempDir(), "b")},
		{method: "PUT", target: "die"},
	} {
		q.file = newTestFile(t, body)
		wantStatus(t, r.send(q).wait(), 502)
		q.file.isClosed(t)
	}
	r.quiet()
}

// The file of an exchange that ends otherwise is closed too.
func TestFileBodyEnds(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		r := start(t, setup{options: [][3]any{{0, "max_fork", 1}, {0, "queue_limit", 1}}})
		r.ready(1)
		release := r.occupy()
		waits := r.send(&request{method: "POST", target: "file-echo", file: newTestFile(t, testBody(5000))})
		q := &request{method: "POST", target: "file-echo", file: newTestFile(t, testBody(5000))}
		if got := r.send(q).wait(); !errors.Is(got.err, backend.ErrQueueFull) {
			t.Errorf("got %+v", got)
		}
		if q.file.closed.Load() != 0 {
			t.Error("the file of a refused exchange was closed: it belongs to the connection")
		}
		q.file.Close()
		long := &request{method: "POST", target: "file-echo", fields: [][2]string{{"A", string(make([]byte, headBlockMax))}},
			file: newTestFile(t, nil)}
		waits.cancel()
		waits.file.isClosed(t)
		if got := r.send(long).wait(); !errors.Is(got.err, backend.ErrHeadTooLarge) || long.file.closed.Load() != 0 {
			t.Errorf("got %+v", got)
		}
		long.file.Close()
		release()
		r.quiet()
	})
	t.Run("queue_timeout", func(t *testing.T) {
		r := start(t, setup{options: [][3]any{{0, "max_fork", 1}, {0, "queue_timeout", 0.05}}})
		r.ready(1)
		release := r.occupy()
		q := &request{method: "POST", target: "file-echo", file: newTestFile(t, testBody(5000))}
		wantStatus(t, r.send(q).wait(), 503)
		q.file.isClosed(t)
		release()
		r.quiet()
	})
	t.Run("request_timeout", func(t *testing.T) {
		r := start(t, setup{options: [][3]any{{0, "request_timeout", 0.1}, {0, "fork_error_delay", 0.01}}})
		q := &request{method: "POST", target: "file-hold", file: newTestFile(t, testBody(5000))}
		if got := r.send(q).wait(); got.status != 504 {
			t.Errorf("got %+v", got)
		}
		q.file.isClosed(t)
		r.quiet()
	})
	t.Run("cancel, and the worker asks later", func(t *testing.T) {
		r := start(t, setup{})
		r.ready(1)
		q := r.send(&request{method: "POST", target: "file-late", file: newTestFile(t, testBody(5000))})
		eventually(t, "claimed", func() (is bool) {
			r.loops[0].do(func() { is = q.r.(*cell).state == cellClaimed || q.r.(*cell).out.Owner.Load()&0xffffffff != 0xffffffff })
			return is
		})
		q.cancel()
		q.file.isClosed(t)
		if n := q.file.opened.Load(); n != 1 {
			t.Errorf("the file was opened %d times", n)
		}
		r.quiet()
		if s := r.p.Stats(); s.Deaths != 0 {
			t.Errorf("%d workers died", s.Deaths)
		}
	})
	t.Run("stop", func(t *testing.T) {
		r := start(t, setup{})
		q := r.send(&request{method: "POST", target: "file-hold", file: newTestFile(t, testBody(5000)), take: 1})
		eventually(t, "the worker has it", func() (is bool) {
			r.loops[0].do(func() { is = len(q.got.out) > 0 })
			return is
		})
		r.stop(10 * time.Millisecond)
		q.file.isClosed(t)
	})
}

// A file that cannot be opened now is passed later.
func TestFileBodyNotOpened(t *testing.T) {
	r := start(t, setup{})
	body := testBody(5000)
	q := &request{method: "POST", target: "file-echo", file: newTestFile(t, body)}
	q.file.deny.Store(2)
	wantOut(t, r.send(q).wait(), string(body))
	r.log.await(t, "file of a request body not opened: trying again")
	q.file.isClosed(t)
	r.quiet()
}

// A worker may ask once in an exchange, and only if there is something.
func TestFileBodyViolations(t *testing.T) {
	setCorruptGrace(t)
	r := start(t, setup{options: [][3]any{{0, "fork_error_delay", 0.01}}})
	q := &request{method: "POST", target: "file-twice", file: newTestFile(t, testBody(5000))}
	wantStatus(t, r.send(q).wait(), 502)
	r.log.await(t, "asks for a descriptor that it must not have")
	q.file.isClosed(t)
	wantOut(t, r.get("hello?x"), "hello x")
	r.quiet()
}

// shut is a file that cannot be opened.
type shut struct{ backend.File }

func (shut) Open() (int, error) { return -1, unix.EMFILE }
func (shut) Size() int64        { return 1 }
func (shut) Close() error       { return nil }

// While descriptors are short, the log has one line for each exchange, however often its file is tried.
func TestFileNotOpenedIsToldOnce(t *testing.T) {
	s := newStill(t, 1)
	var log logBuffer
	s.l.p.log = slog.New(slog.NewTextHandler(&log, nil))
	for range 2 {
		if _, err := s.l.StartFile(&plain{}, testHead(), 0, shut{}, nil); err != nil {
			t.Fatal(err)
		}
		c := s.claim(0)
		out, _ := s.l.p.mem.OutCell(c.Loop, c.Cell)
		out.Flags.Store(shm.OutDescriptorWanted)
		for range 10 {
			s.turn(slowTickEvery)
		}
		s.answer(0, c, 1)
		s.turn(slowTickEvery)
	}
	if n := strings.Count(log.String(), "trying again"); n != 2 {
		t.Errorf("%d lines for two exchanges", n)
	}
}
