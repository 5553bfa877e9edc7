// Command websocket sends back what it gets over WebSocket connections, on the event loops: an idle connection has no goroutine. It shows
// how to use a third-party library as a backend.Protocol: gobwas/ws knows WebSocket, and works on bytes in memory. For applications there
// is Moonbridge's own package, handler/websocket. Not checked are texts (RFC 6455 wants UTF-8) and the field Origin: any web page may connect.
//
//	cd examples/go/libraries && go run ./websocket    # then, with Python's websockets: python3 -m websockets ws://127.0.0.1:8081/
//
// This file has the connections. frames.go takes frames from the bytes that have arrived, and answers them.
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

const headMax = 8 << 10 // bytes of the request that begins the connection, with its empty line

// echo is the protocol, session one connection. The engine calls its methods on the loop of the connection; they must not block.
type echo struct{}

func (echo) Open(c backend.Conn) backend.Stream {
	c.SetDeadline(10 * time.Second) // for the request
	return &session{state: ws.StateServerSide}
}

type session struct {
	upgraded bool     // the request was answered, and frames follow
	state    ws.State // with StateFragmented within a message of several frames
}

// Data is called when bytes have arrived, or the client sends no more. While too much waits for the client, Full is true, and further frames
// wait. Full is also true after Close.
func (s *session) Data(c backend.Conn) {
	if !s.upgraded {
		s.upgrade(c)
	}
	for s.upgraded && !c.Full() {
		f, complete, fault := parse(c.Unread(), s.state)
		if fault != 0 {
			closeWith(c, ws.NewCloseFrameBody(fault, ""))
			return
		}
		if !complete {
			break // Unread will have it again, with more after it
		}
		s.answer(c, f)
		c.Discard(ws.HeaderSize(f.Header) + len(f.Payload))
	}
	if c.Ended() && !c.Full() {
		c.Close() // after what is still held was sent: the client sends no more
	}
}

// Room is called when c was Full, and the client has read enough.
func (s *session) Room(c backend.Conn) { s.Data(c) }

func (s *session) Closed(backend.Conn, error) {}

// upgrade answers the request if it has arrived completely.
func (s *session) upgrade(c backend.Conn) {
	head, _, complete := bytes.Cut(c.Unread(), []byte("\r\n\r\n"))
	size := len(head)
	if complete {
		size += len("\r\n\r\n")
	}
	if size > headMax {
		c.Close()
		return
	}
	if !complete {
		return
	}
	answer := new(bytes.Buffer)
	rw := struct { // what Upgrade takes for a connection
		io.Reader
		io.Writer
	}{bytes.NewReader(c.Unread()[:size]), answer}
	_, err := ws.Upgrade(rw)
	c.Write(answer.Bytes())
	c.Discard(size)
	if err != nil {
		c.Close() // the answer says why, unless not even the request line is valid
		return
	}
	s.upgraded = true
	c.SetDeadline(0) // none any more. Bounds.Idle goes on
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
	select {} // a signal ends the process; hello shows an orderly shutdown
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
