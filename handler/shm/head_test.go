package shm

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"moonbridge/httpparse"
)

// parseRequest parses a request with \n as line end.
func parseRequest(t *testing.T, text string) *httpparse.Head {
	t.Helper()
	var p httpparse.Parser
	h := new(httpparse.Head)
	text = strings.ReplaceAll(text, "\n", "\r\n") + "\r\n\r\n"
	if n, err := p.Parse(h, []byte(text), nil); err != nil || n != len(text) {
		t.Fatalf("%q: %d, %v", text, n, err)
	}
	return h
}

// putBlock writes a block into memory that is not empty, and checks that nothing is written after it.
func putBlock(t *testing.T, b *HeadBlock) (h Head, block []byte) {
	t.Helper()
	dirty := bytes.Repeat([]byte{0xee}, b.Size()+16)
	b.Put(dirty)
	block = dirty[:b.Size()]
	copy(Bytes(&h), block)
	if int(h.Size) != len(block) || len(block)%8 != 0 {
		t.Errorf("size %d, %d bytes", h.Size, len(block))
	}
	if !bytes.Equal(dirty[len(block):], bytes.Repeat([]byte{0xee}, 16)) {
		t.Errorf("written after the end: %x", dirty[len(block):])
	}
	return h, block
}

func TestHeadBlockRequest(t *testing.T) {
	for _, id := range []string{"", "1", "0123456789"} {
		r := parseRequest(t, "PATCH /a/b?c=d HTTP/1.1\nHost: example.org\nX-Y:  z \nContent-Length: 12")
		r.ID = []byte(id)
		if id != "1" {
			r.Trace = httpparse.TraceText("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01a=1")
		}
		local := AddressOf(netip.MustParseAddrPort("10.0.0.1:80"))
		remote := AddressOf(netip.MustParseAddrPort("[2001:db8::1]:1234"))
		client := Address{}
		if id != "" {
			r.Client, r.Secure = netip.MustParseAddr("192.0.2.1"), true
			client = AddressOf(netip.MustParseAddrPort("192.0.2.1:0"))
		}
		h, block := putBlock(t, &HeadBlock{Kind: KindHTTP, Listener: 3, Exchange: 1 << 40, Local: local, Remote: remote, Request: r})
		if h.Client != client || h.Flags&HeadSecure != 0 != (id != "") {
			t.Errorf("client %+v, flags %b", h.Client, h.Flags)
		}
		if h.Kind != KindHTTP || h.Listener != 3 || h.Exchange != 1<<40 || h.Local != local || h.Remote != remote {
			t.Errorf("head: %+v", h)
		}
		if h.NFields != 3 || h.ContentLength != 12 {
			t.Errorf("%d field lines, length %d", h.NFields, h.ContentLength)
		}
		raw := block[h.RawOff:][:h.RawLen]
		if trace := block[h.RawOff+h.RawLen : h.IDOff]; string(trace) != string(r.Trace) {
			t.Errorf("trace %q, want %q", trace, r.Trace)
		}
		at := func(off, n uint32) string { return string(raw[off:][:n]) }
		got := []string{string(raw), at(h.MethodOff, h.MethodLen), at(h.PathOff, h.PathLen), at(h.QueryOff, h.QueryLen),
			string(block[h.IDOff:][:h.IDLen])}
		want := []string{string(r.Raw), "PATCH", "a/b", "?c=d", id}
		for i := range h.NFields {
			var f Field
			copy(Bytes(&f), block[headSize+16*int(i):])
			got = append(got, at(f.NameOff, f.NameLen), at(f.ValueOff, f.ValueLen))
		}
		want = append(want, "Host", "example.org", "X-Y", "z", "Content-Length", "12")
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("got %q, want %q", got, want)
		}
		for i, c := range block[h.IDOff+h.IDLen:] {
			if c != 0 || i >= 7 {
				t.Errorf("byte %d after the id: %#x", i, c)
			}
		}
	}
}

func TestHeadBlockFlags(t *testing.T) {
	const get, post = "GET / HTTP/1.1\nHost: x", "POST / HTTP/1.1\nHost: x"
	for _, tt := range []struct {
		text   string
		expect bool
		want   uint32
		length uint64
	}{
		{get, false, HeadKeepalive, 0},
		{get + "\nConnection: close", false, 0, 0},
		{"GET / HTTP/1.0", false, HeadHTTP10, 0},
		{"HEAD / HTTP/1.1\nHost: x", false, HeadIsHead | HeadKeepalive, 0},
		{"OPTIONS * HTTP/1.1\nHost: x", false, HeadAsterisk | HeadKeepalive, 0},
		{post + "\nContent-Length: 0", false, HeadKeepalive, 0},
		{post + "\nContent-Length: 5", false, HeadHasBody | HeadKeepalive, 5},
		{post + "\nContent-Length: 5\nExpect: 100-continue", true, HeadHasBody | HeadExpect | HeadKeepalive, 5},
		{post + "\nContent-Length: 5\nExpect: 100-continue", false, HeadHasBody | HeadKeepalive, 5},
		{post + "\nTransfer-Encoding: chunked", false, HeadHasBody | HeadKeepalive, LengthUnknown},
	} {
		h, _ := putBlock(t, &HeadBlock{Kind: KindHTTP, Request: parseRequest(t, tt.text), Expect: tt.expect})
		if h.Flags != tt.want || h.ContentLength != tt.length {
			t.Errorf("%q: flags %#x, length %d, want %#x, %d", tt.text, h.Flags, h.ContentLength, tt.want, tt.length)
		}
	}
	// A body in a file has the length of the file, whatever the peer has said.
	for _, text := range []string{"\nContent-Length: 5", "\nTransfer-Encoding: chunked"} {
		h, _ := putBlock(t, &HeadBlock{Kind: KindHTTP, Request: parseRequest(t, post+text), File: 5})
		if want := uint32(HeadHasBody | HeadBodyFile | HeadKeepalive); h.Flags != want || h.ContentLength != 5 {
			t.Errorf("%q in a file: flags %#x, length %d, want %#x, 5", text, h.Flags, h.ContentLength, want)
		}
	}
}

// Exchanges without a request.
func TestHeadBlockOther(t *testing.T) {
	for _, name := range []string{"", "n", "a longer name"} {
		h, block := putBlock(t, &HeadBlock{Kind: KindInterval, Listener: 1, Exchange: 9, Name: name})
		if got := string(block[h.RawOff:][:h.RawLen]); got != name {
			t.Errorf("name %q, want %q", got, name)
		}
		h.Size, h.RawOff, h.RawLen = 0, 0, 0
		if want := (Head{Kind: KindInterval, Listener: 1, Exchange: 9}); h != want {
			t.Errorf("head %+v, want %+v", h, want)
		}
	}
	h, block := putBlock(t, &HeadBlock{Kind: KindSocket})
	if want := (Head{Size: uint32(len(block)), Kind: KindSocket, RawOff: uint32(headSize)}); h != want || len(block) != headSize {
		t.Errorf("head %+v of %d bytes, want %+v", h, len(block), want)
	}
}

func TestHeadBlockNoAllocation(t *testing.T) {
	r := parseRequest(t, "GET / HTTP/1.1\nHost: x")
	to := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() {
		b := HeadBlock{Kind: KindHTTP, Request: r}
		b.Put(to[:b.Size()])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAddressOf(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Address
	}{
		{"1.2.3.4:5", Address{Family: 4, Port: 5, IP: [16]byte{1, 2, 3, 4}}},
		{"[::1]:65535", Address{Family: 6, Port: 65535, IP: [16]byte{15: 1}}},
		{"[::ffff:1.2.3.4]:5", Address{Family: 6, Port: 5, IP: [16]byte{10: 0xff, 11: 0xff, 12: 1, 13: 2, 14: 3, 15: 4}}},
	} {
		if got := AddressOf(netip.MustParseAddrPort(tt.text)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.text, got, tt.want)
		}
	}
	if got := AddressOf(netip.AddrPort{}); got != (Address{}) {
		t.Errorf("no address: %+v", got)
	}
}
