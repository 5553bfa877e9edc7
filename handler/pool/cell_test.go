package pool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// The head arrives unchanged whatever the size of the window, if need be in parts.
func TestHeads(t *testing.T) {
	for _, window := range []int{64, 256, 4096} {
		t.Run(strconv.Itoa(window), func(t *testing.T) {
			r := start(t, setup{in: window, out: 64})
			for n := range 20 {
				q := &request{target: "fields?x=1", listener: n}
				want := ""
				for i := range n {
					f := [2]string{fmt.Sprintf("Name-%d", i), strings.Repeat("v", i*7)}
					q.fields = append(q.fields, f)
					want += f[0] + "=" + f[1] + ";"
				}
				want += fmt.Sprintf("flags=%d length=0 listener=%d", shm.HeadKeepalive, n)
				wantOut(t, r.send(q).wait(), want)
			}
			r.quiet()
		})
	}
}

func TestHeadTooLarge(t *testing.T) {
	r := start(t, setup{})
	q := &request{target: "hello?", fields: [][2]string{{"A", strings.Repeat("x", headBlockMax)}}}
	if got := r.send(q).wait(); !errors.Is(got.err, errHeadTooLarge) {
		t.Errorf("got %+v", got)
	}
	q = &request{target: "hello?", body: make([]byte, bodyPartMax+8192)}
	if got := r.send(q).wait(); !errors.Is(got.err, errBodyTooLarge) {
		t.Errorf("got %+v", got)
	}
	r.quiet()
}

// Bodies pass windows of any size, in both directions at once, even if the connection takes little at a time.
func TestBodies(t *testing.T) {
	for _, c := range []struct{ in, out, first, rest, take int }{
		{64, 64, 1, 0, 0},
		{64, 64, 0, 5000, 0},
		{64, 64, 3000, 0, 0},
		{64, 128, 3000, 3000, 0},
		{64, 64, 300, 3000, 7},
		{256, 64, 10, 20000, 50},
		{4096, 4096, 0, 1 << 20, 0},
		{4096, 4096, 100000, 1 << 20, 3000},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			r := start(t, setup{in: c.in, out: c.out})
			body := make([]byte, c.first+c.rest)
			for i := range body {
				body[i] = 'a' + byte(rand.IntN(26))
			}
			for _, chunked := range []bool{false, true} {
				q := r.send(&request{method: "POST", target: "echo", body: body[:c.first], rest: bytes.Clone(body[c.first:]),
					take: c.take, chunked: chunked})
				got := q.wait()
				if got.out != string(body) {
					t.Errorf("%d bytes back of %d", len(got.out), len(body))
				}
				got.out = ""
				wantOut(t, got, "")
				if !q.wanted {
					t.Error("BodyWanted was not called")
				}
			}
			r.quiet()
		})
	}
}

func TestBodyAbort(t *testing.T) {
	r := start(t, setup{in: 64, out: 64})
	got := r.send(&request{method: "POST", target: "echo", rest: []byte("abc"), abort: true}).wait()
	wantOut(t, got, "abc!aborted true")
	r.quiet()
}

func TestResults(t *testing.T) {
	r := start(t, setup{})
	for _, c := range []struct {
		target string
		want   result
	}{
		{"close", result{out: "bye", end: backend.EndClose}},
		{"reset", result{out: "par", end: backend.EndReset}},
		{"status?404", result{status: 404}},
		{"status?500", result{status: 500}},
		{"status?0", result{status: 502}},
		{"status?200", result{status: 502}},
		{"hinted?504", result{out: "hints", status: 504}},
		{"hinted?0", result{out: "hints"}},
		{"unknown", result{status: 404}},
		{"pending", result{out: "flushed"}},
	} {
		c.want.calls = 1
		if got := r.get(c.target); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.target, got, c.want)
		}
	}
	r.quiet()
}

// Both loops have exchanges in progress all the time. Each of these gets its own response.
func TestManyOnTwoLoops(t *testing.T) {
	r := start(t, setup{loops: 2})
	const conns, each = 20, 100
	done := make(chan string, 2*conns)
	for loop := range 2 {
		for range conns {
			left := each
			var next func()
			var q *request
			next = func() {
				if q != nil && (q.got.out != "hello "+q.target[6:] || q.got.calls != 1) {
					done <- fmt.Sprintf("%s: %+v", q.target, q.got)
					return
				}
				if left == 0 {
					done <- ""
					return
				}
				left--
				q = &request{target: "hello?" + strconv.Itoa(rand.IntN(1e9)), after: next,
					t: t, l: r.loops[loop], lb: r.lbs[loop], done: make(chan struct{})}
				q.begin() // from within Done of the last one, as with pipelined requests
			}
			r.loops[loop].Post(next)
		}
	}
	for range 2 * conns {
		select {
		case text := <-done:
			if text != "" {
				t.Error(text)
			}
		case <-time.After(testPatience):
			t.Fatal("not all answered")
		}
	}
	r.quiet()
	if s := r.p.Stats(); s.Exchanges != 2*conns*each || s.Retries+s.Lost+s.Deaths != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Cancelled exchanges free their cells, whether they wait, run, or are done but not taken.
func TestCancel(t *testing.T) {
	r := start(t, setup{in: 64, out: 64, options: [][3]any{{0, "max_fork", 1}}})
	r.ready(1)
	running := r.send(&request{target: "sleep?50"})
	waiting := r.send(&request{target: "hello?"})
	r.loops[0].do(func() {})
	waiting.cancel()
	running.cancel()
	stuck := r.send(&request{target: "big?100000", stuck: true})
	eventually(t, "offered", func() (is bool) {
		r.loops[0].do(func() { is = stuck.r.(*cell).response.blocked })
		return is
	})
	stuck.cancel()
	upload := r.send(&request{method: "POST", target: "echo", rest: make([]byte, 1000), stuck: true})
	eventually(t, "window full", func() (is bool) {
		r.loops[0].do(func() { is = upload.full })
		return is
	})
	upload.cancel()
	done := r.send(&request{target: "hello?", stuck: true})
	eventually(t, "done", func() (is bool) {
		r.loops[0].do(func() { is = done.r.(*cell).state == cellDone })
		return is
	})
	done.cancel()
	wantOut(t, r.get("hello?x"), "hello x")
	r.quiet()
}

func TestQueueLimit(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 1}, {0, "queue_limit", 3}}})
	r.ready(1)
	release := r.occupy()
	var waiting []*request
	for range 3 {
		waiting = append(waiting, r.send(&request{target: "hello?q"}))
	}
	for range 2 {
		if got := r.get("hello?"); !errors.Is(got.err, backend.ErrQueueFull) {
			t.Errorf("got %+v", got)
		}
	}
	release()
	for _, q := range waiting {
		wantOut(t, q.wait(), "hello q")
	}
	r.quiet()
}

// refusals are the sum of the counts, and the highest total, of the lines about requests that have waited too long.
func (r *rig) refusals() (counted, total int) {
	for _, m := range regexp.MustCompile(`cause=queue_timeout count=(\d+) total=(\d+)`).FindAllStringSubmatch(r.log.String(), -1) {
		n, _ := strconv.Atoi(m[1])
		counted += n
		n, _ = strconv.Atoi(m[2])
		total = max(total, n)
	}
	return counted, total
}

func TestQueueTimeout(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "max_fork", 1}, {0, "queue_timeout", 0.05}}})
	r.ready(1)
	release := r.occupy() // may be refused itself, before the worker is ready for it
	r.p.tally.Flush()
	got := r.get("hello?")
	wantStatus(t, got, 503)
	if got.retryAfter <= 0 {
		t.Error("no Retry-After")
	}
	wantStatus(t, r.get("hello?"), 503)
	r.log.await(t, `level=WARN msg="requests refused" pool=0 status=503 cause=queue_timeout count=1 total=1`)
	eventually(t, "all refusals are logged", func() bool {
		r.p.tally.Flush()
		counted, total := r.refusals()
		return counted == total && total >= 2
	})
	r.log.await(t, fmt.Sprintf("method=GET path=/hello request_id=%010x-0-", r.p.mem.Header().IDPrefix))
	release()
	r.quiet()
}

func TestRequestTimeout(t *testing.T) {
	r := start(t, setup{options: [][3]any{{0, "request_timeout", 0.1}}})
	wantStatus(t, r.get("sleep?3600000"), 504)
	eventually(t, "in time", func() bool { return r.get("sleep?1").out == "slept" })
	r.log.await(t, "request_timeout")
	r.log.await(t, "signal SIGKILL")
	r.log.await(t, `level=WARN msg="requests failed" pool=0 status=504 cause=request_timeout count=1 total=1`)
	r.quiet()
}

// A handler resets the connection and goes on: the peer sees the reset at once, and nothing of what follows.
func TestResetByHandler(t *testing.T) {
	r := start(t, setup{in: 256, out: 256})
	for _, q := range []*request{
		{target: "reset-now?0"},
		{target: "reset-now?100000"},
		{target: "reset-now?100000", stuck: true},
		{method: "POST", target: "reset-now?0", rest: make([]byte, 5000), stuck: true},
		{target: "reset-done"},
	} {
		got := r.send(q).wait()
		if got.end != backend.EndReset || got.calls != 1 || got.out != "" || got.status != 0 {
			t.Errorf("%s: %+v", q.target, got)
		}
		wantOut(t, r.get("hello?x"), "hello x")
	}
	r.quiet()
}
