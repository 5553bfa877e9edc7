package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"moonbridge/handler/accesslog"
)

const patience = time.Minute

// collector is a collector that keeps what it gets.
type collector struct {
	*httptest.Server
	answer func(n int, w http.ResponseWriter) bool // to the n-th message, from 1; false: it is not taken

	mu       sync.Mutex
	messages int
	header   http.Header
	resource []*commonpb.KeyValue
	spans    []*tracepb.Span
}

func newCollector(t *testing.T, answer func(n int, w http.ResponseWriter) bool) *collector {
	c := &collector{answer: answer}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(body)
	}
	b, _ := io.ReadAll(body)
	var m tracepb.TracesData
	if err := proto.Unmarshal(b, &m); err != nil || r.URL.Path != "/v1/traces" || r.Method != "POST" {
		w.WriteHeader(400)
		return
	}
	c.mu.Lock()
	c.messages++
	n := c.messages
	c.mu.Unlock()
	if c.answer != nil && !c.answer(n, w) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header = r.Header
	for _, rs := range m.ResourceSpans {
		c.resource = rs.Resource.Attributes
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
}

// of returns the spans with a name.
func (c *collector) of(name string) (list []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name {
			list = append(list, s)
		}
	}
	return list
}

// texts are attributes as text, in order.
func texts(list []*commonpb.KeyValue) string {
	var all []string
	for _, kv := range list {
		v := kv.Value.GetStringValue()
		if _, is := kv.Value.Value.(*commonpb.AnyValue_IntValue); is {
			v = fmt.Sprint(kv.Value.GetIntValue())
		}
		all = append(all, kv.Key+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// newExporter is an exporter that is closed at the end.
func newExporter(t *testing.T, c Config) (*Exporter, *lockedLog) {
	t.Helper()
	log := new(lockedLog)
	c.Log, c.Version = slog.New(slog.NewTextHandler(log, nil)), "1.2"
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(time.Millisecond) })
	return e, log
}

type lockedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// entry is an exchange that has everything.
func entry() *accesslog.Entry {
	tr := &accesslog.Trace{ID: [16]byte{1, 15: 9}, Parent: [8]byte{2}, Span: [8]byte{3}, Child: [8]byte{4}, Flags: 1}
	return &accesslog.Entry{
		Loop: 1, Peer: netip.MustParseAddrPort("192.0.2.7:4711"), Time: time.Unix(1700000000, 5), Method: []byte("GET"),
		Target: []byte("/list?password=hush"), Minor: 1, UserAgent: []byte("curl\xff"), ID: []byte("request-1"), Trace: tr, State: []byte("a=1"),
		Host: []byte("example.org:8080"), Secure: true, Status: 200, Bytes: 12, Complete: true,
		Waited: time.Millisecond, Queue: 2 * time.Millisecond, Service: 3 * time.Millisecond, Total: 7 * time.Millisecond, Cache: "MISS",
	}
}

func idsOf(s *tracepb.Span) string {
	return hex.EncodeToString(s.TraceId) + " " + hex.EncodeToString(s.SpanId) + " " + hex.EncodeToString(s.ParentSpanId)
}

// An exchange becomes a span, with one for its wait and one for what has answered it.
func TestSpans(t *testing.T) {
	c := newCollector(t, nil)
	e, _ := newExporter(t, Config{Endpoint: c.URL, Ratio: 1, Loops: 2})
	e.Record(entry())
	not := entry()
	not.Trace.Flags = 0
	e.Record(not)
	none := entry()
	none.Trace = nil
	e.Record(none)
	e.Close(patience)
	if len(c.spans) != 3 {
		t.Fatalf("%d spans", len(c.spans))
	}
	server, queue, service := c.of("GET")[0], c.of("queue")[0], c.of("service")[0]
	const traceID = "01000000000000000000000000000009"
	if idsOf(server) != traceID+" 0300000000000000 0200000000000000" || server.Kind != tracepb.Span_SPAN_KIND_SERVER || server.TraceState != "a=1" {
		t.Errorf("server: %v", server)
	}
	if idsOf(service) != traceID+" 0400000000000000 0300000000000000" || hex.EncodeToString(queue.ParentSpanId) != "0300000000000000" {
		t.Errorf("children: %v, %v", queue, service)
	}
	begin := uint64(1700000000*1e9 + 5)
	for _, s := range []struct {
		span       *tracepb.Span
		begin, end uint64
	}{{server, 0, 7e6}, {queue, 1e6, 3e6}, {service, 3e6, 6e6}} {
		if s.span.StartTimeUnixNano != begin+s.begin || s.span.EndTimeUnixNano != begin+s.end {
			t.Errorf("%s: from %d to %d", s.span.Name, s.span.StartTimeUnixNano-begin, s.span.EndTimeUnixNano-begin)
		}
	}
	want := "client.address=192.0.2.7 client.port=4711 http.request.method=GET http.response.body.size=12 http.response.status_code=200 " +
		"moonbridge.cache=MISS moonbridge.request_id=request-1 network.protocol.name=http network.protocol.version=1.1 " +
		"server.address=example.org server.port=8080 url.path=/list url.scheme=https user_agent.original=curl\uFFFD"
	if got := texts(server.Attributes); got != want {
		t.Errorf("attributes %s\nwant %s", got, want)
	}
	for _, want := range []string{"service.name=mbserve", "service.version=1.2", "telemetry.sdk.name=opentelemetry", "host.name="} {
		if got := texts(c.resource); !strings.Contains(got, want) {
			t.Errorf("resource %s has no %s", got, want)
		}
	}
	if got := e.Stats(); got != (Stats{Sent: 1}) {
		t.Errorf("%+v", got)
	}
	if agent := c.header.Get("User-Agent"); agent != "moonbridge/1.2" {
		t.Errorf("user agent %q", agent)
	}
}

// What differs from an ordinary request.
func TestSpanVariants(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(a *accesslog.Entry)
		spans  string // names and kinds
		server string // a part of its attributes
		failed bool
	}{
		{"unknown method", func(a *accesslog.Entry) { a.Method = []byte("BREW") }, "HTTP 2, queue 1, service 1",
			"http.request.method=_OTHER http.request.method_original=BREW", false},
		{"refused", func(a *accesslog.Entry) { a.Status, a.Queue, a.Service = 503, -1, -1 }, "GET 2", "error.type=503", true},
		{"not found", func(a *accesslog.Entry) { a.Status = 404 }, "GET 2, queue 1, service 1", "http.response.status_code=404", false},
		{"client gone", func(a *accesslog.Entry) { a.Status, a.Service, a.Complete = 499, -1, false }, "GET 2, queue 1", "error.type=client_gone", true},
		{"no response", func(a *accesslog.Entry) { a.Status, a.Complete = 0, false }, "GET 2, queue 1, service 1", "error.type=no_response", true},
		{"broken off", func(a *accesslog.Entry) { a.Complete = false }, "GET 2, queue 1, service 1", "error.type=incomplete", true},
		{"HTTP/2 on a Unix socket", func(a *accesslog.Entry) { a.HTTP2, a.Peer, a.Host = true, netip.AddrPort{}, []byte("[::1]") },
			"GET 2, queue 1, service 1", "network.protocol.version=2 server.address=::1 url.path", false},
		{"absolute target", func(a *accesslog.Entry) { a.Target = []byte("http://other/x?y") }, "GET 2, queue 1, service 1", "url.path=/x url.scheme", false},
		{"absolute target without a path", func(a *accesslog.Entry) { a.Target = []byte("http://other?y") }, "GET 2, queue 1, service 1", "url.path=/ url.scheme", false},
		{"path that looks like one", func(a *accesslog.Entry) { a.Target = []byte("/a://b/c") }, "GET 2, queue 1, service 1", "url.path=/a://b/c url.scheme", false},
		{"HTTP/1.0", func(a *accesslog.Entry) { a.Minor, a.Host = 0, nil }, "GET 2, queue 1, service 1", "network.protocol.version=1.0 url.path", false},
		{"begins here", func(a *accesslog.Entry) { a.Trace.Parent, a.State = [8]byte{}, nil }, "GET 2, queue 1, service 1", "", false},
		{"refresh", func(a *accesslog.Entry) { a.Queue, a.Service, a.Cache, a.Refreshes = -1, -1, "STALE", true }, "GET 2, refresh 1", "moonbridge.cache=STALE", false},
		{"no target was reached", func(a *accesslog.Entry) { a.Status, a.Upstream, a.Sent = 502, "10.0.0.1:80", 0 }, "GET 2, GET 3, queue 1", "error.type=502", true},
		{"passed on", func(a *accesslog.Entry) { a.Upstream, a.Sent = "10.0.0.1:80", 3 }, "GET 2, GET 3, queue 1", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := newCollector(t, nil)
			e, _ := newExporter(t, Config{Endpoint: to.URL + "/", Ratio: 1})
			a := entry()
			c.change(a)
			e.Record(a)
			e.Close(patience)
			var got []string
			for _, s := range to.spans {
				got = append(got, fmt.Sprintf("%s %d", s.Name, s.Kind))
				switch s.Kind {
				case tracepb.Span_SPAN_KIND_SERVER:
					if failed := s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR; failed != c.failed || !strings.Contains(texts(s.Attributes), c.server) {
						t.Errorf("failed: %v, %s", failed, texts(s.Attributes))
					}
					if want := hex.EncodeToString(a.Trace.Parent[:]); len(s.ParentSpanId) > 0 && hex.EncodeToString(s.ParentSpanId) != want {
						t.Errorf("parent %x, want %s", s.ParentSpanId, want)
					}
				case tracepb.Span_SPAN_KIND_CLIENT:
					want := "http.request.method=GET http.request.resend_count=2 http.response.status_code=200 server.address=10.0.0.1 server.port=80"
					if a.Sent == 0 {
						want = "http.request.method=GET server.address=10.0.0.1 server.port=80"
					}
					if texts(s.Attributes) != want || !bytes.Equal(s.SpanId, a.Trace.Child[:]) {
						t.Errorf("%x: %s", s.SpanId, texts(s.Attributes))
					}
				}
			}
			slices.Sort(got)
			if strings.Join(got, ", ") != c.spans {
				t.Errorf("%s, want %s", got, c.spans)
			}
		})
	}
}

// A collector that hangs costs spans, which are counted. It delays neither those who record nor, for longer than they say, the end.
func TestCollectorHangs(t *testing.T) {
	release := make(chan struct{})
	asked := make(chan struct{}, 100)
	c := newCollector(t, func(int, http.ResponseWriter) bool { asked <- struct{}{}; <-release; return false })
	defer close(release)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	e, log := newExporter(t, Config{Endpoint: c.URL, Ratio: 1})
	e.Record(entry())
	<-asked
	size := len(appendEntry(nil, entry()))
	for range queueBytes/size + 10 {
		e.Record(entry())
	}
	if got := e.Stats(); got.Dropped < 10 || got.Dropped > 11 || got.Sent != 0 {
		t.Errorf("%+v", got)
	}
	began := time.Now()
	e.Close(10 * time.Millisecond)
	if d := time.Since(began); d > patience/2 {
		t.Errorf("the end took %v", d)
	}
	for _, want := range []string{"traces lost", "queue is full", "could not be sent in time"} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%d times %q in the log:\n%s", n, want, log)
		}
	}
}

// What may be over soon is tried again, and nothing else.
func TestRetries(t *testing.T) {
	fails := func(status int) func(int, http.ResponseWriter) bool {
		return func(n int, w http.ResponseWriter) bool {
			if n == 1 {
				w.WriteHeader(status)
			}
			return n > 1
		}
	}
	for _, c := range []struct {
		name     string
		answer   func(int, http.ResponseWriter) bool
		messages int
		want     Stats
		log      string
	}{
		{"503", fails(503), 2, Stats{Sent: 1}, ""},
		{"429", fails(429), 2, Stats{Sent: 1}, ""},
		{"400", fails(400), 1, Stats{Failed: 1}, "answers 400"},
		{"401", fails(401), 1, Stats{Failed: 1}, "answers 401"},
		{"a redirect", fails(307), 1, Stats{Failed: 1}, "answers 307"},
		{"rejected", func(_ int, w http.ResponseWriter) bool {
			partial := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 3)
			partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), "too old")
			w.Write(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial))
			return true
		}, 1, Stats{Failed: 1}, `rejects 3 spans: \"too old\"`},
		{"nonsense", func(_ int, w http.ResponseWriter) bool { io.WriteString(w, "\xff\xff\xff"); return true }, 1, Stats{Sent: 1}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := newCollector(t, c.answer)
			e, log := newExporter(t, Config{Endpoint: to.URL, Ratio: 1})
			e.Record(entry())
			e.Close(patience)
			if got := e.Stats(); got != c.want || to.messages != c.messages {
				t.Errorf("%+v, %d messages", got, to.messages)
			}
			if !strings.Contains(log.String(), c.log) || (c.log == "") != !strings.Contains(log.String(), "WARN") {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

// A collector that is not there is tried until the time is over.
func TestNoCollector(t *testing.T) {
	c := newCollector(t, nil)
	c.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
	e, log := newExporter(t, Config{Endpoint: c.URL, Ratio: 1})
	e.Record(entry())
	e.Close(patience)
	if got := e.Stats(); got != (Stats{Failed: 1}) || !strings.Contains(log.String(), "connection refused") {
		t.Errorf("%+v\n%s", got, log)
	}
}

// A connection of HTTP/2 that is dead without a word is given up, and the next message goes to another one.
func TestDeadConnection(t *testing.T) {
	c := &collector{}
	c.Server = httptest.NewUnstartedServer(c)
	c.EnableHTTP2 = true
	c.StartTLS()
	defer c.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	// What is between the two can stop passing bytes on.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var dead [2]atomic.Bool // by connection
	var conns atomic.Int32
	pass := func(to, from net.Conn, dead *atomic.Bool) {
		b := make([]byte, 4096)
		for {
			n, err := from.Read(b)
			if err != nil {
				to.Close()
				return
			}
			if !dead.Load() {
				to.Write(b[:n])
			}
		}
	}
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", c.Listener.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			d := &dead[min(conns.Add(1)-1, 1)]
			go pass(in, out, d)
			go pass(out, in, d)
		}
	}()
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", file)
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1000")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	e, log := newExporter(t, Config{Endpoint: "https://" + ln.Addr().String(), Ratio: 1})
	recorded := 0
	until := func(n uint64) {
		for deadline := time.Now().Add(patience); e.Stats().Sent < n; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%+v, %d connections\n%s", e.Stats(), conns.Load(), log)
			}
			if st := e.Stats(); st.Sent+st.Failed == uint64(recorded) {
				e.Record(entry())
				recorded++
			}
		}
	}
	until(1)
	if conns.Load() != 1 {
		t.Fatalf("%d connections", conns.Load())
	}
	dead[0].Store(true)
	until(e.Stats().Sent + 1)
}

func TestEnvironment(t *testing.T) {
	c := newCollector(t, nil)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x, X-A=b")
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	t.Setenv("OTEL_SERVICE_NAME", "shop")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=other")
	e, _ := newExporter(t, Config{Ratio: -1})
	e.Record(entry())
	e.Close(patience)
	if got := e.Stats(); got != (Stats{Sent: 1}) {
		t.Fatalf("%+v", got)
	}
	if c.header.Get("Authorization") != "Bearer x" || c.header.Get("X-A") != "b" || c.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%v", c.header)
	}
	if got := texts(c.resource); !strings.Contains(got, "service.name=shop") || !strings.Contains(got, "deployment.environment.name=test") {
		t.Error(got)
	}
	for _, bad := range [][2]string{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317"}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://x"}, {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
		{"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd"}, {"OTEL_EXPORTER_OTLP_HEADERS", "a"}, {"OTEL_EXPORTER_OTLP_HEADERS", "a=%0d%0ab: c"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a b=c"}, {"OTEL_EXPORTER_OTLP_HEADERS", "a=%01"}, {"OTEL_EXPORTER_OTLP_TIMEOUT", "5s1"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s"}, {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"}, {"OTEL_BSP_SCHEDULE_DELAY", "x"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "/none"}, {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/none"}, {"OTEL_TRACES_SAMPLER", "jaeger_remote"},
		{"OTEL_SDK_DISABLED", "true"},
	} {
		t.Run(bad[0], func(t *testing.T) {
			t.Setenv(bad[0], bad[1])
			if e, err := New(Config{Ratio: -1, Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(bad[0], "OTEL_EXPORTER_OTLP_TRACES_")) &&
				!strings.Contains(err.Error(), strings.TrimPrefix(bad[0], "OTEL_EXPORTER_OTLP_")) && !strings.Contains(err.Error(), bad[1]) {
				t.Errorf("%v, %v", e, err)
			}
		})
	}
}

func TestEndpoint(t *testing.T) {
	if e, _ := newExporter(t, Config{Endpoint: "http://secret:secret@c?secret"}); strings.Contains(e.Endpoint(), "secret") {
		t.Error(e.Endpoint())
	}
	if _, err := endpointURL("htp://secret:secret@c"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	for _, c := range [][3]string{ // given, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, want
		{"", "", "http://localhost:4318/v1/traces"},
		{"http://c:4318", "http://other", "http://c:4318/v1/traces"},
		{"http://c/otlp/", "", "http://c/otlp/v1/traces"},
		{"https://c/v1/traces", "", "https://c/v1/traces"},
		{"", "http://c/own", "http://c/own"},
	} {
		t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c[1])
		if got, err := endpointURL(c[0]); got != c[2] || err != nil {
			t.Errorf("%q: %s, %v", c, got, err)
		}
	}
}

// The sampler decides as those of OpenTelemetry do, so that servers with the same ratio record the same traces.
func TestSampler(t *testing.T) {
	for _, ratio := range []float64{0, 0.01, 0.5, 1} {
		s, err := newSampler(ratio)
		if err != nil {
			t.Fatal(err)
		}
		other := sdktrace.TraceIDRatioBased(ratio)
		for range 10_000 {
			var id [16]byte
			for i := range id {
				id[i] = byte(rand.Uint32())
			}
			want := other.ShouldSample(sdktrace.SamplingParameters{ParentContext: context.Background(), TraceID: id}).Decision == sdktrace.RecordAndSample
			if got := s.Sample(id, true, false); got != want {
				t.Fatalf("%v: %x: %v", ratio, id, got)
			}
			if !s.Sample(id, false, true) || s.Sample(id, false, false) {
				t.Fatal("the parent's decision does not count")
			}
		}
	}
	for _, c := range []struct {
		name, arg           string
		begins, yes, no, ok bool // yes, no: what the parent has decided
	}{
		{"", "", true, true, false, true},
		{"always_on", "", true, true, true, true},
		{"always_off", "", false, false, false, true},
		{"traceidratio", "0", false, false, false, true},
		{"ParentBased_Always_On", "", true, true, false, true},
		{"parentbased_always_off", "", false, true, false, true},
		{"parentbased_traceidratio", "0", false, true, false, true},
		{"parentbased_traceidratio", "", true, true, false, true},
		{"parentbased_traceidratio", "2", false, false, false, false},
		{"parentbased_traceidratio", "NaN", false, false, false, false},
		{"xray", "", false, false, false, false},
	} {
		t.Setenv("OTEL_TRACES_SAMPLER", c.name)
		t.Setenv("OTEL_TRACES_SAMPLER_ARG", c.arg)
		s, err := newSampler(-1)
		if (err == nil) != c.ok {
			t.Errorf("%s %s: %v", c.name, c.arg, err)
		}
		id := [16]byte{8: 0x77}
		if got := [3]bool{s.Sample(id, true, false), s.Sample(id, false, true), s.Sample(id, false, false)}; err == nil && got != [3]bool{c.begins, c.yes, c.no} {
			t.Errorf("%s %s: %v", c.name, c.arg, got)
		}
	}
}

// A record has what it was made of, and a damaged one is recognized.
func TestRecord(t *testing.T) {
	a := entry()
	a.Upstream, a.Sent, a.Waited = "10.0.0.1:80", 2, time.Minute
	b := appendEntry([]byte("before"), a)[6:]
	both := append(slices.Clone(b), b...)
	var r record
	rest, ok := r.read(both)
	if !ok || !bytes.Equal(rest, b) {
		t.Fatalf("%v, %q", ok, rest)
	}
	want := record{
		time: a.Time, waited: a.Waited, queue: a.Queue, service: a.Service, total: a.Total, bytes: a.Bytes, status: 200, flags: flagComplete | flagSecure, peer: a.Peer,
		trace: *a.Trace, sent: 2, method: a.Method, path: []byte("/list"), agent: a.UserAgent, id: a.ID, host: a.Host, state: a.State,
		cache: []byte("MISS"), target: []byte("10.0.0.1:80"),
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v\nwant %+v", r, want)
	}
	for n := range b {
		if _, ok := r.read(b[:n]); ok {
			t.Errorf("%d of %d bytes are a record", n, len(b))
		}
	}
}

// FuzzRecord: nothing in the queue makes the exporter fail.
func FuzzRecord(f *testing.F) {
	f.Add(appendEntry(nil, entry()))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record
		if rest, ok := r.read(b); ok && len(rest) >= len(b) {
			t.Fatal("no progress")
		}
	})
}

// BenchmarkRecord is what a recorded exchange costs its loop.
func BenchmarkRecord(b *testing.B) {
	a := entry()
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer = appendEntry(buffer[:0], a)
	}
}

// BenchmarkSpans is what it costs the goroutine that sends.
func BenchmarkSpans(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	defer s.Close()
	e, err := New(Config{Endpoint: s.URL, Ratio: 1, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		b.Fatal(err)
	}
	w := newWriter(e, resourceOf(Config{}))
	text := bytes.Repeat(appendEntry(nil, entry()), 1000)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		w.Write(text)
		n += 1000
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/exchange")
	e.Close(time.Second)
}
