// Command websocket sends back what it gets over WebSocket connections, on the event loops: an idle connection has no
// goroutine. It shows how a third-party library, gobwas/ws, which works on bytes in memory, becomes a backend.Protocol.
// Applications use Moonbridge's own package, handler/websocket: this program checks neither UTF-8 nor close codes nor
// Origin.
//
//	cd examples/go/libraries && go run ./websocket
//	python3 -m websockets ws://127.0.0.1:8081/
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

const requestMax = ws.DefaultServerReadBufferSize // bytes of the request that a connection begins with
const payloadMax = 256 << 10                      // bytes of data in a frame

// echo is the protocol. The engine calls Open for each connection, and then the methods of its session.
type echo struct{}

func (echo) Open(c backend.Conn) backend.Stream {
	c.SetDeadline(10 * time.Second) // for the request
	return &session{state: ws.StateServerSide}
}

// session is one connection. Its methods run on an event loop, and must not block (see example hello). A panic would
// end the program.
type session struct {
	upgraded bool // the request was answered, so frames follow
	// What ws.CheckHeader needs to know: that we are the server, and whether a message has begun (StateFragmented).
	state ws.State
}

// Data is called when bytes have arrived, or the client has finished sending.
func (s *session) Data(c backend.Conn) {
	// Full: the client reads too slowly, and Room is called later, or the connection is closed.
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
		c.Discard(n) // the rest will be in Unread again
	}
	if c.Ended() && !c.Full() { // nothing complete is left, and no more comes
		c.Close() // after what is kept was sent
	}
}

// Room is called when the client has read enough: the connection is not Full any more.
func (s *session) Room(c backend.Conn)        { s.Data(c) }
func (s *session) Closed(backend.Conn, error) {}

// request answers the request, and returns its length, or 0 to stop: it is incomplete (Data is called again when there
// is more), or the connection was closed. Write never blocks.
func (s *session) request(c backend.Conn, input []byte) int {
	head, _, complete := bytes.Cut(input[:min(len(input), requestMax)], []byte("\r\n\r\n"))
	if !complete {
		if len(input) >= requestMax {
			c.Close() // the request is too long
		}
		return 0
	}
	end := len(head) + len("\r\n\r\n")
	// Upgrade reads a request from a connection, and writes the answer to it. memory stands in for the connection: it has
	// a copy of the request, all of which Upgrade reads before it answers. So only the answer is left in it.
	memory := bytes.NewBuffer(bytes.Clone(input[:end]))
	_, err := ws.Upgrade(memory)
	c.Write(memory.Bytes()) // with an error, usually a response that says why
	if err != nil {
		c.Close()
		return 0
	}
	s.upgraded = true
	c.SetDeadline(0) // none any more
	return end
}

// frame answers the frame that input begins with: data with the same data, ping with pong, close with close. It returns
// what request does.
func (s *session) frame(c backend.Conn, input []byte) int {
	r := bytes.NewReader(input)
	h, err := ws.ReadHeader(r)
	headLen := len(input) - r.Len() // how much of input ReadHeader has read
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return 0 // the header is incomplete
	case err != nil, ws.CheckHeader(h, s.state) != nil: // not masked, for example
		return closeWith(c, ws.StatusProtocolError)
	case headLen != ws.HeaderSize(h): // the payload's length is not in its shortest form
		return closeWith(c, ws.StatusProtocolError)
	case h.Length > payloadMax:
		return closeWith(c, ws.StatusMessageTooBig)
	}
	end := headLen + int(h.Length)
	if end > len(input) {
		return 0 // the payload is incomplete
	}
	// A client masks (XORs) what it sends, with a key in the header. UnmaskFrame makes a copy.
	f := ws.UnmaskFrame(ws.Frame{Header: h, Payload: input[headLen:end]})
	switch h.OpCode {
	case ws.OpClose:
		return closeWith(c, ws.StatusNormalClosure)
	case ws.OpPong:
		return end
	case ws.OpPing:
		f.Header.OpCode = ws.OpPong
	default: // data: a frame of a message, or with Fin the last one
		s.state = s.state.Set(ws.StateFragmented)
		if h.Fin {
			s.state = s.state.Clear(ws.StateFragmented)
		}
	}
	c.Write(ws.MustCompileFrame(f))
	return end
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
	// Input must hold a whole frame: at that many unread bytes nothing more is read.
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
