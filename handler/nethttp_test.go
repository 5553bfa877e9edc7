package handler

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"moonbridge/handler/backend"
)

// differentialMux is the handler of TestHTTPLikeNetHTTP: one path for each behaviour.
func differentialMux() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, f func(w http.ResponseWriter, r *http.Request)) { mux.HandleFunc("/"+path, f) }
	handle("nothing", func(w http.ResponseWriter, r *http.Request) {})
	handle("hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") })
	handle("html", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "<!DOC")
		io.WriteString(w, "TYPE html>")
	})
	handle("type", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte("{}"))
	})
	handle("no-type", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		w.Write([]byte("x"))
	})
	handle("encoded", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write([]byte("x"))
	})
	handle("no-date", func(w http.ResponseWriter, r *http.Request) { w.Header()["Date"] = nil })
	handle("error", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "wrong", 418) })
	handle("redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/else?where", 302) })
	handle("cookie", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
	})
	handle("late", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(201)
		w.Header().Set("Late", "1")
		w.WriteHeader(404)
		w.Write([]byte("x"))
	})
	handle("length", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		n, err := w.Write([]byte("hello"))
		m, err2 := w.Write([]byte("!"))
		if r.Method != "HEAD" && (n != 5 || err != nil || m != 0 || err2 != http.ErrContentLength) {
			panic(fmt.Sprint(n, err, m, err2))
		}
	})
	handle("close", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.Write([]byte("x"))
	})
	handle("large", func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte("0123456789"), 10000)) })
	handle("flush", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		w.Write([]byte("a"))
		w.(http.Flusher).Flush()
		w.Write([]byte("b"))
	})
	handle("typed-304", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "5")
		w.Header().Set("ETag", `"x"`)
		w.WriteHeader(304)
	})
	handle("upgrade", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upgrade", "TLS/1.0")
		w.Header().Set("Connection", "Upgrade")
		w.WriteHeader(426)
		w.Write([]byte("x"))
	})
	handle("trailer", func(w http.ResponseWriter, r *http.Request) {
		before := fmt.Sprint(r.Trailer, r.Header["Trailer"])
		io.ReadAll(r.Body)
		fmt.Fprint(w, before, r.Trailer)
	})
	for _, status := range []int{204, 304, 299, 700} {
		handle(fmt.Sprint("status-", status), func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })
		handle(fmt.Sprint("write-", status), func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			w.Write([]byte("x"))
		})
	}
	handle("split", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("A", "b\r\nC: d")
		w.Header()["Bad name"] = []string{"x"}
		w.Header().Set("Empty", "")
	})
	handle("hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(103)
		w.Header().Set("B", "1")
		w.Write([]byte("x"))
	})
	handle("trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "A, b")
		w.Header().Add("Trailer", "C")
		w.Write([]byte("x"))
		w.Header().Set("A", "1")
		w.Header().Set("B", "2")
		w.Header().Set(http.TrailerPrefix+"D", "3")
	})
	handle("echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // not io.Copy: net/http stops reading when it starts to write
		w.Write(body)
		fmt.Fprint(w, err)
	})
	handle("form", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.FormValue("a"), r.PostFormValue("b")) })
	handle("multipart", func(w http.ResponseWriter, r *http.Request) {
		f, h, err := r.FormFile("f")
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		data, _ := io.ReadAll(f)
		fmt.Fprintf(w, "%s %q", h.Filename, data)
	})
	handle("limited", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 3))
		fmt.Fprint(w, err)
		w.Header().Set("Connection", "close") // too late
	})
	handle("request", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %d %d %s %s\n", r.Method, r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Host, r.URL)
		fmt.Fprintf(w, "%d %v %v %v\n", r.ContentLength, r.TransferEncoding, r.Close, r.Body == http.NoBody)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			fmt.Fprintf(w, "%s: %q\n", name, r.Header[name])
		}
	})
	handle("path/{id}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.PathValue("id")) })
	handle("timeout", http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "in time")
	}), patience, "late").ServeHTTP)
	files := fstest.MapFS{"f.txt": {Data: []byte("0123456789"), ModTime: time.Unix(1e9, 0)}}
	mux.Handle("/files/", http.StripPrefix("/files/", http.FileServerFS(files)))
	return mux
}

// TestHTTPLikeNetHTTP sends the same requests to net/http's server and to ours, with the same handler, and compares the
// responses.
func TestHTTPLikeNetHTTP(t *testing.T) {
	mux := differentialMux()
	theirs := httptest.NewUnstartedServer(mux)
	theirs.Config.ErrorLog = log.New(io.Discard, "", 0)
	theirs.Start()
	defer theirs.Close()
	ours := attachBlocking(t, Config{Logger: slog.New(slog.DiscardHandler)}, HTTP(mux), 0)

	const form = "Content-Type: application/x-www-form-urlencoded\n"
	const multipart = "Content-Type: multipart/form-data; boundary=x\n"
	var requests [][2]string
	add := func(head, body string) { requests = append(requests, [2]string{head, body}) }
	for _, path := range []string{
		"nothing", "hello", "html", "type", "no-type", "encoded", "no-date", "error", "redirect", "cookie", "late", "length",
		"close", "large", "flush", "split", "timeout", "status-204", "status-304", "status-299", "status-700",
		"write-204", "write-299", "write-304", "typed-304", "missing", "path/a%20b", "files/f.txt", "files/",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			add(method+" /"+path+" HTTP/1.1\nHost: a\n\n", "")
			add(method+" /"+path+" HTTP/1.1\nHost: a\nConnection: close\n\n", "")
			add(method+" /"+path+" HTTP/1.0\n\n", "")
			add(method+" /"+path+" HTTP/1.0\nConnection: keep-alive\n\n", "")
		}
	}
	// HTTP/1.1 only: net/http also sends interim responses to HTTP/1.0 clients (against RFC 9110 §15.2), and omits the
	// length of a response whose trailers it does not send.
	add("GET /hints HTTP/1.1\nHost: a\n\n", "")
	add("HEAD /hints HTTP/1.1\nHost: a\n\n", "")
	add("GET /trailers HTTP/1.1\nHost: a\n\n", "")
	add("GET /upgrade HTTP/1.1\nHost: a\n\n", "")
	add("GET /request?a=b&c=%20 HTTP/1.1\nHost: h:80\nx-a: 1\nX-A: 2\nCookie: c=d\nConnection: keep-alive, x\n\n", "")
	add("GET http://other/request HTTP/1.1\nHost: h\n\n", "")
	add("GET /request HTTP/1.0\nHost: h\n\n", "")
	add("POST /request HTTP/1.1\nHost: h\nContent-Length: 3\n\n", "abc")
	add("POST /echo HTTP/1.1\nHost: h\nContent-Length: 3\n\n", "abc")
	add("POST /echo HTTP/1.1\nHost: h\nContent-Length: 100000\n\n", strings.Repeat("x", 100000))
	add("POST /form?a=1 HTTP/1.1\nHost: h\nContent-Length: 3\n"+form+"\n", "b=2")
	add("POST /multipart HTTP/1.1\nHost: h\nContent-Length: 85\n"+multipart+"\n",
		"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nfile data\r\n--x--\r\n\r\n\r\n")
	add("POST /limited HTTP/1.1\nHost: h\nContent-Length: 4\n\n", "abcd")
	add("GET /files/f.txt HTTP/1.1\nHost: h\nRange: bytes=2-4\n\n", "")
	add("GET /files/f.txt HTTP/1.1\nHost: h\nIf-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\n\n", "")
	add("OPTIONS * HTTP/1.1\nHost: h\n\n", "")

	for _, request := range requests {
		head, body := request[0], request[1]
		name, _, _ := strings.Cut(strings.ReplaceAll(head, "\n", "|"), "||")
		t.Run(name, func(t *testing.T) {
			want := ask(t, theirs.Listener.Addr().String(), head, body)
			ours.t = t
			c := ours.exchange(head, body)
			if c.failed != 0 {
				t.Fatalf("failed with %d", c.failed)
			}
			method, _, _ := strings.Cut(head, " ")
			got := describe(t, bufio.NewReader(bytes.NewReader(c.out)), method)
			got += fmt.Sprintf("connection ends: %v\n", c.end == backend.EndClose)
			if head, ok := knownDifference[strings.Fields(name)[1]]; ok {
				got, want = head(got), head(want)
			}
			if got != want {
				t.Errorf("got\n%s\nnet/http has\n%s", got, want)
			}
		})
	}
}

// knownDifference removes, by path, the intended differences.
var knownDifference = map[string]func(string) string{
	// net/http closes the connection if a handler tries to write too much.
	"/length":     without("connection ends"),
	"/write-205":  without("Content-Length", "body"),
	"/status-205": without("Content-Length"),
	// net/http closes the connection if MaxBytesReader reads too much.
	"/limited": without("Connection", "connection ends"),
}

// without removes the lines that start with one of the words.
func without(words ...string) func(string) string {
	return func(s string) string {
		var kept []string
		for _, line := range strings.Split(s, "\n") {
			if !slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(line, word) }) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "\n")
	}
}

// ask sends a request on a new connection and describes the response.
func ask(t *testing.T, addr, head, body string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, strings.ReplaceAll(head, "\n", "\r\n")+body); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	method, _, _ := strings.Cut(head, " ")
	s := describe(t, in, method)
	// A second request shows whether the connection persists.
	io.WriteString(conn, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
	_, err = in.ReadByte()
	return s + fmt.Sprintf("connection ends: %v\n", err != nil)
}

// describe reads responses up to the final one. It omits the version: ours is always our own (RFC 9110 §6.2).
func describe(t *testing.T, in *bufio.Reader, method string) string {
	t.Helper()
	var s strings.Builder
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if method == "HEAD" {
			res.TransferEncoding = nil // which we send and net/http does not; RFC 9112 §6.1 allows both
		}
		fmt.Fprintf(&s, "%d %d %v\n", res.StatusCode, res.ContentLength, res.TransferEncoding)
		for _, name := range slices.Sorted(maps.Keys(res.Header)) {
			value := res.Header[name]
			switch {
			case name == "Date":
				value = []string{"D"}
			case name == "Connection" && value[0] == "close":
				continue // the second request shows whether it persists
			}
			fmt.Fprintf(&s, "%s: %q\n", name, value)
		}
		for _, name := range slices.Sorted(maps.Keys(res.Trailer)) {
			fmt.Fprintf(&s, "trailer %s: %q\n", name, res.Trailer[name])
		}
		fmt.Fprintf(&s, "body of %d bytes, %.100q, %x\n", len(body), body, sha256.Sum256(body))
		if res.StatusCode >= 200 {
			return s.String()
		}
	}
}

// httpOver attaches a net/http handler.
func httpOver(t *testing.T, c Config, f func(w http.ResponseWriter, r *http.Request)) *fakeBackend {
	return attachBlocking(t, c, HTTP(http.HandlerFunc(f)), 0)
}

func TestHTTPRemoteAddr(t *testing.T) {
	b := httpOver(t, Config{}, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) })
	if _, body := b.exchange(get11, "").response("GET"); body != "192.0.2.1:1234" {
		t.Errorf("got %q", body)
	}
}

func TestHTTPTargetThatIsNoURL(t *testing.T) {
	b := httpOver(t, Config{}, func(w http.ResponseWriter, r *http.Request) { t.Error("called") })
	if res, _ := b.exchange("GET /%zz HTTP/1.1\nHost: a\n\n", "").response("GET"); res.StatusCode != 400 {
		t.Errorf("got %d", res.StatusCode)
	}
}

// A Content-Length that is not a number is not sent; ours is sent instead.
func TestHTTPBadContentLength(t *testing.T) {
	b := httpOver(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "five")
		io.WriteString(w, "hello")
	})
	if res, body := b.exchange(get11, "").response("GET"); res.ContentLength != 5 || body != "hello" {
		t.Errorf("%d, %q", res.ContentLength, body)
	}
}

func TestHTTPNoHijack(t *testing.T) {
	b := httpOver(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("got %v", err)
		}
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
	})
	b.exchange(get11, "")
}

func TestHTTPChunkedRequest(t *testing.T) {
	b := httpOver(t, Config{Window: 7}, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %v %v %s %v", r.ContentLength, r.TransferEncoding, r.Header["Transfer-Encoding"], body, err)
	})
	c := b.start(-1, postMany, "", true)
	c.send([]byte("0123456789abcdef"))
	b.turn(func() { c.running.BodyEnd() })
	b.until("the end", func() bool { return c.over })
	if _, body := c.response("POST"); body != "-1 [chunked] [] 0123456789abcdef <nil>" {
		t.Errorf("got %q", body)
	}
}

// Trailer fields are in the map when the body has been read: those that were announced, which the map names before, and others.
func TestHTTPRequestTrailer(t *testing.T) {
	const section = "Sum: 1\r\nOther: 2\r\nsum: 3\r\nHost: evil\r\nContent-Length: 7\r\nAuthorization: evil\r\n\r\n"
	for name, make := range map[string]func(Handler) backend.Backend{
		"loop":     OnLoop,
		"blocking": func(h Handler) backend.Backend { return Blocking(h, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct{ announced, section, before, after string }{
				{"Trailer: Sum, Missing, Host\n", section, "map[Missing:[] Sum:[]]", "map[Missing:[] Other:[2] Sum:[1 3]]"},
				{"", section, "map[]", "map[Other:[2] Sum:[1 3]]"},
				{"Trailer: Sum\n", "", "map[Sum:[]]", "map[Sum:[]]"},
				{"", "", "map[]", "map[]"},
			} {
				b := attach(t, make(HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					fmt.Fprint(w, r.Trailer, r.Header["Trailer"])
					body, err := io.ReadAll(r.Body)
					fmt.Fprintf(w, " %s %v %v", body, err, r.Trailer)
				}))))
				x := b.start(-1, "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n"+c.announced+"\n", "", true)
				x.send([]byte("abc"))
				b.turn(func() {
					if c.section != "" {
						x.running.(backend.Trailered).BodyTrailer([]byte(c.section))
					}
					x.running.BodyEnd()
				})
				b.until("the end", func() bool { return x.over })
				if _, body := x.response("POST"); body != c.before+" [] abc <nil> "+c.after {
					t.Errorf("got %q", body)
				}
			}
		})
	}
}

// A handler can tell that a server serves it, and where.
func TestHTTPContextValues(t *testing.T) {
	var lines logLines
	c := Config{Logger: slog.New(&lines)}
	for name, make := range map[string]func(Handler) backend.Backend{
		"loop":     c.OnLoop,
		"blocking": func(h Handler) backend.Backend { return c.Blocking(h, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			type own struct{}
			b := attach(t, make(HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
				local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
				if server == nil || server.Handler == nil || local == nil || r.Context().Value(own{}) != nil {
					t.Fatalf("server %v, address %v", server, local)
				}
				server.ErrorLog.Print("from the handler")
				ctx, cancel := context.WithCancel(context.WithValue(r.Context(), own{}, 1))
				cancel()
				fmt.Fprint(w, local.Network(), local, ctx.Err(), ctx.Value(own{}))
			}))))
			if _, body := b.exchange(get11, "").response("GET"); body != "tcp192.0.2.9:80 context canceled 1" {
				t.Errorf("got %q", body)
			}
			lines.expect(t, 1, "from the handler")
			lines = logLines{}
		})
	}
	if a := netAddr(netip.AddrPort{}); a.Network() != "unix" {
		t.Errorf("the address of a Unix socket: %v", a)
	}
}

// Without Hijack a connection cannot be switched to another protocol.
func TestHTTPSwitchingProtocols(t *testing.T) {
	var lines logLines
	b := httpOver(t, Config{Logger: slog.New(&lines)}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Upgrade", "x")
		w.WriteHeader(101)
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("written")
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error("Flush before Hijack:", err)
		}
		w.WriteHeader(200)
	})
	if c := b.exchange(get11, ""); c.outcome() != "failed 500" || len(c.out) > 0 {
		t.Errorf("%s %q", c.outcome(), c.out)
	}
	lines.expect(t, 1, causeSwitch)
}

// The context of the request ends when the peer is gone.
func TestHTTPContext(t *testing.T) {
	heard := make(chan error)
	at := make(chan struct{})
	b := httpOver(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		close(at)
		<-ctx.Done()
		heard <- ctx.Err()
	})
	c := b.start(-1, get11, "", false)
	<-at
	b.turn(c.cancel)
	if err := <-heard; err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestHTTPReadDeadline(t *testing.T) {
	b := httpOver(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadAll(r.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		control.SetReadDeadline(time.Time{})
		w.WriteHeader(408)
	})
	c := b.start(-1, post10, "abc", true)
	b.until("the end", func() bool { return c.over })
	if res, _ := c.response("POST"); res.StatusCode != 408 {
		t.Errorf("got %d", res.StatusCode)
	}
}

func TestHTTPWriteDeadline(t *testing.T) {
	b := httpOver(t, Config{PartMax: 10}, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		for {
			if _, err := w.Write([]byte("0123456789")); err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("write: %v", err)
				}
				return
			}
		}
	})
	c := b.start(20, get11, "", false)
	b.until("the end", func() bool { return c.over })
	if c.outcome() != "reset" {
		t.Error(c.outcome())
	}
}

// Reading the request body after the handler has returned does no harm.
func TestHTTPBodyAfterHandler(t *testing.T) {
	var body io.Reader
	b := httpOver(t, Config{}, func(w http.ResponseWriter, r *http.Request) { body = r.Body })
	c := b.start(-1, post10, "abc", true)
	b.until("the end", func() bool { return c.over })
	if n, err := body.Read(make([]byte, 10)); n != 0 || err == nil {
		t.Errorf("read %d bytes: %v", n, err)
	}
}

// A reverse proxy uses most features of a ResponseWriter.
func TestHTTPReverseProxy(t *testing.T) {
	inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "Sum")
		fmt.Fprintf(w, "%s %d %v", r.Host, len(body), err)
		w.(http.Flusher).Flush()
		w.Header().Set("Sum", "1")
	}))
	defer inner.Close()
	target, err := url.Parse(inner.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	b := httpOver(t, Config{Window: 100}, proxy.ServeHTTP)
	c := b.start(-1, "POST /x HTTP/1.1\nHost: h\nContent-Length: 50000\n\n", "", true)
	c.send(make([]byte, 50000))
	b.turn(func() { c.running.BodyEnd() })
	b.until("the end", func() bool { return c.over })
	res, body := c.response("POST")
	if body != "h 50000 <nil>" || res.Trailer.Get("Sum") != "1" {
		t.Errorf("got %q, trailers %v", body, res.Trailer)
	}
}

// The adapter also works on the loop.
func TestHTTPOnLoop(t *testing.T) {
	b := attach(t, OnLoop(HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		io.Copy(w, r.Body)
	}))))
	c := b.exchange("POST / HTTP/1.1\nHost: a\nContent-Length: 3\n\n", "abc")
	if res, body := c.response("POST"); body != "abc" || res.ContentLength != 3 {
		t.Errorf("got %q", c.text())
	}
	control := http.NewResponseController(&httpWriter{w: &Response{endedResponse}})
	if err := control.SetReadDeadline(time.Now()); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("got %v", err)
	}
	if err := control.SetWriteDeadline(time.Now()); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("got %v", err)
	}
}

// Statuses that handlers must not send: a number without three digits is a mistake, and 100 is ignored.
func TestHTTPStatuses(t *testing.T) {
	var lines logLines
	b := httpOver(t, Config{Logger: slog.New(&lines)}, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(100)
		if r.Method == "PUT" {
			w.WriteHeader(1000)
		}
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(103)
		r.Body.Close()
	})
	if c := b.exchange(get11, ""); c.text() != "HTTP/1.1 103 Early Hints\n\nHTTP/1.1 200 OK\nDate: D\nContent-Length: 0\n\n" {
		t.Errorf("got %q", c.text())
	}
	if c := b.exchange("PUT / HTTP/1.1\nHost: a\nContent-Length: 1\n\n", "x"); c.outcome() != "failed 500" {
		t.Errorf("%s %q", c.outcome(), c.text())
	}
	lines.expect(t, 1, "invalid WriteHeader code")
}

// A goroutine of a handler that has returned gets an error for a file, too.
func TestHTTPFileAfterServe(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(100 << 10); err != nil {
		t.Fatal(err)
	}
	var kept http.ResponseWriter
	h := HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { kept = w }))
	for name, b := range map[string]*fakeBackend{"loop": attach(t, OnLoop(h)), "goroutine": attachBlocking(t, Config{}, h, 0)} {
		b.exchange(get11, "")
		if n, err := io.Copy(kept, f); n != 0 || err != ErrEnded {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
}

// What goroutines of handlers that have panicked still do changes nothing that they share.
func TestHTTPInterimAfterPanic(t *testing.T) {
	var kept []http.ResponseWriter
	b := attach(t, OnLoop(HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept = append(kept, w)
		panic(http.ErrAbortHandler)
	}))))
	b.exchange(get11, "")
	b.exchange(get11, "")
	var all sync.WaitGroup
	for _, w := range kept {
		all.Go(func() {
			w.Header()["Date"] = nil
			w.WriteHeader(103)
		})
	}
	all.Wait()
}
