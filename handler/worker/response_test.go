package worker

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/shm"
)

const ok = "HTTP/1.1 200 OK\n"

func TestResponse(t *testing.T) {
	w := mustLoad(t, "send.lua").fork(0, small)
	for _, c := range []struct {
		head, want string
		result     uint32
	}{
		{"GET /empty", ok + "Date: X\nContent-Length: 0\n\n", 0},
		{"GET /no_text", "HTTP/1.1 200 \nDate: X\nContent-Length: 0\n\n", 0},
		{"GET /many", ok + "Date: X\nContent-Length: 13\n\na11.5truenilT", 0},
		{"GET /s204", "HTTP/1.1 204 No Content\nDate: X\n\n", 0},
		{"GET /s205", "HTTP/1.1 205 Reset Content\nDate: X\nContent-Length: 0\n\n", 0},
		{"GET /s304", "HTTP/1.1 304 Not Modified\nContent-Length: 5\nDate: X\n\n", 0},
		{"GET /length", ok + "Content-Length: 5\nDate: X\n\n12345", 0},
		{"GET /date", ok + "Date: today\nContent-Length: 0\n\n", 0},
		{"GET /close", ok + "Date: X\nContent-Length: 0\nConnection: close\n\n", shm.ResultClose},
		{"GET /upgrade", "HTTP/1.1 426 Upgrade Required\nUpgrade: TLS/1.0\nConnection: Upgrade\nDate: X\nContent-Length: 0\n\n", 0},
		{"GET /close_upgrade", "HTTP/1.1 426 Upgrade Required\nUpgrade: TLS/1.0\nConnection: Upgrade\nDate: X\nContent-Length: 0\nConnection: close\n\n", shm.ResultClose},
		{"GET /keep", ok + "Date: X\nContent-Length: 0\n\n", 0},
		{"GET /flush", ok + "Date: X\nTransfer-Encoding: chunked\n\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n", 0},
		{"GET /headers", ok + "Date: X\nContent-Length: 1\n\nx", 0},
		{"GET /hints", "HTTP/1.1 103 Early Hints\nLink: </style.css>\n\nHTTP/1.1 200 OK\r\nA: b\r\nDate: X\r\nContent-Length: 4\r\n\r\nbody", 0},

		// HEAD: the same head, no body.
		{"HEAD /empty", ok + "Date: X\nContent-Length: 0\n\n", 0},
		{"HEAD /many", ok + "Date: X\nContent-Length: 13\n\n", 0},
		{"HEAD /length", ok + "Content-Length: 5\nDate: X\n\n", 0},
		{"HEAD /flush", ok + "Date: X\nTransfer-Encoding: chunked\n\n", 0},
		{"HEAD /headers", ok + "Date: X\nContent-Length: 1\n\n", 0},

		// HTTP/1.0: no chunks, no interim responses.
		{"GET /many HTTP/1.0", ok + "Date: X\nContent-Length: 13\nConnection: close\n\na11.5truenilT", shm.ResultClose},
		{"GET /many HTTP/1.0\nConnection: keep-alive", ok + "Date: X\nContent-Length: 13\nConnection: keep-alive\n\na11.5truenilT", 0},
		{"GET /flush HTTP/1.0\nConnection: keep-alive", ok + "Date: X\nConnection: close\n\nab", shm.ResultClose},
		{"GET /hints HTTP/1.0", ok + "A: b\nDate: X\nContent-Length: 4\nConnection: close\n\nbody", shm.ResultClose},
		{"HEAD /flush HTTP/1.0\nConnection: keep-alive", ok + "Date: X\nConnection: keep-alive\n\n", 0},

		{"GET /empty HTTP/1.1\nHost: x\nConnection: close", ok + "Date: X\nContent-Length: 0\nConnection: close\n\n", shm.ResultClose},
	} {
		w.check(w.do(request{head: c.head}), c.want, c.result)
	}
	w.check(w.do(request{head: "GET /empty", close: true}), ok+"Date: X\nContent-Length: 0\nConnection: close\n\n", shm.ResultClose)
	if s := w.stderr.String(); s != "" {
		t.Errorf("standard error: %s", s)
	}
}

func TestDate(t *testing.T) {
	w := mustLoad(t, "send.lua").fork(0, small)
	before := time.Now()
	e := w.start(request{head: "GET /empty"})
	e.finish()
	after := time.Now()
	_, date, _ := strings.Cut(string(e.got), "Date: ")
	date, _, _ = strings.Cut(date, "\r\n")
	got, err := time.Parse(http.TimeFormat, date)
	if err != nil || got.Before(before.Truncate(time.Second)) || got.After(after) {
		t.Errorf("date %q, %v, between %v and %v", date, err, before, after)
	}
}

// The same responses through windows of all sizes: only the framing differs.
func TestWindows(t *testing.T) {
	f := mustLoad(t, "send.lua")
	for _, window := range []int{64, 128, 512, 1024, 2048, 4096} {
		w := f.fork(0, windows(4096, window))
		for path, want := range map[string]string{
			"empty": "", "many": "a11.5truenilT", "length": "12345", "flush": "ab", "headers": "x", "s204": "",
		} {
			if r := w.get("/" + path); r.body() != want || r.result != shm.ResultDone {
				t.Errorf("window %d: %s: %#x %q", window, path, r.result, r.text)
			}
		}
		for _, n := range []int{1, 700, 900, 2000, 10000, 100000} {
			r := w.get(fmt.Sprintf("/long_head?%d", n))
			head, body, _ := strings.Cut(r.text, "\r\n\r\n")
			if strings.Count(head, "x") != n || body != "body" || !strings.HasSuffix(head, "\r\nContent-Length: 4") {
				t.Errorf("window %d, head of %d bytes: %.100q", window, n, r.text)
			}
		}
		r := w.get("/hints")
		if !strings.HasPrefix(r.text, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\nHTTP/1.1 200 OK\r\n") ||
			!strings.HasSuffix(r.text, "Content-Length: 4\r\n\r\nbody") {
			t.Errorf("window %d: hints: %q", window, r.text)
		}
		if status := w.quit(); status != 0 {
			t.Errorf("window %d: worker ended with %#x\n%s", window, status, w.stderr)
		}
	}
}
