package main

import (
	"bytes"
	"io"

	"github.com/gobwas/ws"

	"moonbridge/handler/backend"
)

const payloadMax = 256 << 10 // bytes of the payload of a frame

// parse parses the frame that input begins with, in a connection with this state. complete is false as long as a part of the frame has not
// arrived. If the frame is not acceptable, fault says why, and is 0 otherwise.
func parse(input []byte, state ws.State) (f ws.Frame, complete bool, fault ws.StatusCode) {
	r := bytes.NewReader(input)
	h, err := ws.ReadHeader(r)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return f, false, 0
	}
	if err != nil || ws.CheckHeader(h, state) != nil { // CheckHeader also wants a mask
		return f, false, ws.StatusProtocolError
	}
	if len(input)-r.Len() != ws.HeaderSize(h) { // the length is not in its shortest form (RFC 6455 §5.2)
		return f, false, ws.StatusProtocolError
	}
	if h.Length > payloadMax {
		return f, false, ws.StatusMessageTooBig
	}
	payload := input[ws.HeaderSize(h):]
	if len(payload) < int(h.Length) {
		return f, false, 0
	}
	return ws.Frame{Header: h, Payload: payload[:h.Length]}, true, 0
}

// answer answers one frame. Data is sent back frame by frame; an application that wants messages joins their fragments here. state says
// what parse accepts next.
func (s *session) answer(c backend.Conn, f ws.Frame) {
	f = ws.UnmaskFrame(f) // a copy, since what is in Unread must not be changed
	switch {
	case f.Header.OpCode == ws.OpClose:
		closeWith(c, closeBody(f.Payload))
	case f.Header.OpCode == ws.OpPing:
		c.Write(ws.MustCompileFrame(ws.NewPongFrame(f.Payload)))
	case f.Header.OpCode.IsData():
		s.state = ws.StateServerSide
		if !f.Header.Fin {
			s.state = s.state.Set(ws.StateFragmented)
		}
		c.Write(ws.MustCompileFrame(ws.NewFrame(f.Header.OpCode, f.Header.Fin, f.Payload)))
	}
}

// closeBody is the payload of the answer to a close frame: the same, unless it is not valid.
func closeBody(payload []byte) []byte {
	code, reason := ws.ParseCloseFrameData(payload)
	if len(payload) > 0 && ws.CheckCloseFrameData(code, reason) != nil {
		return ws.NewCloseFrameBody(ws.StatusProtocolError, "")
	}
	return payload
}

// closeWith sends a close frame and ends the connection.
func closeWith(c backend.Conn, body []byte) {
	c.Write(ws.MustCompileFrame(ws.NewCloseFrame(body)))
	c.Close()
}
