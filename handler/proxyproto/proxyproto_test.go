package proxyproto

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// v2 makes a header of version 2.
func v2(command, family byte, payload string) string {
	b := append([]byte(v2Start), command, family)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(payload)))) + payload
}

const (
	pair4 = "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x50\x1f\x90" // 1.2.3.4:80 → 5.6.7.8:8080
	pair6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x00\x02"
	mapped6 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x01\x02\x03\x04" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x05\x06\x07\x08\x00\x50\x1f\x90"
)

// headers are complete headers. remote is "" if there are no addresses.
var headers = []struct{ name, in, remote, local string }{
	{"v1 tcp4", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324", "192.168.0.11:443"},
	{"v1 longest tcp4", "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535", "255.255.255.255:65535"},
	{"v1 tcp6", "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", "[2001:db8::1]:1", "[2001:db8::2]:65535"},
	{"v1 mapped", "PROXY TCP6 ::ffff:1.2.3.4 ::ffff:5.6.7.8 1 2\r\n", "1.2.3.4:1", "5.6.7.8:2"},
	{"v1 port 0", "PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n", "1.2.3.4:0", "5.6.7.8:0"},
	{"v1 unknown", "PROXY UNKNOWN\r\n", "", ""},
	{"v1 unknown, longest", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "", ""},
	{"v2 tcp4", v2(0x21, 0x11, pair4), "1.2.3.4:80", "5.6.7.8:8080"},
	{"v2 tcp4 with an extension", v2(0x21, 0x11, pair4+"\x04\x00\x03abc"), "1.2.3.4:80", "5.6.7.8:8080"},
	{"v2 tcp6", v2(0x21, 0x21, pair6), "[2001:db8::1]:1", "[2001:db8::2]:2"},
	{"v2 mapped", v2(0x21, 0x21, mapped6), "1.2.3.4:80", "5.6.7.8:8080"},
	{"v2 longest", v2(0x21, 0x11, pair4+"\xe0\x0f\xe1"+strings.Repeat("x", v2BytesMax-v2Fixed-12-3)), "1.2.3.4:80", "5.6.7.8:8080"},
	{"v2 local", v2(0x20, 0x00, ""), "", ""},
	{"v2 local with addresses", v2(0x20, 0x11, pair4), "", ""},
	{"v2 local with a family and no address", v2(0x20, 0x11, ""), "", ""},
	{"v2 local with an unknown family and anything", v2(0x20, 0xff, "anything"), "", ""},
	{"v2 unspec", v2(0x21, 0x00, "\x04\x00\x01a"), "", ""},
	{"v2 udp4", v2(0x21, 0x12, pair4), "", ""},
	{"v2 unix", v2(0x21, 0x31, strings.Repeat("/a\x00", 72)), "", ""},
}

// refused are inputs that are no header, and what is said about them.
var refused = []struct {
	name, in string
	err      error
}{
	{"HTTP", "GET / HTTP/1.1\r\n\r\n", ErrNoHeader},
	{"TLS", "\x16\x03\x01\x02\x00\x01", ErrNoHeader},
	{"empty line", "\r\n\r\nGET /", ErrNoHeader},
	{"lower case", "proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", ErrNoHeader},
	{"no space", "PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n", ErrNoHeader},
	{"v1 too long", "PROXY UNKNOWN " + strings.Repeat("x", v1BytesMax-15) + "\r\n", ErrTooLong},
	{"v1 without an end", "PROXY TCP4 " + strings.Repeat("1", 200), ErrTooLong},
	{"v1 bare LF", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", ErrMalformed},
	{"v1 no word", "PROXY \r\n", ErrMalformed},
	{"v1 udp", "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", ErrMalformed},
	{"v1 too few", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", ErrMalformed},
	{"v1 too many", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", ErrMalformed},
	{"v1 two spaces", "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", ErrMalformed},
	{"v1 name", "PROXY TCP4 localhost 5.6.7.8 1 2\r\n", ErrMalformed},
	{"v1 family", "PROXY TCP4 ::1 ::2 1 2\r\n", ErrMalformed},
	{"v1 other family", "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", ErrMalformed},
	{"v1 short address", "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", ErrMalformed},
	{"v1 zone", "PROXY TCP6 fe80::1%lo ::2 1 2\r\n", ErrMalformed},
	{"v1 large port", "PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", ErrMalformed},
	{"v1 negative port", "PROXY TCP4 1.2.3.4 5.6.7.8 -0 2\r\n", ErrMalformed},
	{"v1 sign", "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", ErrMalformed},
	{"v2 version 1", v2(0x11, 0x11, pair4), ErrMalformed},
	{"v2 command 2", v2(0x22, 0x11, pair4), ErrMalformed},
	{"v2 family 4", v2(0x21, 0x41, pair4), ErrMalformed},
	{"v2 short addresses", v2(0x21, 0x11, pair4[:11]), ErrMalformed},
	{"v2 cut extension", v2(0x21, 0x11, pair4+"\x04\x00\x09abc"), ErrMalformed},
	{"v2 too long", v2(0x21, 0x11, pair4+strings.Repeat("x", v2BytesMax)), ErrTooLong},
	{"v2 longest length", v2Start + "\x21\x11\xff\xff", ErrTooLong},
}

func text(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// A header is the same whatever follows it, and incomplete wherever it is cut.
func TestHeaders(t *testing.T) {
	for _, tt := range headers {
		for _, rest := range []string{"", "GET / HTTP/1.1\r\n", tt.in} {
			n, local, remote, err := Parse([]byte(tt.in + rest))
			if n != len(tt.in) || err != nil || text(local) != tt.local || text(remote) != tt.remote {
				t.Errorf("%s: %d bytes, from %s to %s, %v", tt.name, n, text(remote), text(local), err)
			}
		}
		for cut := range len(tt.in) {
			if n, _, _, err := Parse([]byte(tt.in[:cut])); n != 0 || err != nil {
				t.Errorf("%s, cut at %d: %d bytes, %v", tt.name, cut, n, err)
			}
		}
	}
}

// What is wrong is refused, at the latest when all of it has come. Before that it is incomplete.
func TestRefused(t *testing.T) {
	for _, tt := range refused {
		for cut := 1; cut <= len(tt.in); cut++ {
			n, _, _, err := Parse([]byte(tt.in[:cut]))
			if n != 0 || err != nil && !errors.Is(err, tt.err) || cut == len(tt.in) && err == nil {
				t.Errorf("%s, cut at %d: %d bytes, %v, want %v", tt.name, cut, n, err, tt.err)
			}
		}
	}
}

func TestAppend(t *testing.T) {
	v4, other4 := netip.MustParseAddrPort("1.2.3.4:80"), netip.MustParseAddrPort("5.6.7.8:65535")
	v6, mapped := netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[::ffff:9.9.9.9]:2")
	none := netip.AddrPort{}
	for _, tt := range []struct{ local, remote, wantLocal, wantRemote netip.AddrPort }{
		{v4, other4, v4, other4},
		{v6, v6, v6, v6},
		{v4, v6, v4, v6},
		{v6, other4, v6, other4},
		{v4, mapped, v4, unmapped(mapped)},
		{none, v4, none, none},
		{v4, none, none, none},
	} {
		for version := 1; version <= 2; version++ {
			b := Append([]byte("x"), version, tt.local, tt.remote)[1:]
			n, local, remote, err := Parse(b)
			if n != len(b) || err != nil || local != tt.wantLocal || remote != tt.wantRemote {
				t.Errorf("version %d of %v, %v: %q: %d bytes, %v, %v, %v", version, tt.local, tt.remote, b, n, local, remote, err)
			}
		}
	}
	if got := string(Append(nil, 1, v4, other4)); got != "PROXY TCP4 5.6.7.8 1.2.3.4 65535 80\r\n" {
		t.Errorf("%q", got)
	}
}

// The result for a prefix is either that more is needed, or the result for all.
func FuzzParse(f *testing.F) {
	for _, tt := range headers {
		f.Add([]byte(tt.in + "GET"))
	}
	for _, tt := range refused {
		f.Add([]byte(tt.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n, local, remote, err := Parse(in)
		if n < 0 || n > len(in) || n > v2BytesMax || err != nil && n != 0 {
			t.Fatalf("%d of %d bytes, %v", n, len(in), err)
		}
		if local.IsValid() != remote.IsValid() {
			t.Fatalf("one address: %v, %v", local, remote)
		}
		if n == 0 && err == nil && len(in) >= v2BytesMax {
			t.Fatalf("%d bytes are not enough", len(in))
		}
		for cut := range in {
			m, l, r, e := Parse(in[:cut])
			if m == 0 && e == nil {
				continue
			}
			if m != n || l != local || r != remote || e != err {
				t.Fatalf("cut at %d: %d, %v, %v, %v; whole: %d, %v, %v, %v", cut, m, l, r, e, n, local, remote, err)
			}
		}
	})
}
