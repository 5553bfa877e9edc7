package httpparse

import (
	"strings"
	"testing"
)

func TestAcceptedCodings(t *testing.T) {
	all := CodingsOf(Gzip, Brotli, Zstd)
	for _, tt := range []struct {
		name    string
		fields  string // of Accept-Encoding; several are separated by "|"
		offered Codings
		want    Coding
	}{
		{"one", "gzip", all, Gzip},
		{"preference of the server", "gzip, br, zstd", all, Zstd},
		{"order does not matter", "zstd, br, gzip", all, Zstd},
		{"without zstd", "gzip, deflate, br", all, Brotli},
		{"a browser", "gzip, deflate, br, zstd", all, Zstd},
		{"only what is offered", "gzip, br, zstd", CodingsOf(Gzip), Gzip},
		{"nothing is offered", "gzip, br, zstd", 0, Identity},
		{"empty", "", all, Identity},
		{"only commas", ",,", all, Identity},
		{"unknown", "deflate, compress, dcz", all, Identity},
		{"case", "GZip", all, Gzip},
		{"old name", "x-gzip", all, Gzip},
		{"weights", "gzip;q=1.0, br;q=0.5", all, Gzip},
		{"weights without a leading one", "gzip;q=0.2, br;q=0.5, zstd;q=0.3", all, Brotli},
		{"three digits", "gzip;q=0.501, br;q=0.5", all, Gzip},
		{"the point alone", "gzip;q=1., br;q=0.", all, Gzip},
		{"weight 0", "gzip;q=0, br;q=0.0, zstd;q=0.000", all, Identity},
		{"one is excluded", "zstd;q=0, br, gzip", all, Brotli},
		{"blanks", " gzip ; q=0.5 ,\tbr\t;\tq=0.4", all, Gzip},
		{"capital Q", "gzip;Q=0.5, br;q=0.4", all, Gzip},
		{"everything", "*", all, Zstd},
		{"everything else", "gzip, *;q=0.5", all, Gzip},
		{"everything else is excluded", "gzip, *;q=0", all, Gzip},
		{"all is excluded", "*;q=0", all, Identity},
		{"everything but one", "*, zstd;q=0", all, Brotli},
		{"identity is better", "identity, gzip;q=0.5", all, Identity},
		{"identity is as good", "identity, gzip", all, Gzip},
		{"identity is worse", "identity;q=0.1, gzip;q=0.2", all, Gzip},
		{"identity is worse than everything", "*, identity;q=0.5", all, Zstd},
		{"identity is not mentioned", "gzip;q=0.001", all, Gzip},
		{"identity is excluded", "identity;q=0, gzip;q=0.1", all, Gzip},
		{"identity is excluded, nothing is offered", "identity;q=0, gzip", 0, Identity},
		{"twice", "gzip, gzip;q=0", all, Identity},
		{"twice, by its names", "gzip;q=0, x-gzip", all, Identity},
		{"two lines", "gzip|br", all, Brotli},
		{"excluded on the second line", "gzip, br|br;q=0", all, Gzip},
		{"malformed: no name", ";q=1, gzip", all, Identity},
		{"malformed: weight too large", "gzip;q=1.001, br", all, Identity},
		{"malformed: weight 2", "gzip;q=2", all, Identity},
		{"malformed: negative", "gzip;q=-1", all, Identity},
		{"malformed: four digits", "gzip;q=0.1234", all, Identity},
		{"malformed: no digits", "gzip;q=", all, Identity},
		{"malformed: a word", "gzip;q=high", all, Identity},
		{"malformed: a point", "gzip;q=.5", all, Identity},
		{"malformed: blank before the equals sign", "gzip;q =1", all, Identity},
		{"malformed: parameter", "gzip;level=9", all, Identity},
		{"malformed: two weights", "gzip;q=1;q=1", all, Identity},
		{"malformed: two words", "gzip br", all, Identity},
		{"malformed: quoted", `"gzip"`, all, Identity},
		{"malformed on the second line", "gzip|;", all, Identity},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := parse(t, "GET / HTTP/1.1\r\nHost: x\r\n"+acceptLines(tt.fields)+"\r\n")
			if got := h.AcceptedCodings().Best(tt.offered); got != tt.want {
				t.Errorf("%q: %v, want %v", tt.fields, got, tt.want)
			}
		})
	}
}

func acceptLines(values string) (lines string) {
	line := "Accept-Encoding: "
	for _, c := range values {
		if c == '|' {
			lines += line + "\r\n"
			line = "Accept-encoding: "
			continue
		}
		line += string(c)
	}
	return lines + line + "\r\n"
}

func TestAcceptance(t *testing.T) {
	without := parse(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").AcceptedCodings()
	if !without.Only() || without.Refuses(Identity) || !without.Refuses(Gzip) {
		t.Errorf("without the field: %v", without)
	}
	for fields, want := range map[string]struct{ only, identityRefused bool }{
		"":                     {true, false},
		"identity":             {true, false},
		"deflate":              {true, false},
		"gzip;q=0":             {true, false},
		"gzip":                 {false, false},
		"identity;q=0, gzip":   {false, true},
		"*;q=0, gzip":          {false, true},
		"*;q=0, identity, br":  {false, false},
		"*;q=0":                {true, true},
		"*;q=0, identity;q=.5": {true, false}, // malformed
	} {
		a := parse(t, "GET / HTTP/1.1\r\nHost: x\r\n"+acceptLines(fields)+"\r\n").AcceptedCodings()
		if a.Only() != want.only || a.Refuses(Identity) != want.identityRefused {
			t.Errorf("%q: only identity %v, identity refused %v", fields, a.Only(), a.Refuses(Identity))
		}
	}
}

func TestCodingNames(t *testing.T) {
	for _, c := range []Coding{Identity, Gzip, Brotli, Zstd} {
		if got, ok := CodingOf([]byte(c.String())); !ok || got != c {
			t.Errorf("%v: %v, %v", c, got, ok)
		}
	}
	if _, ok := CodingOf([]byte("deflate")); ok {
		t.Error("deflate is not known")
	}
}

// FuzzAcceptedCodings checks that the best coding is one that was offered and is not refused.
func FuzzAcceptedCodings(f *testing.F) {
	f.Add("gzip, deflate;q=0.5, br, *;q=0", uint8(6))
	f.Add("identity;q=0,zstd;q=0.001", uint8(15))
	f.Fuzz(func(t *testing.T, value string, offered uint8) {
		if !IsFieldValue([]byte(value)) || len(value) > 1<<10 {
			return
		}
		a := parse(t, "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding:"+value+"\r\n\r\n").AcceptedCodings()
		best := a.Best(Codings(offered))
		if best != Identity && (!Codings(offered).Has(best) || a.Refuses(best)) {
			t.Fatalf("%q: %v of %b", value, best, offered)
		}
		for c := range Coding(codings) {
			if Codings(offered).Has(c) && a[c] > a[best] {
				t.Fatalf("%q: %v, but %v is better", value, best, c)
			}
		}
	})
}

func TestContentCoding(t *testing.T) {
	for _, tt := range []struct {
		values string // of Content-Encoding; several fields are separated by "|"
		want   Coding
		ok     bool
	}{
		{"gzip", Gzip, true}, {"X-Gzip", Gzip, true}, {"br", Brotli, true}, {"zstd", Zstd, true}, {"identity", Identity, true}, {"", Identity, true},
		{"identity, gzip", Gzip, true}, {"gzip, identity", Gzip, true}, {"compress", Identity, false}, {"gzip, br", Identity, false},
		{"gzip, gzip", Identity, false}, {"gzip|br", Identity, false}, {"gzip|identity", Gzip, true}, {"*", Identity, false}, {"gzip;q=1", Identity, false},
	} {
		lines := strings.ReplaceAll(acceptLines(tt.values), "Accept-", "Content-")
		h := parse(t, "POST / HTTP/1.1\r\nHost: x\r\n"+strings.ReplaceAll(lines, "Accept-e", "Content-e")+"\r\n")
		if got, ok := h.ContentCoding(); got != tt.want || ok != tt.ok {
			t.Errorf("%q: %v, %v", tt.values, got, ok)
		}
	}
	if c, ok := parse(t, "POST / HTTP/1.1\r\nHost: x\r\n\r\n").ContentCoding(); c != Identity || !ok {
		t.Errorf("without the field: %v, %v", c, ok)
	}
}

func TestCodingsNames(t *testing.T) {
	for _, tt := range []struct {
		set  Codings
		want string
	}{
		{CodingsOf(Identity), "identity"}, {CodingsOf(Identity, Gzip, Brotli, Zstd), "zstd, br, gzip"}, {CodingsOf(Brotli), "br"},
	} {
		if got := string(tt.set.AppendNames(nil)); got != tt.want {
			t.Errorf("%b: %q", tt.set, got)
		}
	}
}

// TestBodyCoding: bodies with codings other than those that the limits name are refused; requests without a body are not.
func TestBodyCoding(t *testing.T) {
	request := func(fields string) *Head { return parse(t, "POST / HTTP/1.1\r\nHost: x\r\n"+fields+"\r\n") }
	const length, chunked = "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"
	for _, tt := range []struct {
		fields  string
		codings Codings
		want    error
	}{
		{"Content-Encoding: gzip\r\n" + length, 0, nil},
		{"Content-Encoding: gzip\r\n" + length, CodingsOf(Identity), errBodyCoding},
		{"Content-Encoding: gzip\r\n" + chunked, CodingsOf(Identity), errBodyCoding},
		{"Content-Encoding: gzip\r\n" + length, CodingsOf(Gzip), nil},
		{"Content-Encoding: br\r\n" + length, CodingsOf(Gzip), errBodyCoding},
		{"Content-Encoding: compress\r\n" + length, CodingsOf(Gzip), errBodyCoding},
		{"Content-Encoding: identity\r\n" + length, CodingsOf(Gzip), nil},
		{length, CodingsOf(Identity), nil},
		{"Content-Encoding: gzip\r\n", CodingsOf(Identity), nil},
		{"Content-Encoding: gzip\r\nContent-Length: 0\r\n", CodingsOf(Identity), nil},
	} {
		var b Body
		_, err := b.Begin(request(tt.fields), 0, &BodyLimits{Bytes: 100, Codings: tt.codings})
		if err != tt.want && (err == nil || tt.want == nil || err.Error() != tt.want.Error()) {
			t.Errorf("%q, %b: %v", tt.fields, tt.codings, err)
		}
	}
	if StatusOf(errBodyCoding) != 415 {
		t.Error("status")
	}
}
