package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// runs is a backend with several exchanges in progress, which the test ends in any order.
type runs struct {
	d       *dialogue
	all     []*run // in the order of Start
	refuses func(target string) error
	passive bool // a run does nothing when it hears of room
	overlap int  // of Overlap
}

// run is one exchange of runs.
type run struct {
	h         *runs
	x         backend.Exchange
	method    string
	target    string
	rest      string // of its output, not taken yet
	end       backend.End
	cancelled int
	rooms     int
	peerEnds  int
}

// newRuns is newLoggedDialogue with runs as its backend.
func newRuns(t *testing.T, lim Limits, log func(*Access)) (*dialogue, *runs) {
	t.Helper()
	d := newLoggedDialogue(t, lim, log)
	h := &runs{d: d, overlap: 1000}
	d.service = newService(h, 0, lim)
	d.service.addrs = &addrs{}
	d.c.service = d.service
	return d, h
}

func (h *runs) Overlap() int { return h.overlap }

func (h *runs) Start(x backend.Exchange, head *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	r := &run{h: h, x: x, method: string(head.Bytes(head.Method)), target: string(head.Bytes(head.Target))}
	if h.refuses != nil {
		if err := h.refuses(r.target); err != nil {
			return nil, err
		}
	}
	h.all = append(h.all, r)
	return r, nil
}

func (r *run) BodyRoom() (a, b []byte) { return make([]byte, 1000), nil }
func (r *run) BodyCommit(int)          {}
func (r *run) BodyEnd()                {}
func (r *run) BodyAbort(bool)          {}
func (r *run) PeerEnd()                { r.peerEnds++ }
func (r *run) Cancel()                 { r.cancelled++ }
func (r *run) Times() (a, b time.Duration) {
	return 2 * time.Second, time.Second
}

// OutputRoom outputs what is left.
func (r *run) OutputRoom() {
	r.rooms++
	if !r.h.passive {
		r.goesOn()
	}
}

func (r *run) goesOn() {
	r.rest = r.rest[r.x.Output([]byte(r.rest), nil, true):]
	if r.rest == "" {
		r.x.Done(r.end)
	}
}

// started checks the targets of the exchanges that were started.
func (h *runs) started(want ...string) {
	h.d.t.Helper()
	var got []string
	for _, r := range h.all {
		got = append(got, r.target)
	}
	if !slices.Equal(got, want) {
		h.d.t.Fatalf("started %q, want %q", got, want)
	}
}

// answers gives whole responses with the targets as bodies, in one turn.
func (h *runs) answers(indexes ...int) {
	h.d.t.Helper()
	for _, i := range indexes {
		h.all[i].outputs(response(h.all[i].target))
		h.all[i].x.Done(backend.EndKeep)
	}
	h.d.settle()
}

func (r *run) outputs(text string) {
	r.h.d.t.Helper()
	half := len(text) / 2
	if n := r.x.Output([]byte(text[:half]), []byte(text[half:]), true); n != len(text) {
		r.h.d.t.Fatalf("%d bytes taken of %d", n, len(text))
	}
}

func (h *runs) cancelled(want ...int) {
	h.d.t.Helper()
	var got []int
	for i, r := range h.all {
		for range r.cancelled {
			got = append(got, i)
		}
	}
	if !slices.Equal(got, want) {
		h.d.t.Fatalf("cancelled: %v, want %v", got, want)
	}
}

// loggedLines is an access log: the lines that have not been looked at.
type loggedLines []string

func (l *loggedLines) log(a *Access) {
	*l = append(*l, fmt.Sprintf("%s %s %d %d %v", a.Method, a.Target, a.Status, a.Bytes, a.Complete))
}

// want checks that these lines were logged, in this order.
func (l *loggedLines) want(t *testing.T, lines ...string) {
	t.Helper()
	if !slices.Equal(*l, lines) {
		t.Errorf("logged %q, want %q", *l, lines)
	}
	*l = nil
}

// gets are requests for /0, /1 and so on.
func gets(n int) string {
	var all strings.Builder
	for i := range n {
		all.WriteString(get(fmt.Sprint("/", i)))
	}
	return all.String()
}

func targets(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("/", i))
	}
	return all
}

func responses(indexes ...int) string {
	all := ""
	for _, i := range indexes {
		all += response(fmt.Sprint("/", i))
	}
	return all
}

// Requests that are there together are in progress together. Their responses have their order, and those that are ready in a turn
// take one write.
func TestFollowers(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}} {
		d, h := newRuns(t, Limits{}, nil)
		d.peer.says(gets(4))
		h.started(targets(4)...)
		h.answers(order...)
		d.peer.hearsText(responses(0, 1, 2, 3))
		d.is(stateIdle)
		if d.peer.writes != 1 || d.c.pipeline != nil || d.peer.reads != 1 {
			t.Errorf("%v: %d writes, %d reads, pipeline %v", order, d.peer.writes, d.peer.reads, d.c.pipeline)
		}
	}
	d, h := newRuns(t, Limits{}, nil)
	d.peer.says(gets(4))
	h.answers(2)
	h.answers(1)
	d.peer.hearsNothing()
	h.answers(0)
	d.peer.hearsText(responses(0, 1, 2))
	d.is(stateDispatched)
	h.answers(3)
	d.peer.hearsText(responses(3))
	d.is(stateIdle)
	if d.peer.writes != 2 {
		t.Errorf("%d writes, want 2", d.peer.writes)
	}
}

// Requests that come while others are in progress, in pieces.
func TestFollowersLater(t *testing.T) {
	d, h := newRuns(t, Limits{}, nil)
	for i := range len(gets(5)) {
		d.peer.says(gets(5)[i : i+1])
	}
	h.started(targets(5)...)
	h.answers(4, 3, 2, 0)
	d.peer.hearsText(responses(0))
	d.peer.says(get("/5") + "GET /6")
	h.answers(1, 5)
	d.peer.hearsText(responses(1, 2, 3, 4, 5))
	d.is(stateHead)
	d.peer.says(" HTTP/1.1\r\nHost: h\r\n\r\n")
	h.answers(6)
	d.peer.hearsText(responses(6))
}

// Only requests that are safe and independent are in progress together.
func TestFollowersAreSafe(t *testing.T) {
	const host = " HTTP/1.1\r\nHost: h\r\n"
	for _, c := range []struct {
		request  string
		overlaps bool
	}{
		{"GET /x" + host + "\r\n", true},
		{"HEAD /x" + host + "\r\n", true},
		{"OPTIONS /x" + host + "\r\n", true},
		{"GET /x" + host + "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n", true},
		{"POST /x" + host + "Content-Length: 0\r\n\r\n", false},
		{"DELETE /x" + host + "\r\n", false},
		{"PUT /x" + host + "Content-Length: 2\r\n\r\nab", false},
		{"GET /x" + host + "Content-Length: 2\r\n\r\nab", false},
		{"GET /x" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
		{"GET /x" + host + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab", false},
		{"GET /x" + host + "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", false},
		{"GET /x HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", false},
	} {
		d, h := newRuns(t, Limits{}, nil)
		d.peer.says(get("/0") + get("/1") + c.request + get("/3"))
		if !c.overlaps {
			h.started("/0", "/1")
			h.answers(1)
			h.started("/0", "/1")
			h.answers(0)
			h.started("/0", "/1", "/x")
			d.peer.hearsText(responses(0, 1))
			h.answers(2)
		}
		h.started("/0", "/1", "/x", "/3")
		if c.overlaps {
			h.answers(3, 2, 1, 0)
			d.peer.hearsText(responses(0, 1) + response("/x") + response("/3"))
		} else {
			h.answers(3)
			d.peer.hearsText(response("/x") + response("/3"))
		}
		d.is(stateIdle)
	}
	d, h := newRuns(t, Limits{}, nil)
	d.peer.says(get("/0") + "GET /last" + host + "Connection: close\r\n\r\n" + get("/never"))
	h.started("/0")
	h.answers(0)
	h.started("/0", "/last")
	h.all[1].outputs(response("bye"))
	h.all[1].x.Done(backend.EndClose)
	d.settle()
	h.started("/0", "/last")
	d.peer.hearsText(responses(0) + response("bye"))
	d.peer.hearsEnd()
}

// A bounded number of requests is in progress. The backend may want fewer.
func TestFollowersMax(t *testing.T) {
	for _, c := range []struct{ limit, backend, want int }{{0, 1000, 16}, {3, 1000, 3}, {-1, 1000, 1}, {0, 2, 2}, {0, 0, 1}} {
		d, h := newRuns(t, Limits{Overlap: c.limit}, nil)
		h.overlap = c.backend
		d.peer.says(gets(50))
		h.started(targets(c.want)...)
		for i := range 50 {
			h.answers(i)
			h.started(targets(min(50, c.want+i+1))...)
		}
		for i := range 50 {
			d.peer.hears(200, fmt.Sprint("/", i))
		}
		d.is(stateIdle)
	}
}

// A request that is refused while others are in progress is not refused then: it has its turn first.
func TestFollowerRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		request string
		err     error
		status  int
		state   connState
	}{
		{"queue full", get("/x"), backend.ErrQueueFull, 503, stateDispatched},
		{"head too large for the backend", get("/x"), backend.ErrHeadTooLarge, 431, stateLingering},
		{"fault", get("/x"), errors.New("fault"), 500, stateLingering},
		{"malformed", "GET /x HTTP/1.1\r\nHost : h\r\n\r\n", nil, 400, stateLingering},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines loggedLines
			d, h := newRuns(t, Limits{}, lines.log)
			h.refuses = func(target string) error {
				if target == "/x" {
					return c.err
				}
				return nil
			}
			d.peer.says(gets(2) + c.request + get("/3"))
			h.started("/0", "/1")
			h.answers(1, 0)
			d.peer.hears(200, "/0")
			d.peer.hears(200, "/1")
			d.peer.hears(c.status, "")
			d.is(c.state)
			if c.state == stateDispatched {
				h.started("/0", "/1", "/3")
			} else {
				h.started("/0", "/1")
			}
			if len(lines) != 3 {
				t.Errorf("%d lines in the access log, want 3: %q", len(lines), lines)
			}
		})
	}
	d, h := newRuns(t, Limits{}, nil)
	h.refuses = func(target string) error {
		if len(h.all) > 0 && h.all[len(h.all)-1].target != "/1" && target == "/1" {
			h.refuses = nil
			return backend.ErrQueueFull
		}
		return nil
	}
	d.peer.says(gets(3))
	h.started("/0")
	h.answers(0)
	h.started(targets(3)...) // there is room by now
	h.answers(2, 1)
	d.peer.hearsText(responses(0, 1, 2))
}

// A response that ends the connection ends it for the requests that follow.
func TestFollowersAreDropped(t *testing.T) {
	for _, c := range []struct {
		name   string
		end    func(h *runs)
		heard  string
		reset  bool
		second string // line of the access log
	}{
		{"close", func(h *runs) { h.all[1].outputs(response("bye")); h.all[1].x.Done(backend.EndClose) }, response("bye"), false, "GET /1 200 3 true"},
		{"reset", func(h *runs) { h.all[1].x.Done(backend.EndReset) }, "", true, "GET /1 0 0 false"},
		{"failed in the middle", func(h *runs) {
			h.all[1].x.Output([]byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), nil, false)
			h.all[1].x.Failed(502, 0)
		}, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", true, "GET /1 200 4 false"},
		{"client gone", func(h *runs) { h.all[1].x.Failed(backend.StatusClientGone, 0) }, "", false, "GET /1 499 0 false"},
	} {
		for _, early := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, before its turn: %v", c.name, early), func(t *testing.T) {
				var lines loggedLines
				d, h := newRuns(t, Limits{}, lines.log)
				d.peer.says(gets(4))
				h.all[3].outputs(response("never"))
				h.all[3].x.Done(backend.EndKeep)
				if early {
					c.end(h)
					d.settle()
					d.peer.hearsNothing()
					h.answers(0)
				} else {
					h.answers(0)
					c.end(h)
					d.settle()
				}
				d.peer.hearsText(responses(0) + c.heard)
				h.cancelled(2)
				if d.peer.closed != (c.reset || c.name == "client gone") || d.peer.willReset != c.reset {
					t.Errorf("closed: %v, reset: %v", d.peer.closed, d.peer.willReset)
				}
				lines.want(t, "GET /0 200 2 true", c.second, "GET /2 0 0 false", "GET /3 0 0 false")
			})
		}
	}
}

// An error response of the engine's own has its turn like any other, and keeps the connection.
func TestFollowerFails(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {1, 2, 0}} {
		d, h := newRuns(t, Limits{}, nil)
		d.peer.says(get("/0") + "HEAD /1 HTTP/1.1\r\nHost: h\r\n\r\n" + get("/2"))
		for _, i := range order {
			if i == 1 {
				h.all[1].x.Failed(503, time.Second)
				d.settle()
			} else {
				h.answers(i)
			}
		}
		text := string(d.peer.got)
		text, ok := strings.CutPrefix(text, responses(0)+"HTTP/1.1 503 ")
		if !ok || !strings.HasSuffix(text, "\r\n\r\n"+responses(2)) || !strings.Contains(text, "\r\nRetry-After: 1\r\n") {
			t.Errorf("%v: heard %q", order, d.peer.got)
		}
		d.is(stateIdle)
	}
}

// When the peer vanishes, every exchange is told once, and logged.
func TestFollowersOfAPeerThatVanishes(t *testing.T) {
	var lines loggedLines
	d, h := newRuns(t, Limits{}, lines.log)
	d.peer.says(gets(5))
	h.answers(0, 2)
	d.peer.vanishes()
	h.cancelled(1, 3, 4)
	d.peer.wantsClosed()
	lines.want(t, "GET /0 200 2 true", "GET /1 0 0 false", "GET /2 0 0 false", "GET /3 0 0 false", "GET /4 0 0 false")

	d, h = newRuns(t, Limits{}, nil)
	d.peer.says(gets(3))
	d.peer.gone = true // not noticed before the write
	h.answers(1, 0)
	h.cancelled(2)
	d.peer.wantsClosed()
}

// A FIN counts for each exchange, and those that are not given up are answered.
func TestFollowersAndFIN(t *testing.T) {
	d, h := newRuns(t, Limits{}, nil)
	d.peer.says(gets(2))
	d.peer.finishes(get("/2") + get("/3"))
	h.answers(0, 1)
	d.peer.hearsText(responses(0, 1))
	h.started(targets(4)...)
	for i, r := range h.all {
		if r.peerEnds != 1 {
			t.Errorf("exchange %d was told %d times", i, r.peerEnds)
		}
	}
	h.answers(3, 2)
	d.peer.hearsText(responses(2, 3))
	d.peer.wantsClosed()

	d, h = newRuns(t, Limits{PeerEnd: PeerEndWait}, nil)
	d.peer.finishes(gets(3))
	h.answers(2, 0, 1)
	d.peer.hearsText(responses(0, 1, 2))
	d.peer.wantsClosed()
	if n := h.all[0].peerEnds + h.all[1].peerEnds; n != 0 {
		t.Errorf("told %d times", n)
	}

	d, h = newRuns(t, Limits{}, nil)
	d.peer.finishes(gets(2) + "GET /ha")
	h.answers(1, 0)
	d.peer.hears(200, "/0")
	d.peer.hears(200, "/1")
	d.peer.hears(400, "")
	d.peer.wantsClosed()
}

// A handler may go on after its response is complete, before and after its turn.
func TestFollowersComplete(t *testing.T) {
	d, h := newRuns(t, Limits{ResponseTimeout: time.Minute}, nil)
	d.peer.says(gets(4))
	for _, i := range []int{1, 2, 0} {
		h.all[i].outputs(response(h.all[i].target))
		h.all[i].x.Complete(h.all[i], backend.EndKeep)
	}
	d.settle()
	d.peer.hearsText(responses(0, 1, 2))
	d.wantsRemainders(3)
	h.all[1].x.Left(h.all[1])
	h.all[3].outputs(response("/3"))
	h.all[3].x.Complete(h.all[3], backend.EndKeep)
	d.settle()
	d.wantsRemainders(3)
	h.all[3].x.Left(h.all[3])
	d.is(stateIdle)
	h.cancelled()
	d.passes(59 * time.Second)
	h.cancelled()
	d.passes(time.Second)
	h.cancelled(0, 2)
	d.wantsRemainders(0)

	d, h = newRuns(t, Limits{}, nil)
	d.peer.says(gets(3))
	h.all[1].outputs(response("/1"))
	h.all[1].x.Complete(h.all[1], backend.EndKeep)
	h.all[2].outputs(response("/2"))
	h.all[2].x.Complete(h.all[2], backend.EndKeep)
	h.all[2].x.Left(h.all[2]) // before its turn
	d.peer.vanishes()
	h.cancelled(0, 1)
}

// Followers keep a bounded amount of output. The rest is taken in their turn.
func TestFollowersOutput(t *testing.T) {
	d, h := newRuns(t, Limits{OutputBytes: 1000}, nil)
	d.peer.says(gets(5))
	long := response(strings.Repeat("long", 1000))
	part := long[:600]
	if n := h.all[1].x.Output([]byte(part), nil, false); n != 600 {
		t.Errorf("%d bytes taken of 600", n)
	}
	if n := h.all[1].x.Output([]byte(long[600:]), nil, false); n != 400 {
		t.Errorf("%d bytes taken, want 400", n)
	}
	h.all[1].rest = long[1000:]
	h.all[2].rest = long
	h.all[2].goesOn()
	if h.all[2].rest != long {
		t.Errorf("%d bytes taken above the bound", len(long)-len(h.all[2].rest))
	}
	h.answers(0)
	d.peer.hearsText(responses(0) + long + long)
	if h.all[1].rooms != 1 || h.all[2].rooms != 1 {
		t.Errorf("told of room %d and %d times", h.all[1].rooms, h.all[2].rooms)
	}
	h.all[4].outputs(long) // the last part is taken whole
	h.all[4].x.Done(backend.EndKeep)
	h.answers(3)
	d.peer.hearsText(responses(3) + long)
	d.is(stateIdle)
}

// A peer that takes nothing occupies no handler: the responses wait in memory, and no more requests are taken. They are logged
// when they are sent.
func TestFollowersOfASlowReader(t *testing.T) {
	for _, spool := range []int64{0, 1 << 30} {
		var lines loggedLines
		d, h := newRuns(t, Limits{OutputBytes: 10_000, SpoolOutput: spool}, lines.log)
		d.peer.room = 0
		d.peer.says(gets(5))
		long := response(strings.Repeat("long", 2000))
		h.all[0].outputs(long)
		h.all[0].x.Done(backend.EndKeep)
		h.all[2].outputs(long)
		h.all[2].x.Done(backend.EndKeep)
		d.settle()
		d.peer.says(get("/5"))
		h.started(targets(5)...)
		h.all[1].outputs(long)
		h.all[1].x.Done(backend.EndKeep)
		h.answers(4, 3)
		h.cancelled()
		d.is(stateWriting)
		lines.want(t)
		d.peer.takes(len(long) - 1)
		lines.want(t)
		d.peer.takes(len(long))
		lines.want(t, "GET /0 200 8000 true")
		d.passes(59 * time.Second)
		d.peer.takes(len(long) + 1 + len(response("/3")) + 1)
		lines.want(t, "GET /1 200 8000 true", "GET /2 200 8000 true", "GET /3 200 2 true")
		d.peer.vanishes()
		lines.want(t, "GET /4 200 0 false")
	}
	d, h := newRuns(t, Limits{}, nil)
	d.peer.room = 0
	d.peer.says(gets(3))
	h.answers(0, 1)
	d.actsAfter(60*time.Second, stateDispatched, d.peer.wasReset)
	h.cancelled(2)
}

// When the spool is full, what a follower has kept waits until there is room, and its handler with it.
func TestFollowersAndFullSpool(t *testing.T) {
	for _, end := range []string{"answered", "ended before", "vanishes", "reset"} {
		t.Run(end, func(t *testing.T) {
			var lines loggedLines
			d, h := newRuns(t, Limits{OutputBytes: 40_000, SpoolOutput: 1 << 30}, lines.log)
			d.e.spool = newSpooling(Spool{Dir: t.TempDir(), Bytes: 400_000}, 20)
			d.peer.room = 0
			d.peer.says(gets(3))
			long := response(pattern(190_000))
			h.all[1].outputs(long[:60_000])
			if end == "ended before" {
				h.all[1].x.Done(backend.EndClose)
			}
			h.all[0].outputs(long)
			h.all[0].x.Done(backend.EndKeep)
			d.settle()
			if d.c.output.Len()+int(d.c.spooledOutput()) >= len(long)+60_000 {
				t.Fatal("there was room for everything")
			}
			h.all[1].rest = long[60_000:]
			switch end {
			case "vanishes":
				d.peer.vanishes()
				h.cancelled(1, 2)
				lines.want(t, "GET /0 200 0 false", "GET /1 200 0 false", "GET /2 0 0 false")
				return
			case "reset":
				h.all[1].x.Done(backend.EndReset)
				d.l.resetAll()
				h.cancelled(2)
				return
			case "answered":
				if n := h.all[1].x.Output([]byte(h.all[1].rest), nil, true); n != 0 {
					t.Errorf("%d bytes taken before those that were kept", n)
				}
				h.answers(2)
			}
			d.peer.takes(anyRoom)
			if end == "answered" {
				d.peer.hearsText(long + long + responses(2))
				lines.want(t, "GET /0 200 190000 true", "GET /1 200 190000 true", "GET /2 200 2 true")
				d.is(stateIdle)
				return
			}
			d.peer.hearsText(long + long[:60_000])
			d.is(stateLingering)
			h.cancelled(2)
		})
	}
}

// Each exchange has its own response timeout.
func TestFollowersTimeout(t *testing.T) {
	d, h := newRuns(t, Limits{ResponseTimeout: 10 * time.Second}, nil)
	d.peer.says(gets(1))
	d.passes(3 * time.Second)
	d.peer.says(get("/1"))
	d.passes(6 * time.Second)
	h.answers(0)
	d.actsAfter(4*time.Second, stateDispatched, d.peer.wasReset)
	h.cancelled(1)
}

// A service that has a successor gets no further requests, nor does a server that stops. What is in progress is answered.
func TestFollowersAndReload(t *testing.T) {
	d, h := newRuns(t, Limits{Overlap: 2}, nil)
	next := &runs{d: d, overlap: 1000}
	d.peer.says(gets(4))
	d.succeed(newService(next, 0, Limits{}), &addrs{})
	h.answers(1, 0)
	h.started("/0", "/1")
	next.started("/2", "/3")
	d.peer.hearsText(responses(0, 1))
	next.answers(1, 0)
	d.peer.hearsText(responses(2, 3))

	d, h = newRuns(t, Limits{Overlap: 2}, nil)
	d.peer.says(gets(4))
	d.e.stopping.Store(true)
	d.l.drain(false)
	h.answers(1)
	h.answers(0)
	h.started("/0", "/1", "/2")
	h.all[2].outputs(response("/2"))
	h.all[2].x.Done(backend.EndClose)
	d.settle()
	d.peer.hearsText(responses(0, 1, 2))
	d.peer.hearsEnd()
}

// A request that gets an error response while the server stops does not take those behind it along.
func TestFollowerFailsAtStop(t *testing.T) {
	d, h := newRuns(t, Limits{}, nil)
	d.peer.says(gets(3))
	d.e.stopping.Store(true)
	d.l.drain(false)
	h.answers(2)
	h.all[1].x.Failed(503, 0)
	h.answers(0)
	d.peer.hears(200, "/0")
	d.peer.hears(503, "")
	d.peer.hears(200, "/2")
	d.passes(time.Second)
	d.peer.hearsEnd()
}

// Interim responses belong to their exchange.
func TestFollowersInterim(t *testing.T) {
	d, h := newRuns(t, Limits{}, nil)
	d.peer.says(gets(3))
	h.all[1].x.Output([]byte(earlyHints), nil, false)
	h.all[2].x.Output([]byte(earlyHints), nil, false)
	h.all[2].x.Failed(500, 0)
	h.answers(0)
	d.peer.hearsText(responses(0) + earlyHints)
	h.all[1].x.Output([]byte(earlyHints), nil, false)
	d.settle()
	d.peer.hearsText(earlyHints)
	h.answers(1)
	if text := string(d.peer.got); !strings.HasPrefix(text, responses(1)+earlyHints+"HTTP/1.1 500 ") {
		t.Errorf("heard %q", text)
	}
	d.is(stateIdle)
}

// The times of the access log are those of each exchange, and the lines have the order of the requests.
func TestFollowersAccessTimes(t *testing.T) {
	var got []string
	d, h := newRuns(t, Limits{}, func(a *Access) {
		got = append(got, fmt.Sprint(string(a.Target), " ", string(a.ID), " ", a.Time.Sub(startedAt), " ", a.Queue, " ", a.Service, " ", a.Total))
	})
	d.peer.says(gets(2))
	d.passes(5 * time.Second)
	d.peer.says(get("/2"))
	d.passes(2 * time.Second)
	h.answers(2, 1)
	d.passes(3 * time.Second)
	h.answers(0)
	want := []string{"/0 prefix-0-1 0s 2s 1s 10s", "/1 prefix-0-2 0s 2s 1s 10s", "/2 prefix-0-3 5s 2s 1s 5s"}
	if !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// A long response is written as it comes, and in the order of the others.
func TestFollowersStream(t *testing.T) {
	d, h := newRuns(t, Limits{}, nil)
	d.peer.says(gets(3))
	h.all[0].x.Output([]byte("HTTP/1.1 200 OK\r\n\r\n"), nil, false)
	d.settle()
	d.peer.hearsText("HTTP/1.1 200 OK\r\n\r\n")
	for range 10 {
		part := strings.Repeat("x", 10_000)
		h.all[0].x.Output([]byte(part), []byte("y"), false)
		h.all[0].x.Output([]byte(part), []byte("z"), false)
		d.settle()
		d.peer.hearsText(part + "y" + part + "z")
	}
	h.all[0].x.Done(backend.EndClose)
	d.settle()
	d.peer.hearsEnd()
	h.cancelled(1, 2)
}

// Whatever the peer sends, in whatever pieces, and in whatever order the handlers end: the peer hears the same as if the
// exchanges were in progress one after the other.
func TestFollowersSoundSequential(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for i := range 100 {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		text := randomRequests(rnd)
		want := hearRandomly(t, Limits{Overlap: -1, OutputBytes: 300}, text, rnd)
		got := hearRandomly(t, Limits{OutputBytes: 300}, text, rnd)
		if got != want {
			t.Fatalf("round %d: heard\n%q\none after the other:\n%q\nafter\n%q", i, got, want, text)
		}
	}
}

func randomRequests(rnd *rand.Rand) string {
	const host = " HTTP/1.1\r\nHost: h\r\n"
	var all strings.Builder
	for i := range 1 + rnd.IntN(40) {
		switch rnd.IntN(40) {
		case 0:
			fmt.Fprintf(&all, "POST /%d%sContent-Length: 3\r\n\r\nabc", i, host)
		case 1:
			fmt.Fprintf(&all, "GET /fail%d%s\r\n", i, host)
		case 2:
			fmt.Fprintf(&all, "GET /long%d%s\r\n", i, host)
		case 3:
			fmt.Fprintf(&all, "GET /%d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", i)
		case 4:
			fmt.Fprintf(&all, "GET /close%d%s\r\n", i, host)
		case 5:
			if rnd.IntN(5) == 0 {
				all.WriteString("nonsense\r\n")
			}
		default:
			all.WriteString(get(fmt.Sprint("/", i)))
		}
	}
	return all.String()
}

// hearRandomly sends text in random pieces to handlers that end in random order, and returns what the peer hears.
func hearRandomly(t *testing.T, lim Limits, text string, rnd *rand.Rand) string {
	t.Helper()
	d, h := newRuns(t, lim, nil)
	open := 0 // exchanges that have not ended are at or after this place
	ended := map[int]bool{}
	for len(text) > 0 || open < len(h.all) {
		if len(text) == 0 {
			d.settle()
		}
		if n := min(len(text), 1+rnd.IntN(400)); n > 0 && rnd.IntN(2) == 0 {
			if d.peer.sawFIN {
				break
			}
			d.peer.says(text[:n])
			text = text[n:]
		}
		if d.c.state == stateClosed || d.peer.sawFIN {
			break
		}
		if n := len(h.all) - open; n > 0 {
			if i := open + rnd.IntN(n); !ended[i] && h.all[i].cancelled == 0 {
				ended[i] = true
				h.all[i].endsByTarget()
			}
			if rnd.IntN(3) == 0 {
				d.settle()
			}
		}
		for ended[open] {
			open++
		}
		if len(text) == 0 && open == len(h.all) {
			d.settle() // another exchange may start
		}
	}
	return string(d.peer.got)
}

// endsByTarget ends an exchange as its target says.
func (r *run) endsByTarget() {
	switch {
	case strings.HasPrefix(r.target, "/fail"):
		r.x.Failed(502, 0)
	case strings.HasPrefix(r.target, "/close"):
		r.rest, r.end = response("bye"), backend.EndClose
		r.goesOn()
	case strings.HasPrefix(r.target, "/long"):
		r.rest = response(strings.Repeat(r.target, 50))
		r.goesOn()
	default:
		r.rest = response(r.target)
		r.goesOn()
	}
}
