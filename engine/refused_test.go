package engine

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
)

// Every answer that the engine makes itself is logged with its status, the reason, and what is known of the request.
func TestRefusedIsLogged(t *testing.T) {
	secret := strings.Repeat("x", 300)
	for _, c := range []struct {
		name   string
		want   string // in the log, after the time
		happen func(d *dialogue)
	}{
		{"no Host", `level=INFO msg="requests refused" status=400 cause="no Host field" count=1 total=1 method=GET path=/a`,
			func(d *dialogue) { d.peer.says("GET /a?token=secret HTTP/1.1\r\n\r\n") }},
		{"TLS", `level=INFO msg="requests refused" status=400 cause="malformed method" count=1 total=1 start=\x16\x03\x01\x02\x00`,
			func(d *dialogue) { d.peer.says("\x16\x03\x01\x02\x00") }},
		{"long method", `level=INFO msg="requests refused" status=501 cause="method too long" count=1 total=1 start=xxxxxxxxxxxxxxxxxxxxxxxx…`,
			func(d *dialogue) { d.peer.says(secret) }},
		{"long path", `level=INFO msg="requests refused" status=417 cause="unknown expectation" count=1 total=1 method=GET path=/` + secret[:127] + "…",
			func(d *dialogue) { d.peer.says("GET /" + secret + " HTTP/1.1\r\nHost: h\r\nExpect: more\r\n\r\n") }},
		{"forged", `level=INFO msg="requests refused" status=505 cause="HTTP version other than 1.x" count=1 total=1 method=GET path="/\\\"\\xa0level=ERROR"`,
			func(d *dialogue) { d.peer.says("GET /\"\xa0level=ERROR HTTP/2.0\r\nHost: h\r\n\r\n") }},
		{"body too large", `level=INFO msg="requests refused" status=413 cause="body too large" count=1 total=1 method=POST path=/`,
			func(d *dialogue) { d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n") }},
		{"malformed chunk", `level=INFO msg="request bodies refused" cause="malformed chunk size" count=1 total=1`,
			func(d *dialogue) {
				d.peer.says("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
				d.handler.window = 10
				d.peer.says("x\r\n")
			}},
		{"slow head", `level=INFO msg="requests refused" status=408 cause="request head not received in time" count=1 total=1 method=GET path=/a`,
			func(d *dialogue) { d.peer.says("GET /a HTTP/1.1\r\n"); d.passes(time.Second) }},
		{"slow body", `level=INFO msg="requests refused" status=408 cause="request body not received in time" count=1 total=1 method=POST path=/b`,
			func(d *dialogue) {
				d.peer.says("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n1")
				d.passes(time.Second)
			}},
		{"half a head", `level=INFO msg="requests refused" status=400 cause="end of input in a request head" count=1 total=1 method=GET path=/a`,
			func(d *dialogue) { d.peer.finishes("GET /a HTTP/1.1\r\n") }},
		{"half a body", `level=INFO msg="requests refused" status=400 cause="end of input in a request body" count=1 total=1 method=POST path=/b`,
			func(d *dialogue) { d.peer.finishes("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n1") }},
		{"queue", `level=WARN msg="requests refused" status=503 cause=queue_limit count=1 total=1 method=GET path=/a`,
			func(d *dialogue) { d.handler.refuses = backend.ErrQueueFull; d.peer.says(get("/a")) }},
		{"no worker", `level=WARN msg="requests refused" status=503 cause=no_worker count=1 total=1 method=GET path=/a`,
			func(d *dialogue) { d.handler.refuses = backend.ErrNoWorker; d.peer.says(get("/a")) }},
		{"stopped", `level=WARN msg="requests refused" status=503 cause=stopped count=1 total=1 method=GET path=/a`,
			func(d *dialogue) { d.handler.refuses = backend.ErrStopped; d.peer.says(get("/a")) }},
		{"head too large", `level=INFO msg="requests refused" status=431 cause="request head too large" count=1 total=1 method=GET path=/a`,
			func(d *dialogue) { d.handler.refuses = backend.ErrHeadTooLarge; d.peer.says(get("/a")) }},
		{"error of a backend", `level=WARN msg="requests refused" status=500 cause="out of order" count=1 total=1 method=GET path=/a`,
			func(d *dialogue) { d.handler.refuses = errors.New("out of order"); d.peer.says(get("/a")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, log := newTalliedDialogue(t, Limits{BodyBytes: 10, HeadTimeout: time.Second, StallTimeout: time.Second})
			c.happen(d)
			if got := log.String(); !strings.HasSuffix(got, c.want+"\n") || strings.Count(got, "\n") != 1 || strings.Contains(got, "secret") {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

// A flood of refused requests gives two lines: one for the first, and one for the rest, which is logged without another event.
func TestRefusedFlood(t *testing.T) {
	d, log := newTalliedDialogue(t, Limits{})
	d.handler.refuses = backend.ErrQueueFull
	for i := range 1000 {
		d.peer.says(get(fmt.Sprintf("/%d", i)))
		d.peer.hears(503, "")
	}
	for end := time.Now().Add(waitMost); !strings.Contains(log.String(), "total=1000 "); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the last ones are not reported:\n%s", log)
		}
	}
	if n := strings.Count(log.String(), "\n"); n > 10 {
		t.Errorf("%d lines", n)
	}
}

func newTalliedDialogue(t *testing.T, lim Limits) (*dialogue, *lockedBuffer) {
	var log lockedBuffer
	d := newDialogue(t, lim)
	d.e.tally = logging.NewTally(slog.New(slog.NewTextHandler(&log, nil)))
	return d, &log
}

// A backend may wrap the error with which it refuses.
func TestTooManyWrapped(t *testing.T) {
	for name, wrap := range map[string]func(error) error{
		"as it is": func(err error) error { return err },
		"wrapped":  func(err error) error { return fmt.Errorf("tenant: %w", err) },
	} {
		t.Run(name, func(t *testing.T) {
			many := &backend.TooMany{RetryAfter: 7 * time.Second, Fields: []byte("X-Limit: 5\r\n")}
			_, addr := start(t, Options{Loops: 1}, Limits{}, &testBackend{refuse: wrap(many)})
			p := dial(t, addr)
			for range 2 { // the connection stays
				p.say(get("/"))
				res, err := http.ReadResponse(p.r, nil)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				if res.StatusCode != 429 || res.Header.Get("Retry-After") != "7" || res.Header.Get("X-Limit") != "5" {
					t.Errorf("status %d, %v", res.StatusCode, res.Header)
				}
			}
			p.Close()
		})
	}
}
