package main

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	sentTrace  = "0af7651916cd43dd8448eb211c80319c"
	sentSpan   = "b7ad6b7169203331"
	sentParent = "00-" + sentTrace + "-" + sentSpan + "-01"
)

// tracedTarget is a server that says which trace fields it gets.
func tracedTarget(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Header["Traceparent"], r.Header["Tracestate"])
	}))
	t.Cleanup(s.Close)
	return s
}

// traceOf asks for a path, with fields, and returns what the answer says.
func traceOf(t *testing.T, c *http.Client, url string, fields ...string) string {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	_, text, err := do(c, req)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A script, a target of a route, the access log, the log and the record of a failed request have the same id.
func TestTrace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	access, crashes := filepath.Join(dir, "access"), filepath.Join(dir, "crashes")
	s := start(t, "--trace", "--access-log", access, "--access-format", "json", "--crash-dir", crashes, "testdata/trace.lua", tracedTarget(t).URL)
	c := newClient(t)
	for _, client := range []*http.Client{c, http2Client(nil)} {
		got := traceOf(t, client, s.url("/"), "traceparent", sentParent, "tracestate", "a=1", "tracestate", "b=2")
		id, rest, _ := strings.Cut(got, " ")
		if id != sentTrace || !strings.HasPrefix(rest, "00-"+sentTrace+"-") || strings.Contains(rest, sentSpan) || !strings.HasSuffix(rest, "-01 a=1,b=2") {
			t.Errorf("handler: %s", got)
		}
	}
	got := traceOf(t, c, s.url("/"), "traceparent", "00-"+strings.Repeat("0", 32)+"-"+sentSpan+"-01", "tracestate", "a=1")
	id, rest, _ := strings.Cut(got, " ")
	if len(id) != 32 || id == strings.Repeat("0", 32) || !strings.HasPrefix(rest, "00-"+id+"-") || !strings.HasSuffix(rest, "-00 nil") {
		t.Errorf("a trace that begins: %s", got)
	}
	got = traceOf(t, c, s.url("/next/"), "traceparent", sentParent, "tracestate", "a=1", "x", "y")
	if !strings.HasPrefix(got, "[00-"+sentTrace+"-") || strings.Contains(got, sentSpan) || !strings.HasSuffix(got, "-01] [a=1]") {
		t.Errorf("target: %s", got)
	}
	traceOf(t, c, s.url("/fail"), "traceparent", sentParent)
	crash := field(s.wait("on purpose", "path=/fail", "trace_id="+sentTrace+" "), "crash")
	var names []string
	eventually(t, "the record", func() bool {
		names, _ = filepath.Glob(filepath.Join(crashes, "*-"+crash+".json"))
		return len(names) == 1
	})
	var record struct {
		Request struct {
			Trace string `json:"trace_id"`
		}
	}
	if text, err := os.ReadFile(names[0]); err != nil || json.Unmarshal(text, &record) != nil || record.Request.Trace != sentTrace {
		t.Errorf("record: %+v, %v", record, err)
	}
	begun := 0 // the loops write their lines in any order
	for _, line := range fileLines(t, access, 5) {
		var e struct {
			Trace string `json:"trace_id"`
			Span  string `json:"span_id"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || len(e.Trace) != 32 || len(e.Span) != 16 || e.Span == sentSpan {
			t.Errorf("%v: %s", err, line)
		}
		if e.Trace != sentTrace {
			begun++
		}
	}
	if begun != 1 {
		t.Errorf("%d requests have begun a trace", begun)
	}
}

// Whose fields continue a trace is an option. Without tracing they are the handler's and the target's business.
func TestTraceFrom(t *testing.T) {
	t.Parallel()
	target := tracedTarget(t)
	for _, c := range []struct {
		args          []string
		first, second bool // the listeners' traces continue; the first one trusts its peers
	}{
		{[]string{"--trace"}, true, true},
		{[]string{"--trace", "--trace-from", "any"}, true, true},
		{[]string{"--trace", "--trace-from", "trusted"}, true, false},
		{[]string{"--trace", "--trace-from", "none"}, false, false},
	} {
		s := start(t, append(c.args, "testdata/trace.lua", target.URL)...)
		for i, continues := range []bool{c.first, c.second} {
			got := traceOf(t, newClient(t), "http://"+s.address(i)+"/", "traceparent", sentParent, "tracestate", "a=1")
			if strings.HasPrefix(got, sentTrace) != continues || strings.HasSuffix(got, " a=1") != continues {
				t.Errorf("%v, listener %d: %s", c.args, i, got)
			}
		}
	}
	s := start(t, "testdata/trace.lua", target.URL)
	if got := traceOf(t, newClient(t), s.url("/"), "traceparent", sentParent); got != "nil nil nil" {
		t.Errorf("not traced: %s", got)
	}
	if got := traceOf(t, newClient(t), s.url("/next/"), "traceparent", sentParent, "tracestate", "a"); got != "["+sentParent+"] [a]" {
		t.Errorf("not traced, target: %s", got)
	}
}

func TestTraceOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--trace-ratio", "0.5"}, "--trace-ratio needs --otlp"},
		{[]string{"--otlp", "env", "--trace-ratio", "1.5"}, "--trace-ratio must be between 0 and 1"},
		{[]string{"--otlp", "env", "--trace-ratio", "NaN"}, "--trace-ratio must be between 0 and 1"},
		{[]string{"--trace-from", "none"}, "--trace-from needs --trace or --otlp"},
		{[]string{"--trace", "--trace-from", "me"}, "any, trusted or none"},
	} {
		if _, stderr := runToEnd(t, 1, append(c.args, "x.lua")...); !strings.Contains(stderr, c.want) {
			t.Errorf("%q: %s", c.args, stderr)
		}
	}
	if _, stderr := runToEnd(t, 3, "--otlp", "localhost:4317", "testdata/trace.lua", "http://127.0.0.1:1"); !strings.Contains(stderr, "is no URL of a collector") {
		t.Error(stderr)
	}
}

// spanCollector is a collector.
type spanCollector struct {
	*httptest.Server
	hang chan struct{} // not nil: answers wait until it is closed

	mu    sync.Mutex
	spans []*tracepb.Span
}

func newSpanCollector(t *testing.T) *spanCollector {
	c := &spanCollector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if c.hang != nil {
			<-c.hang
		}
		var m tracepb.TracesData
		if err := proto.Unmarshal(b, &m); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rs := range m.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// servers waits for as many server spans, and returns them in the order of their beginnings.
func (c *spanCollector) servers(t *testing.T, n int) (list []*tracepb.Span) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d spans of requests", n), func() bool {
		list = c.kind(tracepb.Span_SPAN_KIND_SERVER)
		return len(list) >= n
	})
	if len(list) > n {
		t.Fatalf("%d spans of requests, want %d", len(list), n)
	}
	return list
}

func (c *spanCollector) kind(kind tracepb.Span_SpanKind) (list []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Kind == kind {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *tracepb.Span) int { return cmp.Compare(a.StartTimeUnixNano, b.StartTimeUnixNano) })
	return list
}

// child is the child of a span with a name.
func (c *spanCollector) child(t *testing.T, parent *tracepb.Span, name string) *tracepb.Span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if string(s.ParentSpanId) == string(parent.SpanId) && s.Name == name {
			return s
		}
	}
	t.Fatalf("%s has no child %s", parent.Name, name)
	return nil
}

// fastSpans has spans sent soon.
func fastSpans(t *testing.T, args ...string) *instance {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := launchWith(t, program, nil, []string{"OTEL_BSP_SCHEDULE_DELAY=10"}, args...)
	s.wait("msg=ready")
	return s
}

// What handlers and targets are told are the ids of the spans that the collector gets. Their times fit together.
func TestTraceExport(t *testing.T) {
	t.Parallel()
	c := newSpanCollector(t)
	s := fastSpans(t, "--otlp", c.URL, "--admin", loopbackPort, "testdata/trace.lua", tracedTarget(t).URL)
	text := traceOf(t, newClient(t), s.url("/slow?secret"), "traceparent", sentParent)
	server := c.servers(t, 1)[0]
	queue, service := c.child(t, server, "queue"), c.child(t, server, "service")
	id := func(b []byte) string { return hex.EncodeToString(b) }
	if want := sentTrace + " 00-" + sentTrace + "-" + id(service.SpanId) + "-01 nil"; text != want || id(server.ParentSpanId) != sentSpan || id(server.TraceId) != sentTrace {
		t.Errorf("handler: %s, want %s", text, want)
	}
	length := func(s *tracepb.Span) time.Duration { return time.Duration(s.EndTimeUnixNano - s.StartTimeUnixNano) }
	if queue.StartTimeUnixNano != server.StartTimeUnixNano || service.StartTimeUnixNano != queue.EndTimeUnixNano ||
		length(service) < 50*time.Millisecond || length(queue)+length(service) > length(server) {
		t.Errorf("queue %v, service %v, all %v", length(queue), length(service), length(server))
	}
	if all := server.String(); strings.Contains(all, "secret") || !strings.Contains(all, "/slow") {
		t.Error(all)
	}

	target := traceOf(t, newClient(t), s.url("/next/"))
	server = c.servers(t, 2)[1]
	passed := c.child(t, server, "GET")
	if want := fmt.Sprintf("[00-%s-%s-01] []", id(server.TraceId), id(passed.SpanId)); target != want || passed.Kind != tracepb.Span_SPAN_KIND_CLIENT || len(server.ParentSpanId) > 0 {
		t.Errorf("target: %s, want %s", target, want)
	}

	text = traceOf(t, http2Client(nil), s.url("/fail"), "traceparent", strings.TrimSuffix(sentParent, "1")+"0")
	traceOf(t, http2Client(nil), s.url("/fail"), "traceparent", sentParent)
	if server = c.servers(t, 3)[2]; server.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("%s: %v", text, server)
	}

	// A large body is awaited, and the target gets it from a file.
	res, err := newClient(t).Post(s.url("/next/"), "text/plain", strings.NewReader(strings.Repeat("x", 200_000)))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	server = c.servers(t, 4)[3]
	queue, passed = c.child(t, server, "queue"), c.child(t, server, "POST")
	if passed.Kind != tracepb.Span_SPAN_KIND_CLIENT {
		t.Errorf("with a large body: %v", passed)
	}
	if queue.StartTimeUnixNano <= server.StartTimeUnixNano || passed.StartTimeUnixNano != queue.EndTimeUnixNano {
		t.Errorf("with a large body: %v, %v, %v", server, queue, passed)
	}

	s.mustReload()
	traceOf(t, newClient(t), s.url("/"))
	c.servers(t, 5)
	eventually(t, "the figure", func() bool { return s.figures()[`moonbridge_traces_total{result="sent"}`] == 5 })
}

// The refresh of a page has a span, which is the parent of what its handler asks of others. Nobody waits for it.
func TestTraceRefresh(t *testing.T) {
	t.Parallel()
	c := newSpanCollector(t)
	a, told := newApplication(t), filepath.Join(t.TempDir(), "told")
	a.write(`@ listen{ port, connect = http.generate_handler({ cache = true }, function(request)
	local f = io.open(%q, "a")
	f:write(request.traceparent, "\n")
	f:close()
	request:send_status("200 OK")
	request:send_header("Cache-Control", "max-age=0, stale-while-revalidate=1000")
	request:send_data("page")
end) }`, told)
	s := fastSpans(t, "--otlp", c.URL, a.script)
	get(t, s.url("/"))
	get(t, s.url("/"))
	server := c.servers(t, 2)[1]
	refresh := c.child(t, server, "refresh")
	lines := fileLines(t, told, 2)
	if want := fmt.Sprintf("00-%x-%x-01\n", server.TraceId, refresh.SpanId); lines[1] != want {
		t.Errorf("the handler of the refresh has %q, want %q", lines[1], want)
	}
	if n := len(c.kind(tracepb.Span_SPAN_KIND_INTERNAL)); n != 3 {
		t.Errorf("%d internal spans, want queue and service of the first request, and the refresh", n)
	}
}

// Only what was sent again counts as such: not targets that cannot be reached.
func TestTraceResent(t *testing.T) {
	t.Parallel()
	c := newSpanCollector(t)
	var asked atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/breaks/x" && asked.Add(1) == 2 {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
		}
	}))
	t.Cleanup(target.Close)
	a := newApplication(t)
	a.write(`@ listen{ port, routes = {
	["/breaks/"] = { proxy = %[1]q },
	["/away/"] = { proxy = { "http://127.0.0.1:1", %[1]q } },
	["/gone/"] = { proxy = "http://127.0.0.1:1", retries = 0 },
}, connect = http.generate_handler(function() end) }`, target.URL)
	s := fastSpans(t, "--otlp", c.URL, "--loops", "1", a.script)
	for n, one := range []struct {
		path    string
		status  int
		resends string
	}{{"/breaks/x", 200, ""}, {"/breaks/x", 200, "1"}, {"/away/x", 200, ""}, {"/away/x", 200, ""}, {"/gone/x", 502, ""}} {
		if got := status(t, "GET", s.url(one.path)); got != one.status {
			t.Errorf("%s: %d", one.path, got)
		}
		span, got := c.child(t, c.servers(t, n+1)[n], "GET"), ""
		for _, kv := range span.Attributes {
			if kv.Key == "http.request.resend_count" {
				got = strconv.FormatInt(kv.Value.GetIntValue(), 10)
			}
		}
		if got != one.resends {
			t.Errorf("%s: resend count %q, want %q", one.path, got, one.resends)
		}
	}
}

// The last spans are sent when the server ends. Which traces are recorded is decided by their ids, if nobody has decided before.
func TestTraceRatio(t *testing.T) {
	t.Parallel()
	c := newSpanCollector(t)
	s := start(t, "--otlp", c.URL, "--trace-ratio", "0.5", "testdata/trace.lua", "http://127.0.0.1:1")
	client, want := newClient(t), 0
	for range 40 {
		text := traceOf(t, client, s.url("/"))
		id, err := hex.DecodeString(text[16:32])
		if err != nil || len(text) < 60 {
			t.Fatal(text)
		}
		recorded := id[0] < 0x80
		if recorded {
			want++
		}
		if strings.HasSuffix(text, "-01 nil") != recorded {
			t.Errorf("recorded: %v: %s", recorded, text)
		}
	}
	s.stop()
	if got := len(c.kind(tracepb.Span_SPAN_KIND_SERVER)); got != want {
		t.Errorf("%d of 40 are sent, want %d", got, want)
	}
}

// While the collector hangs, requests are answered as always, and the end of the server is not far away.
func TestTraceCollectorHangs(t *testing.T) {
	t.Parallel()
	c := newSpanCollector(t)
	c.hang = make(chan struct{})
	defer close(c.hang)
	s := fastSpans(t, "--otlp", c.URL, "testdata/trace.lua", "http://127.0.0.1:1")
	for range 50 {
		traceOf(t, newClient(t), s.url("/"))
	}
	s.stop()
	s.wait("the last ones could not be sent in time")
}

// A process that takes over sends its own spans, and the old one its last.
func TestTraceUpgrade(t *testing.T) {
	t.Parallel()
	c := newSpanCollector(t)
	a := newApplication(t)
	a.write(`@ listen{ port, connect = say("good") }`)
	pidName := filepath.Join(filepath.Dir(a.script), "pid")
	s := start(t, "-p", pidName, "--otlp", c.URL, a.script)
	at := s.url("/")
	get(t, at)
	s.signal(syscall.SIGUSR2)
	eventually(t, "the old process has ended", func() bool {
		select {
		case <-s.exited:
			return true
		default:
			return false
		}
	})
	c.servers(t, 1)
	get(t, at)
	text, err := os.ReadFile(pidName)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		t.Fatalf("pid %q, %v", text, err)
	}
	s.endOf(pid)
	c.servers(t, 2)
}
