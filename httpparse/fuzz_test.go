package httpparse

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Each fuzz test checks a property. The seeds are the conformance cases and earlier findings (testdata/fuzz).

// FuzzHead checks that incremental and one-shot parsing agree, that all ranges lie within the input, and that net/http
// does not understand an accepted request differently.
func FuzzHead(f *testing.F) {
	for _, c := range loadCases(f) {
		if len(c.Input) <= 4*shortHead {
			f.Add(c.Input, uint16(len(c.Input)/2))
		}
	}
	f.Add([]byte(requestBrowser), uint16(1))
	small := &Limits{HeadBytes: 256, Fields: 4, TargetBytes: 32}
	f.Fuzz(func(t *testing.T, input []byte, place uint16) {
		if len(input) > 4*shortHead {
			return
		}
		cut := int(place) % (len(input) + 1)
		for _, lim := range []*Limits{nil, small} {
			whole := pieces(input, lim).String()
			if got := pieces(input, lim, cut, (cut+len(input))/2).String(); got != whole && len(input) <= shortHead {
				t.Fatalf("cut at %d: %s\nwhole: %s", cut, got, whole)
			}
			if got := bytewise(input, lim).String(); got != whole && len(input) <= shortHead {
				t.Fatalf("byte by byte: %s\nwhole: %s", got, whole)
			}
		}
		checkPlaces(t, input)
		checkAgainstNetHTTP(t, input)
	})
}

// stricterSizes reports whether net/http has refused a chunk size line that RFC 9112 §7.1 allows: more than 16 digits, or
// whitespace before an extension.
func stricterSizes(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "chunk length") || strings.Contains(err.Error(), "chunk header"))
}

// checkPlaces checks the ranges in the first head.
func checkPlaces(t *testing.T, input []byte) {
	var p Parser
	var h Head
	n, err := p.Parse(&h, input, nil)
	if n < 0 || n > len(input) || n > 0 && err != nil {
		t.Fatalf("%d of %d, %v", n, len(input), err)
	}
	if n == 0 {
		return
	}
	if !bytes.HasSuffix(input[:n-2], h.Raw) || !bytes.HasSuffix(input[:n], []byte("\r\n\r\n")) {
		t.Fatalf("Raw is %q of %q", h.Raw, input[:n])
	}
	line := h.Raw[:bytes.IndexByte(h.Raw, '\r')]
	if want := string(h.Bytes(h.Method)) + " " + string(h.Bytes(h.Target)) + " HTTP/1."; !strings.HasPrefix(string(line), want) ||
		len(line) != len(want)+1 {
		t.Fatalf("request line %q, want %q", line, want)
	}
	if !bytes.Contains(h.Bytes(h.Target), append(h.Bytes(h.Path), h.Bytes(h.Query)...)) && h.Path.Len > 0 {
		t.Fatalf("path %q and query %q of %q", h.Bytes(h.Path), h.Bytes(h.Query), h.Bytes(h.Target))
	}
	if h.Query.Len > 0 && h.Bytes(h.Query)[0] != '?' || bytes.IndexByte(h.Bytes(h.Path), '?') >= 0 {
		t.Fatalf("path %q, query %q", h.Bytes(h.Path), h.Bytes(h.Query))
	}
	for _, field := range h.Fields {
		if !IsToken(h.Name(field)) || !IsFieldValue(h.Value(field)) || len(TrimBlanks(h.Value(field))) != int(field.ValueLen) {
			t.Fatalf("field %q: %q", h.Name(field), h.Value(field))
		}
	}
	if h.Chunked != (h.ContentLength == LengthUnknown) || h.ContentLength < LengthUnknown {
		t.Fatalf("chunked %v, length %d", h.Chunked, h.ContentLength)
	}
}

// checkAgainstNetHTTP reads the same connection with net/http. net/http may accept what we refuse. It may refuse what
// we accept if the target is not a URL; otherwise it must see the same requests.
func checkAgainstNetHTTP(t *testing.T, input []byte) {
	got := pieces(input, nil)
	theirs := bufio.NewReader(bytes.NewReader(input))
	for _, x := range got.exchanges {
		skipLineEnds(theirs)
		r, err := http.ReadRequest(theirs)
		if err != nil {
			if _, e := url.ParseRequestURI(x.target); e != nil && x.target != "*" {
				return // such as "%zz", which we leave to the handler
			}
			t.Fatalf("net/http: %v, we: %+v", err, x)
		}
		if x.minor == 0 && x.host == "" && x.target[0] != '/' {
			r.Host = "" // there is no Host field to replace with the host of the target
		}
		if decoded, err := url.PathUnescape(x.host); err == nil && r.Host == decoded && x.target[0] != '/' {
			r.Host = x.host // it decodes the host of a target in absolute form, but not a Host field
		}
		if r.Method != x.method || r.RequestURI != x.target || r.Host != x.host {
			t.Fatalf("net/http: %s %s host %q, we: %+v", r.Method, r.RequestURI, r.Host, x)
		}
		if r.ContentLength != x.length || (len(r.TransferEncoding) > 0) != (x.length == LengthUnknown) {
			t.Fatalf("net/http: length %d, %q, we: %+v", r.ContentLength, r.TransferEncoding, x)
		}
		if r.Close == x.persistent {
			t.Fatalf("net/http: close %v, we: %+v", r.Close, x)
		}
		body, err := io.ReadAll(r.Body)
		if x.complete && stricterSizes(err) {
			return
		}
		if x.complete && (err != nil || string(body) != x.body) {
			t.Fatalf("net/http: %q %v, we: %+v", body, err, x)
		}
		if !x.complete && (err == nil || !strings.HasPrefix(x.body, string(body)) && !strings.HasPrefix(string(body), x.body)) &&
			got.end == "incomplete" {
			t.Fatalf("net/http: %q %v, we: %+v", body, err, x)
		}
	}
}

// skipLineEnds skips line ends before a request, which net/http does only after a POST.
func skipLineEnds(r *bufio.Reader) {
	for {
		b, err := r.Peek(1)
		if err != nil || b[0] != '\r' && b[0] != '\n' {
			return
		}
		r.Discard(1)
	}
}

// FuzzChunked checks that incremental and one-shot decoding agree, that Decode and Next agree, and that httputil reads
// the same data.
func FuzzChunked(f *testing.F) {
	for _, c := range loadCases(f) {
		if _, body, ok := bytes.Cut(c.Input, []byte("chunked\r\n\r\n")); ok && len(body) <= 4*shortHead {
			f.Add(body, uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, input []byte, size uint8) {
		if len(input) > 4*shortHead {
			return
		}
		data, rest, done, err := decodeNext(t, input, len(input)+1)
		data2, rest2, done2, err2 := decodeNext(t, input, 1+int(size)%16)
		if data != data2 || rest != rest2 || done != done2 || err != err2 {
			t.Fatalf("in pieces: %q %q %v %v\nwhole: %q %q %v %v", data2, rest2, done2, err2, data, rest, done, err)
		}
		data2, rest2, done2, err2 = decodeInto(t, input, 1+int(size)%16)
		if data != data2 || rest != rest2 || done != done2 || err != err2 {
			t.Fatalf("Decode: %q %q %v %v\nNext: %q %q %v %v", data2, rest2, done2, err2, data, rest, done, err)
		}

		r := bytes.NewReader(input)
		theirs, theirErr := io.ReadAll(httputil.NewChunkedReader(r))
		switch {
		case done && stricterSizes(theirErr):
		case done && (theirErr != nil || string(theirs) != data):
			t.Fatalf("httputil: %q %v, we: %q", theirs, theirErr, data)
		case !strings.HasPrefix(string(theirs), data) && !strings.HasPrefix(data, string(theirs)):
			t.Fatalf("httputil: %q %v, we: %q %v", theirs, theirErr, data, err)
		}
	})
}

// decodeNext decodes with Next, in pieces of size bytes.
func decodeNext(t *testing.T, input []byte, size int) (data, rest string, done bool, err error) {
	var d Chunked
	for piece := range slices.Chunk(input, size) {
		for len(piece) > 0 && !done && err == nil {
			var view []byte
			var n int
			view, n, done, err = d.Next(piece)
			if n < len(view) || n > len(piece) || len(view) == 0 && !done && err == nil && n != len(piece) {
				t.Fatalf("Next took %d of %d, data %d", n, len(piece), len(view))
			}
			data += string(view)
			piece = piece[n:]
			input = input[n:]
		}
	}
	if d.Total() != int64(len(data)) {
		t.Fatalf("Total is %d, data %d", d.Total(), len(data))
	}
	return data, string(input), done, err
}

// decodeInto decodes with Decode, into buffers for size bytes.
func decodeInto(t *testing.T, input []byte, size int) (data, rest string, done bool, err error) {
	var d Chunked
	room := make([]byte, size)
	for len(input) > 0 && !done && err == nil {
		var written, consumed int
		written, consumed, done, err = d.Decode(room[:size/2], room[size/2:], input)
		if consumed == 0 && err == nil {
			t.Fatal("no progress")
		}
		data += string(room[:written])
		input = input[consumed:]
	}
	return data, string(input), done, err
}

// FuzzForm compares Form with a model that follows the rules without regard to speed.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{"a=b&c=%41+&&d&=e", "%=%4&a%zz=%4g", "+%2b%+", "a=b=c&;"} {
		f.Add([]byte(seed), uint8(0))
		f.Add([]byte(seed), uint8(64))
	}
	f.Fuzz(func(t *testing.T, src []byte, size uint8) {
		before := string(src)
		got := formItems(before, make([]byte, size))
		if want := formModel(before); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", before, got, want)
		}
	})
}

func formModel(src string) []string {
	decode := func(s string) string {
		var b strings.Builder
		for s = strings.ReplaceAll(s, "+", " "); s != ""; {
			if len(s) >= 3 {
				if c, err := url.PathUnescape(s[:3]); s[0] == '%' && err == nil {
					b.WriteString(c)
					s = s[3:]
					continue
				}
			}
			b.WriteByte(s[0])
			s = s[1:]
		}
		return b.String()
	}
	var items []string
	for _, item := range strings.Split(src, "&") {
		if item != "" {
			key, value, _ := strings.Cut(item, "=")
			items = append(items, decode(key), decode(value))
		}
	}
	return items
}

// FuzzCookie compares Cookies with a model, and with net/http where it accepts the whole value.
func FuzzCookie(f *testing.F) {
	for _, seed := range []string{"a=b; c=d", `a="b c";b="`, "a; =b; c = d\t;;", "a=b=c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := cookies(value)
		var want []string
		for _, pair := range strings.Split(value, ";") {
			name, v, ok := strings.Cut(pair, "=")
			name, v = strings.Trim(name, " \t"), strings.Trim(v, " \t")
			if !ok || name == "" {
				continue
			}
			if len(v) > 1 && strings.HasPrefix(v, `"`) && strings.HasSuffix(v, `"`) {
				v = v[1 : len(v)-1]
			}
			want = append(want, name, v)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
		if parsed, err := http.ParseCookie(value); err == nil && IsFieldValue([]byte(value)) {
			// net/http keeps whitespace within the value and removes it only around the pair.
			var theirs []string
			for _, c := range parsed {
				theirs = append(theirs, strings.Trim(c.Name, " \t"), strings.Trim(c.Value, " \t"))
			}
			for i := range got {
				got[i] = strings.Trim(got[i], " \t")
			}
			if !slices.Equal(got, theirs) {
				t.Errorf("%q: %q, net/http: %q", value, got, theirs)
			}
		}
	})
}

// FuzzList checks that elements are in order, not empty, without surrounding whitespace, and split at commas only.
func FuzzList(f *testing.F) {
	for _, seed := range []string{"a, b", `"a,b",c`, `"\",",,x`, `a"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		rest := value
		for _, e := range elements(value) {
			if e == "" || strings.Trim(e, " \t") != e {
				t.Fatalf("%q has the element %q", value, e)
			}
			i := strings.Index(rest, e)
			if i < 0 || strings.Trim(rest[:i], ", \t") != "" {
				t.Fatalf("%q has the element %q, but before it %q", value, e, rest)
			}
			rest = rest[i+len(e):]
			if after := strings.TrimLeft(rest, " \t"); after != "" && after[0] != ',' {
				t.Fatalf("%q was split after %q", value, e)
			}
			if !strings.Contains(e, `"`) && strings.Contains(e, ",") {
				t.Fatalf("%q was not split in %q", value, e)
			}
		}
		if strings.Trim(rest, ", \t") != "" {
			t.Fatalf("%q: %q was left out", value, rest)
		}
	})
}
