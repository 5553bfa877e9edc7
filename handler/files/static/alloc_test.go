package static

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// stillLoop is a loop on which a test makes the calls itself.
type stillLoop struct{ now int64 }

func (l *stillLoop) Index() int                                     { return 0 }
func (l *stillLoop) Count() int                                     { return 1 }
func (l *stillLoop) Post(fn func())                                 {}
func (l *stillLoop) Now() int64                                     { return l.now }
func (l *stillLoop) Clock() int64                                   { return l.now }
func (l *stillLoop) After(d time.Duration, fn func()) backend.Timer { return nil }
func (l *stillLoop) Watch(fd int, ready func()) error               { return nil }
func (l *stillLoop) Unwatch(fd int) error                           { return nil }
func (l *stillLoop) OnTurn(t backend.Turn)                          {}
func (l *stillLoop) OffTurn(t backend.Turn)                         {}

// counting is an exchange that counts what it gets.
type counting struct {
	bytes int64
	dones int
}

func (x *counting) Output(a, b []byte, last bool) int {
	x.bytes += int64(len(a) + len(b))
	return len(a) + len(b)
}

func (x *counting) OutputFile(f backend.SentFile, offset, n int64, last bool) {
	x.bytes += n
	f.Release()
}

func (x *counting) Done(end backend.End)                        { x.dones++ }
func (x *counting) Complete(r backend.Running, end backend.End) {}
func (x *counting) Left(r backend.Running)                      {}
func (x *counting) Failed(status int, retryAfter time.Duration) { x.dones++ }
func (x *counting) BodyRoom()                                   {}
func (x *counting) BodyWanted()                                 {}
func (x *counting) Addrs() (local, remote netip.AddrPort)       { return }

// still is a Static on a stillLoop, with these files looked up.
func still(t testing.TB, root string, targets ...string) *loop {
	s, err := New(Config{Rules: []Rule{{Prefix: "/", Path: root}}, Fresh: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	lb, err := s.Backend(nil, "X-Fixed: yes\r\n").Attach(&stillLoop{now: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		s.lookUp(s.rules[0], target, nil, 1).release()
	}
	return lb.(*loop)
}

func headOf(t testing.TB, text string) *httpparse.Head {
	var p httpparse.Parser
	h := new(httpparse.Head)
	if _, err := p.Parse(h, []byte(text), nil); err != nil {
		t.Fatal(err)
	}
	return h
}

const browser = "GET /%s HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: http://example.com/\r\nCookie: a=b\r\n\r\n"

// A file that is known is sent without an allocation.
func TestAllocations(t *testing.T) {
	root := tree(t, map[string]string{"small": "text", "large": strings.Repeat("x", 100_000), "app.js": "js", "app.js.br": "br"})
	l := still(t, root, "/small", "/large", "/app.js", "/missing")
	for _, name := range []string{"small", "large", "app.js", "missing", "%%73mall", "./small"} {
		h := headOf(t, strings.Replace(browser, "%s", strings.ReplaceAll(name, "%%", "%"), 1))
		x := new(counting)
		n := testing.AllocsPerRun(200, func() {
			if _, err := l.Start(x, h, 0, nil, false); err != nil {
				t.Fatal(err)
			}
			l.EndTurn()
		})
		if n != 0 || x.dones == 0 {
			t.Errorf("%s: %v allocations, %d responses", name, n, x.dones)
		}
	}
}

func BenchmarkSmall(b *testing.B) { benchmark(b, "small") }
func BenchmarkLarge(b *testing.B) { benchmark(b, "large") }

func benchmark(b *testing.B, name string) {
	root := b.TempDir()
	writeFile(b, root+"/small", strings.Repeat("x", 1024))
	writeFile(b, root+"/large", strings.Repeat("x", 100_000))
	l := still(b, root, "/"+name)
	h := headOf(b, strings.Replace(browser, "%s", name, 1))
	x := new(counting)
	b.ReportAllocs()
	for b.Loop() {
		l.Start(x, h, 0, nil, false)
		l.EndTurn()
	}
}
