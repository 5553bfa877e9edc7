package worker

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"regexp"
	"strings"
	"testing"

	"moonbridge/handler/shm"
)

const multipartType = "\nContent-Type: multipart/form-data; boundary=cut"

// field is a part of a form. Without type and file name it is an ordinary field.
type field struct{ name, file, typ, data string }

// encode is a body with these fields, and the boundary of multipartType, as a standard library makes it.
func encode(t testing.TB, fields ...field) string {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary("cut"); err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		h := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + f.name + `"`}}
		if f.file != "" {
			h["Content-Disposition"][0] += `; filename="` + f.file + `"`
		}
		if f.typ != "" {
			h["Content-Type"] = []string{f.typ}
		}
		p, err := w.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		p.Write([]byte(f.data))
	}
	w.Close()
	return b.String()
}

// post does a request with a form as body: once through the window, and once more from a file, with the same outcome.
func (w *worker) post(path, typ, body string) response {
	w.t.Helper()
	q := request{head: "POST " + path + " HTTP/1.1\nHost: x" + typ, body: body}
	r := w.do(q)
	if q.file = body != ""; q.file {
		const closes = shm.ResultClose // a body in a file cannot be in the way of the next request
		if f := w.do(q); f.result|closes != r.result|closes || outcome(f) != outcome(r) {
			w.t.Errorf("from a file: result %#x, want %#x\n got %.200q\nwant %.200q", f.result, r.result, f.text, r.text)
		}
	}
	return r
}

var accidental = regexp.MustCompile(`table: 0x[0-9a-f]+|\b\d+:|\b\d+ testdata`)

// outcome is a body without the addresses of tables, and without the number of pieces that a stream came in.
func outcome(r response) string { return accidental.ReplaceAllString(r.body(), "#") }

func (w *worker) wantBody(r response, what, want string) {
	w.t.Helper()
	if got := r.body(); got != want || r.result&shm.ResultReset != 0 {
		w.t.Errorf("%s: result %#x\n got %.1000q\nwant %.1000q\nstderr: %s", what, r.result, got, want, w.stderr)
	}
}

// lines joins the lines that tables() of post.lua writes.
func lines(params, list, metadata, metadataList string) string {
	return "params " + params + "\nlist " + list + "\nmetadata " + metadata + "\nlist " + metadataList
}

var noForm = lines("{}", "{}", "nil", "nil")

func TestPostTables(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(0, small)
	for _, c := range []struct {
		name, typ, body, want string
	}{
		{"fields", multipartType, encode(t, field{name: "a", data: "1"}, field{name: "b", data: ""}, field{name: "a", data: "2\r\n--cu"}),
			lines("{a=1 b=}", "{a={1=1 2=2\r\n--cu} b={1=}}", "{a={} b={}}", "{a={1={} 2={}} b={1={}}}")},
		{"files", multipartType, encode(t, field{"f", "one.txt", "text/plain", "x"}, field{"f", "two", "", "y"}, field{"f", "", "image/png", ""}),
			lines("{f=x}", "{f={1=x 2=y 3=}}", "{f={content_type=text/plain file_name=one.txt}}",
				"{f={1={content_type=text/plain file_name=one.txt} 2={file_name=two} 3={content_type=image/png}}}")},
		{"no file chosen", multipartType, "--cut\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\n" +
			"Content-Type: application/octet-stream\r\n\r\n\r\n--cut--\r\n",
			lines("{f=}", "{f={1=}}", "{f={content_type=application/octet-stream file_name=}}",
				"{f={1={content_type=application/octet-stream file_name=}}}")},
		{"no field", multipartType, "--cut--", lines("{}", "{}", "{}", "{}")},
		{"preamble and epilogue", multipartType, "before\r\n" + encode(t, field{name: "a", data: "1"}) + "after",
			lines("{a=1}", "{a={1=1}}", "{a={}}", "{a={1={}}}")},
		{"quoted boundary", "\nContent-Type: Multipart/Form-Data ; charset=x; boundary=\"cut\"; y=z", encode(t, field{name: "a", data: "1"}),
			lines("{a=1}", "{a={1=1}}", "{a={}}", "{a={1={}}}")},
		{"encoded file name", multipartType, "--cut\r\nContent-Disposition: form-data; name=f; filename*=UTF-8''%e2%82%ac.txt\r\n\r\n1\r\n--cut--",
			lines("{f=1}", "{f={1=1}}", "{f={file_name=\u20ac.txt}}", "{f={1={file_name=\u20ac.txt}}}")},
		{"urlencoded", formType, "a=1&b=+%41&a=2", lines("{a=1 b= A}", "{a={1=1 2=2} b={1= A}}", "nil", "nil")},
		{"another type", "\nContent-Type: multipart/mixed; boundary=cut", encode(t, field{name: "a"}), noForm},
		{"no type", "", "a=1", noForm},
		{"no body", multipartType, "", lines("{}", "{}", "{}", "{}")},
		{"empty body", multipartType + "\nContent-Length: 0", "", lines("{}", "{}", "{}", "{}")},
		{"empty chunked body", multipartType + "\nTransfer-Encoding: chunked", "", lines("{}", "{}", "{}", "{}")},
		{"empty body, urlencoded", formType + "\nContent-Length: 0", "", noForm},
		{"empty chunked body, urlencoded", formType + "\nTransfer-Encoding: chunked", "", noForm},
	} {
		for _, way := range []string{"tables", "stream", "status", "coroutine"} {
			w.wantBody(w.post("/"+way, c.typ, c.body), way+", "+c.name, c.want)
		}
		w.wantBody(w.post("/order", c.typ, c.body), "order, "+c.name, "true\n"+c.want)
		w.wantBody(w.post("/access", c.typ, c.body), "access, "+c.name, "\n"+c.want)
		w.wantBody(w.post("/ignore", c.typ, c.body), "ignore, "+c.name, "ignored")
	}
	w.wantBody(w.get("/tables"), "GET", noForm)
	w.wantBody(w.get("/stream?exact=a&pattern=b"), "GET with handlers", noForm)
}

// Who gets a field: exact names go before patterns, which go in the order of registration; the others are in the tables.
func TestPostStreams(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(0, small)
	body := encode(t, field{name: "a", data: "1"}, field{"f_1", "one", "text/plain", "x"}, field{name: "plain", data: "p"},
		field{"f_2", "two", "", ""}, field{name: "a", data: "22"}, field{"f_1", "three", "", "yy"})
	const fields, rest = "?exact=f_2&exact=none&exact=a", "\nparams {plain=p}\nlist {plain={1=p}}\nmetadata {plain={}}\nlist {plain={1={}}}"
	want := "exact {field_name=a}\n1:1\n%s {content_type=text/plain field_name=f_1 file_name=one}\n1:x\n" +
		"exact {field_name=f_2 file_name=two}\n1:\nexact {field_name=a}\n1:22\n%[1]s {field_name=f_1 file_name=three}\n1:yy" + rest
	for _, way := range []string{"stream", "status", "access", "coroutine"} {
		w.wantBody(w.post("/"+way+fields+"&pattern=^f_%25d%2b$&pattern=^f", multipartType, body), way, fmt.Sprintf(want, "pattern 1"))
		w.wantBody(w.post("/"+way+"?pattern=^x&pattern=^f&pattern=^f_%25d%2b$&exact=f_2&exact=a", multipartType, body), way, fmt.Sprintf(want, "pattern 2"))
	}
	form := "a=1&f_1=x+y&plain=p&f_2=&&a=%32%&f_1"
	want = "exact {field_name=a}\n1:1\npattern 1 {field_name=f_1}\n1:x y\nexact {field_name=f_2}\n1:\nexact {field_name=a}\n1:2%\n" +
		"pattern 1 {field_name=f_1}\n1:\nparams {plain=p}\nlist {plain={1=p}}\nmetadata nil\nlist nil"
	for _, way := range []string{"stream", "status", "access", "coroutine"} {
		w.wantBody(w.post("/"+way+fields+"&pattern=^f_", formType, form), way+", urlencoded", want)
	}
	// A name is no C string, and patterns are not confused by that.
	w.wantBody(w.post("/stream?pattern=b$", formType, "a%00b=1"), "NUL in a name", "pattern 1 {field_name=a\x00b}\n1:1\nparams {}\nlist {}\nmetadata nil\nlist nil")
	w.wantBody(w.post("/stream?exact=", multipartType, encode(t, field{name: "", data: "1"})), "empty name", "exact {field_name=}\n1:1\n"+lines("{}", "{}", "{}", "{}"))
	// A body of another type is none of their business.
	w.wantBody(w.post("/stream?exact=a", "", "a=1"), "no form", noForm)
}

// Every cut: bodies around and beyond the window's size, so that boundaries and heads of parts lie across its end.
func TestPostWindows(t *testing.T) {
	for _, window := range []int{512, 1024, 4096, 64 << 10} {
		w := mustLoad(t, "post.lua").fork(0, windows(window, 64<<10))
		for _, size := range []int{0, 1, 99, 1000, window - 300, window - 200, window, 3*window + 1, 300000} {
			sizes := []int{size}
			if size < 70000 {
				sizes = []int{size, size + 7, size + 13, size + 64}
			}
			for _, size := range sizes {
				data := strings.ReplaceAll(text(size), "00", "\r\n--cu")[:size]
				body := encode(t, field{name: "a", data: data}, field{"file", "n", "t", data}, field{name: "b", data: "x"})
				r := w.post("/stream?exact=file", multipartType, body)
				got := r.body()
				at := strings.Index(got, "\n") + 1
				head, rest := got[:at], got[at:]
				count, rest, _ := strings.Cut(rest, ":")
				want := data + "\n" + lines("{a="+data+" b=x}", "{a={1="+data+"} b={1=x}}", "{a={} b={}}", "{a={1={}} b={1={}}}")
				if head != "exact {content_type=t field_name=file file_name=n}\n" || count == "" || rest != want {
					t.Fatalf("window %d, %d bytes: result %#x, %q %q %.1000q\n%s", window, size, r.result, head, count, rest, w.stderr)
				}
				r = w.post("/stream?exact=file", formType, "a="+escape(data)+"&file="+escape(data)+"&b=x")
				got = r.body()
				head, rest, _ = strings.Cut(got, "\n")
				_, rest, _ = strings.Cut(rest, ":")
				want = data + "\nparams {a=" + data + " b=x}\nlist {a={1=" + data + "} b={1=x}}\nmetadata nil\nlist nil"
				if head != "exact {field_name=file}" || rest != want {
					t.Fatalf("window %d, %d bytes, urlencoded: result %#x, %q %.1000q\n%s", window, size, r.result, head, rest, w.stderr)
				}
			}
		}
	}
}

// escape encodes some bytes that need it, and some that do not.
func escape(s string) string {
	return strings.NewReplacer("\r", "%0d", "\n", "%0A", "7", "%37", ",", "%2c").Replace(s)
}

func TestPostExclusive(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(0, small)
	const (
		asBody    = ": the request body has already been read as request.body"
		asForm    = ": the request body has already been read as a form"
		asStream  = ": the request body has already been given to stream_request_body"
		late      = ": the request body has already been processed"
		handler   = ": a stream handler has already been registered: the request body is read as a form"
		failed    = ": processing the request body has already failed"
		inForm    = ": the form is still being processed, by the caller of this stream handler"
		metadata1 = "request.post_metadata"
		multi, no = "multipart", "no form"
	)
	names := map[string]string{"body": "request.body", "params": "request.post_params", "list": "request.post_params_list",
		"metadata": metadata1, "metadatalist": metadata1 + "_list", "process": "process_request_body", "stream": "stream_request_body",
		"param": "stream_post_param", "pattern": "stream_post_params", "status": "send_status", "defer": ""}
	types := map[string]string{multi: multipartType, "urlencoded": formType, no: ""}
	bodies := map[string]string{multi: encode(t, field{name: "a", data: "1"}), "urlencoded": "a=1", no: "{}"}
	// What happens to the second after the first; "" means that it works.
	after := map[string]func(second, kind string) string{
		"body":   func(s, k string) string { return unless(asBody, s == "body" || s == "status" || s == "defer") },
		"stream": func(s, k string) string { return unless(asStream, s == "status" || s == "defer") },
		"param": func(s, k string) string {
			if s == "param" {
				return ": 'a' already has a stream handler"
			}
			return unless(handler, s != "body" && s != "stream")
		},
		"failing": func(s, k string) string {
			if k == no {
				return unless(late, s != "param" && s != "pattern")
			}
			return unless(failed, s == "status" || s == "defer")
		},
		"none": func(s, k string) string { return "" },
		"defer": func(s, k string) string {
			if s == "status" || s == "defer" {
				return ": a status has already been sent"
			}
			return ""
		},
	}
	after["pattern"] = func(s, k string) string {
		if s == "pattern" {
			return ": '^a$' already has a stream handler"
		}
		return unless(handler, s != "body" && s != "stream")
	}
	processed := func(s, k string) string {
		switch {
		case k == no:
			return unless(late, s != "param" && s != "pattern")
		case s == "body" || s == "stream" || s == "param" || s == "pattern":
			return asForm
		}
		return ""
	}
	for _, first := range []string{"params", "list", "metadata", "metadatalist", "process"} {
		after[first] = processed
	}
	after["status"] = func(s, k string) string {
		if s == "status" || s == "defer" {
			return ": a status has already been sent"
		}
		return processed(s, k)
	}
	for kind, typ := range types {
		for first, verdict := range after {
			for second, name := range names {
				want := verdict(second, kind)
				if second == "defer" {
					name = "send_status"
				}
				got := w.post("/exclusive?"+first+"-"+second, typ, bodies[kind]).body()
				if want == "" && strings.HasPrefix(got, "true:") {
					continue
				}
				if want == "" || !strings.HasPrefix(got, "false:testdata/post.lua:") || !strings.HasSuffix(got, ": "+name+want) {
					t.Errorf("%s, %s after %s: %q, want %q", kind, second, first, got, want)
				}
			}
		}
	}
	// Inside a stream handler none of that works, and the processing goes on.
	for second, method := range map[string]string{"subscribe": "subscribe", "wait": "wait", "accept": "accept_websocket", "websocket": "websocket",
		"file": "send_file", "unmodified": "not_modified"} {
		names[second] = method
	}
	body := encode(t, field{name: "file", data: "1"}, field{name: "b", data: "behind"})
	for second, name := range names {
		want := "false:testdata/post.lua:"
		got := w.post("/inside?"+second, multipartType+"\nIf-None-Match: \"x\"", body).body()
		if second == "defer" {
			name, want = "", "true:nil\nbehind"
		} else {
			name = ": " + name + inForm + "\nbehind"
		}
		if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, name) {
			t.Errorf("%s inside: %q", second, got)
		}
	}
}

// unless is s, or "" if the condition holds.
func unless(s string, cond bool) string {
	if cond {
		return ""
	}
	return s
}

func TestPostArguments(t *testing.T) {
	w := mustLoad(t, "post.lua").fork(0, small)
	for i, want := range []string{
		"bad argument #1 to 'stream_post_param' (string expected, got no value)",
		"bad argument #1 to 'stream_post_param' (string expected, got table)",
		"bad argument #1 to 'stream_post_param' (string expected, got number)",
		"bad argument #2 to 'stream_post_param' (function expected, got no value)",
		"bad argument #2 to 'stream_post_param' (function expected, got table)",
		"bad argument #1 to 'stream_post_params' (string expected, got nil)",
		"bad argument #2 to 'stream_post_params' (function expected, got string)",
		"bad argument #1 to 'stream_post_param' (request expected: call it as a method, with a colon)",
		"stream_post_params: pattern '[a': malformed pattern (missing ']')",
		"stream_post_param: 'a' already has a stream handler",
		"stream_post_params: 'b' already has a stream handler",
		"stream_post_params: pattern '^file(': unfinished capture",
	} {
		got := w.post(fmt.Sprintf("/wrong?%d", i+1), multipartType, encode(t, field{name: "file"})).body()
		if !strings.HasPrefix(got, "false:testdata/post.lua:") || !strings.HasSuffix(got, ": "+want) {
			t.Errorf("%d: %q; want %q", i+1, got, want)
		}
	}
}
