package engine

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

const alwaysField = "Strict-Transport-Security: max-age=60\r\n"

// cutBackend outputs a response in two parts, the first of which has as many bytes as the path says, or byte by byte if it is negative.
type cutBackend struct{ response string }

func (b cutBackend) Attach(l backend.Loop) (backend.LoopBackend, error) { return cutLoop{b, l}, nil }

type cutLoop struct {
	b cutBackend
	l backend.Loop
}

func (l cutLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	at, _ := strconv.Atoi(string(h.Bytes(h.Path)))
	l.l.Post(func() {
		text := []byte(l.b.response)
		if at >= 0 {
			x.Output(text[:at], text[at:], true)
		} else {
			for i := range text {
				x.Output(text[i:i+1], nil, i == len(text)-1)
			}
		}
		x.Done(backend.EndKeep)
	})
	return cutRunning{}, nil
}

type cutRunning struct{ backend.Running }

func (cutRunning) PeerEnd()    {}
func (cutRunning) Cancel()     {}
func (cutRunning) OutputRoom() {}

// However a response comes, its final head has the fields after its status line, and nothing else is changed.
func TestAlways(t *testing.T) {
	const final = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	want := strings.Replace(final, "\r\n", "\r\n"+alwaysField, 1)
	for _, interim := range []string{"", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"} {
		response := interim + final
		_, addr := start(t, Options{Loops: 1}, Limits{Always: alwaysField}, cutBackend{response})
		p := dial(t, addr)
		for at := -1; at < len(response); at++ {
			fmt.Fprintf(p, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", at)
			got := make([]byte, len(interim+want))
			if _, err := io.ReadFull(p.r, got); err != nil || string(got) != interim+want {
				t.Fatalf("cut at %d: %q, %v", at, got, err)
			}
		}
	}
}

// Pipelined responses have the fields, and so have those that a client takes slowly, and the engine's own.
func TestAlwaysOfMany(t *testing.T) {
	_, addr := start(t, Options{Loops: 1}, Limits{Always: alwaysField}, &testBackend{window: 64})
	p := dial(t, addr)
	const requests = 12
	for range requests {
		io.WriteString(p, get("/big/200000"))
	}
	io.WriteString(p, get("/fail/500")+"nonsense\r\n\r\n")
	for i := range requests + 2 {
		resp, err := http.ReadResponse(p.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if list := resp.Header["Strict-Transport-Security"]; err != nil || len(list) != 1 || i < requests && n != 200000 {
			t.Errorf("response %d: %d, %d bytes, %v, %q", i, resp.StatusCode, n, err, list)
		}
	}
}

// A request without TLS is answered without what only answers with TLS may have (RFC 6797 §7.2).
func TestAlwaysNotInTheClear(t *testing.T) {
	_, addr := startTLS(t, Options{Loops: 1}, Limits{Always: alwaysField, Fields: "X-Other: 1\r\n"}, &testBackend{window: 64}, &TLS{Config: serverConfig()})
	p := dial(t, addr)
	io.WriteString(p, get("/hello"))
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 400 || resp.Header.Get("Strict-Transport-Security") != "" || resp.Header.Get("X-Other") == "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

// What is held of a response until its head is complete waits behind the responses before it, wherever they wait: in a file of the spool, or
// behind a file that is sent.
func TestAlwaysBehindTheSpool(t *testing.T) {
	long := response(pattern(300_000))
	with := func(response string) string { return strings.Replace(response, "\r\n", "\r\n"+alwaysField, 1) }
	for name, first := range map[string]func(d *dialogue, r *run) (want string){
		"spool": func(d *dialogue, r *run) string {
			r.outputs(long)
			return with(long)
		},
		"spool after a file": func(d *dialogue, r *run) string {
			content := pattern(50_000)
			r.x.Output([]byte(headFor(350_000)), nil, false)
			outputsFile(r.x, d.newFile(content), 0, len(content), false)
			rest := pattern(300_000)
			r.outputs(rest)
			return with(headFor(350_000)) + content + rest
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, h := newRuns(t, Limits{Always: alwaysField, OutputBytes: 10_000, SpoolOutput: 1 << 30}, nil)
			d.peer.room = 0
			d.peer.says(gets(2))
			want := first(d, h.all[0])
			h.all[1].x.Output([]byte(earlyHints), nil, false)
			h.all[0].x.Done(backend.EndKeep)
			d.settle()
			if use := d.e.Spool(); use.Files != 1 {
				t.Fatalf("%+v", use)
			}
			h.all[1].x.Output([]byte(earlyHints), nil, false)
			h.answers(1)
			d.peer.takes(anyRoom)
			d.peer.hearsText(want + earlyHints + earlyHints + with(responses(1)))
			d.is(stateIdle)
		})
	}
}
