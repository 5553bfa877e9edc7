package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"moonbridge/handler/websocket/wstest"
)

// census is what clients have counted of a server.
type census struct {
	t         testing.TB
	s         *instance
	sent, got atomic.Int64      // bytes on all connections that the engine has, with those of the target
	answers   [3]map[string]int // by pool and class of status
	bodies    [3]int            // bytes, by pool
	accepted  int               // connections
	traced    bool              // requests have traces
	trusted   *x509.Certificate
	crashes   string       // directory of records
	targets   atomic.Int64 // open connections to the target
}

// countedConn counts the bytes of a connection.
type countedConn struct {
	net.Conn
	sent, got *atomic.Int64
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.got.Add(int64(n))
	return n, err
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// countedListener counts the bytes of connections from the server: what it sends they get.
type countedListener struct {
	net.Listener
	c *census
}

func (l countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countedConn{conn, &l.c.sent, &l.c.got}, nil
}

func (c *census) connect(address string) net.Conn {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * patience))
	c.accepted++
	return countedConn{conn, &c.sent, &c.got}
}

// dial opens a connection for requests.
func (c *census) dial(n int) *peer {
	conn := c.connect(c.s.addresses()[n])
	return &peer{c.t, conn, bufio.NewReader(conn)}
}

// note counts an answer of a pool.
func (c *census) note(pool, status, body int) {
	c.answers[pool][fmt.Sprint(status/100, "xx")]++
	c.bodies[pool] += body
}

// asks sends a request on p, and counts the answer.
func (c *census) asks(p *peer, pool int, request string, status int) (body string) {
	c.t.Helper()
	p.say("%s HTTP/1.1\r\nHost: h\r\n\r\n", request)
	body = p.hears(status)
	c.note(pool, status, len(body))
	return body
}

// client is one that counts what goes through its connections.
func (c *census) client(n int, o *http.Transport) func(path string) string {
	address := c.s.addresses()[n]
	o.DialContext = func(context.Context, string, string) (net.Conn, error) { return c.connect(address), nil }
	o.DisableCompression = true
	client := &http.Client{Transport: o, Timeout: patience}
	c.t.Cleanup(o.CloseIdleConnections)
	scheme := "http"
	if o.TLSClientConfig != nil {
		scheme = "https"
	}
	return func(path string) (proto string) {
		c.t.Helper()
		resp, err := client.Get(scheme + "://" + address + path)
		if err != nil {
			c.t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			c.t.Fatal(err)
		}
		c.note(0, resp.StatusCode, len(body))
		return resp.Proto
	}
}

// startCounted starts a server whose clients count.
func startCounted(t *testing.T, options ...string) *census {
	dir := t.TempDir()
	trusted := certificateFiles(t, dir, "a", "a.test")
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "files", "a"), []byte("a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := &census{t: t, crashes: filepath.Join(dir, "crashes"), trusted: trusted, answers: [3]map[string]int{{}, {}, {}}}
	target := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "of the target") }))
	target.Listener = countedListener{target.Listener, c}
	target.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			c.targets.Add(1)
		case http.StateClosed:
			c.targets.Add(-1)
		}
	}
	target.Start()
	t.Cleanup(target.Close)
	options = append(options, "--admin", loopbackPort, "--crash-dir", c.crashes, "testdata/figures.lua", dir, target.URL)
	c.s = fastSpans(t, options...)
	return c
}

// Everything that /metrics and /status show is what clients have counted.
func TestEveryFigure(t *testing.T) {
	t.Parallel()
	c := startCounted(t)
	c.makeRequests()
	c.compare()
}

// The same is counted if exchanges are recorded for more than that.
func TestEveryFigureWithLogAndTraces(t *testing.T) {
	t.Parallel()
	collector := newSpanCollector(t)
	file := filepath.Join(t.TempDir(), "access.log")
	c := startCounted(t, "--access-log", file, "--otlp", collector.URL)
	c.traced = true
	c.makeRequests()
	c.compare()
	heads := int(c.expected(0)["moonbridge_request_heads_total"]) - 1 // a stream goes on
	if n := len(collector.servers(t, heads)); n != heads {
		t.Errorf("%d spans, want %d", n, heads)
	}
	lines := 0
	for _, answers := range c.answers {
		for _, n := range answers {
			lines += n
		}
	}
	fileLines(t, file, lines)
}

// makeRequests makes a known number of each kind.
func (c *census) makeRequests() {
	t, s := c.t, c.s
	t.Helper()

	// Requests of all kinds.
	p := c.dial(0)
	for range 5 {
		c.asks(p, 0, "GET /page", 200)
	}
	for i := range 3 {
		c.asks(p, 0, "GET /stale", 200)
		eventually(t, "the page is renewed", func() bool { return s.figures()[`moonbridge_cache_stored_total{cache="1"}`] == float64(2+i) })
	}
	for range 3 {
		c.asks(p, 0, "GET /files/a", 200)
	}
	for range 4 {
		c.asks(p, 0, "GET /target/x", 200)
	}
	for range 2 {
		c.asks(p, 0, "GET /gone/x", 502)
	}
	for range 6 {
		c.asks(p, 0, "GET /missing", 404)
	}
	for range 2 {
		c.asks(p, 0, "GET /error", 500)
	}
	dies := c.dial(0)
	c.asks(dies, 0, "POST /dies", 502)
	tooLarge := c.dial(0)
	tooLarge.say("POST /ok HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
	c.note(0, 413, len(tooLarge.hears(413)))
	malformed := c.dial(0)
	malformed.say("GET / HTTP/3.0\r\n\r\n")
	c.note(0, 505, len(malformed.hears(505)))

	// TLS and HTTP/2.
	_, config := tlsClient("a.test", c.trusted)
	overTLS := c.client(1, &http.Transport{TLSClientConfig: config.Clone()})
	for range 3 {
		overTLS("/missing")
	}
	both := new(http.Protocols)
	both.SetHTTP2(true)
	h2 := config.Clone()
	h2.NextProtos = nil
	secured := c.client(1, &http.Transport{TLSClientConfig: h2, Protocols: both})
	plain := new(http.Protocols)
	plain.SetUnencryptedHTTP2(true)
	unsecured := c.client(2, &http.Transport{Protocols: plain})
	for range 4 {
		if got := secured("/secured") + unsecured("/unsecured"); got != "HTTP/2.0HTTP/2.0" {
			t.Error(got)
		}
	}
	c.makeHandshakes(config)
	c.makeFrames()
	noTLS := c.dial(1)
	noTLS.get("/")
	noTLS.hearsBreak()

	// WebSockets and streams of channels.
	var sockets []*socket
	for range 2 {
		ws, err := wstest.Open(c.connect(s.addresses()[0]), "/socket", "")
		if err != nil {
			t.Fatal(err)
		}
		c.note(0, 101, 0)
		sockets = append(sockets, &socket{ws, t})
	}
	for range 3 {
		for _, ws := range sockets {
			ws.asks("hello", "hello")
		}
	}
	sockets[0].Close(1000)
	sockets[0].Conn.Close()
	stays, leaves := c.stream(), c.stream()
	eventually(t, "both subscribe", func() bool { return s.figures()["moonbridge_channel_subscribers"] == 2 })
	c.asks(p, 0, "POST /publish", 200)
	c.hearsMessage(stays)
	c.note(0, 200, c.hearsMessage(leaves))
	leaves.Close()

	// Pools with a rate, and with raw connections, whose bytes are not the engine's.
	limited := c.dial(3)
	for i := range 5 {
		c.asks(limited, 1, "GET /", []int{200, 200, 200, 429, 429}[i])
	}
	for range 2 {
		if got := askFrom(t, "127.0.0.1", s.addresses()[3], ""); got != "" {
			t.Errorf("a connection beyond the limit: %q", got)
		}
	}
	raw := dial(t, s.addresses()[4])
	for path, status := range map[string]int{"/": 200, "/x": 200, "/missing": 404, "/error": 500} {
		c.asks(raw, 2, "GET "+path, status)
	}
	nonsense := dial(t, s.addresses()[4])
	raw.Close() // the pool has one worker
	nonsense.say("nonsense\r\n\r\n")
	c.note(2, 400, len(nonsense.hears(400)))
	nonsense.hearsEnd()

}

// makeHandshakes makes one of TLS 1.2, and one of a session that is known. The client of an earlier one has the session.
func (c *census) makeHandshakes(config *tls.Config) {
	sessions := tls.NewLRUClientSessionCache(1)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13, tls.VersionTLS13} {
		o := config.Clone()
		o.MinVersion, o.MaxVersion = version, version
		if version == tls.VersionTLS13 {
			o.ClientSessionCache = sessions
		}
		plain := c.connect(c.s.addresses()[1])
		conn := tls.Client(plain, o)
		io.WriteString(conn, "GET /missing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		p := &peer{c.t, plain, bufio.NewReader(conn)} // it closes without another record, which the server would not wait for
		c.note(0, 404, len(p.hears(404)))
		p.hearsEnd()
	}
}

// makeFrames makes a connection with HTTP/2: it resets a stream, has the server reset one, and is ended for what it does then.
func (c *census) makeFrames() {
	t, conn := c.t, c.connect(c.s.addresses()[2])
	f := http2.NewFramer(conn, conn)
	io.WriteString(conn, http2.ClientPreface)
	f.WriteSettings()
	request := []byte{0x82, 0x86, 0x04, 8} // GET, http, a path of 8 bytes
	request = append(append(request, "/missing"...), 0x41, 1, 'h')
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: request, EndStream: true, EndHeaders: true})
	hears := func(what string, is func(http2.Frame) bool) {
		t.Helper()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				t.Fatal(what, err)
			}
			if data, ok := frame.(*http2.DataFrame); ok {
				c.bodies[0] += len(data.Data())
			}
			if is(frame) {
				return
			}
		}
	}
	hears("response", func(frame http2.Frame) bool {
		return frame.Header().Flags.Has(http2.FlagDataEndStream) && frame.Header().StreamID == 1
	})
	c.note(0, 404, 0)
	f.WriteRSTStream(1, http2.ErrCodeCancel)
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte{0x82}, EndStream: true, EndHeaders: true})
	hears("reset", func(frame http2.Frame) bool { return frame.Header().Type == http2.FrameRSTStream })
	f.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, make([]byte, 4))
	hears("end", func(frame http2.Frame) bool { return frame.Header().Type == http2.FrameGoAway })
	conn.Close()
}

// stream opens a stream of server-sent events.
func (c *census) stream() *peer {
	p := c.dial(0)
	p.get("/events")
	if resp, err := http.ReadResponse(p.r, nil); err != nil || resp.StatusCode != 200 {
		c.t.Fatal(resp, err)
	}
	return p
}

// hearsMessage reads the body of a stream up to the end of the first message, and returns how long that is.
func (c *census) hearsMessage(p *peer) (n int) {
	c.t.Helper()
	var text []byte
	for !strings.HasSuffix(string(text), "data: message\n\n") {
		b, err := p.r.ReadByte()
		if err != nil {
			c.t.Fatal(err, string(text))
		}
		text = append(text, b)
	}
	return len(text)
}

// Requests by what the server did for them: the kinds that TestEveryFigure has sent.
const (
	cacheHits, cacheStale = 4, 2
	cachePassed           = 4                                 // POST, and the handshakes of WebSockets
	cacheMisses           = 2 + 6 + 2 + 3 + 3 + 4 + 4 + 1 + 2 // pages that were not there, all others of HTTP/1.1, of TLS and of HTTP/2, and streams
	routed                = 6
	messages              = 6
	renewals              = cacheStale
)

// why says why a figure is not compared with what clients have counted. "" means that it is. Figures that are 0 need no entry among the
// exact ones, but a name that is not here fails the test: who adds a figure says here what it is, and counts it.
var figureReasons = map[string]string{
	"moonbridge_requests_total": "", "moonbridge_responses_incomplete_total": "", "moonbridge_response_body_bytes_total": "",
	"moonbridge_requests_unreported_total": "", "moonbridge_request_duration_seconds": "", "moonbridge_queue_duration_seconds": "",
	"moonbridge_exchanges_total": "", "moonbridge_forks_total": "", "moonbridge_deaths_total": "", "moonbridge_retries_total": "",
	"moonbridge_lost_total": "", "moonbridge_abandoned_total": "", "moonbridge_waiting": "", "moonbridge_in_flight": "",
	"moonbridge_workers": "", "moonbridge_worker_ends_total": "", "moonbridge_refusals_total": "", "moonbridge_connections": "",
	"moonbridge_connections_accepted_total": "", "moonbridge_connections_limited_total": "", "moonbridge_request_heads_total": "", "moonbridge_bytes_total": "",
	"moonbridge_tls_handshakes_total": "", "moonbridge_tls_handshakes_failed_total": "", "moonbridge_http2_connections": "",
	"moonbridge_http2_streams": "", "moonbridge_http2_connections_total": "", "moonbridge_http2_requests_total": "",
	"moonbridge_http2_resets_total": "", "moonbridge_http2_connections_ended_total": "", "moonbridge_tls_handshakes": "", "moonbridge_spool_bytes": "", "moonbridge_spool_files": "",
	"moonbridge_spool_refused_total": "", "moonbridge_spool_waited_total": "", "moonbridge_cache_requests_total": "",
	"moonbridge_cache_stored_total": "", "moonbridge_cache_evicted_total": "", "moonbridge_cache_keys": "", "moonbridge_cache_limit_bytes": "",
	"moonbridge_channels": "", "moonbridge_channel_subscribers": "", "moonbridge_channel_messages_total": "",
	"moonbridge_channel_deliveries_total": "", "moonbridge_channel_refused_total": "", "moonbridge_channel_slow_total": "",
	"moonbridge_channel_waiting_bytes": "", "moonbridge_websockets": "", "moonbridge_websockets_accepted_total": "",
	"moonbridge_websockets_refused_total": "", "moonbridge_websockets_closed_total": "", "moonbridge_websocket_messages_total": "",
	"moonbridge_websocket_events_waiting": "", "moonbridge_websocket_message_bytes": "", "moonbridge_timer_ticks_total": "",
	"moonbridge_ready": "", "moonbridge_generation": "", "moonbridge_reloads_total": "", "moonbridge_crash_records_total": "",
	"moonbridge_crash_files": "", "moonbridge_crash_bytes": "", "moonbridge_traces_total": "",

	"moonbridge_connections_penalized_total": "floods of unknown length precede them; TestFloodPenalty has it",
	"moonbridge_cache_waits_total":           "no client knows whether its request has waited for another one",
	"moonbridge_cache_bytes":                 "the memory of pages with what the server keeps of them; TestStats of handler/cache has it",
	"moonbridge_channel_history_bytes":       "the memory of messages with what the server keeps of them",
	"moonbridge_loop_posts":                  "what waits for the next turn, which seldom takes a millisecond",
	"moonbridge_loop_buffers":                "how the bytes of clients are divided into buffers is the engine's business",
	"moonbridge_loop_turn_duration_seconds":  "turns are the loops' own",
	"moonbridge_loop_longest_turn_seconds":   "a time",
	"moonbridge_worker_age_max_seconds":      "a time",
	"moonbridge_worker_age_min_seconds":      "a time",
	"moonbridge_workers_memory_bytes":        "the system's count, which changes",
	"moonbridge_shared_memory_bytes":         "what options make of it",
	"moonbridge_build_info":                  "words",
	"process_start_time_seconds":             "a time",
	"process_cpu_seconds_total":              "a time",
	"process_resident_memory_bytes":          "the system's count, which changes",
	"process_open_fds":                       "the system's count, with the files of the runtime",
	"process_max_fds":                        "a limit of the system",
	"go_goroutines":                          "the runtime's count",
}

// expected are the figures that are not 0.
func (c *census) expected(crashBytes int64) map[string]float64 {
	want := map[string]float64{
		"moonbridge_ready": 1, "moonbridge_websockets": 1, "moonbridge_channels": 1, "moonbridge_channel_subscribers": 1,
		"moonbridge_channel_messages_total": 1, "moonbridge_channel_deliveries_total": 2, "moonbridge_websockets_accepted_total": 2,
		"moonbridge_crash_files": 3, "moonbridge_crash_bytes": float64(crashBytes), "moonbridge_connections_accepted_total": float64(c.accepted) + 2,
		"moonbridge_connections_limited_total": 2, "moonbridge_http2_connections": 2, "moonbridge_http2_connections_total": 3,
		"moonbridge_http2_requests_total":                                                                   8 + 1,
		`moonbridge_http2_resets_total{direction="received"}`:                                               1,
		`moonbridge_http2_resets_total{direction="sent"}`:                                                   1,
		`moonbridge_http2_connections_ended_total{cause="flow control"}`:                                    1,
		`moonbridge_tls_handshakes_total{version="1.3",resumed="no"}`:                                       3,
		`moonbridge_tls_handshakes_total{version="1.3",resumed="yes"}`:                                      1,
		`moonbridge_tls_handshakes_total{version="1.2",resumed="no"}`:                                       1,
		`moonbridge_tls_handshakes_failed_total{cause="HTTP request without TLS"}`:                          1,
		`moonbridge_refusals_total{pool="",what="HTTP/2 connections ended",status="",cause="flow control"}`: 1,
		"moonbridge_cache_keys": 2, "moonbridge_cache_limit_bytes": 64 << 20,
		"moonbridge_cache_stored_total": 2 + renewals,

		`moonbridge_crash_records_total{result="written"}`: 3,
		`moonbridge_cache_requests_total{result="hit"}`:    cacheHits, `moonbridge_cache_requests_total{result="stale"}`: cacheStale,
		`moonbridge_cache_requests_total{result="miss"}`: cacheMisses, `moonbridge_cache_requests_total{result="passed"}`: cachePassed,
		`moonbridge_websocket_messages_total{direction="in"}`: messages, `moonbridge_websocket_messages_total{direction="out"}`: messages,
		`moonbridge_websockets_closed_total{cause="client"}`: 1,
		`moonbridge_bytes_total{direction="read"}`:           float64(c.sent.Load()), `moonbridge_bytes_total{direction="written"}`: float64(c.got.Load()),
		`moonbridge_connections{state="active"}`: 1,                             // the stream that stays
		`moonbridge_connections{state="idle"}`:   6,                             // two plain ones, one with TLS, two with HTTP/2, one of the pool with a rate
		`moonbridge_connections{state="raw"}`:    1 + float64(c.targets.Load()), // a WebSocket

		`moonbridge_exchanges_total{pool="0"}`: cacheMisses + cachePassed + renewals + messages,
		`moonbridge_exchanges_total{pool="1"}`: 3, `moonbridge_exchanges_total{pool="2"}`: 2,
		`moonbridge_forks_total{pool="0"}`: 3, `moonbridge_forks_total{pool="1"}`: 1, `moonbridge_forks_total{pool="2"}`: 1,
		`moonbridge_deaths_total{pool="0"}`: 1, `moonbridge_lost_total{pool="0"}`: 1,
		`moonbridge_worker_ends_total{pool="0",cause="signal SIGKILL"}`: 1,
		`moonbridge_workers{pool="0",state="idle"}`:                     2, `moonbridge_workers{pool="1",state="idle"}`: 1, `moonbridge_workers{pool="2",state="idle"}`: 1,
		`moonbridge_queue_duration_seconds_count{pool="0"}`: cacheMisses + cachePassed + routed - 1, // a stream goes on
		`moonbridge_queue_duration_seconds_count{pool="1"}`: 3, `moonbridge_queue_duration_seconds_count{pool="2"}`: 4,
		`moonbridge_refusals_total{pool="",what="TLS handshakes failed",status="",cause="HTTP request without TLS"}`:                     1,
		`moonbridge_refusals_total{pool="",what="connections refused",status="",cause="connection_limit"}`:                               2,
		`moonbridge_refusals_total{pool="",what="requests refused",status="413",cause="body too large"}`:                                 1,
		`moonbridge_refusals_total{pool="",what="requests refused",status="505",cause="HTTP version other than 1.x"}`:                    1,
		`moonbridge_refusals_total{pool="",what="requests refused",status="429",cause="rate_limit"}`:                                     2,
		`moonbridge_refusals_total{pool="0",what="requests failed",status="502",cause="worker ended"}`:                                   1,
		`moonbridge_refusals_total{pool="0",what="requests not answered by their target",status="",cause="no connection to the target"}`: 2,
		`moonbridge_refusals_total{pool="2",what="requests refused",status="400",cause="malformed method"}`:                              1,
	}
	heads := 0
	for pool, answers := range c.answers {
		label, all := fmt.Sprintf(`{pool="%d"`, pool), 0
		for class, n := range answers {
			want["moonbridge_requests_total"+label+`,status="`+class+`"}`] = float64(n)
			all += n
		}
		want["moonbridge_request_duration_seconds_count"+label+"}"] = float64(all)
		want["moonbridge_response_body_bytes_total"+label+"}"] = float64(c.bodies[pool])
		if pool < 2 {
			heads += all
		}
	}
	if c.traced {
		want[`moonbridge_traces_total{result="sent"}`] = float64(heads - 1) // without the malformed one
	}
	want["moonbridge_request_heads_total"] = float64(heads - 1 + 1) // without the malformed one, with the stream that stays
	return want
}

// ownLabels are left out: what loops and caches have is added.
var ownLabels = regexp.MustCompile(`(loop|cache)="\d+",?`)

// compared returns what /metrics shows, by the name of the family and of the series.
func (c *census) compared() (names map[string]bool, series map[string]float64) {
	names, series = make(map[string]bool), make(map[string]float64)
	for line := range strings.Lines(get(c.t, c.s.admin("/metrics"))) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" {
			names[f[2]] = true
		}
	}
	for name, n := range c.s.figures() {
		name = strings.TrimSuffix(strings.Replace(ownLabels.ReplaceAllString(name, ""), ",}", "}", 1), "{}")
		family, labels, _ := strings.Cut(name, "{")
		switch {
		case strings.HasSuffix(family, "_bucket") && !strings.Contains(labels, `le="+Inf"`), strings.HasSuffix(family, "_seconds_sum"):
			continue // parts of histograms that depend on times
		case strings.HasSuffix(family, "_bucket"):
			name = strings.Replace(strings.Replace(name, "_bucket", "_count", 1), `,le="+Inf"`, "", 1)
			if n == series[name] {
				continue
			}
			n = 0 // _count comes too
		}
		series[name] += n
	}
	return names, series
}

// compare compares everything with what clients have counted.
func (c *census) compare() {
	t := c.t
	t.Helper()
	var bytes int64
	late := !holds(patience/4, func() bool {
		list, _ := filepath.Glob(filepath.Join(c.crashes, "*.json"))
		bytes = 0
		for _, name := range list {
			if info, err := os.Stat(name); err == nil {
				bytes += info.Size()
			}
		}
		_, got := c.compared()
		for name, n := range c.expected(bytes) {
			if got[name] != n {
				return false
			}
		}
		return true
	})
	names, got := c.compared()
	want := c.expected(bytes)
	if late {
		t.Error("not all is counted")
	}
	for name := range names {
		if _, known := figureReasons[name]; !known {
			t.Errorf("%s is compared with nothing: count it here, or say why not", name)
		}
	}
	for name, n := range got {
		family, _, _ := strings.Cut(name, "{")
		if family = strings.TrimSuffix(family, "_count"); figureReasons[family] == "" && n != want[name] {
			t.Errorf("%s is %v, want %v", name, n, want[name])
		}
	}
	for name, n := range want {
		if _, there := got[name]; !there {
			t.Errorf("there is no %s, want %v", name, n)
		}
	}
	c.compareStatus(want)
}

// statusReasons is figureReasons for the numbers of /status. Places in lists are left out of the names.
var statusReasons = map[string]string{
	"server.generation": "", "server.requests": "", "server.errors": "", "server.connections": "",
	"pools.pool": "", "pools.max_fork": "", "pools.booting": "", "pools.idle": "", "pools.busy": "", "pools.draining": "", "pools.waiting": "",
	"pools.exchanges": "", "pools.forks": "", "pools.ends.signal SIGKILL": "", "pools.lost": "", "pools.retries": "", "pools.abandoned": "",
	"loops.loop": "", "loops.connections": "", "loops.idle": "", "loops.raw": "",
	"spool.bytes": "", "spool.files": "", "spool.refused": "", "spool.waited": "",
	"caches.cache": "", "caches.hits": "", "caches.stale": "", "caches.misses": "", "caches.keys": "", "caches.limit": "",
	"timers.delay": "", "timers.ticks": "", "timers.took": "", "reloads.generation": "",
	"channels.channels": "", "channels.subscribers": "", "channels.messages": "", "channels.deliveries": "", "channels.refused": "", "channels.slow": "",
	"websockets.open": "", "websockets.accepted": "", "websockets.refused": "", "websockets.in": "", "websockets.out": "", "websockets.waiting": "",
	"websockets.closed.client": "",
	"tls.handshakes":           "", "tls.resumed": "", "tls.running": "", "tls.waiting": "", "tls.failed.HTTP request without TLS": "",
	"http2.open": "", "http2.accepted": "", "http2.streams": "", "http2.requests": "", "http2.resets_received": "", "http2.resets_sent": "",
	"http2.ended.flow control": "",

	"server.pid":                "of the process",
	"caches.bytes":              "the memory of pages with what the server keeps of them",
	"channels.history_bytes":    "the memory of messages with what the server keeps of them",
	"pools.memory_bytes":        "the system's count, which changes",
	"pools.shared_memory_bytes": "what options make of it",
	"pools.workers.slot":        "the pool's own",
	"pools.workers.pid":         "of the process",
	"pools.workers.age":         "a time",
	"pools.workers.exchanges":   "workers share the requests as they come, and one of them has died",
	"loops.longest_turn":        "a time",
	"loops.posts":               "what waits for the next turn, which seldom takes a millisecond",
	"reloads.took":              "a time",
	"errors.pool":               "of the record",
	"errors.pid":                "of the process",
}

// compareStatus compares the numbers of /status. want is what /metrics shows.
func (c *census) compareStatus(metrics map[string]float64) {
	t := c.t
	t.Helper()
	of := func(name string) float64 { return metrics["moonbridge_"+name] }
	pool := func(n int, name string) float64 { return of(fmt.Sprintf(`%s{pool="%d"}`, name, n)) }
	want := map[string]float64{
		"server.connections": of(`connections{state="active"}`) + of(`connections{state="idle"}`) + of("websockets"),
		"pools.pool":         0 + 1 + 2, "pools.max_fork": 2 + 1 + 1, "pools.idle": 2 + 1 + 1, "pools.ends.signal SIGKILL": 1,
		"pools.lost": 1, "loops.loop": 1, "loops.connections": of(`connections{state="active"}`) + of(`connections{state="idle"}`),
		"loops.idle": of(`connections{state="idle"}`), "loops.raw": of(`connections{state="raw"}`),
		"caches.cache": 1, "caches.hits": cacheHits, "caches.stale": cacheStale, "caches.misses": cacheMisses, "caches.keys": 2, "caches.limit": 64 << 20,
		"tls.handshakes": 5, "tls.resumed": 1, "tls.failed.HTTP request without TLS": 1, "http2.open": 2, "http2.accepted": 3,
		"http2.requests": of("http2_requests_total"), "http2.resets_received": 1, "http2.resets_sent": 1, "http2.ended.flow control": 1,
		"timers.delay": 3600, "channels.channels": 1, "channels.subscribers": 1, "channels.messages": 1, "channels.deliveries": 2,
		"websockets.open": 1, "websockets.accepted": 2, "websockets.in": messages, "websockets.out": messages, "websockets.closed.client": 1,
	}
	for n := range c.answers {
		want["server.requests"] += pool(n, "request_duration_seconds_count")
		want["server.errors"] += of(fmt.Sprintf(`requests_total{pool="%d",status="5xx"}`, n))
		want["pools.exchanges"] += pool(n, "exchanges_total")
		want["pools.forks"] += pool(n, "forks_total")
	}
	var shown map[string]any
	if err := json.Unmarshal([]byte(get(t, c.s.admin("/status?format=json"))), &shown); err != nil {
		t.Fatal(err)
	}
	delete(shown, "sample") // what happened in a second, and in the seconds before: TestHistory of the package admin has them
	delete(shown, "history")
	got := make(map[string]float64)
	sumUp(got, "", shown)
	for name, n := range got {
		if why, known := statusReasons[name]; !known {
			t.Errorf("%s of /status is compared with nothing: count it here, or say why not", name)
		} else if why == "" && n != want[name] {
			t.Errorf("%s of /status is %v, want %v", name, n, want[name])
		}
	}
	for name, n := range want {
		if _, there := got[name]; !there {
			t.Errorf("/status has no %s, want %v", name, n)
		}
	}
}

// sumUp adds the numbers of a value, by their names.
func sumUp(to map[string]float64, name string, v any) {
	switch v := v.(type) {
	case float64:
		to[name] += v
	case map[string]any:
		for key, one := range v {
			sumUp(to, strings.TrimPrefix(name+"."+key, "."), one)
		}
	case []any:
		for _, one := range v {
			sumUp(to, name, one)
		}
	}
}

// The status page shows caches, WebSockets and channels, once there are any, and is readable on a narrow screen.
func TestStatusPageOfStreams(t *testing.T) {
	t.Parallel()
	c := startCounted(t)
	b := openPage(t, c.s.admin("/status"))
	b.until(`document.getElementById("ready").textContent === "ready"`)
	b.until(`document.getElementById("websockets").hidden && document.getElementById("channels").hidden`)
	ws, err := wstest.Open(c.connect(c.s.addresses()[0]), "/socket", "")
	if err != nil {
		t.Fatal(err)
	}
	(&socket{ws, t}).asks("hello", "hello")
	ends := openSocket(t, c.s.addresses()[0], "/socket", "")
	ends.Close(1000)
	ends.Conn.Close()
	events, p := c.stream(), c.dial(0)
	b.until(`document.querySelector("#channels td:nth-child(2)").textContent === "1"`)
	c.asks(p, 0, "POST /publish", 200)
	c.hearsMessage(events)
	for range 3 {
		c.asks(p, 0, "GET /page", 200)
	}
	c.asks(p, 0, "GET /error", 500)
	c.asks(p, 0, "GET /gone/x", 502)
	raw := dial(t, c.s.addresses()[4])
	c.asks(raw, 2, "GET /", 200)
	c.makeFrames()
	noTLS := c.dial(1)
	noTLS.get("/")
	noTLS.hearsBreak()
	text := `[...document.querySelectorAll("#%s tbody td")].map(e => e.textContent).join(" ")`
	b.until(fmt.Sprintf(text, "websockets") + ` === "1 2 0 1 1 0"`)
	b.until(`document.querySelector("#websockets .soft").textContent === "closed: client 1"`)
	b.until(fmt.Sprintf(text, "channels") + `.startsWith("1 1 1 1 0 0 ")`)
	b.until(fmt.Sprintf(text, "tls") + ` === "0 0 0 0"`)
	b.until(`document.querySelector("#tls .soft").textContent === "failed: HTTP request without TLS 1"`)
	b.until(fmt.Sprintf(text, "http2") + ` === "0 1 0 1 1 1"`)
	b.until(`document.querySelector("#http2 .soft").textContent === "ended: flow control 1"`)
	b.until(fmt.Sprintf(text, "caches") + `.startsWith("1 2 0 ")`)
	b.brightness("streams-light")
	b.click("#theme")
	b.brightness("streams-dark")
	for _, width := range []int{390, 820, 1900} {
		b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 1800, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
		b.until(`innerWidth === ` + fmt.Sprint(width))
		b.until(`document.documentElement.scrollWidth <= innerWidth`) // what is wide scrolls in its own box
		b.brightness(fmt.Sprint("streams-", width))
	}
}

// With a bus: what one server has published, the other one has received.
func TestEveryFigureOfBus(t *testing.T) {
	t.Parallel()
	bus := redisStore(t)
	bus.start()
	defer bus.end()
	a, b := startCounted(t, "--bus", bus.url), startCounted(t, "--bus", bus.url)
	pa, pb := a.dial(0), b.dial(0)
	for range 3 {
		a.asks(pa, 0, "POST /publish", 200)
	}
	for range 2 {
		b.asks(pb, 0, "POST /publish", 200)
	}
	known := map[string]bool{ // those of connections depend on when the servers have started, and on which ones were lost
		"moonbridge_bus_connections_total": true, "moonbridge_bus_waiting_bytes": true,
	}
	for _, one := range []struct {
		c              *census
		sent, received float64
	}{{a, 3, 2}, {b, 2, 3}} {
		want := map[string]float64{
			"moonbridge_bus_connected": 1, "moonbridge_bus_sent_total": one.sent, "moonbridge_bus_received_total": one.received, "moonbridge_bus_dropped_total": 0,
			"moonbridge_bus_gaps_total": 0, "moonbridge_bus_malformed_total": 0, "moonbridge_channel_messages_total": 5,
		}
		eventually(t, "all messages have come", func() bool {
			f := one.c.s.figures()
			return f["moonbridge_bus_received_total"] == one.received && f["moonbridge_bus_sent_total"] == one.sent
		})
		names, got := one.c.compared()
		for name, n := range want {
			if known[name] = true; got[name] != n || !names[name] {
				t.Errorf("%s is %v, want %v", name, got[name], n)
			}
		}
		for name := range names {
			if _, elsewhere := figureReasons[name]; !elsewhere && !known[name] {
				t.Errorf("%s is compared with nothing: count it here, or say why not", name)
			}
		}
	}
}
