package handler

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpwrite"
)

// testFile is a file with size bytes, modified in 2024.
func testFile(t *testing.T, name string, size int) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(fileContent(size)), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// fileContent is the content of a test file.
func fileContent(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()[:size]
}

// wantsClosed checks that nothing but the test has the file open.
func wantsClosed(t *testing.T, f *os.File) {
	t.Helper()
	n := 0
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("the system does not tell what is open")
		}
		n = 0
		for _, e := range list {
			if target, _ := os.Readlink("/proc/self/fd/" + e.Name()); target == f.Name() {
				n++
			}
		}
		if n == 1 { // a goroutine may close it after the exchange has ended
			return
		}
	}
	t.Errorf("the file is open %d times, want 1", n)
}

// both are the two kinds of backend.
var both = map[string]func(Handler) backend.Backend{
	"loop":     OnLoop,
	"blocking": func(h Handler) backend.Backend { return Blocking(h, 0) },
}

func TestSendFile(t *testing.T) {
	const size = 100_000
	content := fileContent(size)
	for name, make := range both {
		for _, c := range []struct {
			name, method, fields string
			options              FileOptions
			before               func(w *Response)
			status               int
			body                 string
			ranges               int
			want                 string // a field that is there
		}{
			{"whole", "GET", "", FileOptions{}, nil, 200, content, 1, "Content-Type: text/css; charset=utf-8"},
			{"length", "GET", "", FileOptions{}, nil, 200, content, 1, "Content-Length: 100000"},
			{"modified", "GET", "", FileOptions{}, nil, 200, content, 1, "Last-Modified: Mon, 06 May 2024 07:08:09 GMT"},
			{"HEAD", "HEAD", "", FileOptions{}, nil, 200, "", 0, "Content-Length: 100000"},
			{"range", "GET", "Range: bytes=10-20009\n", FileOptions{}, nil, 206, content[10:20010], 1, "Content-Range: bytes 10-20009/100000"},
			{"small range", "GET", "Range: bytes=10-19\n", FileOptions{}, nil, 206, content[10:20], 0, "Content-Length: 10"},
			{"unsatisfiable", "GET", "Range: bytes=100000-\n", FileOptions{}, nil, 416, "Range Not Satisfiable", 0, "Content-Range: bytes */100000"},
			{"has it", "GET", "If-Modified-Since: Mon, 06 May 2024 07:08:09 GMT\n", FileOptions{}, nil, 304, "", 0, ""},
			{"etag", "GET", "If-None-Match: W/\"x\"\n", FileOptions{ETag: `"x"`}, nil, 304, "", 0, `ETag: "x"`},
			{"failed", "GET", "If-Match: \"y\"\n", FileOptions{ETag: `"x"`}, nil, 412, "Precondition Failed", 0, ""},
			{"time", "GET", "If-Modified-Since: Mon, 06 May 2024 07:08:09 GMT\n", FileOptions{Modified: time.Unix(1.75e9, 0)}, nil, 200, content, 1,
				"Last-Modified: Sun, 15 Jun 2025 15:06:40 GMT"},
			{"POST", "POST", "Range: bytes=0-1\nIf-None-Match: *\nContent-Length: 0\n", FileOptions{}, nil, 200, content, 1, ""},
			{"download", "GET", "", FileOptions{Download: "Grüße.css"}, nil, 200, content, 1,
				"Content-Disposition: attachment; filename=\"Gr__e.css\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.css"},
			{"caching", "GET", "", FileOptions{CacheControl: "max-age=60"}, nil, 200, content, 1, "Cache-Control: max-age=60"},
			{"type", "GET", "", FileOptions{Type: "text/x"}, func(w *Response) { w.Set("content-type", "text/y") }, 200, content, 1, "Content-Type: text/x"},
			{"other field", "GET", "", FileOptions{}, func(w *Response) { w.Set("X-A", "b") }, 200, content, 1, "X-A: b"},
			{"error page", "GET", "Range: bytes=0-1\nIf-None-Match: *\n", FileOptions{}, func(w *Response) { w.SetStatus(404) }, 404, content, 1, ""},
		} {
			for _, takes := range []int{-1, 10} {
				t.Run(fmt.Sprint(name, " ", c.name, " takes ", takes), func(t *testing.T) {
					f := testFile(t, "style.css", size)
					b := attach(t, make(Func(func(w *Response, r *Request) {
						if c.before != nil {
							c.before(w)
						}
						if err := w.SendFile(r, f, c.options); err != nil {
							t.Error(err)
						}
					})))
					x := b.start(takes, c.method+" / HTTP/1.1\nHost: a\n"+c.fields+"\n", "", false)
					x.takesAll(takes)
					res, body := x.response(c.method)
					if res.StatusCode != c.status || !strings.Contains(body, c.body) || len(body) > len(c.body)+10 {
						t.Errorf("got %d, %d bytes of body", res.StatusCode, len(body))
					}
					if x.ranges != c.ranges || !strings.Contains(x.text(), c.want) || strings.Count(x.text(), "Content-Type:") > 1 {
						t.Errorf("%d ranges, head %q", x.ranges, x.text()[:300])
					}
					wantsClosed(t, f)
				})
			}
		}
	}
}

// takesAll lets the connection take n bytes again and again until the exchange is over.
func (c *fakeConn) takesAll(n int) {
	c.t.Helper()
	for limit := time.Now().Add(patience); !c.over; {
		if c.takes == 0 {
			c.take(n)
		} else {
			c.l.turn(nil)
			runtime.Gosched()
		}
		if time.Now().After(limit) {
			c.t.Fatal("the exchange does not end")
		}
	}
}

// Several ranges are a multipart body. Those that are small are copied.
func TestSendFileRanges(t *testing.T) {
	content := fileContent(100_000)
	for name, make := range both {
		t.Run(name, func(t *testing.T) {
			f := testFile(t, "a.txt", len(content))
			b := attach(t, make(Func(func(w *Response, r *Request) {
				if err := w.SendFile(r, f, FileOptions{}); err != nil {
					t.Error(err)
				}
			})))
			x := b.exchange("GET / HTTP/1.1\nHost: a\nRange: bytes=0-9,1000-30999,50000-89999\n\n", "")
			res, body := x.response("GET")
			_, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
			if res.StatusCode != 206 || err != nil || x.ranges != 2 {
				t.Fatalf("got %d, %v, %d ranges", res.StatusCode, err, x.ranges)
			}
			parts := multipart.NewReader(strings.NewReader(body), params["boundary"])
			for _, want := range []string{content[:10], content[1000:31000], content[50000:90000]} {
				p, err := parts.NextPart()
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(p); string(got) != want || err != nil {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}
			wantsClosed(t, f)
		})
	}
}

func TestSendFileErrors(t *testing.T) {
	for name, make := range both {
		for _, c := range []struct {
			name string
			do   func(w *Response, r *Request, f *os.File) error
			want error
		}{
			{"directory", func(w *Response, r *Request, f *os.File) error {
				d, err := os.Open(filepath.Dir(f.Name()))
				if err != nil {
					return err
				}
				defer d.Close()
				return w.SendFile(r, d, FileOptions{})
			}, ErrNotRegular},
			{"after a body", func(w *Response, r *Request, f *os.File) error {
				w.WriteString("hello")
				return w.SendFile(r, f, FileOptions{})
			}, ErrBodyBegun},
			{"twice", func(w *Response, r *Request, f *os.File) error {
				w.SendFile(r, f, FileOptions{})
				return w.SendFile(r, f, FileOptions{})
			}, ErrBodyBegun},
			{"more after it", func(w *Response, r *Request, f *os.File) error {
				w.SendFile(r, f, FileOptions{})
				_, err := w.WriteString("x")
				return err
			}, ErrLength},
			{"no body", func(w *Response, r *Request, f *os.File) error {
				w.SetStatus(204)
				return w.SendFile(r, f, FileOptions{})
			}, ErrBodiless},
			{"etag", func(w *Response, r *Request, f *os.File) error { return w.SendFile(r, f, FileOptions{ETag: "x"}) }, httpwrite.ErrFieldValue},
			{"type", func(w *Response, r *Request, f *os.File) error { return w.SendFile(r, f, FileOptions{Type: "a\nb"}) }, httpwrite.ErrFieldValue},
			{"closed", func(w *Response, r *Request, f *os.File) error {
				g, _ := os.Open(f.Name())
				g.Close()
				return w.SendFile(r, g, FileOptions{})
			}, os.ErrClosed},
			{"an error instead", func(w *Response, r *Request, f *os.File) error {
				w.SendFile(r, f, FileOptions{})
				return w.Error(500)
			}, nil},
			{"panic", func(w *Response, r *Request, f *os.File) error {
				w.SendFile(r, f, FileOptions{})
				panic(http.ErrAbortHandler)
			}, nil},
		} {
			t.Run(name+" "+c.name, func(t *testing.T) {
				f := testFile(t, "a.txt", 50_000)
				b := attach(t, make(Func(func(w *Response, r *Request) {
					if err := c.do(w, r, f); err != c.want && !isPathError(err, c.want) {
						t.Errorf("got %v, want %v", err, c.want)
					}
				})))
				b.exchange(get11, "")
				wantsClosed(t, f)
			})
		}
	}
}

func isPathError(err, cause error) bool {
	p, is := err.(*os.PathError)
	return is && p.Err == cause
}

// The connection ends before it has taken a file, or while it takes it.
func TestSendFileCancel(t *testing.T) {
	for name, make := range both {
		for _, phase := range []string{"before", "within Output", "within OutputFile"} {
			t.Run(name+" "+phase, func(t *testing.T) {
				f := testFile(t, "a.txt", 90_000)
				b := attach(t, make(Func(func(w *Response, r *Request) { w.SendFile(r, f, FileOptions{}) })))
				c := &fakeConn{t: t, l: b.fakeLoop, takes: -1}
				switch phase {
				case "before":
					c.takes = 10
				case "within Output":
					c.hook = (*fakeConn).cancel
				default:
					c.hook = func(c *fakeConn) {
						if c.ranges == 1 {
							c.cancel()
						}
					}
				}
				b.turn(func() {
					if err := b.startIn(c, "GET / HTTP/1.1\nHost: a\nRange: bytes=0-29999,40000-79999\n\n", "", false); err != nil {
						t.Fatal(err)
					}
				})
				b.until("output", func() bool { return c.offers > 0 })
				if phase == "before" {
					b.turn(c.cancel)
				}
				if lb, is := b.lb.(*blockingBackend); is {
					checkIdle(t, lb.b)
				}
				b.turn(nil)
				wantsClosed(t, f)
			})
		}
	}
}

// Handlers of net/http send files without copying them.
func TestHTTPFiles(t *testing.T) {
	content := fileContent(100_000)
	for _, c := range []struct {
		name, request string
		h             func(w http.ResponseWriter, r *http.Request, f *os.File)
		status        int
		body          string
		ranges        int
	}{
		{"ServeContent", "", func(w http.ResponseWriter, r *http.Request, f *os.File) {
			http.ServeContent(w, r, "a.txt", time.Time{}, f)
		}, 200, content, 1},
		{"range", "Range: bytes=-50000\n", func(w http.ResponseWriter, r *http.Request, f *os.File) {
			http.ServeContent(w, r, "a.txt", time.Time{}, f)
		},
			206, content[50_000:], 1},
		{"ServeFile", "", func(w http.ResponseWriter, r *http.Request, f *os.File) { http.ServeFile(w, r, f.Name()) }, 200, content, 1},
		{"section", "", func(w http.ResponseWriter, r *http.Request, f *os.File) {
			s := io.NewSectionReader(f, 10, 60_000)
			s.Seek(5, io.SeekStart)
			http.ServeContent(w, r, "a.txt", time.Time{}, s)
		}, 200, content[10:60_010], 1},
		{"part of a section", "", func(w http.ResponseWriter, r *http.Request, f *os.File) {
			s := io.NewSectionReader(f, 10, 60_000)
			s.Seek(5, io.SeekStart)
			io.CopyN(w, s, 30_000)
			io.Copy(w, s)
		}, 200, content[15:60_010], 2},
		{"type from the content", "", func(w http.ResponseWriter, r *http.Request, f *os.File) {
			if n, err := io.Copy(w, f); n != int64(len(content)) || err != nil {
				t.Error(n, err)
			}
		}, 200, content, 1},
		{"chunked", "", func(w http.ResponseWriter, r *http.Request, f *os.File) {
			w.Header().Set("Content-Type", "text/plain")
			w.(http.Flusher).Flush()
			io.WriteString(w, "before")
			io.CopyN(w, f, 40_000)
			io.WriteString(w, "between")
			io.Copy(w, f)
			io.WriteString(w, "after")
		}, 200, "before" + content[:40_000] + "between" + content[40_000:] + "after", 2},
		{"small", "", func(w http.ResponseWriter, r *http.Request, f *os.File) { io.CopyN(w, f, 10_000) }, 200, content[:10_000], 0},
		{"not a file", "", func(w http.ResponseWriter, r *http.Request, f *os.File) { io.Copy(w, strings.NewReader(content)) }, 200, content, 0},
		{"many", "", func(w http.ResponseWriter, r *http.Request, f *os.File) {
			for range rangesMax + 5 {
				f.Seek(0, 0)
				io.CopyN(w, f, 20_000)
			}
		}, 200, strings.Repeat(content[:20_000], rangesMax+5), rangesMax},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := testFile(t, "a.txt", len(content))
			b := attach(t, Blocking(HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.h(w, r, f) })), 0))
			x := b.exchange("GET / HTTP/1.1\nHost: a\n"+c.request+"\n", "")
			res, body := x.response("GET")
			if res.StatusCode != c.status || body != c.body || x.ranges != c.ranges || x.outcome() != "keep" {
				t.Errorf("%d, %d bytes of %d, %d ranges, %s", res.StatusCode, len(body), len(c.body), x.ranges, x.outcome())
			}
			if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/plain") {
				t.Errorf("type %q", res.Header.Get("Content-Type"))
			}
			wantsClosed(t, f)
		})
	}
	t.Run("HEAD", func(t *testing.T) {
		f := testFile(t, "a.txt", len(content))
		b := attach(t, Blocking(HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.txt", time.Time{}, f)
		})), 0))
		x := b.exchange(head11, "")
		if res, _ := x.response("HEAD"); res.ContentLength != 100_000 || x.ranges != 0 {
			t.Errorf("length %d, %d ranges", res.ContentLength, x.ranges)
		}
		wantsClosed(t, f)
	})
}
