package engine

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// chaosBackend answers some requests with a file, and others as a tunnelBackend.
type chaosBackend struct {
	tunnelBackend
	file *fileServer
}

func (b *chaosBackend) Attach(l backend.Loop) (backend.LoopBackend, error) {
	return chaosLoop{tunnelLoop{&testLoopBackend{&b.testBackend, l}, &b.tunnelBackend}, &fileServerLoop{b.file, l}}, nil
}

type chaosLoop struct {
	tunnelLoop
	files *fileServerLoop
}

func (l chaosLoop) Start(x backend.Exchange, h *httpparse.Head, listener int, body []byte, more bool) (backend.Running, error) {
	if string(h.Bytes(h.Path)) == "file" {
		return l.files.Start(x, h, listener, body, more)
	}
	return l.tunnelLoop.Start(x, h, listener, body, more)
}

// Overlap makes streams wait for each other.
func (chaosLoop) Overlap() int { return 8 }

// chaos is a client that does what is allowed, and some things that are not, in an order of its own.
type chaos struct {
	*rand.Rand
	*http2.Framer
	next    uint32 // stream
	fields  bytes.Buffer
	encoder *hpack.Encoder
	open    []uint32 // streams with a body to come
}

var chaosPaths = []string{"/hello", "/echo", "/big/100000", "/slow", "/never-read", "/fail/503", "/begin-fail", "/close", "/reset/5000", "/file", "/none"}

func (c *chaos) block(fields ...string) []byte {
	c.fields.Reset()
	for i := 0; i < len(fields); i += 2 {
		c.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return c.fields.Bytes()
}

// connect begins a tunnel, or what is none.
func (c *chaos) connect() {
	id := c.next
	c.next += 2
	path := "/up"
	if c.IntN(3) == 0 {
		path = append(chaosPaths, "/hijack")[c.IntN(len(chaosPaths)+1)]
	}
	ended := c.IntN(5) == 0
	if !ended {
		c.open = append(c.open, id)
	}
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: ended, EndHeaders: true, BlockFragment: c.block(
		":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "h", ":path", path)})
}

// begin begins a stream.
func (c *chaos) begin() {
	id := c.next
	c.next += 2
	fields := []string{":method", "GET", ":scheme", "http", ":authority", "h", ":path", chaosPaths[c.IntN(len(chaosPaths))]}
	ended := c.IntN(2) == 0
	if !ended {
		fields[1] = "POST"
		c.open = append(c.open, id)
	}
	if c.IntN(3) == 0 {
		fields = append(fields, "priority", []string{"i", "u=0", "u=7, i"}[c.IntN(3)])
	}
	if !ended && c.IntN(4) == 0 {
		fields = append(fields, "expect", "100-continue")
	}
	block := c.block(fields...)
	cut := len(block)
	if c.IntN(4) == 0 {
		cut = c.IntN(len(block))
	}
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:cut], EndStream: ended, EndHeaders: cut == len(block)})
	if cut < len(block) {
		c.WriteContinuation(id, true, block[cut:])
	}
}

// some is a stream that exists, or existed.
func (c *chaos) some() uint32 { return uint32(1 + 2*c.IntN(int(c.next+1)/2)) }

// body continues or ends the body of a stream.
func (c *chaos) body() {
	if len(c.open) == 0 {
		return
	}
	i := c.IntN(len(c.open))
	id := c.open[i]
	switch end := c.IntN(3) == 0; {
	case end && c.IntN(4) == 0:
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block("x-trailer", "1"), EndStream: true, EndHeaders: true})
		c.open = append(c.open[:i], c.open[i+1:]...)
	default:
		c.WriteDataPadded(id, end, make([]byte, c.IntN(3000)), make([]byte, c.IntN(3)))
		if end {
			c.open = append(c.open[:i], c.open[i+1:]...)
		}
	}
}

// act does one thing.
func (c *chaos) act() {
	switch n := c.IntN(40); {
	case n < 10:
		c.begin()
	case n < 14:
		c.connect()
	case n < 24:
		c.body()
	case n < 30:
		c.WriteWindowUpdate([]uint32{0, c.some()}[c.IntN(2)], uint32(1+c.IntN(50_000)))
	case n < 34:
		c.WriteRSTStream(c.some(), http2.ErrCodeCancel)
	case n < 36:
		c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: []uint32{0, 1, 1000, 65535, 1 << 20}[c.IntN(5)]},
			http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(c.IntN(5000))})
	case n == 36:
		c.WritePing(c.IntN(2) == 0, [8]byte([]byte(h2DrainPing)[:8]))
	case n == 37:
		c.WriteRawFrame(16, 0, 0, append([]byte{0, 0, 0, byte(c.some())}, "u=1, i"...))
	case n == 38 && c.IntN(10) == 0:
		c.WriteGoAway(0, http2.ErrCodeNo, nil)
	case n == 39 && c.IntN(20) == 0:
		c.WriteRawFrame(http2.FrameType(c.IntN(12)), http2.Flags(c.IntN(64)), uint32(c.IntN(6)), make([]byte, c.IntN(20)))
	}
}

// end ends the connection in one of several ways, perhaps in the middle of a frame.
func (c *chaos) end(conn net.Conn) {
	tcp := conn.(*tls.Conn).NetConn().(*net.TCPConn)
	switch c.IntN(5) {
	case 0:
		tcp.SetLinger(0)
	case 1:
		conn.Write([]byte{0, 1, 0, 0, 0, 0, 0, 0, 1, 'x'})
	case 2:
		tcp.Write([]byte{23, 3, 3, 0x10, 0, 1, 2, 3}) // half a record
	case 3:
		conn.(*tls.Conn).CloseWrite()
		conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		io.Copy(io.Discard, conn)
	}
	tcp.Close()
}

// Clients that break off at any moment, in any way, leave nothing behind, and harm no other client: with TLS, while the backend is
// replaced again and again.
func TestH2Chaos(t *testing.T) {
	b := &chaosBackend{file: newFileServer(t, 300_000)}
	b.tunnelBackend = tunnelBackend{t: t, testBackend: testBackend{window: 200, answersAll: true}, protocol: echo(t, nil), may: true}
	b.hijacked = func(c net.Conn) { io.Copy(c, c); c.Close() }
	config := serverConfig()
	config.NextProtos = []string{"h2"}
	e, addr := startTLS(t, Options{Loops: 2, Check: true}, Limits{OutputBytes: 20_000}, b, &TLS{Config: config})
	client := clientConfig()
	client.NextProtos = []string{"h2"}
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	dial := func() net.Conn {
		conn, err := tls.Dial("tcp", addr, client)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	honest := greetH2(t, dial())
	seed := rand.Uint64()
	for i := range 60 {
		c := &chaos{Rand: rand.New(rand.NewPCG(seed, uint64(i))), next: 1}
		conn := dial()
		var frames bytes.Buffer
		c.Framer = http2.NewFramer(&frames, conn)
		c.AllowIllegalWrites = true
		c.encoder = hpack.NewEncoder(&c.fields)
		conn.SetDeadline(time.Now().Add(waitMost))
		frames.WriteString(h2PrefaceText)
		c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(c.IntN(1 << 20))})
		if c.IntN(3) > 0 {
			go io.Copy(io.Discard, conn)
		}
		for n := c.IntN(150); n > 0; n-- {
			c.act()
			if c.IntN(4) == 0 {
				conn.Write(frames.Bytes())
				frames.Reset()
			}
			if c.IntN(30) == 0 {
				b.release()
			}
		}
		conn.Write(frames.Bytes())
		c.end(conn)
		honest.lives(uint32(2*i + 1))
		if t.Failed() {
			t.Fatalf("seed %d, client %d", seed, i)
		}
	}
	eventually(t, "all but one are gone", func() bool {
		b.release()
		return e.Conns() == 1
	})
	b.file.wantsReleased(t, b.file.given.Load())
	honest.lives(1001)
	honest.Close()
	ctx, cancel := context.WithTimeout(t.Context(), waitMost)
	defer cancel()
	if err := e.Shutdown(ctx); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	checkNothingLeft(t, e)
}
