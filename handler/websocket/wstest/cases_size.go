package wstest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// limits are the chapters 9 and 10.
func (s *suite) limits(count, most int) {
	sizes := func(list ...int) (fit []int) {
		for _, n := range list {
			if n <= most {
				fit = append(fit, n)
			}
		}
		return fit
	}
	large := min(4<<20, most)
	for kind, opcode := range []byte{Text, Binary} {
		fill := []byte{'*', 0xfe}[kind]
		once := func(id string, n, fragment, chop int) {
			s.add(func(c *Client) {
				c.Chop = chop
				p := bytes.Repeat([]byte{fill}, n)
				c.Message(opcode, p, fragment)
				c.Wants(opcode, p)
				c.Chop = 0
				c.Close(normal)
			}, "%s", id)
		}
		for i, n := range sizes(64<<10, 256<<10, 1<<20, 4<<20, 8<<20, 16<<20) {
			once(fmt.Sprintf("9.%d.%d", 1+kind, 1+i), n, 0, 0)
		}
		for i, fragment := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
			once(fmt.Sprintf("9.%d.%d", 3+kind, 1+i), large, fragment, 0)
		}
		for i, chop := range []int{64, 128, 256, 512, 1024, 2048} {
			once(fmt.Sprintf("9.%d.%d", 5+kind, 1+i), min(1<<20, most), 0, chop)
		}
		for i, n := range []int{0, 16, 64, 256, 1024, 4096} {
			s.add(func(c *Client) {
				p := bytes.Repeat([]byte{fill}, n)
				for range count {
					c.Message(opcode, p, 0)
					c.Wants(opcode, p)
				}
				c.Close(normal)
			}, "9.%d.%d", 7+kind, 1+i)
		}
	}
	s.echoes(0, "", string(bytes.Repeat([]byte{'*'}, 65536)), "10.1.1", fragmented(bytes.Repeat([]byte{'*'}, 65536), 1300)...)
}

func fragmented(p []byte, size int) (frames []Frame) {
	for opcode := byte(Text); len(p) > 0; opcode = Continuation {
		n := min(size, len(p))
		f := Frame{0, opcode, p[:n]}
		if p = p[n:]; len(p) == 0 {
			f.Bits = Fin
		}
		frames = append(frames, f)
	}
	return frames
}

// exchanges are the lengths of messages and of their fragments in the chapters 12 and 13.
var exchanges = [...]struct{ n, fragment int }{
	{16, 0}, {64, 0}, {256, 0}, {1024, 0}, {4096, 0}, {8192, 0}, {16384, 0}, {32768, 0}, {65536, 0}, {131072, 0},
	{8192, 256}, {16384, 256}, {32768, 256}, {65536, 256}, {131072, 256}, {131072, 1024}, {131072, 4096}, {131072, 32768},
}

// offers are those of chapter 13. That of chapter 12 is the first.
var offers = [...]string{
	"permessage-deflate; client_max_window_bits",
	"permessage-deflate; client_max_window_bits; server_no_context_takeover",
	"permessage-deflate; client_max_window_bits; server_max_window_bits=9",
	"permessage-deflate; client_max_window_bits; server_max_window_bits=15",
	"permessage-deflate; client_max_window_bits; server_no_context_takeover; server_max_window_bits=9",
	"permessage-deflate; client_max_window_bits; server_no_context_takeover; server_max_window_bits=15",
	"permessage-deflate; client_max_window_bits; server_no_context_takeover; server_max_window_bits=9, " +
		"permessage-deflate; client_max_window_bits; server_no_context_takeover, permessage-deflate; client_max_window_bits",
}

// compression are the chapters 12 and 13. The contents are made here: texts with and without structure, and noise.
func (s *suite) compression(count int) {
	for i, data := range [][]byte{jsonText(), picture(), prose(), markup(), noise(400_000)} {
		s.exchanges(12, i+1, count, offers[0], data, i != 0 && i != 3)
	}
	for i, offer := range offers {
		s.exchanges(13, i+1, count, offer, jsonText(), false)
	}
}

func (s *suite) exchanges(chapter, group, count int, offer string, data []byte, binary bool) {
	opcode := byte(Text)
	if binary {
		opcode = Binary
	}
	for i, x := range exchanges {
		s.add(func(c *Client) {
			for at := range count {
				from := at * x.n % (len(data) - x.n)
				p := data[from : from+x.n]
				c.Message(opcode, p, x.fragment)
				c.Wants(opcode, p)
			}
			c.Close(normal)
		}, "%d.%d.%d", chapter, group, i+1)
		s.cases[len(s.cases)-1].Offer = offer
	}
}

func source() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func jsonText() []byte {
	var b bytes.Buffer
	for r, i := source(), 0; b.Len() < 300_000; i++ {
		fmt.Fprintf(&b, `{"id":%d,"name":"user %d","score":%.4f,"tags":["a","b%d"],"active":%v},`, i, r.IntN(1000), r.Float64(), r.IntN(9), r.IntN(2) == 0)
	}
	return b.Bytes()
}

func markup() []byte {
	var b bytes.Buffer
	for r, i := source(), 0; b.Len() < 300_000; i++ {
		fmt.Fprintf(&b, "<tr class=\"row%d\"><td><a href=\"/item/%d\">Item %d</a></td><td>%d</td></tr>\n", i%2, r.IntN(9999), i, r.IntN(100))
	}
	return b.Bytes()
}

func prose() []byte {
	words := []string{"the", "server", "answers", "each", "request", "with", "one", "response", "and", "waits", "for", "another"}
	var b bytes.Buffer
	for r := source(); b.Len() < 300_000; {
		b.WriteString(words[r.IntN(len(words))] + " ")
	}
	return b.Bytes()
}

func picture() []byte {
	b := make([]byte, 300_000)
	r := source()
	for i := 1; i < len(b); i++ {
		b[i] = b[i-1] + byte(r.IntN(5)) - 2
	}
	return b
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := source()
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
