// Command websocket sends back what it gets over WebSocket connections. It shows how a third-party library, gobwas/ws, runs
// on event loops, where a connection needs no goroutine. It is not for production: it does not check the header field
// Origin, the order of frames, or how long a request takes, for example. Applications should use Moonbridge's own package,
// handler/websocket.
//
//	cd examples/go/libraries && go run ./websocket
//	python3 -m websockets ws://127.0.0.1:8081/        # Debian: apt install python3-websockets
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

// echo is the protocol that is served.
type echo struct{}

// Open is called for each new connection. It makes a session, because each connection has its own state.
func (echo) Open(backend.Conn) backend.Stream {
	return backend.EachMessage(new(session).message)
}

// session is one connection. Calls for a connection never overlap.
type session struct {
	upgraded bool // the HTTP request has been answered; from then on, the client sends frames
}

// message answers the request or frame at the start of input, and returns its length. If that is incomplete, it returns 0,
// and is called again when more has arrived. It runs on an event loop, and must not block (see example hello). It must not
// keep or change input.
//
// c.Write never blocks: it buffers what the client does not take yet. c.Close sends what is buffered. After it, message is no
// longer called, and the length that it returns is ignored.
func (s *session) message(c backend.Conn, input []byte) int {
	if s.upgraded {
		return frame(c, input)
	}
	length := upgrade(c, input)
	s.upgraded = length > 0
	return length
}

// readWriter is what ws.Upgrade wants instead of a connection.
type readWriter struct {
	io.Reader
	io.Writer
}

// upgrade answers the HTTP request that a connection begins with.
func upgrade(c backend.Conn, input []byte) int {
	head, _, complete := bytes.Cut(input, []byte("\r\n\r\n"))
	if !complete {
		return 0
	}
	end := len(head) + len("\r\n\r\n")
	var answer bytes.Buffer
	_, err := ws.Upgrade(readWriter{bytes.NewReader(input[:end]), &answer})
	c.Write(answer.Bytes())
	if err != nil { // answer is an error response, or empty; message is no longer called
		c.Close()
	}
	return end
}

// frame answers a WebSocket frame: a ping with a pong, others with the same frame. A close frame ends the connection.
func frame(c backend.Conn, input []byte) int {
	r := bytes.NewReader(input)
	header, err := ws.ReadHeader(r)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return 0 // the header is incomplete
	}
	if err != nil || !header.Masked { // a client masks (XORs) what it sends, with a key in the header
		c.Write(ws.CompiledCloseProtocolError)
		c.Close()
		return 0
	}
	if header.Length > int64(r.Len()) {
		return 0 // the payload is incomplete
	}
	start := len(input) - r.Len() // where the payload begins: r has read the header
	end := start + int(header.Length)
	f := ws.UnmaskFrame(ws.Frame{Header: header, Payload: input[start:end]}) // copies the payload, since input must not change
	if header.OpCode == ws.OpPing {
		f.Header.OpCode = ws.OpPong
	}
	c.Write(ws.MustCompileFrame(f)) // fails only for lengths that ReadHeader refuses
	if header.OpCode == ws.OpClose {
		c.Close()
	}
	return end
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	// A connection is closed if a request or a frame is longer than 256 KiB, or if it is idle for 10 minutes.
	bounds := backend.Bounds{Input: 256 << 10, Idle: 10 * time.Minute}
	check(e.ServeProtocol(ln, echo{}, engine.ProtocolOptions{Bounds: bounds}))
	log.Printf("ws://%s/", ln.Addr())
	// As in example hello. Idle connections close at once; frames that have arrived in part have 10 seconds to arrive in full.
	check(e.ShutdownOnSignal(10 * time.Second))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
