package handler

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"moonbridge/httpwrite"
)

func TestNotModified(t *testing.T) {
	changed := time.Date(2024, 5, 6, 7, 8, 9, 1e6, time.UTC)
	const date, before, after = "Mon, 06 May 2024 07:08:09 GMT", "Mon, 06 May 2024 07:08:08 GMT", "Mon, 06 May 2024 07:08:10 GMT"
	tag, at, both1 := Validators{ETag: `"x"`}, Validators{Modified: changed}, Validators{ETag: `"x"`, Modified: changed}
	weak := Validators{ETag: `W/"x"`}
	for _, c := range []struct {
		method, fields string
		v              Validators
		status         int
	}{
		{"GET", "X-A: b", both1, 200},
		{"GET", `If-None-Match: "x"`, tag, 304},
		{"GET", `If-None-Match: W/"x"`, tag, 304},
		{"GET", `If-None-Match: "x"`, weak, 304},
		{"GET", `If-None-Match: "y", "x"`, tag, 304},
		{"GET", `If-None-Match: *`, at, 304},
		{"GET", `If-None-Match: "y"`, tag, 200},
		{"GET", `If-None-Match: "x"`, at, 200},
		{"HEAD", `If-None-Match: "x"`, tag, 304},
		{"POST", `If-None-Match: "x"`, tag, 412},
		{"PUT", `If-None-Match: *`, tag, 412},
		{"OPTIONS", `If-None-Match: "x"`, tag, 200},
		{"PUT", `If-Match: "x"`, tag, 200},
		{"PUT", `If-Match: "y"`, tag, 412},
		{"PUT", `If-Match: "x"`, weak, 412},
		{"PUT", `If-Match: W/"x"`, tag, 412},
		{"HEAD", `If-Match: "y"`, tag, 412},
		{"GET", "If-Modified-Since: " + date, at, 304},
		{"GET", "If-Modified-Since: " + after, at, 304},
		{"GET", "If-Modified-Since: " + before, at, 200},
		{"GET", "If-Modified-Since: " + date, tag, 200},
		{"POST", "If-Modified-Since: " + date, at, 200},
		{"GET", "If-None-Match: \"y\"\nIf-Modified-Since: " + date, both1, 200},
		{"PUT", "If-Unmodified-Since: " + date, at, 200},
		{"PUT", "If-Unmodified-Since: " + before, at, 412},
		{"GET", "Range: bytes=0-1", both1, 200},
	} {
		for name, make := range both {
			t.Run(fmt.Sprint(name, " ", c.method, " ", c.fields, " ", c.v.ETag), func(t *testing.T) {
				b := attach(t, make(Func(func(w *Response, r *Request) {
					w.Set("Cache-Control", "max-age=1")
					answered, err := w.NotModified(r, c.v)
					if answered != (c.status != 200) || err != nil {
						t.Errorf("%v, %v", answered, err)
					}
					if !answered {
						w.WriteString("page")
					}
				})))
				x := b.start(-1, c.method+" / HTTP/1.1\nHost: a\nContent-Length: 0\n"+c.fields+"\n\n", "", false)
				x.takesAll(-1)
				res, body := x.response(c.method)
				want := map[int]string{200: "page", 304: "", 412: "Precondition Failed"}[c.status]
				if c.method == "HEAD" {
					want = ""
				}
				if res.StatusCode != c.status || !strings.Contains(body, want) || want == "" && body != "" || res.Header.Get("Cache-Control") != "max-age=1" {
					t.Errorf("%d, %q, %v", res.StatusCode, body, res.Header)
				}
				checkValidators(t, c.status, res.Header.Get("ETag"), res.Header.Get("Last-Modified"), c.v)
			})
		}
	}
}

// checkValidators: a 304 repeats one validator, other answers have none.
func checkValidators(t *testing.T, status int, etag, modified string, v Validators) {
	t.Helper()
	wantTag, wantTime := "", ""
	switch {
	case status != 304:
	case v.ETag != "":
		wantTag = v.ETag
	default:
		wantTime = v.Modified.Format("Mon, 02 Jan 2006 15:04:05 GMT")
	}
	if etag != wantTag || modified != wantTime {
		t.Errorf("ETag %q, Last-Modified %q", etag, modified)
	}
}

func TestNotModifiedErrors(t *testing.T) {
	for name, make := range both {
		b := attach(t, make(Func(func(w *Response, r *Request) {
			expect := func(what string, v Validators, want error) {
				t.Helper()
				if answered, err := w.NotModified(r, v); answered || !errors.Is(err, want) {
					t.Errorf("%s, %s: %v, %v", name, what, answered, err)
				}
			}
			expect("nothing known", Validators{}, httpwrite.ErrFieldValue)
			expect("no quotes", Validators{ETag: "x"}, httpwrite.ErrFieldValue)
			w.SetStatus(404)
			expect("another status", Validators{ETag: `"x"`}, nil)
			w.SetStatus(304)
			expect("no body", Validators{ETag: `"x"`}, ErrBodiless)
			w.SetStatus(200)
			w.WriteString("p")
			expect("body", Validators{ETag: `"x"`}, ErrBodyBegun)
		})))
		x := b.start(-1, "GET / HTTP/1.1\nHost: a\nIf-None-Match: *\n\n", "", false)
		x.takesAll(-1)
		if res, body := x.response("GET"); res.StatusCode != 200 || body != "p" {
			t.Errorf("%s: %d, %q", name, res.StatusCode, body)
		}
	}
}
