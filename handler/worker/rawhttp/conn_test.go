package rawhttp

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"moonbridge/bufio"
	"moonbridge/handler/shm"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// The tests play the handler, in a cell of Go memory.

const testWindow = 1 << 10

// served is a connection with a handler of the test's.
type served struct {
	t       *testing.T
	c       *Conn
	peer    net.Conn
	pool    *bufio.Pool
	bell    *os.File
	quit    atomic.Uint32
	asleep  atomic.Uint32
	socket  atomic.Int32
	settled atomic.Uint32
	in      shm.InCell
	out     shm.OutCell
	inWin   [testWindow]byte
	outWin  [testWindow]byte
	flush   chan bool // a value for each flush, up to one
	over    chan bool // the connection has ended: with a reset or not
}

// call is an exchange as the handler sees it.
type call struct {
	s      *served
	head   shm.Head
	block  []byte
	taken  uint64
	placed uint64
}

// patience bounds every wait that ends only if something is wrong.
const patience = time.Minute

var noLimits = Limits{HeadBlockBytes: 2 << 20, BodyBytes: 1 << 20}

// serveConn calls handle for each request of a connection, until that ends. handle returns the result of the exchange.
func serveConn(t *testing.T, lim Limits, early string, handle func(x *call) uint32) *served {
	t.Helper()
	fd, theirs, err := shm.SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(theirs), "peer")
	peer, err := net.FileConn(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	peer.SetDeadline(time.Now().Add(patience))
	return serveFd(t, lim, fd, peer, early, handle)
}

func serveFd(t *testing.T, lim Limits, fd int, peer net.Conn, early string, handle func(x *call) uint32) *served {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, peer: peer, pool: bufio.NewPool(), bell: w, flush: make(chan bool, 1), over: make(chan bool, 1)}
	c := New(fd, Config{
		Bell: int(r.Fd()), Socket: &s.socket, Settled: &s.settled, Pool: s.pool,
		In: &s.in, Out: &s.out, InWindow: s.inWin[:], OutWindow: s.outWin[:],
		Quit: &s.quit, Asleep: &s.asleep,
		Flush: func() {
			select {
			case s.flush <- true:
			default:
			}
		},
		Block: shm.HeadBlock{Listener: 3, Exchange: 77}, Limits: lim,
	}, []byte(early))
	s.c = c
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for c.Next() {
			x := &call{s: s}
			x.readHead()
			if !c.End(handle(x)) {
				break
			}
		}
		s.over <- c.Close(false)
	}()
	t.Cleanup(func() {
		peer.Close()
		<-gone // before the number of its doorbell is another file's
		r.Close()
		w.Close()
	})
	return s
}

// ends waits for the end of the connection, and checks whether it was a reset.
func (s *served) ends(reset bool) {
	s.t.Helper()
	select {
	case got := <-s.over:
		if got != reset {
			s.t.Errorf("reset: %v, want %v", got, reset)
		}
	case <-time.After(patience):
		s.t.Fatal("the connection does not end")
	}
}

func (s *served) say(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.peer, text); err != nil {
		s.t.Error(err)
	}
}

// hears reads as many bytes as want has, and compares.
func (s *served) hears(want string) {
	s.t.Helper()
	b := make([]byte, len(want))
	n, err := io.ReadFull(s.peer, b)
	if got := string(b[:n]); got != want {
		s.t.Fatalf("got %d bytes, %.200q … %.100q, %v; want %d, %.200q", n, got, got[max(0, n-100):], err, len(want), want)
	}
}

// hearsAll reads to the end of the connection.
func (s *served) hearsAll() string {
	s.t.Helper()
	b, err := io.ReadAll(s.peer)
	if err != nil {
		s.t.Error(err)
	}
	return string(b)
}

// wait is the C side of the transport's wait.
func (x *call) wait(ready func() bool) {
	for first := true; !ready(); first = false {
		x.s.c.Step(first)
	}
}

func (x *call) flags() uint32 { return x.s.in.Flags.Load() }

// take takes what is in the in-window.
func (x *call) take() []byte {
	n := x.s.in.InHead.Load() - x.taken
	a, b := shm.Ring(x.s.inWin[:], x.taken, n)
	p := append(append([]byte(nil), a...), b...)
	x.taken += n
	x.s.out.InTail.Store(x.taken)
	return p
}

// readHead takes the head block, and leaves the body where it is.
func (x *call) readHead() {
	for size := int(unsafe.Sizeof(x.head)); len(x.block) < size; {
		x.wait(func() bool { return x.s.in.InHead.Load() > x.taken || x.flags()&(shm.InAbort|shm.InCancel) != 0 })
		n := x.s.in.InHead.Load() - x.taken
		if n == 0 {
			return
		}
		if len(x.block) == 0 {
			copy(shm.Bytes(&x.head), x.s.inWin[:])
			size = int(x.head.Size)
		}
		a, b := shm.Ring(x.s.inWin[:], x.taken, min(n, uint64(size-len(x.block))))
		x.block = append(append(x.block, a...), b...)
		x.taken = uint64(len(x.block))
		x.s.out.InTail.Store(x.taken)
	}
}

func (x *call) raw(off, n uint32) string {
	return string(x.block[x.head.RawOff+off : x.head.RawOff+off+n])
}

func (x *call) path() string { return x.raw(x.head.PathOff, x.head.PathLen) }

// body reads to the end of the body. what: "" or the flag that ended it.
func (x *call) body() (body string, what string) {
	var b []byte
	if x.head.Flags&shm.HeadExpect != 0 {
		x.s.out.Flags.Store(shm.OutBodyWanted)
		x.s.c.Notify()
	}
	for {
		f := x.flags()
		b = append(b, x.take()...)
		switch {
		case f&shm.InCancel != 0:
			return string(b), "cancel"
		case f&shm.InTooLarge != 0:
			return string(b), "too large"
		case f&shm.InAbort != 0:
			return string(b), "abort"
		case f&shm.InEnd != 0:
			return string(b), ""
		}
		x.wait(func() bool {
			return x.s.in.InHead.Load() > x.taken || x.flags()&(shm.InEnd|shm.InAbort|shm.InCancel) != 0
		})
	}
}

// put puts bytes into the out-window and waits where there is no room. false: cancelled.
func (x *call) put(text string) bool {
	for len(text) > 0 {
		x.wait(func() bool { return x.room() > 0 || x.flags()&shm.InCancel != 0 })
		if x.flags()&shm.InCancel != 0 {
			return false
		}
		n := min(uint64(len(text)), x.room())
		if x.placed == 0 {
			x.s.out.OutStart.Store(testWindow - 10)
		}
		shm.RingPut(x.s.outWin[:], testWindow-10+x.placed, []byte(text[:n]))
		text = text[n:]
		x.placed += n
		x.s.out.OutHead.Store(x.placed)
		x.s.c.Notify()
	}
	return true
}

func (x *call) room() uint64 { return testWindow - (x.placed - x.s.in.OutTail.Load()) }

// echo answers with what it saw, without a head.
func echo(x *call) uint32 {
	body, what := x.body()
	x.put(fmt.Sprintf("<%s %s %s%s>", x.raw(x.head.MethodOff, x.head.MethodLen), x.path(), body, what))
	return shm.ResultDone
}

func TestHead(t *testing.T) {
	var h shm.Head
	s := serveConn(t, noLimits, "", func(x *call) uint32 {
		h = x.head
		x.put(x.raw(x.head.QueryOff, x.head.QueryLen) + x.raw(0, x.head.RawLen))
		return shm.ResultDone | shm.ResultClose
	})
	text := "GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\n"
	s.say(text + "\r\n")
	if got := s.hearsAll(); got != "?b=c"+text {
		t.Errorf("raw: %q", got)
	}
	s.ends(false)
	if h.Listener != 3 || h.Exchange != 77 || h.Kind != shm.KindHTTP || h.NFields != 2 || h.Flags != shm.HeadKeepalive {
		t.Errorf("head: %+v", h)
	}
}

func TestPipelining(t *testing.T) {
	s := serveConn(t, noLimits, "GET /early HTTP/1.1\r\nHo", echo)
	s.say("st: x\r\n\r\nPOST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /three HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n")
	s.hears("<GET early ><POST two abc><POST three de>")
	s.say("GET /four HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /five HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := s.hearsAll(); got != "<GET four >" {
		t.Errorf("got %q", got)
	}
	s.ends(false)
}

func TestPiecewise(t *testing.T) {
	s := serveConn(t, noLimits, "", echo)
	text := "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
	for i := range text {
		s.say(text[i : i+1])
	}
	s.hears("<POST a abc><POST b def>")
	s.peer.Close()
	s.ends(false)
}

func TestLargeBodies(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 10*testWindow/16*10)
	for name, text := range map[string]string{
		"length":  fmt.Sprintf("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
		"chunked": fmt.Sprintf("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body),
		"head":    fmt.Sprintf("POST /a HTTP/1.1\r\nHost: x\r\nX: %s\r\nContent-Length: %d\r\n\r\n%s", body[:5000], len(body), body),
	} {
		t.Run(name, func(t *testing.T) {
			s := serveConn(t, noLimits, "", echo)
			go s.say(text + text)
			s.hears("<POST a " + body + "><POST a " + body + ">")
		})
	}
}

func TestExpect(t *testing.T) {
	s := serveConn(t, noLimits, "", echo)
	s.say("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	s.hears(httpwrite.Continue)
	s.say("abc")
	s.hears("<POST a abc>")
	// The body is here already: the peer does not wait for a 100.
	s.say("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
	s.hears("<POST b abc>")
}

// Without StreamBody the connection answers the expectation itself, and a handler gets a small body whole.
func TestExpectAnsweredAtOnce(t *testing.T) {
	lim := noLimits
	lim.BodyBytes = 100_000
	called := make(chan string, 1)
	s := serveConn(t, lim, "", func(x *call) uint32 {
		called <- fmt.Sprint(x.path(), x.head.Flags&shm.HeadExpect, x.flags()&shm.InEnd)
		return echo(x)
	})
	const expects = "Expect: 100-continue\r\n\r\n"
	s.say("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" + expects)
	s.hears(httpwrite.Continue)
	if len(called) > 0 {
		t.Error("the handler is called before its small body is there")
	}
	s.say("abc")
	s.hears("<POST small abc>")
	if got, want := <-called, fmt.Sprint("small", 0, shm.InEnd); got != want {
		t.Errorf("called with %q, want %q", got, want)
	}
	s.say("GET /none HTTP/1.1\r\nHost: x\r\n" + expects) // nothing follows that one could go on with
	s.hears("<GET none >")
	<-called
	s.say("POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + expects)
	s.hears(httpwrite.Continue)
	<-called
	s.say("1\r\na\r\n0\r\n\r\n")
	s.hears("<POST chunks a>")
	s.say("POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n" + expects)
	if got := s.hearsAll(); !strings.HasPrefix(got, "HTTP/1.1 413 ") {
		t.Errorf("got %q", got)
	}
	s.ends(false)
}

// With StreamBody a handler is called with what has arrived of any body, and answers the expectation by reading.
func TestStreamBody(t *testing.T) {
	lim := noLimits
	lim.StreamBody = true
	read := make(chan bool)
	s := serveConn(t, lim, "", func(x *call) uint32 {
		if x.flags()&shm.InEnd != 0 {
			t.Error("the body is complete")
		}
		x.put("called ")
		<-read
		return echo(x)
	})
	s.say("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab")
	s.hears("called ")
	s.say("c")
	read <- true
	s.hears("<POST a abc>")

	quiet := serveConn(t, lim, "", func(x *call) uint32 {
		if x.head.Flags&shm.HeadExpect == 0 {
			t.Error("the handler cannot know that the peer waits")
		}
		read <- true
		<-read
		return echo(x)
	})
	quiet.say("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	<-read
	read <- true
	quiet.hears(httpwrite.Continue)
	quiet.say("abc")
	quiet.hears("<POST a abc>")
}

// A peer that takes output too slowly for its socket to have room is not stalled. When it takes nothing more, it is.
func TestSlowReaderLives(t *testing.T) {
	defer func(before func(int) int) { unacknowledged = before }(unacknowledged)
	for _, when := range []string{"while the handler waits", "while it computes", "after it"} {
		t.Run(when, func(t *testing.T) {
			const progress = 5
			var looks atomic.Int32
			unacknowledged = func(int) int { return max(1000-int(looks.Add(1)), 1000-progress) }
			lim := noLimits
			lim.Stall = 30 * time.Millisecond
			large := strings.Repeat("x", 1<<20)
			s := serveConn(t, lim, "", func(x *call) uint32 {
				switch when {
				case "while the handler waits":
					x.put(large)
				case "while it computes":
					for x.flags()&shm.InCancel == 0 {
						x.placed += x.room()
						x.s.out.OutHead.Store(x.placed)
						time.Sleep(time.Millisecond)
					}
				case "after it":
					for x.room() > 0 { // until the socket is full too
						x.placed += x.room()
						x.s.out.OutHead.Store(x.placed)
						x.s.c.Notify()
					}
				}
				return shm.ResultDone
			})
			s.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
			s.ends(true)
			if n := looks.Load(); n <= progress {
				t.Errorf("reset after %d looks at the socket, which still showed progress", n)
			}
		})
	}
}

// After interim responses the peer still waits for its 100.
func TestExpectAfterInterim(t *testing.T) {
	const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	const continued = "HTTP/1.1 100 Continue\r\n\r\n"
	lim := noLimits
	lim.StreamBody = true
	s := serveConn(t, lim, "", func(x *call) uint32 {
		x.put(hints)
		x.s.out.Flags.Store(shm.OutBodyWanted)
		x.s.c.Notify()
		x.s.c.Notify()
		x.put(hints)
		body, _ := x.body()
		x.put("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + body)
		return shm.ResultDone
	})
	s.say("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	s.hears(hints + continued + hints)
	s.say("abc")
	s.hears("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
}

// No 100 goes out within a head or after the start of the final response.
func TestExpectTooLate(t *testing.T) {
	lim := noLimits
	lim.StreamBody = true
	for _, begun := range []string{"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"} {
		s := serveConn(t, lim, "", func(x *call) uint32 {
			x.put(begun)
			x.s.out.Flags.Store(shm.OutBodyWanted)
			x.s.c.Notify()
			return shm.ResultDone | shm.ResultClose
		})
		s.say("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
		if got := s.hearsAll(); got != begun {
			t.Errorf("got %q, want %q", got, begun)
		}
	}
}

// dateless is a response with the value of its Date field cut out.
func dateless(s string) string {
	before, after, ok := strings.Cut(s, "Date: ")
	if !ok {
		return s
	}
	_, after, _ = strings.Cut(after, "\r\n")
	return before + "Date: \r\n" + dateless(after)
}

func TestRefuses(t *testing.T) {
	lim := Limits{HeadBlockBytes: 3000, BodyBytes: 10, Head: httpparse.Limits{HeadBytes: 5000}}
	field := "X: " + strings.Repeat("x", 2900) + "\r\n"
	for _, tt := range []struct {
		name, in string
		status   int
		noBody   bool
	}{
		{"nonsense", "\x00", 400, false},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, false},
		{"version", "GET / HTTP/2.0\r\n\r\n", 505, false},
		{"coding", "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501, false},
		{"expectation", "GET / HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n", 417, false},
		{"length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n", 413, false},
		{"length of HEAD", "HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n", 413, true},
		{"long head", "GET / HTTP/1.1\r\nHost: x\r\n" + field + field, 431, false},
		{"head block", "GET / HTTP/1.1\r\nHost: x\r\n" + field + "\r\n", 431, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serveConn(t, lim, "", func(*call) uint32 {
				t.Error("a handler is called")
				return shm.ResultDone
			})
			s.say(tt.in)
			want := errorPage(tt.status, true, tt.noBody)
			if got := s.hearsAll(); dateless(got) != dateless(string(want)) {
				t.Errorf("got %q, want %q", got, want)
			}
			s.ends(false)
		})
	}
}

func TestIncomplete(t *testing.T) {
	for _, text := range []string{
		"GET / HTTP/1.1\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab",
	} {
		s := serveConn(t, noLimits, "", echo)
		s.say(text)
		s.peer.(*net.UnixConn).CloseWrite()
		if got := s.hearsAll(); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("got %q", got)
		}
		s.ends(false)
	}
}

// An empty line is no part of a request (RFC 9112 §2.2).
func TestEmptyLineAndEnd(t *testing.T) {
	s := serveConn(t, noLimits, "", echo)
	s.say("\r\n")
	s.peer.(*net.UnixConn).CloseWrite()
	if got := s.hearsAll(); got != "" {
		t.Errorf("got %q", got)
	}
	s.ends(false)
}

// If a body breaks off while the handler runs, the handler may still answer. Then the connection ends.
func TestBodyBreaksOff(t *testing.T) {
	stalls := noLimits
	stalls.Stall = 20 * time.Millisecond
	small := noLimits
	small.BodyBytes = 10
	for _, tt := range []struct {
		name, in string
		lim      Limits
		eof      bool
		want     string
	}{
		{"end", "\r\n2\r\nab", noLimits, true, "ababort"},
		{"stall", "\r\n2\r\nab", stalls, false, "ababort"},
		{"malformed", "\r\n2\r\nab\r\nx", noLimits, false, "ababort"},
		{"too large", "\r\n8\r\n01234567\r\n8\r\n89abcdef\r\n", small, false, "0123456789abcdeftoo large"},
		{"far too large", "\r\n8\r\n01234567\r\nfffffffffffffffff\r\n", small, false, "01234567too large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serveConn(t, tt.lim, "", echo)
			s.say("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + tt.in)
			if tt.eof {
				s.peer.(*net.UnixConn).CloseWrite()
			}
			if got := s.hearsAll(); got != "<POST  "+tt.want+">" {
				t.Errorf("got %q", got)
			}
			s.ends(false)
		})
	}
}

func TestOwnStatus(t *testing.T) {
	s := serveConn(t, noLimits, "", func(x *call) uint32 {
		if x.path() == "reset" {
			x.put("some")
			return shm.ResultDone | shm.ResultReset
		}
		status, err := strconv.Atoi(x.path())
		if err != nil {
			t.Error(err)
		}
		return shm.ResultDone | uint32(status)<<shm.ResultStatusShift
	})
	for status, want := range map[int]int{0: 502, 399: 502, 400: 400, 413: 413, 500: 500, 599: 599, 600: 502} {
		for _, method := range []string{"GET", "HEAD"} {
			s.say(fmt.Sprintf("%s /%d HTTP/1.1\r\nHost: x\r\n\r\n", method, status))
			want := string(errorPage(want, false, method == "HEAD"))
			b := make([]byte, len(want))
			if io.ReadFull(s.peer, b); dateless(string(b)) != dateless(want) {
				t.Errorf("%d: got %q, want %q", status, b, want)
			}
		}
	}
	s.say("GET /reset HTTP/1.1\r\nHost: x\r\n\r\n")
	s.ends(true)
}

func TestTimeouts(t *testing.T) {
	const short = 20 * time.Millisecond
	for _, tt := range []struct {
		name string
		in   string
		lim  Limits
		want string // the start of what is heard
	}{
		{"idle", "", Limits{Idle: short}, ""},
		{"idle after an empty line", "\r\n", Limits{Idle: short}, ""},
		{"header", "GET", Limits{Header: short}, "HTTP/1.1 408 "},
		{"small body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab", Limits{Stall: short}, "HTTP/1.1 408 "},
		{"response", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab", Limits{Response: short}, "HTTP/1.1 408 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.lim.HeadBlockBytes, tt.lim.BodyBytes = noLimits.HeadBlockBytes, noLimits.BodyBytes
			s := serveConn(t, tt.lim, "", echo)
			s.say(tt.in)
			if got := s.hearsAll(); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("got %q", got)
			}
			s.ends(false)
		})
	}
}

// A peer that does not read does not hold the worker for longer than the stall timeout.
func TestOutputStalls(t *testing.T) {
	lim := noLimits
	lim.Stall = 30 * time.Millisecond
	cancelled := make(chan bool, 1)
	s := serveConn(t, lim, "", func(x *call) uint32 {
		cancelled <- !x.put(strings.Repeat("x", 16<<20))
		return shm.ResultDone | shm.ResultReset
	})
	s.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if !<-cancelled {
		t.Error("the handler does not hear of it")
	}
	s.ends(true)
}

func TestQuit(t *testing.T) {
	s := serveConn(t, noLimits, "", func(x *call) uint32 {
		if x.path() == "last" {
			x.s.quit.Store(1)
		}
		return echo(x)
	})
	s.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	s.hears("<GET a >")
	t.Run("idle", func(t *testing.T) {
		for s.asleep.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		s.quit.Store(1)
		s.bell.Write([]byte{1})
		if got := s.hearsAll(); got != "" {
			t.Errorf("got %q", got)
		}
		s.ends(false)
	})
	t.Run("on its way", func(t *testing.T) {
		s := serveConn(t, noLimits, "", func(x *call) uint32 {
			x.put(fmt.Sprint(x.head.Flags & shm.HeadKeepalive))
			return shm.ResultDone
		})
		for s.asleep.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		s.quit.Store(1)
		s.bell.Write([]byte{1})
		for s.asleep.Load() != 0 {
			time.Sleep(time.Millisecond)
		}
		s.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := s.hearsAll(); got != "0" && got != "" { // nothing, if the machine has slept for a second
			t.Errorf("got %q", got)
		}
		s.ends(false)
	})
	t.Run("busy", func(t *testing.T) {
		s := serveConn(t, noLimits, "", func(x *call) uint32 {
			x.s.quit.Store(1)
			x.put(fmt.Sprint(x.head.Flags & shm.HeadKeepalive))
			return shm.ResultDone
		})
		// The second request is here already: it is served, and its response says that it is the last.
		s.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\n\r\n")
		if got, want := s.hearsAll(), fmt.Sprint(shm.HeadKeepalive, "0"); got != strings.ReplaceAll(want, " ", "") {
			t.Errorf("got %q, want %q", got, want)
		}
		s.ends(false)
	})
	t.Run("retired", func(t *testing.T) {
		s := serveConn(t, noLimits, "", func(x *call) uint32 {
			x.put("x")
			return shm.ResultDone | shm.ResultRetire
		})
		s.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := s.hearsAll(); got != "x" {
			t.Errorf("got %q", got)
		}
		s.ends(false)
	})
}

// A bell that rings for other reasons does no harm.
func TestRungInVain(t *testing.T) {
	s := serveConn(t, noLimits, "", echo)
	for i := range 3 {
		for s.asleep.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		s.bell.Write(bytes.Repeat([]byte{1}, i+1))
		s.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		s.hears("<GET a >")
	}
}

// While a handler computes, what is held back is flushed, output goes on, and the body comes in.
func TestBeat(t *testing.T) {
	arrived := make(chan struct{})
	s := serveConn(t, noLimits, "", func(x *call) uint32 {
		x.s.out.Flags.Store(shm.OutPending)
		<-x.s.flush
		x.s.out.Flags.Store(0)
		for x.flags()&shm.InEnd == 0 {
			time.Sleep(time.Millisecond)
		}
		x.take()
		close(arrived)
		x.placed = 5 // stored by "another thread", without a word
		x.s.out.OutHead.Store(5)
		for x.s.in.OutTail.Load() < 5 {
			time.Sleep(time.Millisecond)
		}
		return shm.ResultDone | shm.ResultClose
	})
	s.say("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	s.say("2\r\nde\r\n0\r\n\r\n")
	<-arrived
	if got := s.hearsAll(); len(got) != 5 {
		t.Errorf("got %q", got)
	}
	s.ends(false)
}

// What the beat does between a look at the cell and the wait for the socket is not missed: there is no second notice.
func TestBeatBeforeWait(t *testing.T) {
	begun := make(chan struct{})
	s := serveConn(t, noLimits, "", func(x *call) uint32 {
		close(begun)
		looked := false
		x.wait(func() bool {
			if looked {
				return x.flags()&shm.InEnd != 0
			}
			looked = true
			for x.flags()&shm.InEnd == 0 {
				time.Sleep(time.Millisecond)
			}
			return false // what was seen a moment ago
		})
		x.put("over")
		return shm.ResultDone
	})
	s.say("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	<-begun
	s.say("2\r\nde\r\n0\r\n\r\n")
	s.hears("over")
}

func TestResponseTimeout(t *testing.T) {
	lim := noLimits
	lim.Response = 20 * time.Millisecond
	s := serveConn(t, lim, "", func(x *call) uint32 {
		for x.flags()&shm.InCancel == 0 {
			time.Sleep(time.Millisecond)
		}
		return shm.ResultDone
	})
	s.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	s.ends(true)
}

func TestSocketClosed(t *testing.T) {
	for _, how := range []string{"computing", "waiting", "ending"} {
		s := serveConn(t, noLimits, "", func(x *call) uint32 {
			x.s.socket.Store(-1)
			switch how {
			case "computing":
				for x.flags()&shm.InCancel == 0 {
					time.Sleep(time.Millisecond)
				}
			case "waiting":
				x.body()
			}
			return shm.ResultDone | 500<<shm.ResultStatusShift
		})
		s.say("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
		s.ends(true)
	}
}

// A response reaches a peer that has sent more than was read.
func TestLingers(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer.SetDeadline(time.Now().Add(patience))
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	file, err := accepted.(*net.TCPConn).File()
	accepted.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	lim := noLimits
	lim.Drain = patience
	s := serveFd(t, lim, fd, peer, "", echo)
	file.Close()
	said := make(chan struct{})
	go func() {
		defer close(said)
		s.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n" + strings.Repeat("x", 4_000_000))
	}()
	want := string(errorPage(413, true, false))
	if got := s.hearsAll(); dateless(got) != dateless(want) {
		t.Errorf("got %q", got)
	}
	<-said
	peer.Close()
	s.ends(false)
}

// A peer that sends without end is cut off.
func TestLingerBounded(t *testing.T) {
	lim := noLimits
	lim.Drain = patience
	s := serveConn(t, lim, "", echo)
	s.say("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	s.hears("<GET a >")
	piece := make([]byte, 1<<20)
	for sent := 0; sent <= lingerBytesMax; sent += len(piece) {
		if _, err := s.peer.Write(piece); err != nil {
			break // it is cut off
		}
	}
	s.peer.Close()
	s.ends(true)
}

// A large head block does not stay for the small ones after it.
func TestBlockKept(t *testing.T) {
	var kept []int
	s := serveConn(t, noLimits, "", func(x *call) uint32 {
		kept = append(kept, cap(x.s.c.block))
		return echo(x)
	})
	for _, size := range []int{blockKept, 1, 1} {
		s.say("GET /a HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", size) + "\r\n\r\n")
		s.hears("<GET a >")
	}
	s.peer.Close()
	s.ends(false)
	if kept[0] <= blockKept || kept[1] > blockKept || kept[2] != kept[1] {
		t.Errorf("capacities %d", kept)
	}
}

// Another connection may use the pool of one that has ended, whatever that one has left unread.
func TestPoolGivenBack(t *testing.T) {
	s := serveConn(t, noLimits, "", func(x *call) uint32 { return echo(x) | shm.ResultClose })
	text := "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
	s.say(text + text)
	s.hears("<GET a >")
	s.ends(false)
	var other bufio.Input
	if len(other.Reserve(s.pool, 1)) == 0 {
		t.Error("no room")
	}
	other.Release(s.pool)
	if n := s.pool.InUse(); n != 0 {
		t.Errorf("%d buffers in use", n)
	}
}

// errorPage is the answer of the server itself, dated 1970.
func errorPage(status int, closes, noBody bool) []byte {
	page := httpwrite.ErrorPage{Status: status, Close: closes, NoBody: noBody}
	return page.Append(nil)
}

// The rest of a body has its time, even if all of its head was read before the connection began.
func TestEarlyHead(t *testing.T) {
	lim := noLimits
	lim.Stall = patience
	s := serveConn(t, lim, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", echo)
	eventually(t, "the connection waits for the body", func() bool {
		s.c.mu.Lock()
		defer s.c.mu.Unlock()
		return s.c.waiting != 0 || s.c.fd < 0
	})
	s.say("abc")
	s.hears("<POST a abc>")
}

// A client of HTTP/1.0 takes a response that does not say keep-alive for the last one, and waits for its end.
func TestFailureOverHTTP10(t *testing.T) {
	lim := noLimits
	lim.Idle = time.Second // so that a failure of this test does not take long
	s := serveConn(t, lim, "", func(*call) uint32 { return shm.ResultDone | 500<<shm.ResultStatusShift })
	s.say("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	if got := s.hearsAll(); !strings.Contains(got, "\r\nConnection: close\r\n") {
		t.Errorf("%q", got)
	}
	s.ends(false)
}
