package worker

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"moonbridge/handler/shm"
)

var digits = regexp.MustCompile(`:\d+:`)

// A form is processed before the status goes out, unless the handler has something else in mind.
func TestPostOrder(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(0, windows(4096, 4096))
	for _, data := range []string{"x", text(50000)} {
		for typ, body := range map[string]string{multipartType: encode(t, field{name: "file", data: data}), formType: "file=" + escape(data)} {
			want := regexp.MustCompile(`^0 exact \{field_name=file\} \d+:` + data + "$")
			if got := w.post("/deferred?exact=file", typ, body).body(); !want.MatchString(got) {
				t.Errorf("deferred, %d bytes: %.200q", len(data), got)
			}
			r := w.post("/echo", typ, body)
			w.wantBody(r, "echo", data+"!")
			if !strings.HasPrefix(r.text, "HTTP/1.1 201 Created\r\nX-Name: none\r\n") {
				t.Errorf("echo: %.100q", r.text)
			}
		}
	}
	// A client that waits for leave to send gets it when the form is processed, and none where it is not.
	for _, way := range []string{"/tables", "/stream?exact=file", "/status?exact=file", "/ignore", "/deferred?exact=file"} {
		e := w.start(request{head: "POST " + way + " HTTP/1.1\nHost: x" + multipartType, body: encode(t, field{name: "file", data: "x"}), expect: true})
		if r := e.finish(); r.result != shm.ResultDone || r.body() == "" || !e.wanted {
			t.Errorf("%s: result %#x, %q, wanted %v", way, r.result, r.text, e.wanted)
		}
	}
	r := w.do(request{head: "POST /refuse HTTP/1.1\nHost: x" + multipartType, body: encode(t, field{name: "file", data: "x"}), expect: true})
	w.check(r, "HTTP/1.1 403 Forbidden\nDate: X\nContent-Length: 7\nConnection: close\n\nrefused", shm.ResultClose)
	// What is there anyway does not end the connection.
	r = w.post("/refuse", multipartType, encode(t, field{name: "file", data: "x"}))
	w.check(r, "HTTP/1.1 403 Forbidden\nDate: X\nContent-Length: 7\n\nrefused", 0)
	// Both framings.
	body := encode(t, field{name: "file", data: text(9000)})
	for _, framing := range []string{"\nTransfer-Encoding: chunked", fmt.Sprintf("\nContent-Length: %d", len(body))} {
		want := lines("{file="+text(9000)+"}", "{file={1="+text(9000)+"}}", "{file={}}", "{file={1={}}}")
		w.wantBody(w.post("/tables", multipartType+framing, body), "tables", want)
	}
}

// rss is the resident memory of the worker in KiB.
// A stream handler may answer while send_status reads the form: there is no second status then.
func TestPostAnsweredAhead(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(0, small)
	body := encode(t, field{name: "file", data: "1"})
	for query, before := range map[string]string{"": "", "?data": "no. "} {
		r := w.post("/ahead"+query, multipartType, body)
		want := "\r\n\r\n" + before + "send_status: a status has already been sent"
		if !strings.HasPrefix(r.text, "HTTP/1.1 403 Forbidden\r\n") || !strings.HasSuffix(r.text, want) {
			t.Errorf("%q: %q, want 403 and %q", query, r.text, want)
		}
	}
}

func (w *worker) rss() int {
	w.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.pid))
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// upload has a worker stream a form with a file of that size.
func (w *worker) upload(typ, before, after string, size int) {
	w.t.Helper()
	block := []byte(text(1 << 20))
	e := w.start(request{head: "POST / HTTP/1.1\nHost: x" + typ, body: before + string(block)})
	e.wanted = false // there is more to come
	for range size/len(block) - 1 {
		e.until("room", func() bool { return len(e.rest) == 0 })
		e.rest = append(e.rest[:0], block...)
	}
	e.until("room", func() bool { return len(e.rest) == 0 })
	e.rest, e.wanted = []byte(after), true
	w.wantBody(e.finish(), fmt.Sprintf("%d bytes", size), fmt.Sprintf("%d true", size))
}

// The memory of a worker does not grow with what it streams.
func TestPostMemory(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(1, small)
	for _, c := range []struct {
		name, typ, before, after string
		size                     int
	}{
		{"multipart", multipartType, "--cut\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\n", "\r\n--cut--\r\n", 256 << 20},
		{"urlencoded", formType, "file=", "&b=1", 64 << 20},
	} {
		w.upload(c.typ, c.before, c.after, 4<<20)
		before := w.rss()
		w.upload(c.typ, c.before, c.after, c.size)
		after := w.rss()
		t.Logf("%s: VmRSS %d KiB before, %d KiB after %d MiB", c.name, before, after, c.size>>20)
		if after-before > 8<<10 {
			t.Errorf("%s: VmRSS went from %d KiB to %d KiB", c.name, before, after)
		}
	}
}
