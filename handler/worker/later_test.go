package worker

import (
	"strings"
	"testing"
	"time"

	"moonbridge/handler/shm"
)

// Names of the later original (testdata/later.lua).

func laterWorker(t *testing.T, pool uint32) *worker {
	t.Helper()
	return mustLoad(t, "later.lua").fork(pool, small)
}

func TestLaterText(t *testing.T) {
	want := strings.Join([]string{`&lt;a href=&quot;b&quot;&gt;'&amp;amp;'&lt;/a&gt;`, "a%20b%2f%c3%bc.~_-%25", "a b/c/%zz%4", "555",
		"101=true 204=true 205=zero_content_length 304=true", "string expected"}, "\n")
	if got := laterWorker(t, 0).get("/text").body(); got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// The authority of an absolute-form target is the host, whatever the Host field says.
func TestLaterHost(t *testing.T) {
	w := laterWorker(t, 0)
	for _, c := range []struct{ head, want string }{
		{"GET /host HTTP/1.1\nHost: a.example:8080", "a.example:8080"},
		{"GET http://b.example:81/host HTTP/1.1\nHost: a", "b.example:81"},
		{"GET http://[::1]/host?http://c/ HTTP/1.1\nHost: a", "[::1]"},
		{"GET /host?http://c/ HTTP/1.1\nHost: a", "a"},
		{"GET /host HTTP/1.0", "nil"},
	} {
		if got := w.do(request{head: c.head}).body(); got != c.want {
			t.Errorf("%s: %q, want %q", c.head, got, c.want)
		}
	}
}

func TestLaterFresh(t *testing.T) {
	w := laterWorker(t, 0)
	for use, want := range map[string]string{"look": "true true", "close": "true true", "body": "true false", "form": "true false",
		"stream": "true false", "status": "true false", "interim": "true false", "monologue": "true false", "modified": "true true", "no_tag": "true true"} {
		if r := w.get("/fresh?use=" + use); !strings.HasSuffix(r.text, "\r\n\r\n"+want) {
			t.Errorf("%s: %q, want %q", use, r.text, want)
		}
	}
}

func TestLaterClose(t *testing.T) {
	w := laterWorker(t, 0)
	w.check(w.get("/close"), "HTTP/1.1 200 OK\nDate: X\nContent-Length: 6\nConnection: close\n\nclosed", shm.ResultClose)
	r := w.get("/close_late")
	if want := "close_after_finish: the header section is already finished\nmonologue: the header section is already finished"; r.body() != want ||
		!strings.Contains(r.text, "\r\nConnection: close\r\n") || r.result != shm.ResultDone|shm.ResultClose {
		t.Errorf("%#x %q", r.result, r.text)
	}
	w.get("/finished")
	w.stderr.wait(t, "close_after_finish: the response is already finished\n")
}

// A client that reads nothing before it has sent everything gets its answer all the same.
func TestLaterMonologue(t *testing.T) {
	for _, size := range []int{0, 1, 3000, 300000} {
		w := mustLoad(t, "later.lua").fork(0, windows(4096, 4096))
		e := w.start(request{head: "POST /monologue HTTP/1.1\nHost: x.example" + formType, body: text(size)})
		e.hold = true
		e.until("the body has made way", func() bool { return len(e.rest) == 0 })
		e.hold = false
		r := e.finish()
		want := strings.Join([]string{"request.body: the request body has already been discarded by monologue",
			"request.post_params: the request body has already been discarded by monologue",
			"stream_request_body_now: the request body has already been discarded by monologue", "x.example" + strings.Repeat("x", 100000)}, "\n")
		if got := r.body(); got != want || r.result != shm.ResultDone|shm.ResultClose {
			t.Errorf("%d bytes: %#x %.300q\nstderr: %s", size, r.result, r.text, w.stderr)
		}
	}
}

func TestLaterConsumeInput(t *testing.T) {
	w := laterWorker(t, 0)
	for _, c := range []struct{ path, want string }{
		{"consume", "2 0 2"},
		{"consume_body", "a=1&b=2"},
		{"consume_inside", "consume_input: the form is still being processed, by the caller of this stream handler"},
		{"stream_now", "a=1&b=21stream_request_body_now: the request body has already been given to stream_request_body"},
	} {
		if got := w.do(request{head: "POST /" + c.path + " HTTP/1.1\nHost: x" + formType, body: "a=1&b=2"}).body(); got != c.want {
			t.Errorf("%s: %q, want %q", c.path, got, c.want)
		}
	}
}

func TestLaterFaulty(t *testing.T) {
	w := laterWorker(t, 0)
	w.get("/faulty")
	w.stderr.wait(t, "faulty: true, client has closed the connection\n")
	w.do(request{head: "POST /faulty_body", body: "abc", cut: shm.InAbort})
	w.stderr.wait(t, "faulty: true, request body: incomplete\n")
}

func TestLaterStreamStyle(t *testing.T) {
	w := laterWorker(t, 0)
	body := encode(t, field{name: "f1", data: "one"}, field{name: "x", data: "no"}, field{name: "f2", data: ""})
	for listener, want := range map[uint16]string{
		1: "3(one,f1,f1/nil/nil) 0() 3(,f2,f2/nil/nil) 0()",
		2: "2(one,f1/nil/nil) 0() 2(,f2/nil/nil) 0()",
	} {
		r := w.do(request{head: "POST / HTTP/1.1\nHost: x" + multipartType, body: body, listener: listener})
		if got := r.body(); got != want {
			t.Errorf("listener %d: %q, want %q\nstderr: %s", listener, got, want, w.stderr)
		}
	}
}

// The handler of a listener, and what the connect handler of its pool has to do with it.
func TestLaterHandler(t *testing.T) {
	f := mustLoad(t, "later.lua")
	for pool, want := range map[uint32]string{
		1: "handler of a\nhandler of b\n",
		2: "dispatched a\ndispatched b\nown connect of c\n",
	} {
		w := f.fork(pool, small)
		for i, name := range []string{"a", "b", "c"}[:strings.Count(want, "\n")] {
			r := request{interval: name, listener: uint16(i), main: name == "b"}
			if got := w.do(r); got.result != shm.ResultDone {
				t.Errorf("pool %d, %s: %#x", pool, name, got.result)
			}
		}
		if w.quit(); w.stderr.all(t) != want {
			t.Errorf("pool %d: %q, want %q", pool, w.stderr, want)
		}
	}
}

// A main handler can wait for things, and learns when it has to end. Its failure is reported.
func TestMainHandler(t *testing.T) {
	w := laterWorker(t, 3)
	if r := w.do(request{interval: "fails", listener: 1, main: true}); r.result != shm.ResultDone|shm.ResultReset {
		t.Errorf("%#x", r.result)
	}
	w.stderr.wait(t, "main fails: testdata/later.lua")
	e := w.start(request{interval: "polls", main: true})
	for end := time.Now().Add(patience); w.mem.OutWorker(0).Asleep.Load() == 0 || w.mem.OutWorker(0).At.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the handler does not wait\n%s", w.stderr)
		}
	}
	w.mem.InWorker(0).Quit.Store(1)
	w.ring()
	if r := e.finish(); r.result != shm.ResultDone {
		t.Errorf("%#x", r.result)
	}
	if status := w.wait(); status != 0 {
		t.Errorf("worker ended with %#x", status)
	}
	w.stderr.wait(t, "false true\n")
}
