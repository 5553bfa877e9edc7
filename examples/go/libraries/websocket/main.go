// Command websocket sends back what it gets over WebSocket connections, on the event loops: an idle connection has no goroutine. It shows
// how to use a third-party library as a backend.Protocol: gobwas/ws knows WebSocket, and works on bytes in memory. For applications there
// is Moonbridge's own package, handler/websocket. The field Origin is not checked: any web page may connect.
//
//	cd examples/go/libraries && go run ./websocket    # then, with Python's websockets: python3 -m websockets ws://127.0.0.1:8081/
package main

import (
	"bytes"
	"flag"
	"io"
	"log"

	"github.com/gobwas/ws"

	"moonbridge/engine"
	"moonbridge/handler/backend"
)

const headMax, payloadMax = 8 << 10, 256 << 10 // bytes of the request that begins the connection, and of a frame

// echo is the protocol, session one connection. The engine calls its methods on the loop of the connection; they must not block.
type echo struct{}

func (echo) Open(backend.Conn) backend.Stream { return &session{state: ws.StateServerSide} }

type session struct {
	upgraded bool     // the request was answered, and frames follow
	state    ws.State // with the bit for a message whose fragments are being received
}

func (s *session) Room(c backend.Conn)        { s.Data(c) } // c was Full, and the client has read enough
func (s *session) Closed(backend.Conn, error) {}

// Data is called when bytes have arrived, or the client sends no more. Full is true while too much waits for the client, and after Close.
func (s *session) Data(c backend.Conn) {
	for !c.Full() && s.step(c) {
	}
	if !c.Full() && (c.Ended() || !s.upgraded && len(c.Unread()) > headMax) {
		c.Close() // the client sends no more, or the head of its request has no end
	}
}

// step handles what comes next: the request, then frames. It returns false if that has not arrived completely, or if the connection ends.
func (s *session) step(c backend.Conn) bool {
	if !s.upgraded {
		return s.upgrade(c)
	}
	h, err := ws.ReadHeader(bytes.NewReader(c.Unread()))
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return false
	case err != nil || ws.CheckHeader(h, s.state) != nil:
		return closeWith(c, ws.NewCloseFrameBody(ws.StatusProtocolError, ""))
	case h.Length > payloadMax:
		return closeWith(c, ws.NewCloseFrameBody(ws.StatusMessageTooBig, ""))
	}
	size := ws.HeaderSize(h) + int(h.Length)
	if len(c.Unread()) < size {
		return false
	}
	payload := bytes.Clone(c.Unread()[ws.HeaderSize(h):size])
	ws.Cipher(payload, h.Mask, 0) // unmasks it. CheckHeader has refused frames without a mask
	c.Discard(size)
	switch {
	case h.OpCode == ws.OpClose:
		return closeWith(c, payload)
	case h.OpCode == ws.OpPing:
		c.Write(ws.MustCompileFrame(ws.NewPongFrame(payload)))
	case h.OpCode.IsData():
		s.state = map[bool]ws.State{false: ws.StateServerSide | ws.StateFragmented, true: ws.StateServerSide}[h.Fin]
		c.Write(ws.MustCompileFrame(ws.NewFrame(h.OpCode, h.Fin, payload)))
	}
	return true
}

// upgrade answers the request. It returns false if that has not arrived completely, or is refused.
func (s *session) upgrade(c backend.Conn) bool {
	head, _, complete := bytes.Cut(c.Unread(), []byte("\r\n\r\n"))
	if !complete {
		return false
	}
	request, answer := bytes.NewBuffer(c.Unread()[:len(head)+4]), new(bytes.Buffer)
	_, err := ws.Upgrade(struct {
		io.Reader
		io.Writer
	}{request, answer})
	c.Write(answer.Bytes())
	c.Discard(len(head) + 4) // 4: the end of the head
	if s.upgraded = err == nil; !s.upgraded {
		c.Close() // the answer says why, unless not even the request line is valid
	}
	return s.upgraded
}

// closeWith sends a close frame and ends the connection.
func closeWith(c backend.Conn, reason []byte) bool {
	c.Write(ws.MustCompileFrame(ws.NewCloseFrame(reason)))
	c.Close()
	return false
}

func main() {
	address := flag.String("address", "127.0.0.1:8081", "where to listen")
	flag.Parse()
	e, err := engine.New(engine.Options{})
	check(err)
	ln, err := e.Open("tcp", *address, engine.OpenOptions{})
	check(err)
	check(e.ServeProtocol(ln, echo{}, engine.ProtocolOptions{Bounds: backend.Bounds{Input: payloadMax + ws.MaxHeaderSize}}))
	log.Printf("ws://%s/", ln.Addr())
	select {} // a signal ends the process; hello shows an orderly shutdown
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
