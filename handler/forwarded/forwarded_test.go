package forwarded

import (
	"net/netip"
	"strings"
	"testing"

	"moonbridge/httpparse"
)

func head(t testing.TB, fields ...string) *httpparse.Head {
	t.Helper()
	var h httpparse.Head
	var p httpparse.Parser
	text := "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Join(append(fields, "\r\n"), "\r\n")
	if n, err := p.Parse(&h, []byte(text[:strings.Index(text, "\r\n\r\n")+4]), &httpparse.Limits{}); err != nil || n == 0 {
		t.Fatalf("%q: %d, %v", text, n, err)
	}
	return &h
}

func trusted(t testing.TB, list ...string) *Trusted {
	t.Helper()
	p, err := New(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	xff = "X-Forwarded-For: "
	xfp = "X-Forwarded-Proto: "
	fwd = "Forwarded: "
)

// identified is what is known of a request's client, when 10.0.0.0/8, 192.0.2.7, fd00::/8 and Unix sockets are trusted. peer is "" for
// a Unix socket, client is "" if it is the peer.
var identified = []struct {
	name, peer string
	fields     []string
	client     string
	secure     bool
}{
	{"no field", "10.0.0.1", nil, "", false},
	{"one proxy", "10.0.0.1", []string{xff + "203.0.113.5"}, "203.0.113.5", false},
	{"the address of a proxy", "192.0.2.7", []string{xff + "203.0.113.5"}, "203.0.113.5", false},
	{"IPv6", "fd00::1", []string{xff + "2001:db8::5"}, "2001:db8::5", false},
	{"Unix socket", "", []string{xff + "203.0.113.5", xfp + "https"}, "203.0.113.5", true},
	{"untrusted peer", "203.0.113.9", []string{xff + "203.0.113.5", xfp + "https"}, "", false},
	{"untrusted neighbour", "192.0.2.8", []string{fwd + "for=203.0.113.5;proto=https"}, "", false},

	// Entries that a client has put in front.
	{"invented entry", "10.0.0.1", []string{xff + "1.1.1.1, 203.0.113.5"}, "203.0.113.5", false},
	{"invented proxy", "10.0.0.1", []string{xff + "1.1.1.1, 10.0.0.3, 203.0.113.5"}, "203.0.113.5", false},
	{"invented field", "10.0.0.1", []string{xff + "1.1.1.1", xff + "203.0.113.5"}, "203.0.113.5", false},
	{"garbage in front", "10.0.0.1", []string{xff + "<script>, \x80\xff, 203.0.113.5"}, "203.0.113.5", false},
	{"open quote in front", "10.0.0.1", []string{xff + `"1.1.1.1, 203.0.113.5`}, "203.0.113.5", false},
	{"many in front", "10.0.0.1", []string{xff + strings.Repeat("1.1.1.1,", 5000) + "203.0.113.5"}, "203.0.113.5", false},

	// Chains.
	{"two proxies", "10.0.0.1", []string{xff + "203.0.113.5, 10.0.0.2"}, "203.0.113.5", false},
	{"two proxies and an invented entry", "10.0.0.1", []string{xff + "1.1.1.1, 203.0.113.5, 10.0.0.2"}, "203.0.113.5", false},
	{"two proxies, two lines", "10.0.0.1", []string{xff + "203.0.113.5", xff + "10.0.0.2"}, "203.0.113.5", false},
	{"only proxies", "10.0.0.1", []string{xff + "10.0.0.3, 10.0.0.2"}, "10.0.0.3", false},
	{"a proxy that does not know", "10.0.0.1", []string{xff + "unknown, 10.0.0.2"}, "10.0.0.2", false},
	{"empty entries", "10.0.0.1", []string{xff + ",, 203.0.113.5 ,\t,", xff, xff + "10.0.0.2,"}, "203.0.113.5", false},
	{"too many proxies", "10.0.0.1", []string{xff + "203.0.113.5" + strings.Repeat(",10.9.9.9", hopsMax)}, "10.9.9.9", false},
	{"as many as may be", "10.0.0.1", []string{xff + "203.0.113.5" + strings.Repeat(",10.9.9.9", hopsMax-1)}, "203.0.113.5", false},

	// Forms of addresses.
	{"port", "10.0.0.1", []string{xff + "203.0.113.5:1234"}, "203.0.113.5", false},
	{"IPv6 in brackets", "10.0.0.1", []string{xff + "[2001:db8::5]"}, "2001:db8::5", false},
	{"IPv6 with a port", "10.0.0.1", []string{xff + "[2001:db8::5]:1"}, "2001:db8::5", false},
	{"mapped", "10.0.0.1", []string{xff + "::ffff:203.0.113.5"}, "203.0.113.5", false},
	{"mapped proxy", "10.0.0.1", []string{xff + "203.0.113.5, ::ffff:10.0.0.2"}, "203.0.113.5", false},
	{"no address", "10.0.0.1", []string{xff + "localhost"}, "", false},
	{"zone", "10.0.0.1", []string{xff + "fe80::1%eth0"}, "", false},
	{"leading zeros", "10.0.0.1", []string{xff + "010.0.0.2"}, "", false},
	{"short form", "10.0.0.1", []string{xff + "10.1"}, "", false},
	{"port without digits", "10.0.0.1", []string{xff + "203.0.113.5:"}, "", false},
	{"after the brackets", "10.0.0.1", []string{xff + "[2001:db8::5]x"}, "", false},
	{"IPv4 in brackets", "10.0.0.1", []string{xff + "[203.0.113.5]"}, "", false},
	{"open bracket", "10.0.0.1", []string{xff + "[2001:db8::5"}, "", false},
	{"long", "10.0.0.1", []string{xff + strings.Repeat("1", 10000)}, "", false},

	// The scheme.
	{"https", "10.0.0.1", []string{xff + "203.0.113.5", xfp + "https"}, "203.0.113.5", true},
	{"HTTPS", "10.0.0.1", []string{xfp + "HTTPS"}, "", true},
	{"wss", "10.0.0.1", []string{xfp + "wss"}, "", true},
	{"http", "10.0.0.1", []string{xff + "203.0.113.5", xfp + "http"}, "203.0.113.5", false},
	{"other scheme", "10.0.0.1", []string{xfp + "httpss"}, "", false},
	{"invented scheme", "10.0.0.1", []string{xff + "1.1.1.1, 203.0.113.5", xfp + "https, http"}, "203.0.113.5", false},
	{"invented scheme in a line", "10.0.0.1", []string{xff + "203.0.113.5", xfp + "https", xfp + "http"}, "203.0.113.5", false},
	{"a scheme for each proxy", "10.0.0.1", []string{xff + "203.0.113.5, 10.0.0.2", xfp + "https, http"}, "203.0.113.5", true},
	{"one scheme for all", "10.0.0.1", []string{xff + "203.0.113.5, 10.0.0.2", xfp + "https"}, "203.0.113.5", true},

	// Forwarded.
	{"for", "10.0.0.1", []string{fwd + "for=203.0.113.5"}, "203.0.113.5", false},
	{"for, quoted, with a port", "10.0.0.1", []string{fwd + `For="[2001:db8::5]:4711"`}, "2001:db8::5", false},
	{"for, IPv4 with a port", "10.0.0.1", []string{fwd + `for="203.0.113.5:80"`}, "203.0.113.5", false},
	{"for, obscured port", "10.0.0.1", []string{fwd + `for="203.0.113.5:_a.b"`}, "203.0.113.5", false},
	{"for and proto", "10.0.0.1", []string{fwd + "for=203.0.113.5;proto=https;by=10.0.0.1;host=h"}, "203.0.113.5", true},
	{"proto alone", "10.0.0.1", []string{fwd + "proto=https"}, "", true},
	{"unknown", "10.0.0.1", []string{fwd + "for=unknown;proto=https"}, "", true},
	{"obscured", "10.0.0.1", []string{fwd + "for=203.0.113.5, for=_hidden"}, "", false},
	{"two elements", "10.0.0.1", []string{fwd + "for=203.0.113.5;proto=https, for=10.0.0.2;proto=http"}, "203.0.113.5", true},
	{"two elements, the first without a scheme", "10.0.0.1", []string{fwd + "for=203.0.113.5, for=10.0.0.2;proto=https"}, "203.0.113.5", false},
	{"invented element", "10.0.0.1", []string{fwd + "for=1.1.1.1;proto=https, for=203.0.113.5"}, "203.0.113.5", false},
	{"open quote before an element", "10.0.0.1", []string{fwd + `for="1.1.1.1, for=203.0.113.5`}, "203.0.113.5", false},
	{"quote in the name of an element before", "10.0.0.1", []string{fwd + `", for=1.1.1.1;x=", for=203.0.113.5`}, "203.0.113.5", false},
	{"escaped quote before an element", "10.0.0.1", []string{fwd + `for="\", for=203.0.113.5`}, "203.0.113.5", false},
	{"comma in quotes", "10.0.0.1", []string{fwd + `for=203.0.113.5;x="a,for=1.1.1.1"`}, "203.0.113.5", false},
	{"escape in quotes", "10.0.0.1", []string{fwd + `for="203.0.113.\5"`}, "", false},
	{"for twice", "10.0.0.1", []string{fwd + "for=203.0.113.5;for=1.1.1.1"}, "", false},
	{"proto twice", "10.0.0.1", []string{fwd + "for=203.0.113.5;proto=http;proto=https"}, "", false},
	{"no value", "10.0.0.1", []string{fwd + "for"}, "", false},
	{"no name", "10.0.0.1", []string{fwd + "=203.0.113.5"}, "", false},
	{"IPv6 without quotes", "10.0.0.1", []string{fwd + "for=[2001:db8::5]"}, "", false},
	{"space for a semicolon", "10.0.0.1", []string{fwd + "for=203.0.113.5 proto=https"}, "", false},

	// Both. A proxy that writes only one of them lets the other pass.
	{"invented Forwarded", "10.0.0.1", []string{fwd + "for=1.1.1.1;proto=https", xff + "203.0.113.5"}, "203.0.113.5", false},
	{"Forwarded and a scheme", "10.0.0.1", []string{fwd + "for=203.0.113.5", xfp + "https"}, "203.0.113.5", false},
}

func TestIdentify(t *testing.T) {
	proxies := trusted(t, "10.0.0.0/8", "192.0.2.7", "fd00::/8", "unix")
	for _, tt := range identified {
		h := head(t, tt.fields...)
		h.Client, h.Secure = netip.MustParseAddr("9.9.9.9"), true // of an earlier request
		peer, _ := netip.ParseAddr(tt.peer)
		proxies.Identify(h, peer)
		client := ""
		if h.Client.IsValid() {
			client = h.Client.String()
		}
		if client != tt.client || h.Secure != tt.secure {
			t.Errorf("%s: client %q, secure %v; want %q, %v", tt.name, client, h.Secure, tt.client, tt.secure)
		}
	}
}

func TestNew(t *testing.T) {
	for _, tt := range []struct{ in, message string }{
		{"10.0.0.0/8", ""}, {"10.1.2.3", ""}, {"::ffff:10.1.2.3", ""}, {"fd00::/8", ""}, {"::/0", ""}, {"::1", ""}, {"unix", ""},
		{"10.0.0.1/8", `did you mean "10.0.0.0/8"`},
		{"fd00::1/8", `did you mean "fd00::/8"`},
		{"10.0.0.0/33", "neither an address"},
		{"10.0.0.0/", "neither an address"},
		{"10.0.0", "neither an address"},
		{"::ffff:10.0.0.0/104", "neither an address"},
		{"fe80::1%lo", "neither an address"},
		{"localhost", "neither an address"},
		{"", "neither an address"},
	} {
		_, err := New([]string{tt.in})
		if tt.message == "" && err != nil || tt.message != "" && (err == nil || !strings.Contains(err.Error(), tt.message)) {
			t.Errorf("%q: %v, want %q", tt.in, err, tt.message)
		}
	}
	if trusted(t).Has(netip.MustParseAddr("127.0.0.1")) || trusted(t, "10.0.0.0/8").Has(netip.Addr{}) {
		t.Error("a proxy that is not in the list is trusted")
	}
	if !trusted(t, "::ffff:10.1.2.3").Has(netip.MustParseAddr("10.1.2.3")) {
		t.Error("an address in IPv6 form does not count")
	}
}

// Whatever a client sends, entries that the proxies append after it count in the same way.
func FuzzIdentify(f *testing.F) {
	for _, tt := range identified {
		for _, field := range tt.fields {
			_, value, _ := strings.Cut(field, ": ")
			f.Add(value)
		}
	}
	proxies := trusted(f, "10.0.0.0/8")
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, sent string) {
		if strings.ContainsAny(sent, "\r\n\x00") {
			return
		}
		for _, c := range sent {
			if c < ' ' && c != '\t' || c == 0x7f {
				return
			}
		}
		for _, fields := range [][]string{
			{xff + sent + ", 203.0.113.5, 10.0.0.2"},
			{xff + sent, xff + "203.0.113.5:80", xff + "10.0.0.2"},
			{fwd + sent, xff + "203.0.113.5"},
			{fwd + sent + `, for="203.0.113.5:80", for=10.0.0.2`},
			{fwd + sent, fwd + "for=203.0.113.5, for=10.0.0.2"},
		} {
			h := head(t, fields...)
			proxies.Identify(h, peer)
			if h.Client.String() != "203.0.113.5" || h.Secure {
				t.Errorf("%q: %v, %v", fields, h.Client, h.Secure)
			}
		}
		proxies.Identify(head(t, xff+sent), peer)
		proxies.Identify(head(t, fwd+sent), peer)
	})
}
