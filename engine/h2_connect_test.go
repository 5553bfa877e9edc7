package engine

import (
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"

	"golang.org/x/net/http2"
)

// tunnelBackend makes tunnels of the requests for /up, with protocol, and of those for /hijack, with hijacked on a goroutine. It answers
// others like a testBackend.
type tunnelBackend struct {
	testBackend
	t        testing.TB
	protocol backend.Protocol
	bounds   backend.Bounds
	hijacked func(c net.Conn)
	head     func(accept string) string // nil: the right one
	heads    chan string                // of requests, if it is not nil
	most     int                        // of Overlap; 0: any number
	may      bool                       // requests may be for no tunnel
}

func (b *tunnelBackend) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return tunnelLoop{&testLoopBackend{&b.testBackend, l}, b}, nil
}

type tunnelLoop struct {
	*testLoopBackend
	tunnels *tunnelBackend
}

func (l tunnelLoop) Overlap() int {
	if l.tunnels.most == 0 {
		return h2StreamsMax
	}
	return l.tunnels.most
}

func switchingTo(accept string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept +
		"\r\nSec-WebSocket-Protocol: p\r\n\r\n"
}

func (l tunnelLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	b := l.tunnels
	if b.heads != nil {
		b.heads <- string(h.Raw)
	}
	path := string(h.Bytes(h.Path))
	if path != "up" && path != "hijack" {
		return l.testLoopBackend.Start(x, h, listener, body, more)
	}
	head := ""
	if i := h.Find("sec-websocket-key", 0); i >= 0 {
		accept := httpwrite.WebSocketAccept(h.Value(h.Fields[i]))
		head = switchingTo(string(accept[:]))
		if b.head != nil {
			head = b.head(string(accept[:]))
		}
	}
	r := &testRun{lb: l.testLoopBackend, x: x}
	l.l.Post(func() {
		if r.over {
			return
		}
		r.over = true
		if path == "up" {
			if err := x.(backend.Upgrader).Upgrade([]byte(head), b.protocol, b.bounds); err != nil {
				l.failed(x, err)
			}
			return
		}
		c, err := x.(backend.Upgrader).Hijack([]byte(head))
		if err != nil {
			l.failed(x, err)
			return
		}
		go b.hijacked(c)
	})
	return r, nil
}

// failed answers a request that is for no tunnel.
func (l tunnelLoop) failed(x backend.Exchange, err error) {
	if !l.tunnels.may {
		l.tunnels.t.Error(err)
	}
	x.Failed(400, 0)
}

// connect begins the stream of an extended CONNECT.
func (p *h2Peer) connect(id uint32, path string, more ...string) {
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, BlockFragment: p.block(append([]string{
		":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "h", ":path", path,
		"sec-websocket-version", "13"}, more...)...)})
}

// opens is connect with the answer.
func (p *h2Peer) opens(id uint32, path string) {
	p.t.Helper()
	p.connect(id, path)
	f := until(p, func(f *http2.HeadersFrame) bool { return f.StreamID == id })
	if got := fieldsText(p.decode(f)); got != ":status=200;sec-websocket-protocol=p;" || f.StreamEnded() {
		p.t.Fatalf("stream %d: %s, ended %v", id, got, f.StreamEnded())
	}
}

// The server says that it knows RFC 8441 in its first frame.
func TestH2ConnectAnnounced(t *testing.T) {
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, &testBackend{})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(waitMost))
	io.WriteString(c, h2PrefaceText)
	f, err := http2.NewFramer(c, c).ReadFrame()
	if settings, ok := f.(*http2.SettingsFrame); err != nil || !ok {
		t.Errorf("%v, %v", f, err)
	} else if v, ok := settings.Value(http2.SettingEnableConnectProtocol); !ok || v != 1 {
		t.Errorf("SETTINGS_ENABLE_CONNECT_PROTOCOL is %d, %v", v, ok)
	}
}

// A backend gets the opening handshake of HTTP/1.1.
func TestH2ConnectRequest(t *testing.T) {
	b := &tunnelBackend{t: t, heads: make(chan string, 1)}
	_, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: p.block(
		":method", "CONNECT", ":protocol", "WebSocket", ":scheme", "http", ":authority", "h", ":path", "/fail/404?a=b",
		"sec-websocket-version", "13", "sec-websocket-key", "theirs", "origin", "http://h", "cookie", "x=1", "cookie", "y=2")})
	p.wants(1, "404", "*")
	got := regexp.MustCompile("sec-websocket-key: [A-Za-z0-9+/]{22}==").ReplaceAllString(<-b.heads, "KEY")
	if want := "GET /fail/404?a=b HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\nKEY\r\nsec-websocket-version: 13\r\n" +
		"origin: http://h\r\ncookie: x=1; y=2\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What RFC 8441 §4 demands of the pseudo-headers is checked, and a tunnel has no length.
func TestH2ConnectMalformed(t *testing.T) {
	b := &tunnelBackend{t: t, heads: make(chan string, 100)}
	_, addr := startH2(t, Options{Loops: 1}, Limits{Connect: true}, b)
	p := dialH2(t, addr)
	id := uint32(1)
	for _, fields := range []string{
		":method=GET :protocol=websocket :scheme=http :authority=h :path=/up",
		":method=CONNECT :protocol=websocket :authority=h :path=/up",
		":method=CONNECT :protocol=websocket :scheme=http :path=/up",
		":method=CONNECT :protocol=websocket :scheme=http :path=/up host=h",
		":method=CONNECT :protocol=websocket :scheme=http :authority=h",
		":method=CONNECT :protocol=websocket :scheme= :authority=h :path=/up",
		":method=CONNECT :protocol=websocket :scheme=http :authority= :path=/up",
		":method=CONNECT :protocol=websocket :scheme=http :authority=h :path=",
		":method=CONNECT :protocol=websocket :scheme=http :authority=h :path=up",
		":method=CONNECT :protocol=websocket :scheme=http :authority=h :path=*",
		":method=CONNECT :protocol= :scheme=http :authority=h :path=/up",
		":method=CONNECT :protocol=web,socket :scheme=http :authority=h :path=/up",
		":method=CONNECT :protocol=websocket :protocol=websocket :scheme=http :authority=h :path=/up",
		":method=CONNECT :protocol=websocket :scheme=http :authority=h :path=/up content-length=0",
		":method=CONNECT :protocol=websocket :scheme=http :authority=h :path=/up upgrade=websocket",
		":method=CONNECT :protocol=websocket :scheme=http :authority=h :path=/up connection=upgrade",
		":method=CONNECT :scheme=http :authority=h :path=/up",
	} {
		var list []string
		for _, f := range strings.Split(fields, " ") {
			i := strings.LastIndex(f, "=")
			list = append(list, f[:i], f[i+1:])
		}
		p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, BlockFragment: p.block(list...)})
		p.hearsRST(id, http2.ErrCodeProtocol)
		id += 2
	}
	p.get(id, "/hello")
	p.wants(id, "200", "hello")
	if n := len(b.heads); n != 1 {
		t.Errorf("%d requests have reached the backend", n)
	}
}

// Other protocols are refused. So is every answer that a client could take for a tunnel although it is none; the others it gets as they are.
func TestH2ConnectRefused(t *testing.T) {
	b := &tunnelBackend{t: t, heads: make(chan string, 100), testBackend: testBackend{answersAll: true}}
	e, addr := startH2(t, Options{Loops: 1}, Limits{}, b)
	p := dialH2(t, addr)
	p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: p.block(
		":method", "CONNECT", ":protocol", "connect-udp", ":scheme", "http", ":authority", "h", ":path", "/up")})
	p.wants(1, "501", "*")
	if n := len(b.heads); n != 0 {
		t.Errorf("an unknown protocol has reached the backend")
	}
	p.connect(3, "/hello")
	p.wants(3, "501", "")
	p.connect(5, "/big/1600000")
	p.wants(5, "501", "")
	p.connect(7, "/fail/403")
	p.wants(7, "403", "*")
	p.lives(9)
	id := uint32(11)
	for _, head := range []string{
		switchingTo("AAAAAAAAAAAAAAAAAAAAAAAAAAA="), switchingTo(""), "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	} {
		onLoop(t, e.Loop(0), func() {
			b.protocol = opener(func(c backend.Conn) backend.Stream { return &calls{t: t} })
			b.head = func(string) string { return head }
		})
		p.connect(id, "/up")
		p.wants(id, "502", "")
		id += 2
	}
	p.lives(id)
	eventually(t, "nothing is left", func() bool { return tunnelsOf(e) == 0 })
}

// tunnelsOf is how many tunnels there are.
func tunnelsOf(e *Engine) (n int) {
	e.onEveryLoop(func(l *loop) error {
		for _, m := range []*h2Loop{l.h2, l.tlsH2()} {
			if m != nil {
				n += int(m.tunnels.Load())
			}
		}
		return nil
	})
	return n
}
