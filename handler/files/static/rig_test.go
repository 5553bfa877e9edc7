package static

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
	"moonbridge/handler/backend"
)

// patience bounds every wait of a test.
const patience = time.Minute

// rig is a Static that an engine serves.
type rig struct {
	t       *testing.T
	address string
	static  *Static
	engine  *engine.Engine
}

// handled is what the next backend of a rig answers with.
const handled = "from the handler: "

// echo is a handler that answers with the path.
var echo = handler.Func(func(w *handler.Response, r *handler.Request) {
	w.Set("Content-Type", "text/plain")
	io.WriteString(w, handled+string(r.Method())+" /"+string(r.Path()))
})

// serve serves a Static. A zero Fresh becomes a negative one: a test sees changes of files at once.
func serve(t *testing.T, c testConfig) *rig {
	t.Helper()
	if c.Fresh == 0 {
		c.Fresh = -1
	}
	s, err := New(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serve(ln, s.Backend(c.next, c.fields), 0, engine.Limits{Fields: c.fields}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		e.Shutdown(context.Background())
		if held := s.store.holds(); held != (bounds{}) {
			t.Errorf("the store still holds %+v", held)
		}
	})
	return &rig{t, ln.Addr(), s, e}
}

// testConfig is a Config with the rest of a backend.
type testConfig struct {
	Config
	next   backend.Backend
	fields string
}

// alone is a testConfig without a next backend, withNext one whose next backend is echo.
func alone(rules ...Rule) testConfig { return testConfig{Config: Config{Rules: rules}} }

func withNext(rules ...Rule) testConfig {
	c := alone(rules...)
	c.next = handler.Config{Logger: slog.New(slog.DiscardHandler)}.OnLoop(echo)
	return c
}

// send sends one request on a connection of its own, and reads the response. target is sent as it is.
func (r *rig) send(method, target string, fields ...string) (*http.Response, string) {
	r.t.Helper()
	res, body, err := r.try(method, target, fields...)
	if err != nil {
		r.t.Fatalf("%s %q: %v", method, target, err)
	}
	return res, body
}

func (r *rig) try(method, target string, fields ...string) (*http.Response, string, error) {
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		return nil, "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	text := method + " " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
	for _, f := range fields {
		text += f + "\r\n"
	}
	if _, err := io.WriteString(c, text+"\r\n"); err != nil {
		return nil, "", err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

// get returns what GET answers: the status, and the body of a 200.
func (r *rig) get(target string, fields ...string) (int, string) {
	r.t.Helper()
	res, body := r.send("GET", target, fields...)
	return res.StatusCode, body
}

// tree makes a directory with these files. A name that ends in a slash is a directory, a content that begins with -> a symbolic
// link.
func tree(t *testing.T, contents map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range contents {
		path := filepath.Join(root, name)
		write(t, path, content, strings.HasSuffix(name, "/"))
	}
	return root
}

func writeFile(t testing.TB, path, content string) {
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string, directory bool) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	if target, isLink := strings.CutPrefix(content, "->"); isLink {
		err = os.Symlink(target, path)
	} else if directory {
		err = os.MkdirAll(path, 0o755)
	} else {
		err = os.WriteFile(path, []byte(content), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// age sets the times of a file back, so that its entity tag is strong.
func age(t *testing.T, path string, seconds int) {
	t.Helper()
	at := time.Now().Add(-time.Duration(seconds) * time.Second)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func stringBody(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }

// peer is a connection that stays open.
type peer struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, r *rig) *peer {
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(3 * patience))
	return &peer{t, c, bufio.NewReader(c)}
}

func (p *peer) ask(target string) {
	if _, err := io.WriteString(p.c, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		p.t.Error(err)
	}
}

func (p *peer) read() (status int, body string) {
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		p.t.Error(err)
		return 0, ""
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Error(err)
	}
	return res.StatusCode, string(b)
}

func (p *peer) get(target string) (status int, body string) {
	p.ask(target)
	return p.read()
}

// holds is what a store holds. It checks that its lists agree.
func (s *store) holds() bounds {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bounds
	for _, e := range s.ring {
		bytes, descriptors := e.size()
		b.entries++
		b.bytes += bytes
		b.descriptors += descriptors
		if s.entries[e.key] != e {
			panic("an entry is in the ring only: " + e.key)
		}
	}
	if b != s.held || len(s.entries) != len(s.ring) {
		panic("the numbers of the store are wrong")
	}
	return b
}
