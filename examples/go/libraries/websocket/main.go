// Command websocket sends back what it gets over WebSocket connections, on the event loops: an idle connection has no goroutine. It shows
// how a third-party library becomes a backend.Protocol: gobwas/ws knows WebSocket, and works on bytes in memory. Read example memcached
// first: Open, Data, Room and main are the same, so request and frame are what is new.
//
// Applications use Moonbridge's own package, handler/websocket. This program does not check that text is UTF-8, close codes, or Origin: any
// web page may connect.
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
	state    ws.State // for ws.CheckHeader: whether the frame before was one of a message that goes on (StateFragmented)
}

// Data, Room and Closed are as in example memcached. First request is called, and frame after it has answered.
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
	if c.Ended() && !c.Full() {
		c.Close() // after what is still held was sent: the client sends no more
	}
}

func (s *session) Room(c backend.Conn)        { s.Data(c) }
func (s *session) Closed(backend.Conn, error) {}

// request answers the request, and returns its length, or 0 as long as it is not complete.
func (s *session) request(c backend.Conn, input []byte) int {
	head, _, complete := bytes.Cut(input, []byte("\r\n\r\n"))
	n := len(head) + len("\r\n\r\n")
	if !complete && len(input) < requestMax {
		return 0
	}
	if !complete || n > requestMax {
		c.Close() // it is too long
		return 0
	}
	// rw stands in for the connection: Upgrade reads the whole request from it (its buffer has requestMax bytes), and writes the answer into it.
	rw := bytes.NewBuffer(bytes.Clone(input[:n]))
	_, err := ws.Upgrade(rw)
	c.Write(rw.Bytes()) // if err is not nil, it says what is wrong
	if err != nil {
		c.Close()
		return 0
	}
	s.upgraded = true
	c.SetDeadline(0) // none any more. Bounds.Idle goes on
	return n
}

// frame answers the frame that input begins with, data with the same data. It returns its length, or 0 as long as it is not complete.
func (s *session) frame(c backend.Conn, input []byte) int {
	r := bytes.NewReader(input)
	h, err := ws.ReadHeader(r)
	head := len(input) - r.Len()
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF: // the header is not complete
		return 0
	case err != nil, ws.CheckHeader(h, s.state) != nil: // not masked, a reserved bit, or the wrong frame within a message, for example
		return end(c, ws.StatusProtocolError)
	case head != ws.HeaderSize(h): // the length of a frame must be written in the shortest form (RFC 6455 §5.2)
		return end(c, ws.StatusProtocolError)
	case h.Length > payloadMax:
		return end(c, ws.StatusMessageTooBig)
	case len(input) < head+int(h.Length):
		return 0
	case h.OpCode == ws.OpClose:
		return end(c, ws.StatusNormalClosure)
	}
	n := head + int(h.Length)
	// UnmaskFrame copies the payload, since input must not be changed, and removes the mask from the header.
	f := ws.UnmaskFrame(ws.Frame{Header: h, Payload: input[head:n]})
	switch {
	case h.OpCode == ws.OpPong:
		return n
	case h.OpCode == ws.OpPing:
		f.Header.OpCode = ws.OpPong
	case h.Fin: // the last or only frame of a message: f.Payload has data
		s.state = ws.StateServerSide
	default: // f.Payload has data, and more frames of this message follow
		s.state = ws.StateServerSide | ws.StateFragmented
	}
	c.Write(ws.MustCompileFrame(f))
	return n
}

// end sends a close frame, and ends the connection. There is nothing to discard.
func end(c backend.Conn, why ws.StatusCode) int {
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
