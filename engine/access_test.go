package engine

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"moonbridge/handler/accesslog"
	"moonbridge/httpparse"
)

// accessLines collects what the engine logs, as text.
type accessLines struct {
	mu   sync.Mutex
	all  []string
	last Access // its slices are gone
}

func (l *accessLines) log(a *Access) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = *a
	l.all = append(l.all, fmt.Sprintf("%s %s %d %d %v", a.Method, a.Target, a.Status, a.Bytes, a.Complete))
}

// want waits for as many lines, checks that they are exactly these, in any order, and removes them.
func (l *accessLines) want(t *testing.T, lines ...string) Access {
	t.Helper()
	slices.Sort(lines)
	var got []string
	eventually(t, "lines of the access log", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		got = slices.Sorted(slices.Values(l.all))
		return len(got) >= len(lines)
	})
	if !slices.Equal(got, lines) {
		t.Errorf("logged:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = nil
	return l.last
}

func TestAccessLog(t *testing.T) {
	var lines accessLines
	b := &testBackend{window: 64}
	_, addr := start(t, Options{AccessLog: lines.log}, Limits{BodyBytes: 1000, BufferBody: 64}, b)
	p := dial(t, addr)
	for _, c := range []struct {
		request, line string
		status        int
	}{
		{get("/hello?a=b"), "GET /hello?a=b 200 5 true", 200},
		{post("/echo", "0123456789"), "POST /echo 200 10 true", 200},
		{post("/echo", strings.Repeat("x", 500)), "POST /echo 200 500 true", 200},
		{get("/big/300000"), "GET /big/300000 200 300000 true", 200},
		{get("/fail/502"), "GET /fail/502 502 12 true", 502},
	} {
		p.say(c.request)
		p.hears(c.status)
		a := lines.want(t, c.line)
		if a.Peer.String() != p.LocalAddr().String() || a.Total < 0 || a.Queue != -1 || a.Service != -1 {
			t.Errorf("%s: %+v", c.line, a)
		}
		if d := time.Since(a.Time); d < 0 || d > time.Hour {
			t.Errorf("%s: time %v", c.line, a.Time)
		}
	}
	p.say(post("/echo", strings.Repeat("x", 1001)))
	p.hears(413)
	lines.want(t, "POST /echo 413 18 true")
}

// Requests that never reach a handler, and responses that break off, are logged too.
func TestAccessLogFailures(t *testing.T) {
	var lines accessLines
	b := &testBackend{window: 64}
	_, addr := start(t, Options{AccessLog: lines.log}, Limits{}, b)
	for _, c := range []struct {
		say, line string
		status    int
	}{
		{"GET / HTTP/3.0\r\n\r\n", "  505 27 true", 505},
		{get("/begin-fail"), "GET /begin-fail 200 4 false", 200},
	} {
		p := dial(t, addr)
		p.say(c.say)
		line, err := p.r.ReadString('\n')
		if want := fmt.Sprintf("HTTP/1.1 %d ", c.status); !strings.HasPrefix(line, want) {
			// A reset may destroy even bytes that were sent before.
			if c.status != 200 || err == nil {
				t.Errorf("%q: answered %q, %v, want %s", c.say, line, err, want)
			}
		}
		lines.want(t, c.line)
	}
}

func TestAccessLogTurnedAway(t *testing.T) {
	var lines accessLines
	b := &testBackend{window: 64}
	_, addr := start(t, Options{AccessLog: lines.log, MaxConns: 1}, Limits{}, b)
	p := dial(t, addr)
	p.say(get("/hello"))
	p.hears(200)
	lines.want(t, "GET /hello 200 5 true")
	q := dial(t, addr)
	q.hears(503)
	if a := lines.want(t, "  503 20 true"); a.Peer.String() != q.LocalAddr().String() {
		t.Errorf("%+v", a)
	}
}

// A peer that disconnects before it is answered leaves a line without a status.
func TestAccessLogPeerGone(t *testing.T) {
	var lines accessLines
	b := &testBackend{window: 64}
	_, addr := start(t, Options{AccessLog: lines.log}, Limits{}, b)
	p := dial(t, addr)
	p.say(get("/slow"))
	eventually(t, "handler runs", func() bool { return b.count(&b.started) == 1 })
	p.Close()
	b.release()
	eventually(t, "line", func() bool { lines.mu.Lock(); defer lines.mu.Unlock(); return len(lines.all) == 1 })
}

func TestAccessLogFields(t *testing.T) {
	type record struct{ method, target, referer, agent, id string }
	got := make(chan record, 1)
	b := &testBackend{window: 64}
	_, addr := start(t, Options{AccessLog: func(a *Access) {
		got <- record{string(a.Method), string(a.Target), string(a.Referer), string(a.UserAgent), string(a.ID)}
	}}, Limits{}, b)
	p := dial(t, addr)
	ask := func(fields string) record {
		t.Helper()
		p.say("GET /hello HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n")
		p.hears(200)
		return wait(t, got, "a record")
	}
	if r := ask("REFERER: http://a/\r\nuser-Agent: \"x\"\r\nX-Request-ID: abc.DEF-123_\r\n"); r != (record{"GET", "/hello", "http://a/", `"x"`, "abc.DEF-123_"}) {
		t.Errorf("%+v", r)
	}
	seen := make(map[string]bool)
	for _, id := range []string{"", "short", strings.Repeat("x", 65), "with blank in it", "quote\"quote", "umlaut\xc3\xa4\xc3\xa4"} {
		r := ask("X-Request-Id: " + id + "\r\n")
		if r.id == id || !accesslog.ValidID([]byte(r.id)) || seen[r.id] {
			t.Errorf("id %q for %q", r.id, id)
		}
		seen[r.id] = true
	}
	long := strings.Repeat("y", 5000)
	r := ask("Referer: " + long + "\r\nUser-Agent: " + long + "\r\nX-Request-Id: 12345678\r\n")
	if len(r.referer) != accesslog.RefererMax || len(r.agent) != accesslog.AgentMax || r.id != "12345678" {
		t.Errorf("%d bytes of referer, %d of user agent, id %q", len(r.referer), len(r.agent), r.id)
	}
	p.say("GET /hello?" + long + " HTTP/1.1\r\nHost: h\r\n\r\n")
	p.hears(200)
	if r := wait(t, got, "a record"); len(r.target) != accesslog.TargetMax || r.referer != "" || r.agent != "" {
		t.Errorf("%d bytes of target, referer %q, user agent %q", len(r.target), r.referer, r.agent)
	}
}

// With Options.Check, what AccessLog keeps of an entry shows bytes that were never there.
func TestAccessKept(t *testing.T) {
	for _, check := range []bool{false, true} {
		kept := make(chan []byte, 1)
		e, addr := start(t, Options{Loops: 1, Check: check, AccessLog: func(a *Access) { kept <- a.Target }}, Limits{}, &testBackend{window: 64})
		p := dial(t, addr)
		p.say(get("/hello"))
		p.hears(200)
		target, now := wait(t, kept, "an entry"), ""
		onLoop(t, e.Loop(0), func() { now = string(target) })
		if stale := now != "/hello"; stale != check {
			t.Errorf("with Check %v, a target that was kept is %q", check, now)
		}
	}
}

// Logging does not allocate once there are records to use again.
func TestAccessRecordsAreUsedAgain(t *testing.T) {
	l := &loop{began: time.Now, e: new(Engine), lastID: new(uint64)}
	h := new(httpparse.Head)
	a := l.newRecord()
	a.SetHead(h, l)
	l.releaseRecord(a)
	if n := testing.AllocsPerRun(100, func() {
		a := l.newRecord()
		a.SetHead(h, l)
		l.releaseRecord(a)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for range 2 * recordsKept {
		l.releaseRecord(new(accessRecord))
	}
	if len(l.records) > recordsKept {
		t.Errorf("%d records kept", len(l.records))
	}
}
