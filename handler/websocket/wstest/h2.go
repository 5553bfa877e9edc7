package wstest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// H2 is a connection with HTTP/2, whose streams are used like connections with HTTP/1.1 (RFC 8441). So a Client does not know on what it
// is.
type H2 struct {
	Conn net.Conn

	mu      sync.Mutex // of everything below, and of writing
	changed *sync.Cond
	framer  *http2.Framer
	fields  bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	got     []hpack.HeaderField
	streams map[uint32]*h2Stream
	next    uint32
	window  int64 // for what is sent, of the connection
	initial int64 // of a stream
	err     error // why the connection is over
	settled bool
	connect bool // the server has announced what RFC 8441 §3 wants
}

// h2Stream is a stream, and what moves its bytes to and from a net.Pipe.
type h2Stream struct {
	c      *H2
	id     uint32
	far    net.Conn // of the pipe: what is written to it is read by the Client
	in     []byte   // from the server, not in the pipe yet
	head   []byte   // the response
	window int64
	key    string
	ended  bool // by the server
	reset  error
	closed bool // by the Client
}

// ErrNoConnect: the server does not say that it knows RFC 8441.
var ErrNoConnect = errors.New("no SETTINGS_ENABLE_CONNECT_PROTOCOL")

// NewH2 begins to speak HTTP/2 on conn. It returns when the server's settings are there.
func NewH2(conn net.Conn) (*H2, error) {
	c := &H2{Conn: conn, framer: http2.NewFramer(conn, conn), streams: make(map[uint32]*h2Stream), next: 1, window: 65535, initial: 65535}
	c.changed = sync.NewCond(&c.mu)
	c.encoder = hpack.NewEncoder(&c.fields)
	c.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) { c.got = append(c.got, f) })
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	c.framer.WriteSettings()
	c.framer.WriteWindowUpdate(0, 1<<24)
	go c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.settled && c.err == nil {
		c.changed.Wait()
	}
	if c.err == nil && !c.connect {
		conn.Close()
		return nil, ErrNoConnect
	}
	return c, c.err
}

// DialH2 opens a connection to address with one stream, and returns that.
func DialH2(address string) (net.Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c, err := NewH2(conn)
	if err != nil {
		return nil, err
	}
	return onlyStream{c.Open(), c}, nil
}

// onlyStream closes the connection with its stream.
type onlyStream struct {
	net.Conn
	c *H2
}

func (s onlyStream) Close() error {
	s.Conn.Close()
	return s.c.Conn.Close()
}

// Open returns a stream. It begins with the opening handshake of HTTP/1.1 that is written to it.
func (c *H2) Open() net.Conn {
	near, far := net.Pipe()
	go c.serve(far)
	return near
}

// Err is why the connection is over; nil: it is not.
func (c *H2) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// serve carries a stream.
func (c *H2) serve(far net.Conn) {
	defer far.Close()
	r := bufio.NewReader(far)
	q, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	st := c.begin(q, far)
	if st == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		st.deliver()
		far.Close()
	}()
	p := make([]byte, 64<<10)
	for {
		n, err := r.Read(p)
		if err != nil || !st.send(p[:n], false) {
			break
		}
	}
	st.close()
	<-done
}

// begin sends the request.
func (c *H2) begin(q *http.Request, far net.Conn) *h2Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil
	}
	st := &h2Stream{c: c, id: c.next, far: far, window: c.initial, key: q.Header.Get("Sec-WebSocket-Key")}
	c.next += 2
	c.streams[st.id] = st
	c.fields.Reset()
	for _, f := range [][2]string{{":method", "CONNECT"}, {":protocol", q.Header.Get("Upgrade")}, {":scheme", "http"}, {":path", q.RequestURI}, {":authority", q.Host}} {
		c.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	for name, values := range q.Header {
		switch name {
		case "Connection", "Upgrade", "Sec-Websocket-Key":
			continue
		}
		for _, v := range values {
			c.encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(name), Value: v})
		}
	}
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: st.id, BlockFragment: c.fields.Bytes(), EndHeaders: true})
	return st
}

// send sends bytes when the server has room for them.
func (st *h2Stream) send(p []byte, end bool) bool {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(p) > 0 || end {
		for c.err == nil && st.reset == nil && len(p) > 0 && (st.window <= 0 || c.window <= 0) {
			c.changed.Wait()
		}
		if c.err != nil || st.reset != nil {
			return false
		}
		n := int(min(int64(len(p)), st.window, c.window, 16<<10))
		c.framer.WriteData(st.id, end && n == len(p), p[:n])
		st.window -= int64(n)
		c.window -= int64(n)
		p = p[n:]
		if len(p) == 0 {
			return true
		}
	}
	return true
}

// close ends the stream as a close of a connection does.
func (st *h2Stream) close() {
	c := st.c
	c.mu.Lock()
	over := st.ended || st.reset != nil || c.err != nil
	st.closed = true
	c.changed.Broadcast()
	c.mu.Unlock()
	st.send(nil, true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !over && st.reset == nil {
		c.framer.WriteRSTStream(st.id, http2.ErrCodeCancel)
	}
	delete(c.streams, st.id)
}

// deliver writes what comes from the server to the pipe, and gives the server room for as much.
func (st *h2Stream) deliver() {
	c := st.c
	for {
		c.mu.Lock()
		for c.err == nil && st.reset == nil && !st.closed && !st.ended && len(st.head)+len(st.in) == 0 {
			c.changed.Wait()
		}
		p, head := st.in, st.head
		st.in, st.head = nil, nil
		over := c.err != nil || st.reset != nil || st.closed || st.ended
		if len(p) > 0 && !over {
			c.framer.WriteWindowUpdate(st.id, uint32(len(p)))
		}
		c.mu.Unlock()
		if len(head)+len(p) == 0 && over {
			return
		}
		if _, err := st.far.Write(append(head, p...)); err != nil {
			return
		}
	}
}

// read reads frames.
func (c *H2) read() {
	for {
		f, err := c.framer.ReadFrame()
		c.mu.Lock()
		if err == nil {
			err = c.frame(f)
		}
		if err != nil && c.err == nil {
			c.err = err
		}
		c.changed.Broadcast()
		c.mu.Unlock()
		if err != nil {
			c.Conn.Close()
			return
		}
	}
}

func (c *H2) frame(f http2.Frame) error {
	st := c.streams[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if n, ok := f.Value(http2.SettingInitialWindowSize); ok {
			c.initial = int64(n)
		}
		n, _ := f.Value(http2.SettingEnableConnectProtocol)
		c.settled, c.connect = true, n == 1
		return c.framer.WriteSettingsAck()
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
		} else if st != nil {
			st.window += int64(f.Increment)
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.framer.WritePing(true, f.Data)
		}
	case *http2.HeadersFrame:
		c.got = nil
		if _, err := c.decoder.Write(f.HeaderBlockFragment()); err != nil {
			return err
		}
		if st != nil {
			st.head, st.ended = st.answer(c.got), f.StreamEnded()
		}
	case *http2.DataFrame:
		if n := len(f.Data()); n > 0 {
			c.framer.WriteWindowUpdate(0, uint32(n))
		}
		if st != nil {
			st.in = append(st.in, f.Data()...)
			st.ended = st.ended || f.StreamEnded()
		}
	case *http2.RSTStreamFrame:
		if st != nil {
			st.reset = fmt.Errorf("RST_STREAM: %v", f.ErrCode)
		}
	case *http2.GoAwayFrame:
		if f.ErrCode != http2.ErrCodeNo {
			return fmt.Errorf("GOAWAY: %v", f.ErrCode)
		}
	}
	return nil
}

// answer is the response as HTTP/1.1 has it.
func (st *h2Stream) answer(fields []hpack.HeaderField) []byte {
	var b bytes.Buffer
	for _, f := range fields {
		switch {
		case f.Name == ":status" && f.Value == "200":
			fmt.Fprintf(&b, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n", accept(st.key))
		case f.Name == ":status":
			fmt.Fprintf(&b, "HTTP/1.1 %s X\r\nConnection: close\r\n", f.Value)
		default:
			fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}
