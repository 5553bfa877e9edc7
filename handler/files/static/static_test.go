package static

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/files"
	"moonbridge/handler/files/filestest"
	"moonbridge/httpparse"
)

// Both ways to open files below a directory have to give the same answers.
func bothWays(t *testing.T, test func(t *testing.T)) {
	t.Run("openat2", test)
	t.Run("os.Root", func(t *testing.T) {
		withoutOpenat2(t)
		test(t)
	})
}

func TestCases(t *testing.T) {
	cases, err := filestest.Cases()
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"in memory", "by descriptor"} {
		t.Run(where, func(t *testing.T) {
			root := caseFiles(t)
			if where == "by descriptor" {
				defer func(n int64) { contentMax = n }(contentMax)
				contentMax = -1
			}
			r := serve(t, alone(Rule{Prefix: "/", Path: root}))
			for _, c := range cases {
				if c.File == "young" && strings.Contains(strings.Join(c.Fields, " "), "{date}") {
					continue // the date of a file in the future changes with each response
				}
				if got := r.answerOf(t, &c); got != c.Want {
					t.Errorf("%s: got %q, want %q", c.Name, got, c.Want)
				}
			}
		})
	}
}

func TestPaths(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		root := tree(t, map[string]string{
			"secret": "secret", "public/a.txt": "a", "public/index.html": "index", "public/dir/index.html": "dir", "public/dir/b.txt": "b",
			"public/bare/c.txt": "c", "public/.hidden": "hidden", "public/.git/config": "git", "public/.well-known/acme": "acme",
			"public/ä ö.txt": "umlauts", "public/\xff\xfe": "bytes", "public/a\\b": "backslash", "public/%2F": "percent", "public/a\nb": "newline",
			"public/in": "->a.txt", "public/indir": "->dir", "public/out": "->../secret", "public/outdir": "->..", "public/abs": "->/etc/passwd",
			"public/loop": "->loop", "public/loop1": "->loop2", "public/loop2": "->loop1", "public/self/up": "->..", "public/gone": "->nowhere",
			"public/proc": "->/proc/self/fd/0", "icon.ico": "icon",
		})
		r := serve(t, withNext(
			Rule{Prefix: "/f/", Path: root + "/public", Index: "index.html", NotFound: true},
			Rule{Prefix: "/open/", Path: root + "/public", Index: "index.html", Dotfiles: true, Symlinks: true},
			Rule{Prefix: "/favicon.ico", Path: root + "/icon.ico"},
		))
		for target, want := range map[string]string{
			"/f/a.txt": "a", "/f/": "index", "/f/index.html": "index", "/f/dir/": "dir", "/f/dir/b.txt": "b", "/f/a%2etxt": "a", "/%66/a.txt": "a",
			"/f/a.txt?x=/../y": "a", "/x/../f/a.txt": "a", "/f/dir/../a.txt": "a", "/f/./a.txt": "a", "/f/%C3%A4%20%C3%B6.txt": "umlauts",
			"/f/ä%20ö.txt": "umlauts", "/f/%FF%FE": "bytes", "/f/%252F": "percent", "/f/a%0Ab": "newline", "/f/in": "a", "/f/indir/": "dir",
			"/f/.well-known/acme": "acme", "/f/self/up/a.txt": "a", "/f/self/up/self/up/a.txt": "a", "/favicon.ico": "icon",
			"/open/.hidden": "hidden", "/open/.git/config": "git", "/open/out": "secret", "/open/outdir/secret": "secret",
			"http://a/f/a.txt": "a",

			"/f/a": "404", "/f/a.txt/": "404", "/f/bare/": "404", "/f/bare": "404", "/f/dir/nothing": "404", "/f/a.txt/b": "404", "/f/.hidden": "404",
			"/f/.git/config": "404", "/f/.git/": "404", "/f/out": "404", "/f/outdir/secret": "404", "/f/outdir/": "404", "/f/abs": "404", "/f/loop": "404",
			"/f/loop1": "404", "/f/gone": "404", "/f/proc": "404", "/open/proc": handled, "/open/loop": handled,
			"/f/a%5Cb": "404", "/f/a\\b": "404", "/f/%2F": "404", "/f/a.txt%00": "404", "/f/%": "404", "/f/%zz": "404", "/f//a.txt": "404",
			"/f/dir//b.txt": "404", "/f/%2e%2e/secret": "404", "/f/..%2fsecret": "404", "/f/.%2e/secret": "404", "/f/" + strings.Repeat("x", 300): "404",
			"/f/" + strings.Repeat("d/", 3000): "404",

			"/f/../secret": handled, "/secret": handled, "/f": handled, "/": handled, "/open/nothing": handled, "/favicon.ico/": handled,
			"/favicon.icon": handled, "/F/a.txt": handled, "/f%2Fa.txt": handled, "//f/a.txt": handled,
		} {
			status, got := r.get(target)
			if status != 200 {
				got = fmt.Sprint(status)
			}
			if want == handled {
				want = handled + "GET " + strings.TrimPrefix(target, "http://a")
			}
			if got != want {
				t.Errorf("%q: %q, want %q", target, got, want)
			}
		}
	})
}

func TestMethods(t *testing.T) {
	root := tree(t, map[string]string{"a": "text"})
	rules := []Rule{{Prefix: "/pass/", Path: root}, {Prefix: "/own/", Path: root, NotFound: true}}
	with, without := serve(t, withNext(rules...)), serve(t, alone(rules...))
	for _, c := range []struct {
		r            *rig
		method, path string
		want         string // status, Allow, body
	}{
		{with, "GET", "/pass/a", "200  text"},
		{with, "HEAD", "/pass/a", "200  "},
		{with, "POST", "/pass/a", "200  " + handled + "POST /pass/a"},
		{with, "POST", "/own/a", "405 GET, HEAD Method Not Allowed\n"},
		{with, "POST", "/other", "200  " + handled + "POST /other"},
		{with, "OPTIONS", "*", "200  " + handled + "OPTIONS /"},
		{without, "GET", "/pass/a", "200  text"},
		{without, "POST", "/pass/a", "405 GET, HEAD Method Not Allowed\n"},
		{without, "PUT", "/own/a", "405 GET, HEAD Method Not Allowed\n"},
		{without, "GET", "/other", "404  Not Found\n"},
		{without, "HEAD", "/pass/b", "404  "},
		{without, "POST", "/other", "404  Not Found\n"},
		{without, "OPTIONS", "*", "404  Not Found\n"},
		{without, "get", "/own/a", "405 GET, HEAD Method Not Allowed\n"},
	} {
		res, body := c.r.send(c.method, c.path)
		if got := fmt.Sprintf("%d %s %s", res.StatusCode, res.Header.Get("Allow"), body); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.path, got, c.want)
		}
	}
}

// A request with a body is for the handler, if there is one.
func TestBodies(t *testing.T) {
	root := tree(t, map[string]string{"a": "text"})
	rules := []Rule{{Prefix: "/f/", Path: root}}
	with, without := serve(t, withNext(rules...)), serve(t, alone(rules...))
	if _, body := with.send("GET", "/f/a", "Content-Length: 0"); body != "text" {
		t.Errorf("an empty body: %q", body)
	}
	if _, body := with.send("GET", "/f/a", "Transfer-Encoding: chunked", "", "1\r\nx\r\n0\r\n"); body != handled+"GET /f/a" {
		t.Errorf("a body: %q", body)
	}
	for _, large := range []string{"x", strings.Repeat("x", 300_000)} {
		res, body := without.send("GET", "/f/a", fmt.Sprintf("Content-Length: %d", len(large)), "", large)
		if body != "text" {
			t.Errorf("a body of %d bytes without a handler: %d %q", len(large), res.StatusCode, body)
		}
	}
}

func TestRedirect(t *testing.T) {
	root := tree(t, map[string]string{"a b/index.html": "index", "bare/x": "x", "evil/.com/index.html": "x"})
	r := serve(t, alone(Rule{Prefix: "/", Path: root, Index: "index.html"}))
	for target, want := range map[string]string{
		"/a%20b": "301 /a%20b/", "/a%20b?x=1&y=%20": "301 /a%20b/?x=1&y=%20", "/bare": "404 ", "/x/../a%20b": "301 /a%20b/", "//a%20b": "404 ",
		"/%61%20b": "301 /a%20b/",
	} {
		res, _ := r.send("GET", target)
		if got := fmt.Sprintf("%d %s", res.StatusCode, res.Header.Get("Location")); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestFields(t *testing.T) {
	root := tree(t, map[string]string{"a.css": "css", "app.0a1b2c3d.js": "js", "page": "<p>"})
	c := alone(
		Rule{Prefix: "/plain/", Path: root}, Rule{Prefix: "/aged/", Path: root, HasMaxAge: true, MaxAge: time.Hour, Immutable: true},
		Rule{Prefix: "/zero/", Path: root, HasMaxAge: true}, Rule{Prefix: "/style.css", Path: root + "/page"}, Rule{Prefix: "/named", Path: root + "/a.css"},
	)
	c.fields = "X-Fixed: yes\r\nCache-Control: private\r\nX-Content-Type-Options: other\r\nContent-Type: text/other\r\n"
	r := serve(t, c)
	for _, c := range []struct{ path, kind, cache string }{
		{"/plain/a.css", "text/css; charset=utf-8", "private"},
		{"/aged/a.css", "text/css; charset=utf-8", "max-age=3600"},
		{"/aged/app.0a1b2c3d.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/plain/app.0a1b2c3d.js", "text/javascript; charset=utf-8", "private"},
		{"/zero/a.css", "text/css; charset=utf-8", "no-cache"},
		{"/plain/page", "application/octet-stream", "private"},
		{"/style.css", "text/css; charset=utf-8", "private"},
		{"/named", "text/css; charset=utf-8", "private"},
		{"/plain/none", "text/plain", "private"},
	} {
		res, _ := r.send("GET", c.path)
		h := res.Header
		if h.Get("Content-Type") != c.kind || strings.Join(h["Cache-Control"], "|") != c.cache || strings.Join(h["X-Fixed"], "|") != "yes" {
			t.Errorf("%s: %v", c.path, h)
		}
		if got := h["X-Content-Type-Options"]; res.StatusCode == 200 && strings.Join(got, "|") != "nosniff" {
			t.Errorf("%s: %q", c.path, got)
		}
	}
}

// What is no file has the field of the listener.
func TestFieldsOfOthers(t *testing.T) {
	root := tree(t, map[string]string{"a.css": "css", "dir/index.html": "index"})
	c := alone(Rule{Prefix: "/", Path: root, Index: "index.html"})
	c.fields = "X-Content-Type-Options: nosniff\r\n"
	r := serve(t, c)
	for _, c := range []struct {
		status              int
		method, path, field string
	}{
		{200, "GET", "/a.css", "X-Other: 1"}, {206, "GET", "/a.css", "Range: bytes=0-1"}, {301, "GET", "/dir", "X-Other: 1"}, {404, "GET", "/none", "X-Other: 1"},
		{405, "POST", "/a.css", "X-Other: 1"}, {412, "GET", "/a.css", `If-Match: "other"`}, {416, "GET", "/a.css", "Range: bytes=9-"},
	} {
		res, _ := r.send(c.method, c.path, c.field)
		if got := strings.Join(res.Header["X-Content-Type-Options"], "|"); res.StatusCode != c.status || got != "nosniff" {
			t.Errorf("%s %s, %s: %d, %q", c.method, c.path, c.field, res.StatusCode, got)
		}
	}
}

// A listing has its own policy only, since another one could forbid its styles.
func TestListingPolicy(t *testing.T) {
	root := tree(t, map[string]string{"a.html": "text"})
	c := alone(Rule{Prefix: "/", Path: root, Listing: true})
	c.fields = "Content-Security-Policy: style-src 'self'\r\nCache-Control: private\r\nX-Fixed: yes\r\n"
	r := serve(t, c)
	for path, want := range map[string]string{
		"/a.html": "style-src 'self'",
		"/":       "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
	} {
		res, _ := r.send("GET", path)
		h := res.Header
		if got := strings.Join(h["Content-Security-Policy"], "|"); got != want || h.Get("X-Fixed") != "yes" || len(h["Cache-Control"]) != 1 {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestConnectionClose(t *testing.T) {
	root := tree(t, map[string]string{"a": "text"})
	c := alone(Rule{Prefix: "/", Path: root})
	c.fields = "Connection: close\r\nDate: now\r\n"
	r := serve(t, c)
	res, body := r.send("GET", "/a")
	if !res.Close || body != "text" || strings.Join(res.Header["Date"], "|") != "now" {
		t.Errorf("%+v", res)
	}
}

func TestCompressed(t *testing.T) {
	root := tree(t, map[string]string{
		"a.js": "original", "a.js.gz": "gz", "a.js.br": "brotli", "a.js.zst": "zst", "old.js": "new", "old.js.gz": "gz", "b.js": "alone",
		"pic.png": "png", "pic.png.gz": "gz", "d.js": "dir", "d.js.gz/x": "x", "only.js.gz": "gz",
	})
	age(t, root+"/a.js", 5)
	age(t, root+"/a.js.gz", 5) // not older
	age(t, root+"/old.js.gz", 100)
	r := serve(t, alone(Rule{Prefix: "/", Path: root}, Rule{Prefix: "/original/", Path: root, Original: true}))
	for _, c := range []struct{ path, accept, body, encoding, vary string }{
		{"/a.js", "", "original", "", "Accept-Encoding"},
		{"/a.js", "gzip", "gz", "gzip", "Accept-Encoding"},
		{"/a.js", "gzip, deflate, br, zstd", "zst", "zstd", "Accept-Encoding"},
		{"/a.js", "gzip, br", "brotli", "br", "Accept-Encoding"},
		{"/a.js", "gzip;q=1, br;q=0.5", "gz", "gzip", "Accept-Encoding"},
		{"/a.js", "gzip;q=0", "original", "", "Accept-Encoding"},
		{"/a.js", "deflate", "original", "", "Accept-Encoding"},
		{"/original/a.js", "gzip", "original", "", ""},
		{"/old.js", "gzip", "new", "", ""},
		{"/b.js", "gzip", "alone", "", ""},
		{"/pic.png", "gzip", "png", "", ""},
		{"/d.js", "gzip", "dir", "", ""},
		{"/a.js.gz", "gzip", "gz", "", ""},
	} {
		var fields []string
		if c.accept != "" {
			fields = append(fields, "Accept-Encoding: "+c.accept)
		}
		res, body := r.send("GET", c.path, fields...)
		if body != c.body || res.Header.Get("Content-Encoding") != c.encoding || res.Header.Get("Vary") != c.vary {
			t.Errorf("%s with %q: %q, %v", c.path, c.accept, body, res.Header)
		}
		if kind := files.TypeOf(c.path); res.Header.Get("Content-Type") != kind {
			t.Errorf("%s with %q: %s", c.path, c.accept, res.Header.Get("Content-Type"))
		}
		tag := res.Header.Get("ETag")
		res, _ = r.send("GET", c.path, append(fields, "If-None-Match: "+tag)...)
		if res.StatusCode != 304 || res.Header.Get("Vary") != c.vary || res.Header.Get("ETag") != tag {
			t.Errorf("%s with %q: %d, %v", c.path, c.accept, res.StatusCode, res.Header)
		}
	}
	if status, _ := r.get("/only.js", "Accept-Encoding: gzip"); status != 404 {
		t.Errorf("only.js: %d", status)
	}
}

func TestListing(t *testing.T) {
	root := tree(t, map[string]string{
		"d/b.txt": "12345", "d/a & <b>.txt": "x", "d/sub/": "", "d/.hidden": "", "d/javascript:alert(1)": "", "d/\xff": "", "d/\"quote'": "",
		"d/out": "->/etc/passwd", "d/in": "->b.txt", "d/gone": "->nowhere", "d/back\\slash": "", "with/index.html": "index",
	})
	r := serve(t, alone(Rule{Prefix: "/", Path: root, Index: "index.html", Listing: true}))
	res, body := r.send("GET", "/d/")
	for _, want := range []string{
		`<a href="./b.txt">b.txt</a></td><td class="n">5 B</td>`, `<a href="./a%20&amp;%20%3Cb%3E.txt">a &amp; &lt;b&gt;.txt</a>`, `<a href="./sub/">sub/</a>`,
		`<a href="./javascript:alert(1)">`, `<a href="./%FF">\xff</a>`, `<a href="./%22quote&#39;">&#34;quote&#39;</a>`, `<a href="./in">in</a>`, `<a href="../">`,
		"<title>/d/</title>",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in the page", want)
		}
	}
	for _, not := range []string{"hidden", "out", "gone", "slash", "more than"} {
		if strings.Contains(body, not) {
			t.Errorf("%s in the page", not)
		}
	}
	if strings.Index(body, "sub/") > strings.Index(body, "a &amp;") || strings.Index(body, "a &amp;") > strings.Index(body, "b.txt</a>") {
		t.Error("the page is not in order")
	}
	if t.Failed() {
		t.Log(body)
	}
	if got := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'none'") || res.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%v", res.Header)
	}
	if _, body := r.send("GET", "/with/"); body != "index" {
		t.Errorf("a directory with an index: %q", body)
	}
	if _, body := r.send("GET", "/"); strings.Contains(body, `"../"`) {
		t.Error("the root has a parent")
	}
	if res, _ := r.send("GET", "/d"); res.StatusCode != 301 {
		t.Errorf("without a slash: %d", res.StatusCode)
	}
	if res, body := r.send("HEAD", "/d/"); res.ContentLength <= 0 || body != "" {
		t.Errorf("HEAD: %d bytes, %q", res.ContentLength, body)
	}
}

// full is a backend that has no room for an exchange.
type full struct{}

func (full) Attach(backend.Loop) (backend.LoopBackend, error) { return full{}, nil }

func (full) Start(backend.Exchange, *httpparse.Head, int, []byte, bool) (backend.Running, error) {
	return nil, fmt.Errorf("%w: try later", backend.ErrQueueFull)
}

// A request that the next backend refuses is counted as refused, also if the file system was asked for a file first.
func TestRefusedByNextIsCounted(t *testing.T) {
	c := alone(Rule{Prefix: "/", Path: t.TempDir()})
	c.next = full{}
	c.Fresh = time.Hour
	r := serve(t, c)
	for i, method := range []string{"POST", "GET", "GET"} { // no file; it is looked up; it is known that there is none
		res, _ := r.send(method, "/x")
		if res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" {
			t.Errorf("status %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
		}
		counted := uint64(0)
		for event, n := range r.engine.Refusals() {
			if event.Message == "requests refused" && event.Status == 503 && event.Cause == "queue_limit" {
				counted += n
			}
		}
		if counted != uint64(i+1) {
			t.Errorf("%d refusals are counted, want %d", counted, i+1)
		}
	}
}

// tooMany is a backend whose clients send too much.
type tooMany struct{}

func (tooMany) Attach(backend.Loop) (backend.LoopBackend, error) { return tooMany{}, nil }

func (tooMany) Start(backend.Exchange, *httpparse.Head, int, []byte, bool) (backend.Running, error) {
	return nil, &backend.TooMany{RetryAfter: 2500 * time.Millisecond, Fields: []byte("RateLimit: x\r\n")}
}

// A request that the next backend refuses gets the same answer whether the file system was asked for a file first or not.
func TestRefusedByNextHasFields(t *testing.T) {
	c := alone(Rule{Prefix: "/", Path: t.TempDir()})
	c.next = tooMany{}
	c.Fresh = time.Hour
	r := serve(t, c)
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }
	// It is looked up; it is known that there is none; two that are looked up at the same time.
	for _, text := range []string{get("/x"), get("/x"), get("/y") + get("/z")} {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		for range strings.Count(text, "GET") {
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			if h := res.Header; res.StatusCode != 429 || h.Get("Retry-After") != "3" || h.Get("RateLimit") != "x" {
				t.Errorf("%q: status %d, %v", text, res.StatusCode, h)
			}
		}
	}
}
