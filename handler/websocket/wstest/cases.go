package wstest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Case is one case of the suite.
type Case struct {
	ID    string
	Offer string // of extensions
	run   func(c *Client)
}

// ErrNotOffered: the server does not do what a case is about.
var ErrNotOffered = errors.New("not implemented by the server")

// Run runs the case on a new connection to a server that echoes.
func (k Case) Run(dial func() (net.Conn, error), target string) (err error) {
	conn, err := dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	fields := ""
	if k.Offer != "" {
		fields = "Sec-WebSocket-Extensions: " + k.Offer + "\r\n"
	}
	c, err := Open(conn, target, fields)
	if err != nil {
		return err
	}
	if k.Offer != "" && !c.Compresses() {
		return ErrNotOffered
	}
	defer func() {
		if f, ok := recover().(Failure); ok {
			err = f
		}
	}()
	k.run(c)
	return nil
}

// Cases are the cases of the chapters 1 to 7, 9, 10, 12 and 13. count is how many messages those of 9.7, 9.8, 12 and 13 send, 1000 in the
// suite; most is the size of the largest message, 16 MiB in the suite.
func Cases(count, most int) []Case {
	var s suite
	s.framing()
	s.pings()
	s.reserved()
	s.opcodes()
	s.fragments()
	s.texts()
	s.closes()
	s.limits(count, most)
	s.compression(count)
	return s.cases
}

type suite struct{ cases []Case }

func (s *suite) add(run func(c *Client), format string, args ...any) {
	s.cases = append(s.cases, Case{ID: fmt.Sprintf(format, args...), run: run})
}

func frame(opcode byte, payload string) Frame { return Frame{Fin, opcode, []byte(payload)} }

func part(opcode byte, payload string) Frame { return Frame{0, opcode, []byte(payload)} }

const protocolError, invalidPayload, normal = 1002, 1007, 1000

// framing is chapter 1.
func (s *suite) framing() {
	for kind, opcode := range []byte{Text, Binary} {
		for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
			fill := []byte{'*', 0xfe}[kind]
			s.add(func(c *Client) {
				if i == 7 {
					c.Chop = 997
				}
				p := bytes.Repeat([]byte{fill}, n)
				c.Send(Frame{Fin, opcode, p})
				c.Wants(opcode, p)
				c.Close(normal)
			}, "1.%d.%d", kind+1, i+1)
		}
	}
}

// pings is chapter 2.
func (s *suite) pings() {
	answered := func(payload string, chop int) func(c *Client) {
		return func(c *Client) {
			c.Chop = chop
			c.Send(frame(Ping, payload))
			c.WantsPong(payload)
			c.Close(normal)
		}
	}
	s.add(answered("", 0), "2.1")
	s.add(answered("Hello, world!", 0), "2.2")
	s.add(answered("\x00\xff\xfe\xfd\xfc\xfb\x00\xff", 0), "2.3")
	s.add(answered(strings.Repeat("\xfe", 125), 0), "2.4")
	s.fails(protocolError, 0, nil, "2.5", frame(Ping, strings.Repeat("\xfe", 126)))
	s.add(answered(strings.Repeat("\xfe", 125), 1), "2.6")
	for i, payload := range []string{"", "unsolicited pong payload"} {
		s.add(func(c *Client) {
			c.Send(frame(Pong, payload))
			c.Close(normal)
		}, "2.%d", 7+i)
	}
	s.add(func(c *Client) {
		c.Send(frame(Pong, "unsolicited pong payload"), frame(Ping, "ping payload"))
		c.WantsPong("ping payload")
		c.Close(normal)
	}, "2.9")
	for i, chop := range []int{0, 1} {
		s.add(func(c *Client) {
			c.Chop = chop
			for n := range 10 {
				c.Send(frame(Ping, fmt.Sprintf("payload-%d", n)))
			}
			for n := range 10 {
				c.WantsPong(fmt.Sprintf("payload-%d", n))
			}
			c.Close(normal)
		}, "2.%d", 10+i)
	}
}

// fails adds a case in which the server has to end the connection with code because of the last frame, after it has echoed texts.
func (s *suite) fails(code, chop int, echoed []string, id string, frames ...Frame) {
	s.add(func(c *Client) {
		c.Chop = chop
		c.Send(frames...)
		for _, text := range echoed {
			c.Wants(Text, []byte(text))
		}
		c.WantsClose(code)
	}, "%s", id)
}

const hello = "Hello, world!"

// reserved is chapter 3.
func (s *suite) reserved() {
	text := func(bits byte) Frame { return Frame{Fin | bits, Text, []byte(hello)} }
	first := []string{hello}
	s.fails(protocolError, 0, nil, "3.1", text(RSV3))
	s.fails(protocolError, 0, first, "3.2", text(0), text(RSV2), frame(Ping, ""))
	s.fails(protocolError, 0, first, "3.3", text(0), text(RSV2|RSV3), frame(Ping, ""))
	s.fails(protocolError, 1, first, "3.4", text(0), text(RSV1), frame(Ping, ""))
	s.fails(protocolError, 0, nil, "3.5", Frame{Fin | RSV1 | RSV3, Binary, []byte("\x00\xff\xfe")})
	s.fails(protocolError, 0, nil, "3.6", Frame{Fin | RSV1 | RSV2, Ping, []byte(hello)})
	s.fails(protocolError, 0, nil, "3.7", Frame{Fin | RSV1 | RSV2 | RSV3, CloseFrame, nil})
}

// opcodes is chapter 4.
func (s *suite) opcodes() {
	for group, base := range []byte{3, 11} {
		for i := range byte(5) {
			f := Frame{Fin, base + i, nil}
			if i == 1 || i > 2 {
				f.Payload = []byte("reserved opcode payload")
			}
			id := fmt.Sprintf("4.%d.%d", group+1, i+1)
			if i < 2 {
				s.fails(protocolError, 0, nil, id, f)
			} else {
				s.fails(protocolError, int(i-2)&1, []string{hello}, id, frame(Text, hello), f, frame(Ping, ""))
			}
		}
	}
}

// fragments is chapter 5.
func (s *suite) fragments() {
	s.fails(protocolError, 0, nil, "5.1", part(Ping, "fragment1"), frame(Continuation, "fragment2"))
	s.fails(protocolError, 0, nil, "5.2", part(Pong, "fragment1"), frame(Continuation, "fragment2"))
	two := []Frame{part(Text, "fragment1"), frame(Continuation, "fragment2")}
	pinged := []Frame{two[0], frame(Ping, "ping payload"), two[1]}
	for i, chop := range []int{0, 14, 1} {
		s.echoes(chop, "", "fragment1fragment2", fmt.Sprintf("5.%d", 3+i), two...)
		s.echoes(chop, "ping payload", "fragment1fragment2", fmt.Sprintf("5.%d", 6+i), pinged...)
	}
	alone := frame(Text, hello)
	for i, chop := range []int{0, 14, 1} {
		s.fails(protocolError, chop, nil, fmt.Sprintf("5.%d", 9+i), frame(Continuation, "non-continuation payload"), alone)
		s.fails(protocolError, chop, nil, fmt.Sprintf("5.%d", 12+i), part(Continuation, "non-continuation payload"), alone)
	}
	s.fails(protocolError, 0, []string{"fragment1fragment2"}, "5.15", two[0], two[1], part(Continuation, "fragment3"), frame(Text, "fragment4"))
	for i, bits := range []byte{0, Fin} {
		f := Frame{bits, Continuation, []byte("fragment1")}
		s.fails(protocolError, 0, nil, fmt.Sprintf("5.%d", 16+i), f, part(Text, "fragment2"), frame(Continuation, "fragment3"))
	}
	s.fails(protocolError, 0, nil, "5.18", part(Text, "fragment1"), frame(Text, "fragment2"))
	for i, id := range []string{"5.19", "5.20"} {
		s.add(func(c *Client) {
			c.Send(part(Text, "fragment1"), part(Continuation, "fragment2"), frame(Ping, "pongme 1!"))
			if i == 0 {
				c.WantsPong("pongme 1!")
			}
			c.Send(part(Continuation, "fragment3"), part(Continuation, "fragment4"), frame(Ping, "pongme 2!"), frame(Continuation, "fragment5"))
			if i == 1 {
				c.WantsPong("pongme 1!")
			}
			c.WantsPong("pongme 2!")
			c.Wants(Text, []byte("fragment1fragment2fragment3fragment4fragment5"))
			c.Close(normal)
		}, "%s", id)
	}
}

// echoes adds a case in which the server answers a ping, if pong is not empty, and echoes a text.
func (s *suite) echoes(chop int, pong, text, id string, frames ...Frame) {
	s.add(func(c *Client) {
		c.Chop = chop
		c.Send(frames...)
		if pong != "" {
			c.WantsPong(pong)
		}
		c.Wants(Text, []byte(text))
		c.Chop = 0
		c.Close(normal)
	}, "%s", id)
}

// closes is chapter 7.
func (s *suite) closes() {
	end := Frame{Fin, CloseFrame, ClosePayload(normal, "")}
	s.add(func(c *Client) {
		c.Send(frame(Text, hello))
		c.Wants(Text, []byte(hello))
		c.Close(normal)
	}, "7.1.1")
	for i, more := range []Frame{end, frame(Ping, ""), frame(Text, hello)} {
		s.fails(normal, 0, nil, fmt.Sprintf("7.1.%d", 2+i), end, more)
	}
	s.fails(normal, 0, nil, "7.1.5", part(Text, "fragment1"), end, frame(Continuation, "fragment2"))
	s.add(func(c *Client) {
		large := bytes.Repeat([]byte("BAsd7&jh23"), 26215)[:256<<10]
		c.Send(Frame{Fin, Text, large}, frame(Text, hello), end, frame(Ping, ""))
		c.Wants(Text, large) // the suite allows a server to close before it echoes
		c.Wants(Text, []byte(hello))
		c.WantsClose(normal)
	}, "7.1.6")
	s.fails(1005, 0, nil, "7.3.1", frame(CloseFrame, ""))
	s.fails(protocolError, 0, nil, "7.3.2", frame(CloseFrame, "a"))
	for i, reason := range []string{"", "Hello World!", strings.Repeat("*", 123)} {
		s.fails(normal, 0, nil, fmt.Sprintf("7.3.%d", 3+i), Frame{Fin, CloseFrame, ClosePayload(normal, reason)})
	}
	s.fails(protocolError, 0, nil, "7.3.6", Frame{Fin, CloseFrame, ClosePayload(normal, strings.Repeat("*", 124))})
	s.fails(invalidPayload, 0, nil, "7.5.1", Frame{Fin, CloseFrame, ClosePayload(normal, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64")})
	for i, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		s.fails(code, 0, nil, fmt.Sprintf("7.7.%d", 1+i), Frame{Fin, CloseFrame, ClosePayload(code, "")})
	}
	for i, code := range []int{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		s.fails(protocolError, 0, nil, fmt.Sprintf("7.9.%d", 1+i), Frame{Fin, CloseFrame, ClosePayload(code, "")})
	}
	for i, code := range []int{5000, 65535} {
		s.fails(protocolError, 0, nil, fmt.Sprintf("7.13.%d", 1+i), Frame{Fin, CloseFrame, ClosePayload(code, "")})
	}
}
