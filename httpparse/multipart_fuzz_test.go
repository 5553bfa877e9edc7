package httpparse

import (
	"bytes"
	"mime"
	"mime/multipart"
	"strings"
	"testing"
)

// The alphabet of these bodies is small, so that mutations hit the interesting bytes: the boundary is B.
var multipartSeeds = []string{
	"",
	"--B--",
	"--B\nContent-Disposition: form-data; name=a\n\n1\n--B--\n",
	"\npreamble\n--B \t\nContent-Disposition: form-data; name=\"a\\\"%22\"; filename=\"C:\\x\"\nContent-Type: a/b\n\n\n--B\n" +
		"Content-Disposition: form-data; name=b; filename*=UTF-8''%C3%A4\n\n-\n--\n--BB\n--B-\n--B \tx\n--B--\nepilogue",
	"--B\nContent-Disposition: form-data; name=a\n\n--B\nContent-Disposition: form-data; name=a\n\n--B--",
	"--B\nContent-Disposition: form-data; name=\"a\\\"; filename=\"b\\\\\"\n\n\r\r\n--B\r\r\n--B--",
	"--B\nX: y\n z\n\n\n--B--\n",
}

// FuzzMultipart checks that the outcome does not depend on how a body is split, that the input is not written to, that
// no more bytes come out than go in (multipartReplay checks both), and that a body without a preamble that we and
// mime/multipart accept has the same contents for both.
func FuzzMultipart(f *testing.F) {
	for _, seed := range multipartSeeds {
		f.Add([]byte(strings.ReplaceAll(seed, "\n", "\r\n")), "B", uint16(len(seed)/2), uint16(len(seed)))
	}
	f.Fuzz(func(t *testing.T, body []byte, boundary string, first, second uint16) {
		var m Multipart
		if len(body) > 4<<10 || m.Reset([]byte(boundary)) != nil {
			return
		}
		whole := multipartPieces(t, boundary, body)
		want := whole.String()
		a := int(first) % (len(body) + 1)
		b := a + int(second)%(len(body)-a+1)
		if got := multipartPieces(t, boundary, body, a, b).String(); got != want {
			t.Fatalf("cut at %d and %d: %s\nwhole: %s", a, b, got, want)
		}
		every := make([]int, len(body))
		for i := range every {
			every[i] = i
		}
		if got := multipartPieces(t, boundary, body, every...).String(); got != want {
			t.Fatalf("byte by byte: %s\nwhole: %s", got, want)
		}
		compareStd(t, whole, boundary, body)
	})
}

// compareStd compares contents with those that mime/multipart reads. mime/multipart accepts a bare LF as a line end in
// a preamble, so only bodies without one are compared.
func compareStd(t *testing.T, r *multipartReplay, boundary string, body []byte) {
	if !r.done || !bytes.HasPrefix(body, []byte("--"+boundary+"\r\n")) {
		return
	}
	parts, err := stdParts(boundary, body)
	if err != nil {
		return
	}
	if len(parts) != len(r.parts) {
		t.Fatalf("mime/multipart has %d parts, we have %s", len(parts), r)
	}
	for i, p := range parts {
		if p.data != r.parts[i].data {
			t.Fatalf("part %d: mime/multipart has %q, we have %s", i, p.data, r)
		}
	}
}

// FuzzMultipartWriter checks that a body written by mime/multipart is read back unchanged.
func FuzzMultipartWriter(f *testing.F) {
	f.Add("a", "b.txt", "text/plain", []byte("content"), []byte("\r\n--B"), "B", uint16(1))
	f.Add("a\"\\b", `C:\x`, "", []byte(""), []byte("\r\n--"), "a b", uint16(100))
	f.Add("\xff%", "", "a;b=\"c\"", []byte("\r"), []byte("-"), strings.Repeat("x", 70), uint16(300))
	f.Fuzz(func(t *testing.T, name, file, kind string, one, two []byte, boundary string, cut uint16) {
		var buf bytes.Buffer
		w := multipart.NewWriter(&buf)
		if w.SetBoundary(boundary) != nil || !IsFieldValue([]byte(name+file+kind)) || len(name)+len(file)+len(kind) > 4<<10 {
			return
		}
		delimiter := []byte("\r\n--" + boundary)
		for _, data := range [][]byte{one, two} {
			if bytes.Contains(append([]byte("\r\n"), data...), delimiter) {
				return // not a boundary for this content (RFC 2046 §5.1.1)
			}
		}
		header := map[string][]string{
			"Content-Disposition": {multipart.FileContentDisposition(name, file)},
			"Content-Type":        {kind},
		}
		p, _ := w.CreatePart(header)
		p.Write(one)
		p, _ = w.CreateFormField(name)
		p.Write(two)
		w.Close()
		r := multipartPieces(t, boundary, buf.Bytes(), int(cut)%(buf.Len()+1))
		want := []replayedPart{
			{writtenName(name), "=" + strings.ReplaceAll(file, "%22", `"`), "=" + string(TrimBlanks([]byte(kind))), string(one), true},
			{writtenName(name), "-", "-", string(two), true},
		}
		if !r.done || len(r.parts) != 2 || r.parts[0] != want[0] || r.parts[1] != want[1] {
			t.Fatalf("%q:\ngot  %s\nwant %+v", buf.Bytes(), r, want)
		}
	})
}

// writtenName returns a name as it is read back: percent signs are not escaped by any writer.
func writtenName(s string) string {
	return strings.NewReplacer("%22", `"`, "%0D", "\r", "%0A", "\n").Replace(s)
}

// FuzzMultipartBoundary checks that a boundary that is found can be used, and is the one that package mime finds.
// Package mime knows escapes of some characters only, and supports parameters in several parts.
func FuzzMultipartBoundary(f *testing.F) {
	f.Add(`multipart/form-data; charset=utf-8; boundary="a \"b\\c"`)
	f.Add(`multipart/form-data;boundary=----x;`)
	f.Fuzz(func(t *testing.T, value string) {
		in := []byte(value)
		boundary, ok := MultipartBoundary(in)
		if string(in) != value {
			t.Fatalf("%q was changed to %q", value, in)
		}
		var m Multipart
		if (boundary != nil) != ok || ok && m.Reset(boundary) != nil {
			t.Fatalf("%q: %q, %v", value, boundary, ok)
		}
		_, params, err := mime.ParseMediaType(value)
		if ok && err == nil && !strings.ContainsAny(value, `\*`) && params["boundary"] != string(boundary) {
			t.Fatalf("%q: %q, package mime has %q", value, boundary, params["boundary"])
		}
	})
}
