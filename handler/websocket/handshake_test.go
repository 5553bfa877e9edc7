package websocket

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"moonbridge/httpparse"
)

func headOf(t *testing.T, text string) *httpparse.Head {
	t.Helper()
	var p httpparse.Parser
	h := new(httpparse.Head)
	b := []byte(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n\r\n")
	if n, err := p.Parse(h, b, &httpparse.Limits{}); err != nil || n != len(b) {
		t.Fatalf("%q: %d, %v", text, n, err)
	}
	return h
}

const opening13 = "GET /chat HTTP/1.1\nHost: a\nUpgrade: websocket\nConnection: keep-alive, Upgrade\nSec-WebSocket-Version: 13\n"

func TestCheck(t *testing.T) {
	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	for _, tt := range []struct {
		head   string
		status int
	}{
		{opening13 + key, 0},
		{strings.Replace(opening13, "websocket", "foo, WebSocket", 1) + key, 0},
		{opening13 + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ", 400},
		{opening13 + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==", 400},
		{opening13 + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA", 400},
		{opening13 + "Sec-WebSocket-Key: " + strings.Repeat("A", 36), 400}, // more bytes than a key has room for
		{opening13 + "Sec-WebSocket-Key: " + strings.Repeat("A", 1000), 400},
		{opening13 + key + "\n" + key, 400},
		{opening13 + "X: y", 400},
		{strings.Replace(opening13, "GET", "POST", 1) + "Content-Length: 0\n" + key, 405},
		{strings.Replace(opening13, "13", "8", 1) + key, 426},
		{strings.Replace(opening13, "Upgrade: websocket\n", "", 1) + key, 426},
		{strings.Replace(opening13, "keep-alive, Upgrade", "keep-alive", 1) + key, 426},
		{strings.Replace(opening13, "HTTP/1.1", "HTTP/1.0", 1) + key, 426},
		{"GET / HTTP/1.1\nHost: a", 426},
	} {
		s, refusal := Check(headOf(t, tt.head))
		switch {
		case refusal == nil && tt.status != 0, refusal != nil && refusal.Status != tt.status:
			t.Errorf("%q: %v, want %d", tt.head, refusal, tt.status)
		case refusal == nil && string(s.accept[:]) != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=": // the example of RFC 6455 §1.3
			t.Errorf("accept %q", s.accept)
		}
	}
}

func TestProtocol(t *testing.T) {
	h := headOf(t, opening13+"Sec-WebSocket-Protocol: soap, chat.v1\nSec-WebSocket-Protocol: chat.v2")
	for want, supported := range map[string][]string{
		"": {"Soap", "chat"}, "chat.v2": {"chat.v2", "soap"}, "soap": {"x", "soap", "chat.v2"},
	} {
		if got := Protocol(h, supported); got != want {
			t.Errorf("%q: %q", supported, got)
		}
	}
	for name, want := range map[string]bool{"chat.v1": true, "": false, "a b": false, "a,b": false, "a\"": false, "é": false, "a\r": false} {
		if ValidProtocol(name) != want {
			t.Errorf("%q", name)
		}
	}
}

func TestNegotiation(t *testing.T) {
	none, kept, small := &Compression{}, &Compression{Takeover: true}, &Compression{Takeover: true, WindowBits: 10}
	const d, both = "permessage-deflate", "; server_no_context_takeover; client_no_context_takeover"
	for _, tt := range []struct {
		o           *Compression
		offer, want string
	}{
		{none, "", ""},
		{none, d, d + both},
		{none, d + "; client_max_window_bits", d + both},
		{kept, d + "; client_max_window_bits", d},
		{kept, d + "; server_no_context_takeover", d + "; server_no_context_takeover"},
		{kept, d + "; client_no_context_takeover", d + "; client_no_context_takeover"},
		{kept, d + `; client_max_window_bits="12"; server_max_window_bits=9`, d + "; server_max_window_bits=9; client_max_window_bits=12"},
		{kept, d + "; server_max_window_bits=15; client_max_window_bits=15", d + "; server_max_window_bits=15"}, // RFC 7692 §7.1.2.1
		{small, d + "; server_max_window_bits=15", d + "; client_no_context_takeover; server_max_window_bits=10"},
		{small, d, d + "; client_no_context_takeover; server_max_window_bits=10"},
		{small, d + "; client_max_window_bits=8", d + "; server_max_window_bits=10; client_max_window_bits=8"},
		{kept, "x-webkit-deflate-frame, foo; bar=\"a,b\", PERMESSAGE-DEFLATE", d},
		{kept, d + "; server_max_window_bits=7, " + d + "; server_max_window_bits=16, " + d + "; client_no_context_takeover", d + "; client_no_context_takeover"},
		{kept, d + "; server_max_window_bits", ""},
		{kept, d + "; server_max_window_bits=08", ""},
		{kept, d + "; server_no_context_takeover=1", ""},
		{kept, d + "; server_no_context_takeover; server_no_context_takeover", ""},
		{kept, d + "; client_max_window_bits; client_max_window_bits", ""},
		{kept, d + "; server_max_window_bits=9; server_max_window_bits=9", ""},
		{kept, d + "; unknown", ""},
		{kept, d + ";", ""},
	} {
		text := opening13 + "X: y"
		if tt.offer != "" {
			text += "\nSec-WebSocket-Extensions: " + tt.offer
		}
		offer, ok := findDeflate(headOf(t, text))
		got := ""
		if ok {
			got = tt.o.agree(offer).String()
		}
		if got != tt.want {
			t.Errorf("%+v, %q: %q, want %q", *tt.o, tt.offer, got, tt.want)
		}
	}
}

func TestResponseHead(t *testing.T) {
	s, _ := Check(headOf(t, opening13+"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
	got := s.appendHead(nil, "chat", "permessage-deflate", "X: y\r\n")
	want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" +
		"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\nX: y\r\n\r\n"
	if string(got) != want {
		t.Errorf("%q", got)
	}
}

// What one side compresses, the other side makes the same message of, with every size of window.
func TestDeflateRoundTrip(t *testing.T) {
	for bits := uint8(windowBitsMin); bits <= windowBitsMax; bits++ {
		for _, keeps := range []bool{false, true} {
			d := newDeflater(&Compression{})
			var out, in window
			if keeps {
				out.bits, in.bits = bits, bits
			}
			for i := range 40 {
				message := []byte(strings.Repeat(fmt.Sprintf("message %d, ", i), i*i*3))
				packed := d.compress([]byte("kept"), message, bits, &out)
				got, err := d.inflate(nil, packed[4:], len(message), &in)
				if err != nil || !bytes.Equal(got, message) || string(packed[:4]) != "kept" {
					t.Fatalf("%d bits, takeover %v, message %d: %d bytes, %v, want %d", bits, keeps, i, len(got), err, len(message))
				}
				if len(message) > 0 && (out.bits == 0) != (len(out.last) == 0) || len(out.last) > 1<<bits {
					t.Fatalf("%d bytes are kept for %d bits", len(out.last), bits)
				}
			}
		}
	}
}

func TestInflate(t *testing.T) {
	d := newDeflater(&Compression{})
	final := "\xf3\x48\xcd\xc9\xc9\x07\x00" // "Hello" in a final block, as in RFC 7692 §7.2.3.4
	large := d.compress(nil, make([]byte, 1<<20), windowBitsMax, &window{})
	for _, tt := range []struct{ in, want string }{
		{"\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"\x00", ""},
		{final + "\x00", "Hello"},
		{final, "Hello"},
		{final + final + "\x00", "HelloHello"},
		{strings.Repeat("\x03\x00", finalsMax+1), "fails"},
		{"\x07", "fails"},
		{"\xf2\x48\xcd", "fails"},
		{string(large), "fails"},
	} {
		got, err := d.inflate(nil, []byte(tt.in), 1000, &window{})
		if err != nil {
			got = []byte("fails")
		}
		if string(got) != tt.want || len(got) > 2000 {
			t.Errorf("%.40q: %.40q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}
