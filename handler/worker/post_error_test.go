package worker

import (
	"fmt"
	"strings"
	"testing"

	"moonbridge/handler/shm"
	"moonbridge/handler/worker/form"
)

// An error that a stream handler raises comes out unchanged where the processing was started; the form is lost, but not the
// request.
func TestPostCallbackErrors(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(0, windows(4096, 64<<10))
	for _, data := range []string{"", "x", text(20000)} {
		body := encode(t, field{name: "a", data: data}, field{name: "file", data: data}, field{name: "b", data: data})
		calls := 2
		if len(data) > 1000 {
			calls = 0 // as many as there are chunks
		}
		for what, want := range map[string]string{"chunk": "1 testdata/post.lua:N: no room", "end": "%d testdata/post.lua:N: no room", "table": "1 true"} {
			got := w.post("/errors?"+what, multipartType, body).body()
			first, second, _ := strings.Cut(digits.ReplaceAllString(got, ":N:"), "\n")
			if strings.Contains(want, "%d") {
				if want = fmt.Sprintf(want, calls); calls == 0 {
					_, want, _ = strings.Cut(want, " ")
					_, first, _ = strings.Cut(first, " ")
				}
			}
			if first != want || second != "testdata/post.lua:N: request.post_params: processing the request body has already failed" {
				t.Errorf("%s with %d bytes: %.300q; want %q\n%s", what, len(data), got, want, w.stderr)
			}
		}
	}
	body := encode(t, field{name: "file", data: "x"})
	if got := w.post("/yield", multipartType, body).body(); !strings.Contains(got, "attempt to yield across") {
		t.Errorf("yield: %q", got)
	}
	if s := w.stderr.String(); s != "" {
		t.Errorf("standard error: %s", s)
	}
	// An uncaught error: the log says where it was raised, and how the code got there.
	w.check(w.post("/uncaught", multipartType, body), "", 500<<shm.ResultStatusShift)
	for _, part := range []string{"POST /uncaught: testdata/post.lua:", ": deep in a handler\nstack traceback:\n", "'fails'", "'send_status'", "<testdata/post.lua:"} {
		w.stderr.wait(t, part)
	}
	if strings.Contains(w.stderr.String(), "raised again") {
		t.Errorf("standard error: %s", w.stderr)
	}
	// One that is caught and raised again, or another one like it: the log shows both places.
	for way, parts := range map[string][]string{
		"again": {": deep in a handler\nstack traceback:\n", "'fails'", "raised again, or an equal error raised later:\n", "'clean_up'"},
		"equal": {": short\nstack traceback:\n", "raised again, or an equal error raised later:\n", "'fails_equally'"},
	} {
		w := mustLoad(t, "post.lua").fork(0, small)
		w.check(w.do(request{head: "POST /" + way + " HTTP/1.1\nHost: x" + multipartType, body: body}), "", 500<<shm.ResultStatusShift)
		for _, part := range parts {
			w.stderr.wait(t, part)
		}
		if r := w.last(1); strings.Contains(r.message, "\n") {
			t.Errorf("%s: the message is %q", way, r.message)
		}
	}
}

// Malformed bodies are answered by the server, and are no news for the log.
func TestPostMalformed(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(0, windows(16<<10, 64<<10))
	whole := encode(t, field{name: "a", data: "1"})
	part := "--cut\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n"
	for _, c := range []struct {
		name, typ, body string
		status          uint32
	}{
		{"no boundary", "\nContent-Type: multipart/form-data", whole, 400},
		{"empty boundary", "\nContent-Type: multipart/form-data; boundary=\"\"", whole, 400},
		{"no closing boundary", multipartType, strings.TrimSuffix(whole, "--\r\n"), 400},
		{"no form", multipartType, "a=1&b=2", 400},
		{"no name", multipartType, "--cut\r\nContent-Disposition: form-data\r\n\r\n\r\n--cut--", 400},
		{"no disposition", multipartType, "--cut\r\nContent-Type: text/plain\r\n\r\n\r\n--cut--", 400},
		{"head of a part too large", multipartType, "--cut\r\nX: " + text(40000) + "\r\n\r\n\r\n--cut--", 431},
		{"as many parts as there may be", multipartType, strings.Repeat(part, 1<<14) + "--cut--", 0},
		{"malformed after a file", multipartType, "--cut\r\nContent-Disposition: form-data; name=file\r\n\r\n" + text(50000) + "\r\n--cut\r\n\r\n", 400},
		{"larger than the limit", multipartType, encode(t, field{name: "a", data: text(1000001)}), 413},
		{"file larger than the limit", multipartType, encode(t, field{name: "file", data: text(1000001)}), 413},
	} {
		for _, way := range []string{"/tables", "/stream?exact=file", "/status?exact=file", "/ignore"} {
			r := w.post(way, c.typ, c.body)
			if c.status == 0 {
				if r.result != shm.ResultDone || r.body() == "" {
					t.Errorf("%s, %s: result %#x", way, c.name, r.result)
				}
				continue
			}
			if got := r.result &^ shm.ResultClose; got != shm.ResultDone|c.status<<shm.ResultStatusShift || r.text != "" {
				t.Errorf("%s, %s: result %#x, want status %d; %.100q\n%s", way, c.name, r.result, c.status, r.text, w.stderr)
			}
			w.wantBody(w.post("/stream?exact=a", multipartType, whole), "after "+c.name, "exact {field_name=a}\n1:1\n"+lines("{}", "{}", "{}", "{}"))
		}
	}
	// Urlencoded forms cannot be malformed, but they can be too large.
	many := strings.Repeat("a&", 1<<16)
	r := w.post("/stream?exact=a", formType, many+"a")
	r.result |= shm.ResultClose // needed only if something of the body is still on the way
	w.check(r, "", 413<<shm.ResultStatusShift|shm.ResultClose)
	r = w.post("/stream?exact=a", formType, text(20000)+"=1")
	r.result |= shm.ResultClose
	w.check(r, "", 413<<shm.ResultStatusShift|shm.ResultClose)
	// The limit of fields is the same with stream handlers and without; empty ones do not count. That of names, as they are when decoded, is for
	// forms with stream handlers. Others may be no forms at all: some clients say that of any body.
	name := text(form.NameBytesMax - 1)
	for _, c := range []struct {
		what, body string
		fits       bool
	}{
		{"as many as there may be", many, true},
		{"one more", many + "a", false},
		{"empty ones", "a=1" + strings.Repeat("&", 1<<16+1), true},
		{"empty ones and one too many", strings.Repeat("&", 100) + many + "a", false},
		{"long name", name + "x=1", true},
		{"long name, encoded", strings.Repeat("%41", form.NameBytesMax) + "=1", true},
		{"long name without a value", "a&" + name + "x", true},
		{"name too long", name + "xx=1", false},
		{"name too long, encoded", strings.Repeat("%41", form.NameBytesMax+1) + "=1", false},
		{"name too long, ends as if it were encoded", name + "%4=1", false},
		{"name too long, without a value", "a&" + name + "xx", false},
		{"long value", "a=" + text(20000), true},
	} {
		for _, way := range []string{"/tables", "/stream?exact=none", "/ignore"} {
			r := w.post(way, formType, c.body)
			fits := c.fits || strings.HasPrefix(c.what, "name too long") && way != "/stream?exact=none"
			if r.result |= shm.ResultClose; fits && (r.result != shm.ResultDone|shm.ResultClose || r.body() == "") ||
				!fits && r.result != shm.ResultDone|413<<shm.ResultStatusShift|shm.ResultClose {
				t.Errorf("%s, %s: result %#x, %.100q\n%s", way, c.what, r.result, r.text, w.stderr)
			}
		}
	}
	if r = w.post("/stream?exact=a", formType, many); !strings.HasSuffix(r.body(), lines("{}", "{}", "nil", "nil")) {
		t.Errorf("65536 fields: result %#x", r.result)
	}
	if s := w.stderr.String(); s != "" {
		t.Errorf("standard error: %s", s)
	}
}

// A handler that has caught the error of a malformed body, and fails later, is to blame for that.
func TestPostErrorAfterMalformed(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(0, small)
	for _, body := range []string{"a=1&b=2", encode(t, field{name: "a", data: text(1000001)})} { // malformed, and too large
		r := w.post("/caught", multipartType, body)
		r.result |= shm.ResultClose // needed only if something of the body is still on the way
		w.check(r, "", 500<<shm.ResultStatusShift|shm.ResultClose)
		w.stderr.wait(t, "POST /caught: testdata/post.lua:")
		w.stderr.wait(t, "a mistake of the handler")
	}
}

func TestPostTooManyParts(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(1, small)
	part := "--cut\r\nContent-Disposition: form-data; name=file\r\n\r\n\r\n"
	w.wantBody(w.post("/", multipartType, strings.Repeat(part, 1<<16)+"--cut--"), "65536 parts", "0 true")
	r := w.post("/", multipartType, strings.Repeat(part, 1<<16+1)+"--cut--")
	r.result |= shm.ResultClose
	w.check(r, "", 413<<shm.ResultStatusShift|shm.ResultClose)
}

// Content that looks like boundaries does not cause a call of the handler for every few bytes.
func TestPostManyPieces(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(1, small)
	for _, unit := range []string{"\r\n--cutX", "\r\n--cut-", "\r\n--cu", "\r", "\r\n--cut " + text(700), "x"} {
		data := strings.Repeat(unit, 300000/len(unit))
		w.wantBody(w.post("/", multipartType, encode(t, field{name: "file", data: data})), unit, fmt.Sprintf("%d true", len(data)))
		w.wantBody(w.post("/", formType, "file="+strings.Repeat("%41", 100000)), "urlencoded", "100000 true")
	}
}

// Clients that break off, are too slow, send too much or vanish, in the middle of a form.
func TestPostBroken(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(0, windows(4096, 4096))
	for _, c := range []struct{ cut, result uint32 }{
		{shm.InAbort, 400<<shm.ResultStatusShift | shm.ResultClose},
		{shm.InAbort | shm.InTooLarge, 413<<shm.ResultStatusShift | shm.ResultClose},
		{shm.InCancel, shm.ResultReset},
	} {
		for _, way := range []string{"/tables", "/stream?exact=file", "/status?exact=file", "/ignore"} {
			whole := encode(t, field{name: "a", data: text(3000)}, field{"file", "n", "", text(20000)})
			for _, size := range []int{1, 30, 100, 4000, 10000, len(whole)} {
				w.check(w.do(request{head: "POST " + way + " HTTP/1.1\nHost: x" + multipartType, body: whole[:size], cut: c.cut}), "", c.result)
			}
			w.check(w.do(request{head: "POST " + way + " HTTP/1.1\nHost: x" + formType, body: "file=" + text(10000), cut: c.cut}), "", c.result)
		}
	}
	if s := w.stderr.String(); s != "" {
		t.Errorf("standard error: %s", s)
	}
}
