package files_test

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/files"
	"moonbridge/handler/files/filestest"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 500e6, time.UTC)

// known is what is known of a file of the cases.
func known(file string) files.File {
	f := files.File{Size: int64(len(filestest.Content(file))), Modified: filestest.Modified.UnixNano()}
	if file == "young" {
		f.Modified = now.Add(-time.Second / 4).UnixNano()
	}
	return f
}

// request makes the Request of field lines.
func request(t *testing.T, method string, fields []string) files.Request {
	t.Helper()
	text := method + " / HTTP/1.1\r\nHost: a\r\n"
	for _, f := range fields {
		text += f + "\r\n"
	}
	var p httpparse.Parser
	h := new(httpparse.Head)
	if n, err := p.Parse(h, []byte(text+"\r\n"), nil); err != nil || n == 0 {
		t.Fatalf("%q: %d bytes, %v", fields, n, err)
	}
	return files.Request{Get: method == "GET", Head: method == "HEAD", Conditions: h.Conditions(), Now: now.UnixNano()}
}

func TestPlan(t *testing.T) {
	cases, err := filestest.Cases()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 120 {
		t.Errorf("%d cases", len(cases))
	}
	var p files.Plan
	for _, c := range cases {
		t.Run(fmt.Sprintf("%d %s", c.Line, c.Name), func(t *testing.T) {
			f := known(c.File)
			fields := c.Fill(files.ETag(&f, now.UnixNano()), time.Unix(0, f.Modified))
			r := request(t, c.Method, fields)
			p.Make(&r, &f, &files.Options{Type: "text/plain"})
			got, err := filestest.Read(c.Method, responseOf(&p, filestest.Content(c.File)), filestest.Content(c.File))
			if err != nil {
				t.Fatalf("%q: %v", fields, err)
			}
			if got != c.Want {
				t.Errorf("%q: got %q, want %q", fields, got, c.Want)
			}
		})
	}
}

// responseOf makes the response that the plan is for, of a file with these contents.
func responseOf(p *files.Plan, content []byte) *http.Response {
	r := &http.Response{StatusCode: p.Status, Header: make(http.Header), ContentLength: -1}
	for line := range strings.Lines(string(p.Fields)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\r\n"), ": ")
		r.Header.Add(name, value)
	}
	if p.Length != httpwrite.LengthNone {
		r.ContentLength = p.Length
	}
	var body []byte
	for _, part := range p.Parts {
		body = append(append(body, part.Before...), content[part.Offset:part.Offset+part.Length]...)
	}
	r.Body = io.NopCloser(bytes.NewReader(append(body, p.Closing...)))
	return r
}

// Fields that depend on the status.
func TestPlanFields(t *testing.T) {
	page := known("page")
	etag := files.ETag(&page, now.UnixNano())
	options := files.Options{Type: "text/css", CacheControl: "max-age=60", Vary: true, Download: "a.css", Encoding: "gzip"}
	names := func(p *files.Plan) string {
		var names []string
		for line := range strings.Lines(string(p.Fields)) {
			name, _, _ := strings.Cut(line, ":")
			names = append(names, name)
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	const whole = "Accept-Ranges Cache-Control Content-Disposition Content-Encoding Content-Type ETag Last-Modified Vary X-Content-Type-Options"
	for _, c := range []struct {
		method, field string
		status        int
		want          string
	}{
		{"GET", "", 200, whole},
		{"HEAD", "", 200, whole},
		{"POST", "", 200, whole},
		{"POST", "If-None-Match: " + etag, 200, whole},
		{"POST", "Range: bytes=0-1", 200, whole},
		{"GET", "If-None-Match: *", 304, "Cache-Control ETag Vary"},
		{"GET", `If-Match: "x"`, 412, "Content-Type"},
		{"GET", "Range: bytes=5000-", 416, "Content-Range Content-Type"},
		{"GET", "Range: bytes=0-1", 206, strings.Replace(whole, "Content-Type", "Content-Range Content-Type", 1)},
		{"GET", "Range: bytes=0-1,500-501", 206, whole},
	} {
		var fields []string
		if c.field != "" {
			fields = append(fields, c.field)
		}
		r := request(t, c.method, fields)
		var p files.Plan
		p.Make(&r, &page, &options)
		if got := names(&p); p.Status != c.status || got != c.want {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.field, p.Status, got, c.status, c.want)
		}
	}
	var p files.Plan
	r := request(t, "GET", nil)
	p.Make(&r, &files.File{Size: 5}, &files.Options{})
	if got := names(&p); got != "Accept-Ranges ETag X-Content-Type-Options" {
		t.Errorf("without type and time: %s", got)
	}
}

// The head of a response to HEAD has the length that the body would have.
func TestPlanOfHEAD(t *testing.T) {
	page := known("page")
	for _, fields := range [][]string{nil, {"If-Match: \"x\""}, {"Range: bytes=0-1"}} {
		r := request(t, "HEAD", fields)
		var p files.Plan
		p.Make(&r, &page, &files.Options{})
		if len(p.Parts) > 0 || len(p.Closing) > 0 || p.Length <= 0 {
			t.Errorf("%q: %+v", fields, p)
		}
	}
}

// A time in the future is not sent: RFC 9110 §8.8.2.1.
func TestPlanOfFuture(t *testing.T) {
	var p files.Plan
	r := request(t, "GET", nil)
	p.Make(&r, &files.File{Size: 1, Modified: now.Add(time.Hour).UnixNano()}, &files.Options{})
	h := responseOf(&p, []byte("x")).Header
	if got, want := h.Get("Last-Modified"), now.Format(http.TimeFormat); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !strings.HasPrefix(h.Get("ETag"), "W/") {
		t.Error("the tag is strong:", h.Get("ETag"))
	}
}

// Tags differ if size or time differ, and get strong when the file is two seconds old.
func TestETag(t *testing.T) {
	at := now.UnixNano()
	seen := make(map[string]bool)
	for _, f := range []files.File{{Size: 1, Modified: at}, {Size: 2, Modified: at}, {Size: 1, Modified: at + 1}, {Size: 1}} {
		tag := files.ETag(&f, at+5e9)
		if seen[tag] || !httpparse.ValidETag(tag) || tag[0] != '"' {
			t.Errorf("%+v: %s", f, tag)
		}
		seen[tag] = true
		if f.Modified > 0 && files.ETag(&f, f.Modified+2e9-1) != "W/"+tag {
			t.Errorf("%+v: not weak", f)
		}
		if files.ETag(&f, f.Modified+2e9) != tag {
			t.Errorf("%+v: weak", f)
		}
	}
	f := files.File{Size: 1<<63 - 1, Modified: -1 << 63}
	if tag := files.ETag(&f, at); !httpparse.ValidETag(tag) {
		t.Error(tag)
	}
}

func TestAppendDisposition(t *testing.T) {
	for name, want := range map[string]string{
		"report.pdf":       `attachment; filename="report.pdf"`,
		"two words.txt":    `attachment; filename="two words.txt"`,
		"Übersicht.pdf":    `attachment; filename="_bersicht.pdf"; filename*=UTF-8''%C3%9Cbersicht.pdf`,
		"100%.txt":         `attachment; filename="100_.txt"; filename*=UTF-8''100%25.txt`,
		`a"b\c.txt`:        `attachment; filename="a_b_c.txt"; filename*=UTF-8''a%22b%5Cc.txt`,
		"a/../b":           `attachment; filename="a_.._b"; filename*=UTF-8''a_.._b`,
		"a\r\nX-Y: z":      `attachment; filename="a__X-Y: z"; filename*=UTF-8''a__X-Y%3A%20z`,
		"\xff.bin":         `attachment; filename="_.bin"; filename*=UTF-8''%EF%BF%BD.bin`,
		"€ and 🌙's.txt":    `attachment; filename="_ and _'s.txt"; filename*=UTF-8''%E2%82%AC%20and%20%F0%9F%8C%99%27s.txt`,
		"it's (1) [2].txt": `attachment; filename="it's (1) [2].txt"`,
	} {
		line := string(files.AppendDisposition(nil, name))
		value := strings.TrimSuffix(strings.TrimPrefix(line, "Content-Disposition: "), "\r\n")
		if value != want {
			t.Errorf("%q: got %s, want %s", name, value, want)
		}
		if err := httpwrite.CheckField("Content-Disposition", value); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if _, params, err := mime.ParseMediaType(value); err != nil || params["filename"] == "" {
			t.Errorf("%q: %v, %v", name, params, err)
		}
	}
}

func TestTypeOf(t *testing.T) {
	for name, want := range map[string]string{
		"index.html": "text/html; charset=utf-8", "A.HTML": "text/html; charset=utf-8", "app.min.js": "text/javascript; charset=utf-8",
		"a.json": "application/json", "a.wasm": "application/wasm", "a.svg": "image/svg+xml", "a.png": "image/png",
		"a.tar.gz": "application/gzip", "README": "application/octet-stream", "a.": "application/octet-stream",
		"a.unheardof": "application/octet-stream", ".html": "text/html; charset=utf-8", "": "application/octet-stream",
		"a." + strings.Repeat("x", 100): "application/octet-stream", "a.html ": "application/octet-stream",
	} {
		if got := files.TypeOf(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func TestHashed(t *testing.T) {
	for name, want := range map[string]bool{
		"app.3f9a2b1c.js": true, "index-BxKq3f0a.css": true, "chunk_0a1b2c3d4e5f.mjs": true, "logo.d41d8cd98f00b204e9800998ecf8427e.png": true,
		"app.js": false, "report-20231105.pdf": false, "photo.1234567890.jpg": false, "application.js": false, "jquery-3.7.1.min.js": false,
		"deadbeef.js": false, "README": false, "0a1b2c3d": false, "Basketball.js": false, "a.0A1B2C3D.js": false, "VERSION2024.txt": false,
		"ümlaut1a.css": false, "": false, "a.0a1b2c3.js": false,
	} {
		if got := files.Hashed(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// FuzzPlan: whatever is asked for, the parts lie in the file, and the length is that of the body.
func FuzzPlan(f *testing.F) {
	f.Add("bytes=0-9,500-509", `"x"`, int64(1000), true)
	f.Add("bytes=-5", "Sun, 06 Nov 1994 08:49:37 GMT", int64(0), false)
	f.Fuzz(func(t *testing.T, ranges, ifRange string, size int64, weak bool) {
		if size < 0 {
			return
		}
		file := files.File{Size: size, Modified: filestest.Modified.UnixNano()}
		r := files.Request{Get: true, Now: now.UnixNano(), Conditions: httpparse.Conditions{Range: []byte(ranges)}}
		if weak {
			r.Conditions.IfRange = []byte(ifRange)
		}
		var p files.Plan
		p.Make(&r, &file, &files.Options{Type: "text/plain"})
		total := int64(len(p.Closing))
		for _, part := range p.Parts {
			if part.Length < 1 || part.Offset < 0 || part.Offset > size-part.Length {
				t.Fatalf("%+v of %d bytes", part, size)
			}
			total += int64(len(part.Before)) + part.Length
		}
		if total != p.Length {
			t.Errorf("%d bytes, announced %d", total, p.Length)
		}
		boundary := ""
		if len(p.Parts) > 1 {
			_, params, err := mime.ParseMediaType(responseField(&p, "Content-Type"))
			if boundary = params["boundary"]; err != nil || boundary == "" || len(boundary) > 70 {
				t.Errorf("boundary %q, %v", boundary, err)
			}
		}
	})
}

func responseField(p *files.Plan, name string) string {
	for line := range strings.Lines(string(p.Fields)) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSuffix(value, "\r\n")
		}
	}
	return ""
}
