package tcpproxy

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/upstream"
)

// hello is the ClientHello of crypto/tls for a server name, or without one.
func hello(t testing.TB, name string, change func(*tls.Config)) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	c := &tls.Config{ServerName: name, InsecureSkipVerify: true}
	if change != nil {
		change(c)
	}
	go tls.Client(client, c).Handshake()
	b := make([]byte, 1<<16)
	n, err := io.ReadAtLeast(server, b, recordHeader)
	if err != nil {
		t.Fatal(err)
	}
	size := recordHeader + int(binary.BigEndian.Uint16(b[3:]))
	if _, err := io.ReadFull(server, b[n:max(size, n)]); err != nil {
		t.Fatal(err)
	}
	return b[:size]
}

// inRecords divides the message of a record into records of n bytes.
func inRecords(record []byte, n int) (out []byte) {
	for message := record[recordHeader:]; len(message) > 0; {
		part := message[:min(n, len(message))]
		message = message[len(part):]
		out = append(out, handshake, 3, 1)
		out = binary.BigEndian.AppendUint16(out, uint16(len(part)))
		out = append(out, part...)
	}
	return out
}

// extension is a ClientHello with extensions of our own.
func withExtensions(extensions string) []byte {
	m := "\x03\x03" + strings.Repeat("r", 32) + "\x00" + "\x00\x02\x13\x01" + "\x01\x00"
	if extensions != "none" {
		m += string(binary.BigEndian.AppendUint16(nil, uint16(len(extensions)))) + extensions
	}
	m = "\x01\x00" + string(binary.BigEndian.AppendUint16(nil, uint16(len(m)))) + m
	return []byte("\x16\x03\x01" + string(binary.BigEndian.AppendUint16(nil, uint16(len(m)))) + m)
}

// names are first bytes, what is looked for in them, and the name that is found.
func names(t testing.TB) map[string]struct {
	what Sniff
	in   string
	name string
} {
	type first = struct {
		what Sniff
		in   string
		name string
	}
	plain := hello(t, "example.com", nil)
	large := hello(t, "example.com", func(c *tls.Config) {
		for i := range 400 {
			c.NextProtos = append(c.NextProtos, strings.Repeat("x", 20)+string(rune('a'+i%26)))
		}
	})
	sni := func(list string) string {
		return string(withExtensions("\x00\x17\x00\x00\x00\x00\x00" + string(rune(len(list))) + list))
	}
	return map[string]first{
		"TLS":                          {SniffTLS, string(plain), "example.com"},
		"TLS or HTTP":                  {SniffBoth, string(plain), "example.com"},
		"TLS 1.2":                      {SniffTLS, string(hello(t, "example.com", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })), "example.com"},
		"TLS, upper case":              {SniffTLS, strings.Replace(string(plain), "example.com", "EXAMPLE.com", 1), "example.com"},
		"TLS, dot":                     {SniffTLS, sni("\x00\x0d\x00\x00\x0aa.example."), "a.example"},
		"TLS without a name":           {SniffTLS, string(hello(t, "", nil)), ""},
		"TLS, an address":              {SniffTLS, string(hello(t, "127.0.0.1", nil)), ""},
		"TLS in records of 200 bytes":  {SniffTLS, string(inRecords(plain, 200)), "example.com"},
		"TLS, cut in the header":       {SniffTLS, string(inRecords(plain, len(plain)/8)), "example.com"},
		"TLS in records of a byte":     {SniffTLS, string(inRecords(plain, 1)), ""},
		"TLS, large":                   {SniffTLS, string(large), "example.com"},
		"TLS, large, in records":       {SniffTLS, string(inRecords(large, 2000)), "example.com"},
		"TLS without extensions":       {SniffTLS, string(withExtensions("none")), ""},
		"TLS, empty extensions":        {SniffTLS, string(withExtensions("")), ""},
		"TLS, cut extensions":          {SniffTLS, string(withExtensions("\x00\x00\x00\x10\x00\x0e\x00\x00\x0bexample")), ""},
		"TLS, empty name":              {SniffTLS, sni("\x00\x03\x00\x00\x00"), ""},
		"TLS, empty list":              {SniffTLS, sni("\x00\x00"), ""},
		"TLS, other kind of name":      {SniffTLS, sni("\x00\x04\x01\x00\x01a"), ""},
		"TLS, more than the list":      {SniffTLS, sni("\x00\x04\x00\x00\x01abc"), ""},
		"TLS, bytes that are no name":  {SniffTLS, sni("\x00\x06\x00\x00\x03a/b"), ""},
		"TLS, NUL in the name":         {SniffTLS, sni("\x00\x06\x00\x00\x03a\x00b"), ""},
		"TLS, an alert":                {SniffTLS, "\x15\x03\x01\x00\x02\x02\x28", ""},
		"TLS, another message":         {SniffTLS, "\x16\x03\x01\x00\x04\x02\x00\x00\x00", ""},
		"TLS, SSL 2":                   {SniffTLS, "\x80\x2e\x01\x00\x02", ""},
		"TLS, empty record":            {SniffTLS, "\x16\x03\x01\x00\x00", ""},
		"TLS, large record":            {SniffTLS, "\x16\x03\x01\x40\x01", ""},
		"TLS, too large":               {SniffTLS, "\x16\x03\x01\x40\x00\x01\x00\xff\xff" + strings.Repeat("x", 20<<10), ""},
		"HTTP to one that expects TLS": {SniffTLS, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", ""},
		"HTTP":                         {SniffHTTP, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "example.com"},
		"HTTP, body":                   {SniffBoth, "POST / HTTP/1.1\r\nHost: Example.COM.:8080\r\nContent-Length: 3\r\n\r\nabc", "example.com"},
		"HTTP, IPv6":                   {SniffHTTP, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "[::1]"},
		"HTTP, absolute":               {SniffHTTP, "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"},
		"HTTP 1.0 without a host":      {SniffHTTP, "GET / HTTP/1.0\r\n\r\n", ""},
		"HTTP, two hosts":              {SniffHTTP, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", ""},
		"HTTP, smuggling":              {SniffHTTP, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", ""},
		"HTTP, too large":              {SniffHTTP, "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 20<<10), ""},
		"TLS to one that expects HTTP": {SniffHTTP, string(plain), ""},
		"SSH":                          {SniffBoth, "SSH-2.0-x\r\n", ""},
	}
}

// The name is the same whether the bytes come at once, one by one, or in two pieces.
func TestNames(t *testing.T) {
	for name, tt := range names(t) {
		at := -1
		s := &sniffer{what: tt.what, max: sniffBytesDefault}
		for n := 0; n <= len(tt.in); n++ {
			if got, known := s.look([]byte(tt.in[:n])); known {
				at = n
				if got != tt.name {
					t.Errorf("%s, byte by byte, after %d of %d: %q, want %q", name, n, len(tt.in), got, tt.name)
				}
				break
			}
		}
		if at < 0 {
			t.Errorf("%s: nothing is known after %d bytes", name, len(tt.in))
			continue
		}
		for cut := 0; cut <= len(tt.in); cut += 1 + cut/50 {
			s := &sniffer{what: tt.what, max: sniffBytesDefault}
			got, known := s.look([]byte(tt.in[:cut]))
			if !known {
				got, known = s.look([]byte(tt.in))
			}
			if !known || got != tt.name {
				t.Errorf("%s, cut at %d: %q, %v, want %q", name, cut, got, known, tt.name)
			}
		}
	}
}

// byName is a Config.To by the name: a target says which one it is.
func byName(t *testing.T) func(*Client) *upstream.Set {
	sets := map[string]*upstream.Set{}
	for _, name := range []string{"", "a.example", "b.example"} {
		sets[name] = set(t, upstream.Options{}, says(t, "["+name+"] "))
	}
	return func(c *Client) *upstream.Set {
		if len(c.First) == 0 {
			return nil
		}
		return sets[c.Name]
	}
}

// Connections go to the service for their name, with all their bytes.
func TestRouteByName(t *testing.T) {
	r := newRig(t, Config{Sniff: SniffBoth, SniffTime: patience, To: byName(t)}, nil)
	for name, text := range map[string]string{
		"a.example": "GET / HTTP/1.1\r\nHost: A.example:80\r\n\r\n",
		"b.example": string(hello(t, "b.example", nil)),
		"":          "something else\r\n",
	} {
		if got := r.ask(text); got != "["+name+"] "+text {
			t.Errorf("%q: %q", name, got)
		}
		c := r.dial()
		for i := range len(text) {
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
		c.CloseWrite()
		if got, err := io.ReadAll(c); string(got) != "["+name+"] "+text || err != nil {
			t.Errorf("%q, byte by byte: %q, %v", name, got, err)
		}
	}
	if _, ok := isReset(r.dialSaying("GET / HTTP/1.1\r\nHost: unknown\r\n\r\n")); !ok {
		t.Error("an unknown name is not refused")
	}
}

func (r *rig) dialSaying(text string) net.Conn {
	r.t.Helper()
	c := r.dial()
	io.WriteString(c, text)
	return c
}

// A TLS handshake passes, with the target that the name asks for.
func TestTLSPasses(t *testing.T) {
	r := newRig(t, Config{Sniff: SniffTLS, SniffTime: patience, To: To(set(t, upstream.Options{}, tlsTarget(t)))}, nil)
	c := tls.Client(r.dial(), &tls.Config{ServerName: "a.example", InsecureSkipVerify: true})
	if _, err := io.WriteString(c, "over TLS"); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite()
	if got, err := io.ReadAll(c); string(got) != "a.example: over TLS" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	c.Close()
	if e := r.over(1); e.Client.Name != "a.example" || len(e.Client.First) > 0 {
		t.Errorf("%+v", e.Client)
	}
}

func tlsTarget(t *testing.T) (address string) {
	t.Helper()
	cert := selfSigned(t)
	return target(t, func(raw *net.TCPConn) {
		c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}})
		got, err := io.ReadAll(c)
		if err == nil || errors.Is(err, io.EOF) {
			c.Write(append([]byte(c.ConnectionState().ServerName+": "), got...))
		}
		c.CloseWrite()
	})
}

// A client that says too little is reset after some time. One that ends before that has no session.
func TestSniffTime(t *testing.T) {
	r := newRig(t, Config{Sniff: SniffBoth, SniffTime: time.Millisecond, To: byName(t)}, nil)
	if b, err := io.ReadAll(r.dialSaying("GET / HT")); len(b) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("%q, %v", b, err)
	}
	if e := r.over(1); e.Err != ErrSniffTime {
		t.Error(e.Err)
	}
	if text := r.logged(); !strings.Contains(text, ErrSniffTime.Error()) {
		t.Error(text)
	}
	r = newRig(t, Config{Sniff: SniffBoth, SniffTime: patience, To: byName(t)}, nil)
	c := r.dialSaying("GET / HT").(*net.TCPConn)
	c.CloseWrite()
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if e := r.over(1); errors.Is(e.Err, os.ErrDeadlineExceeded) {
		t.Error(e.Err)
	}
}

// However the bytes are cut, the result is the same, and no input is looked at for ever.
func FuzzNames(f *testing.F) {
	for _, tt := range names(f) {
		f.Add(uint8(tt.what), []byte(tt.in))
	}
	f.Fuzz(func(t *testing.T, what uint8, in []byte) {
		kind := Sniff(what%3) + SniffTLS
		const most = 2000
		whole := &sniffer{what: kind, max: most}
		want, known := whole.look(in)
		if !known && len(in) > most {
			t.Fatalf("nothing is known after %d bytes", len(in))
		}
		if known && want != "" && kind != SniffHTTP && in[0] == handshake && !bytes.Contains(bytes.ToLower(in), []byte(want)) && len(in) < 300 {
			t.Fatalf("%q is not in the input", want)
		}
		parts := &sniffer{what: kind, max: most}
		step := 1 + len(in)/40
		for n := 0; ; n = min(n+step, len(in)) {
			got, now := parts.look(in[:n])
			if now {
				if !known || got != want {
					t.Fatalf("after %d of %d bytes: %q; of all: %q, %v", n, len(in), got, want, known)
				}
				return
			}
			if n == len(in) {
				if want != "" { // that there is none may become clear later
					t.Fatalf("in pieces nothing is known, of all: %q", want)
				}
				return
			}
		}
	})
}
