package wstest

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Opcodes.
const (
	Continuation = 0
	Text         = 1
	Binary       = 2
	CloseFrame   = 8
	Ping         = 9
	Pong         = 10
)

// Bits of Frame.Bits.
const (
	Fin  = 0x80
	RSV1 = 0x40
	RSV2 = 0x20
	RSV3 = 0x10
)

// Frame is one frame. Bits are the upper half of its first byte.
type Frame struct {
	Bits    byte
	Opcode  byte
	Payload []byte
}

// Client is one connection. Its methods panic with a Failure if the server does not do what they expect.
type Client struct {
	Conn     net.Conn
	Response *http.Response // with which the server has accepted

	// Chop is in how many bytes at a time frames are written; 0: at once.
	Chop int

	r       *bufio.Reader
	deflate *deflate // nil: no compression was agreed
}

// Failure is what a method of a Client panics with.
type Failure struct {
	What string
	// Unclean: the connection has ended where a close frame was wanted. For most cases Autobahn's suite is content with that.
	Unclean bool
}

func (f Failure) Error() string { return f.What }

func fail(format string, args ...any) { panic(Failure{What: fmt.Sprintf(format, args...)}) }

// timeout is how long a Client waits for the server. A case that takes longer has failed.
const timeout = time.Minute

const key = "dGhlIHNhbXBsZSBub25jZQ=="

// Open makes a WebSocket connection of conn. fields are further field lines of the request, each with its CR LF.
func Open(conn net.Conn, target, fields string) (*Client, error) {
	conn.SetDeadline(time.Now().Add(timeout))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: %s\r\n%s\r\n", target, key, fields)
	c := &Client{Conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	c.Response = res
	if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Accept") != accept(key) {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return nil, fmt.Errorf("%s %v %s", res.Status, res.Header, body)
	}
	c.deflate = newDeflate(res.Header.Get("Sec-WebSocket-Extensions"))
	return c, nil
}

func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Compresses reports whether the server has accepted permessage-deflate.
func (c *Client) Compresses() bool { return c.deflate != nil }

// Append appends the masked form of f.
func (f Frame) Append(b []byte) []byte {
	b = append(b, f.Bits|f.Opcode)
	switch n := len(f.Payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x37, 0xfa, 0x21, byte(len(b))}
	b = append(b, mask[:]...)
	for i, c := range f.Payload {
		b = append(b, c^mask[i&3])
	}
	return b
}

// AppendUnmasked appends f as a server sends it.
func (f Frame) AppendUnmasked(b []byte) []byte {
	b = append(b, f.Bits|f.Opcode)
	switch n := len(f.Payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, f.Payload...)
}

// Send sends frames, all of them at once or in pieces of Chop bytes.
func (c *Client) Send(frames ...Frame) {
	var b []byte
	for _, f := range frames {
		b = f.Append(b)
	}
	c.Raw(b)
}

// Raw sends bytes. That the server has closed the connection is noticed by those who read.
func (c *Client) Raw(b []byte) {
	for len(b) > 0 {
		n := len(b)
		if c.Chop > 0 {
			n = min(n, c.Chop)
		}
		if _, err := c.Conn.Write(b[:n]); err != nil {
			return
		}
		b = b[n:]
	}
}

// Message sends a message, compressed if that was agreed, in frames of at most size bytes; 0: in one.
func (c *Client) Message(opcode byte, payload []byte, size int) {
	bits := byte(0)
	if c.deflate != nil {
		payload, bits = c.deflate.compress(payload), RSV1
	}
	for {
		n := len(payload)
		if size > 0 {
			n = min(n, size)
		}
		f := Frame{bits, opcode, payload[:n]}
		if payload = payload[n:]; len(payload) == 0 {
			f.Bits |= Fin
			c.Send(f)
			return
		}
		c.Send(f)
		bits, opcode = 0, Continuation
	}
}

// Next reads a frame.
func (c *Client) Next() Frame {
	f, err := c.read()
	if err != nil {
		fail("no frame: %v", err)
	}
	return f
}

func (c *Client) read() (f Frame, err error) {
	var h [8]byte
	if _, err = io.ReadFull(c.r, h[:2]); err != nil {
		return f, err
	}
	f.Bits, f.Opcode = h[0]&0xf0, h[0]&0xf
	if h[1]&0x80 != 0 {
		fail("a masked frame")
	}
	n := uint64(h[1])
	switch n {
	case 126:
		_, err = io.ReadFull(c.r, h[:2])
		n = uint64(binary.BigEndian.Uint16(h[:]))
	case 127:
		_, err = io.ReadFull(c.r, h[:8])
		n = binary.BigEndian.Uint64(h[:])
	}
	if err != nil {
		return f, err
	}
	if n > 64<<20 {
		fail("a frame of %d bytes", n)
	}
	f.Payload = make([]byte, n)
	_, err = io.ReadFull(c.r, f.Payload)
	return f, err
}

// Receive reads a message. It answers pings, and skips pongs.
func (c *Client) Receive() (opcode byte, payload []byte) {
	bits := byte(0)
	for {
		f := c.Next()
		switch {
		case f.Opcode == Ping:
			c.Send(Frame{Fin, Pong, f.Payload})
			continue
		case f.Opcode == Pong:
			continue
		case f.Opcode == CloseFrame:
			fail("close frame %q instead of a message", f.Payload)
		case f.Opcode != Continuation:
			opcode, bits = f.Opcode, f.Bits
		}
		payload = append(payload, f.Payload...)
		if f.Bits&Fin != 0 {
			break
		}
	}
	if bits&RSV1 != 0 {
		if c.deflate == nil {
			fail("a compressed message, which was not agreed")
		}
		payload = c.deflate.inflate(payload)
	}
	return opcode, payload
}

// Wants reads a message that has to be this one.
func (c *Client) Wants(opcode byte, payload []byte) {
	o, p := c.Receive()
	if o != opcode || !bytes.Equal(p, payload) {
		fail("message %d of %d bytes, %s, instead of %d of %d bytes, %s", o, len(p), shown(p), opcode, len(payload), shown(payload))
	}
}

// WantsPong reads a pong with this payload.
func (c *Client) WantsPong(payload string) {
	if f := c.Next(); f.Opcode != Pong || string(f.Payload) != payload {
		fail("frame %d, %s, instead of a pong %q", f.Opcode, shown(f.Payload), payload)
	}
}

// WantsClose reads a close frame with one of these codes, and then the end of the connection.
func (c *Client) WantsClose(codes ...int) {
	c.WantsCloseFrame(codes...)
	c.WantsEnd()
}

// WantsCloseFrame reads a close frame with one of these codes.
func (c *Client) WantsCloseFrame(codes ...int) {
	f, err := c.read()
	if err != nil {
		timed, ok := err.(net.Error)
		panic(Failure{fmt.Sprintf("no close frame: %v", err), !ok || !timed.Timeout()})
	}
	if f.Opcode != CloseFrame {
		fail("frame %d, %s, instead of a close frame", f.Opcode, shown(f.Payload))
	}
	code := 1005
	if len(f.Payload) >= 2 {
		code = int(binary.BigEndian.Uint16(f.Payload))
	}
	for _, want := range codes {
		if code == want {
			return
		}
	}
	fail("close code %d instead of %v", code, codes)
}

// WantsEnd reads the end of the connection, without anything before it.
func (c *Client) WantsEnd() {
	if f, err := c.read(); err == nil {
		fail("frame %d, %s, instead of the end", f.Opcode, shown(f.Payload))
	} else if timed, ok := err.(net.Error); ok && timed.Timeout() {
		fail("the connection is not closed")
	}
}

// Close sends a close frame and reads the answer.
func (c *Client) Close(code int) {
	c.Send(Frame{Fin, CloseFrame, ClosePayload(code, "")})
	c.WantsClose(code)
}

// ClosePayload is the payload of a close frame.
func ClosePayload(code int, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

func shown(b []byte) string {
	if len(b) > 40 {
		return fmt.Sprintf("%q…", b[:40])
	}
	return fmt.Sprintf("%q", b)
}

// deflate is permessage-deflate, with the encoder and decoder of the standard library.
type deflate struct {
	clientNoTakeover, serverNoTakeover bool

	w    *flate.Writer
	out  bytes.Buffer
	r    io.ReadCloser
	last []byte // of what was received
}

func newDeflate(extension string) *deflate {
	if !strings.HasPrefix(extension, "permessage-deflate") {
		return nil
	}
	d := &deflate{
		clientNoTakeover: strings.Contains(extension, "client_no_context_takeover"),
		serverNoTakeover: strings.Contains(extension, "server_no_context_takeover"),
	}
	d.w, _ = flate.NewWriter(&d.out, flate.DefaultCompression)
	return d
}

func (d *deflate) compress(p []byte) []byte {
	d.out.Reset()
	if d.clientNoTakeover {
		d.w.Reset(&d.out)
	}
	d.w.Write(p)
	d.w.Flush()
	return bytes.Clone(bytes.TrimSuffix(d.out.Bytes(), []byte("\x00\x00\xff\xff")))
}

func (d *deflate) inflate(p []byte) []byte {
	in := io.MultiReader(bytes.NewReader(p), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))
	if d.r == nil {
		d.r = flate.NewReader(in)
	}
	dict := d.last
	if d.serverNoTakeover {
		dict = nil
	}
	d.r.(flate.Resetter).Reset(in, dict)
	out, err := io.ReadAll(d.r)
	if err != nil {
		fail("compressed data: %v", err)
	}
	d.last = append(d.last, out...)
	d.last = d.last[max(0, len(d.last)-32<<10):]
	return out
}
