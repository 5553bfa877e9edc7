// Command websocket sends back what it gets over WebSocket connections. It shows how a third-party library, gobwas/ws, runs
// on event loops, where a connection needs no goroutine. It checks hardly anything: applications use Moonbridge's own
// package, handler/websocket.
//
//	cd examples/go/libraries && go run ./websocket    # then: python3 -m websockets ws://127.0.0.1:8081/
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

// echo is a backend.Protocol: its method Open is called for each new connection.
type echo struct{}

// Open says what is called for each message of the client, as long as that reads the answers: first for an HTTP request,
// then for frames.
func (echo) Open(backend.Conn) backend.Stream {
	upgraded := false
	return backend.EachMessage(func(c backend.Conn, input []byte) int {
		if upgraded {
			return frame(c, input)
		}
		n := upgrade(c, input)
		upgraded = n > 0
		return n
	})
}

// upgrade answers the request that input begins with, and returns its length. If it is incomplete, it returns 0, and is
// called again when more has arrived. Like frame, it runs on an event loop, and must not block (see example hello).
func upgrade(c backend.Conn, input []byte) int {
	head, _, complete := bytes.Cut(input, []byte("\r\n\r\n"))
	if !complete {
		return 0
	}
	end := len(head) + len("\r\n\r\n")
	var answer bytes.Buffer
	conn := struct { // what Upgrade reads the request from, and writes the answer to
		io.Reader
		io.Writer
	}{bytes.NewReader(input[:end]), &answer}
	_, err := ws.Upgrade(conn)
	c.Write(answer.Bytes())
	if err != nil { // the answer says why
		c.Close()
	}
	return end
}

// frame answers the frame that input begins with: ping with pong, others with the same frame. It returns what upgrade does.
func frame(c backend.Conn, input []byte) int {
	r := bytes.NewReader(input)
	header, err := ws.ReadHeader(r)
	start := len(input) - r.Len() // of the payload, which follows the header
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF, int64(r.Len()) < header.Length:
		return 0 // incomplete
	case err != nil, !header.Masked: // a client masks (XORs) what it sends, with a key in the header
		c.Write(ws.CompiledCloseProtocolError)
		c.Close()
		return 0
	}
	end := start + int(header.Length)
	f := ws.UnmaskFrame(ws.Frame{Header: header, Payload: input[start:end]})
	if header.OpCode == ws.OpPing {
		f.Header.OpCode = ws.OpPong
	}
	c.Write(ws.MustCompileFrame(f))
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
	// A connection ends if a request or a frame is longer than Input, or if Idle passes without a byte.
	bounds := backend.Bounds{Input: 256 << 10, Idle: 10 * time.Minute}
	check(e.ServeProtocol(ln, echo{}, engine.ProtocolOptions{Bounds: bounds}))
	log.Printf("ws://%s/", ln.Addr())
	// It serves until SIGINT (Ctrl-C) or SIGTERM. Connections then have 10 seconds to end.
	check(e.ShutdownOnSignal(10 * time.Second))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
