package main

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"
)

// Subscribers may be streams of HTTP/2 (RFC 9113, RFC 8441), many on a connection: then there are more of them than descriptors.

// h2Conn is a connection with such subscribers.
type h2Conn struct {
	streams int    // that it opens when it has the server's settings
	rest    []byte // of a frame that is not complete
}

const (
	frameHead = 9
	ackFlag   = 0x1
	// windowMax is room for all messages of a run.
	windowMax = 1 << 30
	// status200 is all that a block of fields with :status 200 begins with: an entry of the static table.
	status200 = 0x88
)

// h2Block are the fields of a request, none of which gets into the dynamic table: so they can be sent again and again.
func h2Block(address string, webSocket bool) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	put := func(name, value string) {
		encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: true})
	}
	if webSocket {
		put(":method", "CONNECT")
		put(":protocol", "websocket")
		put(":path", "/ws")
	} else {
		put(":method", "GET")
		put(":path", "/sub")
	}
	put(":scheme", "http")
	put(":authority", address)
	if webSocket {
		put("sec-websocket-version", "13")
	} else {
		put("accept", "text/event-stream")
	}
	return block.Bytes()
}

// h2Preface is what a client begins with.
func h2Preface() []byte {
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil)
	f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: windowMax})
	f.WriteWindowUpdate(0, windowMax)
	return b.Bytes()
}

// frames takes what has come on a connection.
func (c *crowd) frames(fd int, p []byte) error {
	conn := c.h2[fd]
	p = append(conn.rest, p...)
	for len(p) >= frameHead {
		n := frameHead + int(binary.BigEndian.Uint32(append([]byte{0}, p[:3]...)))
		if len(p) < n {
			break
		}
		if err := c.frame(fd, conn, http2.FrameType(p[3]), p[4], p[frameHead:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	conn.rest = append(conn.rest[:0:0], p...)
	return nil
}

func (c *crowd) frame(fd int, conn *h2Conn, kind http2.FrameType, flags byte, p []byte) error {
	switch kind {
	case http2.FrameData:
		c.got += bytes.Count(p, []byte{mark})
	case http2.FrameHeaders:
		if len(p) == 0 || p[0] != status200 {
			return fmt.Errorf("a subscriber was refused: %x", p)
		}
		c.heads++
	case http2.FrameSettings:
		if flags&ackFlag == 0 {
			return c.openStreams(fd, conn)
		}
	case http2.FramePing:
		if flags&ackFlag == 0 {
			return c.write(fd, func(f *http2.Framer) { f.WritePing(true, [8]byte(p)) })
		}
	case http2.FrameRSTStream, http2.FrameGoAway:
		return fmt.Errorf("a subscriber was refused: %v %x", kind, p)
	}
	return nil
}

// openStreams has settings acknowledged, and the streams opened, the first time.
func (c *crowd) openStreams(fd int, conn *h2Conn) error {
	return c.write(fd, func(f *http2.Framer) {
		f.WriteSettingsAck()
		for i := range conn.streams {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: c.asks, EndHeaders: true, EndStream: !c.webSockets})
		}
		conn.streams = 0
	})
}

// write writes frames to a socket that has room.
func (c *crowd) write(fd int, what func(f *http2.Framer)) error {
	var b bytes.Buffer
	what(http2.NewFramer(&b, nil))
	n, err := unix.Write(fd, b.Bytes())
	if err == nil && n < b.Len() {
		err = unix.EAGAIN
	}
	return err
}
