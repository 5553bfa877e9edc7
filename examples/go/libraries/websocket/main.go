// Command websocket sends back what it gets over WebSocket connections, on the event loops: an idle connection has no goroutine. It shows
// how a third-party library, gobwas/ws, which works on bytes in memory, becomes a backend.Protocol.
//
// A connection begins with an HTTP request, which the method request answers. Then come frames: a header, and a payload that the client has
// masked (XORed with a key that is in the header). The method frame answers each.
//
// Applications use Moonbridge's own package, handler/websocket. This program checks neither UTF-8 nor close codes. It does not check Origin
// either, so any web page may connect.
//
//	cd examples/go/libraries && go run ./websocket    # then, with Python's websockets: python3 -m websockets ws://127.0.0.1:8081/
package main

import (
	"bytes"
	"flag"
	"io"
	"log"
	"time"

	"github.com/gobwas/ws"

	"moonbridge/engine"
	"moonbridge/handler/backend"
)

const requestMax, payloadMax = ws.DefaultServerReadBufferSize, 256 << 10 // bytes of the request, and of what a frame carries

// echo is the protocol. The engine calls Open for each connection, and then the methods of its session.
type echo struct{}

func (echo) Open(c backend.Conn) backend.Stream {
	c.SetDeadline(10 * time.Second) // for the request
	return &session{state: ws.StateServerSide}
}

// session is one connection. Its methods run on an event loop (see example hello) and must not block. A panic would end the program, not just
// the connection.
type session struct {
	upgraded bool     // the request was answered, so frames follow
	state    ws.State // for ws.CheckHeader: this is the server; and StateFragmented while more frames of a message have to come
}

// Data is called when bytes have arrived, or the client has finished sending (Ended). Unread is everything that was not discarded yet.
// Write never blocks: the engine keeps a copy of what the client does not take. When that is too much, or after Close, Full is true, and this
// loop ends. The engine calls Room when the client has read enough.
func (s *session) Data(c backend.Conn) {
	for !c.Full() {
		n := 0
		if s.upgraded {
			n = s.frame(c, c.Unread())
		} else {
			n = s.request(c, c.Unread())
		}
		if n == 0 {
			break
		}
		c.Discard(n)
	}
	if c.Ended() && !c.Full() { // nothing complete is left, and the client sends no more
		c.Close() // after what is still kept was sent
	}
}

func (s *session) Room(c backend.Conn)        { s.Data(c) }
func (s *session) Closed(backend.Conn, error) {}

// request answers the request, and returns its length. 0: it is incomplete, or the connection was closed.
func (s *session) request(c backend.Conn, input []byte) int {
	end := bytes.Index(input[:min(len(input), requestMax)], []byte("\r\n\r\n"))
	if end < 0 {
		if len(input) >= requestMax {
			c.Close() // the request is too long
		}
		return 0
	}
	n := end + len("\r\n\r\n")
	// In the place of the connection, Upgrade gets memory to read the request from, and to write the answer to.
	var answer bytes.Buffer
	_, err := ws.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(input[:n]), &answer})
	c.Write(answer.Bytes()) // with an error, usually a response that says why
	if err != nil {
		c.Close()
		return 0
	}
	s.upgraded = true
	c.SetDeadline(0) // none any more. Bounds.Idle goes on
	return n
}

// frame answers the frame that input begins with: data with a copy (each frame of a message by itself), ping with pong, close with
// close. It returns the length of the frame, or 0 as request does.
func (s *session) frame(c backend.Conn, input []byte) int {
	r := bytes.NewReader(input)
	h, err := ws.ReadHeader(r)
	headLen := len(input) - r.Len()
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF: // the header is not complete
		return 0
	case err != nil, ws.CheckHeader(h, s.state) != nil: // for example not masked, or the wrong frame within a message
		return closeWith(c, ws.StatusProtocolError)
	case headLen != ws.HeaderSize(h): // the length of the payload is not written in its shortest form (RFC 6455 §5.2)
		return closeWith(c, ws.StatusProtocolError)
	case h.Length > payloadMax:
		return closeWith(c, ws.StatusMessageTooBig)
	case len(input) < headLen+int(h.Length):
		return 0 // the payload has not arrived completely
	case h.OpCode == ws.OpClose:
		return closeWith(c, ws.StatusNormalClosure)
	}
	n := headLen + int(h.Length)
	// UnmaskFrame copies the payload, since input must not be changed, and removes the mask from the header.
	f := ws.UnmaskFrame(ws.Frame{Header: h, Payload: input[headLen:n]})
	switch {
	case h.OpCode == ws.OpPong:
		return n
	case h.OpCode == ws.OpPing:
		f.Header.OpCode = ws.OpPong
	case h.Fin: // the last or only frame of a message: f.Payload has data
		s.state = s.state.Clear(ws.StateFragmented)
	default: // f.Payload has data, and more frames of this message follow
		s.state = s.state.Set(ws.StateFragmented)
	}
	c.Write(ws.MustCompileFrame(f))
	return n
}

// closeWith sends a close frame, and ends the connection.
func closeWith(c backend.Conn, why ws.StatusCode) int {
	c.Write(ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(why, ""))))
	c.Close()
	return 0
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	// Input must hold a whole frame: at that many unread bytes nothing more is read. Idle ends connections on which nothing moves.
	bounds := backend.Bounds{Input: payloadMax + ws.MaxHeaderSize, Idle: time.Hour}
	check(e.ServeProtocol(ln, echo{}, engine.ProtocolOptions{Bounds: bounds}))
	log.Printf("ws://%s/", ln.Addr())
	select {} // a signal ends the process; example hello shows an orderly shutdown
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
