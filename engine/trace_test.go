package engine

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"moonbridge/handler/accesslog"
	"moonbridge/httpparse"
)

const (
	traceID   = "0af7651916cd43dd8448eb211c80319c"
	traceSpan = "b7ad6b7169203331"
)

// tracesOf collects the traces that an access log is told of.
type tracesOf struct {
	accessLines
	mu   sync.Mutex
	seen []accesslog.Trace
	text []string // state and host
}

func (l *tracesOf) log(a *Access) {
	l.mu.Lock()
	if a.Trace != nil {
		l.seen = append(l.seen, *a.Trace)
		l.text = append(l.text, fmt.Sprintf("%s %s %d", a.State, a.Host, a.Sent))
	} else {
		l.seen = append(l.seen, accesslog.Trace{})
		l.text = append(l.text, "none")
	}
	l.mu.Unlock()
	l.accessLines.log(a)
}

func (l *tracesOf) last() (accesslog.Trace, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[len(l.seen)-1], l.text[len(l.text)-1]
}

// localhost is an Identifier that trusts the peers of these tests, or nobody.
type localhost bool

func (localhost) Identify(*httpparse.Head, netip.Addr) {}
func (l localhost) Has(peer netip.Addr) bool           { return bool(l) && peer.IsLoopback() }

// A request continues the trace that it comes with if that is valid and may be trusted. Otherwise it begins one.
func TestTracing(t *testing.T) {
	sampled := "traceparent: 00-" + traceID + "-" + traceSpan + "-01\r\n"
	ignored := "traceparent: 00-" + traceID + "-" + traceSpan + "-00\r\n"
	all := func([16]byte, bool, bool) bool { return true }
	none := func([16]byte, bool, bool) bool { return false }
	for _, c := range []struct {
		name      string
		o         Tracing
		trusted   Identifier
		fields    string
		continues bool
		flags     byte
		text      string
	}{
		{"none comes", Tracing{}, nil, "", false, 0, "  0"},
		{"one comes", Tracing{}, nil, sampled, true, 1, "  0"},
		{"its name in other letters", Tracing{}, nil, strings.ReplaceAll(sampled, "traceparent", "TraceParent"), true, 1, "  0"},
		{"a state comes with it", Tracing{}, nil, sampled + "tracestate: a=1\r\nTracestate: b=2\r\n", true, 1, "a=1,b=2  0"},
		{"its state is invalid", Tracing{}, nil, sampled + "tracestate: a=1,a=2\r\n", true, 1, "  0"},
		{"only a state comes", Tracing{}, nil, "tracestate: a=1\r\n", false, 0, "  0"},
		{"two come", Tracing{}, nil, sampled + sampled, false, 0, "  0"},
		{"an invalid one comes", Tracing{}, nil, "traceparent: 00-x\r\ntracestate: a=1\r\n", false, 0, "  0"},
		{"nobody is trusted", Tracing{From: TraceFromNone}, localhost(true), sampled, false, 0, "  0"},
		{"a proxy is trusted", Tracing{From: TraceFromTrusted}, localhost(true), sampled, true, 1, "  0"},
		{"others are not", Tracing{From: TraceFromTrusted}, localhost(false), sampled, false, 0, "  0"},
		{"there is no proxy", Tracing{From: TraceFromTrusted}, nil, sampled, false, 0, "  0"},
		{"all are recorded", Tracing{Sample: all, Children: true}, nil, ignored + "tracestate: a=1\r\n", true, 1, "a=1 h 0"},
		{"all are recorded, without children", Tracing{Sample: all}, nil, "", false, 1, "  0"},
		{"none is recorded", Tracing{Sample: none, Children: true}, nil, sampled, true, 0, "  0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines tracesOf
			_, addr := start(t, Options{AccessLog: lines.log, Trace: &c.o}, Limits{TrustedProxies: c.trusted}, &testBackend{window: 64})
			p := dial(t, addr)
			p.say("GET /hello HTTP/1.1\r\nHost: h\r\n" + c.fields + "\r\n")
			p.hears(200)
			lines.want(t, "GET /hello 200 5 true")
			got, text := lines.last()
			if id, parent := hex.EncodeToString(got.ID[:]), hex.EncodeToString(got.Parent[:]); (id == traceID) != c.continues ||
				(parent == traceSpan) != c.continues || got.ID == [16]byte{} || !c.continues && got.Parent != [8]byte{} {
				t.Errorf("trace %s, parent %s", id, parent)
			}
			if got.Span == [8]byte{} || got.Span == got.Parent || (got.Child != got.Span) != (c.o.Children && c.flags == 1) {
				t.Errorf("span %x, child %x", got.Span, got.Child)
			}
			if got.Flags != c.flags || text != c.text {
				t.Errorf("flags %d, %q; want %d, %q", got.Flags, text, c.flags, c.text)
			}
		})
	}
}

// Each request of a connection has its own place, whether it comes in a pipeline, with a body that is awaited or in the spool, or cannot
// be parsed.
func TestTracingOfEach(t *testing.T) {
	var lines tracesOf
	all := func([16]byte, bool, bool) bool { return true }
	o := Options{AccessLog: lines.log, Trace: &Tracing{Sample: all, Children: true}, Spool: Spool{Dir: t.TempDir()}}
	_, addr := start(t, o, Limits{SpoolBody: true, BufferBody: 64}, &testBackend{window: 64})
	p := dial(t, addr)
	p.say(get("/hello") + get("/hello") + get("/hello"))
	for range 3 {
		p.hears(200)
	}
	lines.want(t, "GET /hello 200 5 true", "GET /hello 200 5 true", "GET /hello 200 5 true")
	body := strings.Repeat("x", 500)
	for _, part := range []string{"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n", body[:250], body[250:]} {
		p.say(part)
	}
	p.hears(200)
	lines.want(t, "POST /echo 200 500 true")
	p.say("nonsense\r\n\r\n")
	p.hears(400)
	lines.want(t, "  400 12 true")
	ids := make(map[any]bool)
	for i, tr := range lines.seen {
		if i == 4 {
			if lines.text[i] != "none" {
				t.Errorf("a trace without a request: %+v", tr)
			}
			continue
		}
		ids[tr.ID], ids[tr.Span], ids[tr.Child] = true, true, true
	}
	if len(ids) != 12 {
		t.Errorf("%d ids of 12 are different", len(ids))
	}
}
