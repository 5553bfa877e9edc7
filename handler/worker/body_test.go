package worker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"moonbridge/handler/shm"
	"moonbridge/httpwrite"
)

const formType = "\nContent-Type: application/x-www-form-urlencoded"

// text is n bytes in which every place is recognised.
func text(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.String()[:n]
}

func TestBody(t *testing.T) {
	for _, window := range []int{64 << 10, 4096, 1024} {
		w := mustLoad(t, "body.lua").fork(0, windows(window, 64<<10))
		for _, size := range []int{1, 10, 500, 999, 1000, 1001, 3000, 4096, 5000, 70000, 300000} {
			b := text(size)
			for _, way := range []string{"string", "stream"} {
				for _, length := range []string{"", fmt.Sprintf("\nContent-Length: %d", size)} {
					r := w.do(request{head: "POST /" + way + " HTTP/1.1\nHost: x" + length, body: b})
					if got := r.body(); r.result != shm.ResultDone || got[strings.IndexByte(got, ':')+1:] != fmt.Sprintf("%d:%s", size, b) {
						t.Errorf("window %d, %s of %d bytes: %#x %.100q\n%s", window, way, size, r.result, r.text, w.stderr)
					}
					r = w.do(request{head: "POST /" + way + " HTTP/1.1\nHost: x" + length, body: b, file: true})
					if got := r.body(); r.result != shm.ResultDone || got[strings.IndexByte(got, ':')+1:] != fmt.Sprintf("%d:%s", size, b) {
						t.Errorf("window %d, %s of %d bytes in a file: %#x %.100q\n%s", window, way, size, r.result, r.text, w.stderr)
					}
				}
			}
			form := "a=" + b + "&b=1&b=2"
			r := w.do(request{head: "POST /form HTTP/1.1\nHost: x" + formType, body: form})
			if got := r.body(); got != "form:"+b+":2" {
				t.Errorf("window %d, form of %d bytes: %.100q\n%s", window, len(form), r.text, w.stderr)
			}
			r = w.do(request{head: "POST /form HTTP/1.1\nHost: x" + formType, body: form, file: true})
			if got := r.body(); got != "form:"+b+":2" {
				t.Errorf("window %d, form of %d bytes in a file: %.100q\n%s", window, len(form), r.text, w.stderr)
			}
			r = w.do(request{head: "POST /late HTTP/1.1\nHost: x" + formType + "; charset=utf-8", body: form})
			if got := r.body(); got != "late:"+b {
				t.Errorf("window %d, late form of %d bytes: %.100q\n%s", window, len(form), r.text, w.stderr)
			}
		}
		if r := w.get("/string"); r.body() != "1:0:" {
			t.Errorf("no body: %q", r.text)
		}
		if r := w.get("/stream"); r.body() != "0:0:" {
			t.Errorf("no body, streamed: %q", r.text)
		}
	}
}

// A body that is not read is thrown away if all of it is there; otherwise the connection ends.
func TestBodyIgnored(t *testing.T) {
	w := mustLoad(t, "body.lua").fork(0, windows(4096, 4096))
	r := w.do(request{head: "POST /ignore", body: text(100)})
	w.check(r, "HTTP/1.1 200 OK\nDate: X\nContent-Length: 7\n\nignored", 0)
	r = w.do(request{head: "POST /ignore", body: text(10000)})
	w.check(r, "HTTP/1.1 200 OK\nDate: X\nContent-Length: 7\nConnection: close\n\nignored", shm.ResultClose)
	// A client that waits for leave to send gets none.
	r = w.do(request{head: "POST /ignore", body: text(100), expect: true})
	w.check(r, "HTTP/1.1 200 OK\nDate: X\nContent-Length: 7\nConnection: close\n\nignored", shm.ResultClose)
}

// What is made of the head while a finalizer reads the body is that of the head, although the body takes its room.
func TestBodyReadByFinalizer(t *testing.T) {
	w := mustLoad(t, "body.lua").fork(0, windows(4096, 4096))
	for _, what := range []string{"get_params", "cookies", "headers_value"} {
		r := w.do(request{head: "POST /finalizer?what=" + what + "&a=value HTTP/1.1\nHost: x\nA: value\nCookie: a=value", body: text(20000)})
		w.wantBody(r, what, "value 20000")
	}
}

func TestExpectContinue(t *testing.T) {
	w := mustLoad(t, "body.lua").fork(0, small)
	for _, way := range []string{"string", "stream"} {
		e := w.start(request{head: "POST /" + way, body: "abc", expect: true})
		r := e.finish()
		if r.body() != "1:3:abc" || !e.wanted {
			t.Errorf("%s: %q, wanted %v", way, r.text, e.wanted)
		}
	}
	e := w.start(request{head: "POST /late" + " HTTP/1.1\nHost: x" + formType, body: "a=b", expect: true})
	if r := e.finish(); r.body() != "late:b" {
		t.Errorf("late: %q", r.text)
	}
}

func TestBodyExclusive(t *testing.T) {
	w := mustLoad(t, "body.lua").fork(0, small)
	for _, c := range []struct{ ways, want string }{
		{"body-body", "true:a=1"},
		{"body-form", "request.post_params: the request body has already been read as request.body"},
		{"body-stream", "stream_request_body: the request body has already been read as request.body"},
		{"form-body", "request.body: the request body has already been read as a form"},
		{"form-stream", "stream_request_body: the request body has already been read as a form"},
		{"stream-body", "request.body: the request body has already been given to stream_request_body"},
		{"stream-form", "request.post_params: the request body has already been given to stream_request_body"},
		{"stream-stream", "stream_request_body: the request body has already been given to stream_request_body"},
	} {
		r := w.do(request{head: "POST /exclusive?" + c.ways + " HTTP/1.1\nHost: x" + formType, body: "a=1"})
		got := r.body()
		if got != c.want && !(strings.HasPrefix(got, "false:testdata/body.lua:") && strings.HasSuffix(got, ": "+c.want)) {
			t.Errorf("%s: %q; want %q", c.ways, got, c.want)
		}
	}
	// A body of another type is no form, and stays where it is.
	r := w.do(request{head: "POST /exclusive?form-body", body: "{}"})
	if got := r.body(); got != "true:{}" {
		t.Errorf("no form: %q", got)
	}
}

// Bodies that break off, or grow too large, end the handler with their own status; only the client needs to know.
func TestBodyErrors(t *testing.T) {
	for _, way := range []string{"string", "stream", "form", "late"} {
		w := mustLoad(t, "body.lua").fork(0, windows(4096, 4096))
		head := "POST /" + way + " HTTP/1.1\nHost: x" + formType
		for _, c := range []struct{ cut, result uint32 }{
			{shm.InAbort, 400<<shm.ResultStatusShift | shm.ResultClose},
			{shm.InAbort | shm.InTooLarge, 413<<shm.ResultStatusShift | shm.ResultClose},
			{shm.InCancel, shm.ResultReset},
		} {
			for _, size := range []int{1, 20000} {
				w.check(w.do(request{head: head, body: text(size), cut: c.cut}), "", c.result)
			}
		}
		if s := w.stderr.String(); s != "" {
			t.Errorf("%s: standard error: %s", way, s)
		}
	}
	// The limit is checked by the worker, too.
	w := mustLoad(t, "body.lua").fork(0, small)
	r := w.do(request{head: "POST /string", body: text(1000001)})
	r.result |= shm.ResultClose // needed only if something of the body is still on the way
	w.check(r, "", 413<<shm.ResultStatusShift|shm.ResultClose)
}

// The server answers for a handler that has sent nothing. After an interim response the worker has to, with the same page.
func TestBodyErrorAfterInterim(t *testing.T) {
	w := mustLoad(t, "body.lua").fork(0, windows(4096, 4096))
	head := "POST /interim HTTP/1.1\nHost: x"
	for _, c := range []struct {
		status int
		r      request
	}{
		{400, request{head: head + formType, body: "a=b", cut: shm.InAbort}},
		{413, request{head: head + formType, body: "a=b", cut: shm.InAbort | shm.InTooLarge}},
		{431, request{head: head + multipartType, body: "--cut\r\nX: " + strings.Repeat("x", 17<<10)}},
	} {
		r := w.do(c.r)
		interim, page, _ := strings.Cut(r.text, "\r\n\r\n")
		want := dateField.ReplaceAllString(string(errorPage(c.status, true, false)), "Date: X\r\n")
		if interim != "HTTP/1.1 103 Early Hints" || !samePage(page, want) || r.result != shm.ResultDone|shm.ResultClose {
			t.Errorf("result %#x, %q, want %q", r.result, r.text, want)
		}
	}
}

// samePage compares two responses without regard to the order of the fields.
func samePage(a, b string) bool {
	parts := func(s string) (lines []string, body string) {
		head, body, _ := strings.Cut(s, "\r\n\r\n")
		lines = strings.Split(head, "\r\n")
		slices.Sort(lines)
		return lines, body
	}
	la, ba := parts(a)
	lb, bb := parts(b)
	return slices.Equal(la, lb) && ba == bb
}

// errorPage is the answer of the server itself, dated 1970.
func errorPage(status int, closes, noBody bool) []byte {
	page := httpwrite.ErrorPage{Status: status, Close: closes, NoBody: noBody}
	return page.Append(nil)
}
