// Command websocket sends back what it gets over WebSocket connections, on the event loops: an idle connection has no goroutine. The
// library gobwas/ws knows the protocol, and reads and writes bytes in memory only.
//
//	cd examples/go/libraries && go run ./websocket    # then, with Python's websockets: python3 -m websockets ws://127.0.0.1:8081/
package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"log"

	"github.com/gobwas/ws"

	"moonbridge/engine"
	"moonbridge/handler/backend"
)

const headMax, payloadMax = 8 << 10, 256 << 10 // bytes of the request that begins the connection, and of a frame

// echo is the protocol, session one connection.
type echo struct{}

func (echo) Open(backend.Conn) backend.Stream { return &session{state: ws.StateServerSide} }

type session struct {
	upgraded bool
	state    ws.State // with the bit for a message whose fragments are being received
}

func (s *session) Data(c backend.Conn)        { s.work(c) } // bytes have arrived, or the client sends no more
func (s *session) Room(c backend.Conn)        { s.work(c) } // the client has read what made the connection Full
func (s *session) Closed(backend.Conn, error) {}

// work handles what has arrived, as long as the client reads the answers.
func (s *session) work(c backend.Conn) {
	for !c.Full() && (s.upgraded && s.frame(c) || !s.upgraded && s.upgrade(c)) {
	}
	if c.Ended() && !c.Full() {
		c.Close()
	}
}

// upgrade answers the request. It returns false if that is incomplete or refused. The library refuses what it gets of one too long.
func (s *session) upgrade(c backend.Conn) bool {
	end := bytes.Index(c.Unread(), []byte("\r\n\r\n")) + 4 // 3 if there is none
	if end < 4 && len(c.Unread()) < headMax {
		return false
	}
	var out bytes.Buffer
	_, err := ws.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(c.Unread()[:end]), &out})
	c.Write(out.Bytes())
	if s.upgraded = err == nil; !s.upgraded {
		c.Close() // the library has made an error response
	}
	c.Discard(end)
	return s.upgraded
}

// frame answers one frame. It returns false if that is incomplete, or if the connection ends.
func (s *session) frame(c backend.Conn) bool {
	h, err := ws.ReadHeader(bytes.NewReader(c.Unread()))
	size := ws.HeaderSize(h) + int(min(h.Length, payloadMax))
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return false
	case err != nil || ws.CheckHeader(h, s.state) != nil:
		return end(c, ws.NewCloseFrameBody(ws.StatusProtocolError, ""))
	case h.Length > payloadMax:
		return end(c, ws.NewCloseFrameBody(ws.StatusMessageTooBig, ""))
	case len(c.Unread()) < size:
		return false
	}
	payload := bytes.Clone(c.Unread()[ws.HeaderSize(h):size])
	ws.Cipher(payload, h.Mask, 0)
	c.Discard(size)
	switch {
	case h.OpCode == ws.OpClose:
		return end(c, payload)
	case h.OpCode == ws.OpPing:
		c.Write(ws.MustCompileFrame(ws.NewPongFrame(payload)))
	case h.OpCode.IsData():
		s.state = s.state.Clear(ws.StateFragmented)
		if !h.Fin {
			s.state = s.state.Set(ws.StateFragmented)
		}
		c.Write(ws.MustCompileFrame(ws.NewFrame(h.OpCode, h.Fin, payload)))
	}
	return true
}

// end sends a close frame and ends the connection.
func end(c backend.Conn, reason []byte) bool {
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
	bounds := backend.Bounds{Input: payloadMax + ws.MaxHeaderSize}
	check(e.ServeProtocol(ln, echo{}, engine.ProtocolOptions{Bounds: bounds}))
	log.Printf("ws://%s/", ln.Addr())
	select {} // a signal ends the process; hello shows an orderly shutdown
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
