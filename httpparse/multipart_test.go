package httpparse

import (
	"bytes"
	"strings"
	"testing"
)

// multipartText makes a body from a readable case: a line end of the text stands for CR LF; \n and \r stand for LF and
// CR.
func multipartText(s string) []byte {
	s = strings.ReplaceAll(strings.TrimPrefix(s, "\n"), "\n", "\r\n")
	return []byte(strings.NewReplacer(`\n`, "\n", `\r`, "\r").Replace(s))
}

// textOf is how multipartReplay writes a text field.
func textOf(name, data string) string { return `"` + name + `" file"-" kind"-": "` + data + "\"\n" }

// TestMultipart uses the boundary B everywhere. A case states the parts and, in its last line, "done", nothing, or the
// error.
func TestMultipart(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"a form as browsers send it", `
--B
Content-Disposition: form-data; name="a"

one
--B
Content-Disposition: form-data; name="file"; filename="x.txt"
Content-Type: text/plain; charset=utf-8

two
lines

--B--
`, textOf("a", "one") + `"file" file"=x.txt" kind"=text/plain; charset=utf-8": "two\r\nlines\r\n"` + "\ndone"},
		{"field names in any case, other fields ignored (RFC 7578 §4.8)", `
--B
content-DISPOSITION: Form-Data; NAME=a
Content-Transfer-Encoding: base64
X-Other: "

MQ==
--B--
`, textOf("a", "MQ==") + "done"},
		{"a file input without a file", `
--B
Content-Disposition: form-data; name="f"; filename=""
Content-Type: application/octet-stream


--B--
`, `"f" file"=" kind"=application/octet-stream": ""` + "\ndone"},
		{"multipart inside a part is content", `
--B
Content-Disposition: form-data; name=a
Content-Type: multipart/mixed; boundary=BC

--BC
Content-Disposition: file; filename=x

1
--BC--

--B--
`, `"a" file"-" kind"=multipart/mixed; boundary=BC": "--BC\r\nContent-Disposition: file; filename=x\r\n\r\n1\r\n--BC--\r\n"` + "\ndone"},
	} {
		t.Run(tt.name, func(t *testing.T) { checkMultipart(t, tt.body, tt.want) })
	}
}

func checkMultipart(t *testing.T, text, want string) {
	t.Helper()
	body := multipartText(text)
	if got := multipartSplit(t, "B", body).String(); got != want {
		t.Errorf("%q:\ngot  %s\nwant %s", body, got, want)
	}
}

// TestMultipartDelimiters: line ends, boundaries and the bytes around them (RFC 2046 §5.1.1).
func TestMultipartDelimiters(t *testing.T) {
	const (
		begin = "--B\nContent-Disposition: form-data; name=a\n\n"
		end   = "\n--B--\n"
		unend = "multipart body without closing boundary"
	)
	a := func(data string) string { return textOf("a", data) }
	long := strings.Repeat(" ", multipartPaddingMax)
	for _, tt := range []struct{ name, body, want string }{
		{"no byte at all", "", ""},
		{"a form without fields", "--B--\n", "done"},
		{"a form without fields, no line end", "--B--", "done"},
		{"preamble", "This is no form.\n\r\n--b\n--BB\n" + begin + "1" + end, a("1") + "done"},
		{"preamble that ends in half a delimiter", "\r\n-\n" + begin + "1" + end, a("1") + "done"},
		{"preamble only", "--b\n", unend},
		{"line end only", "\n\n", unend},
		{"boundary within a line of the preamble", "x" + begin, unend},
		{"epilogue", begin + "1" + end + "--B\nmore\n--B--\n", a("1") + "done"},
		{"epilogue right after the closing boundary", begin + "1\n--B--x", a("1") + "done"},
		{"padding (transport-padding in the grammar)", "--B \t" + begin[3:] + "1\n--B  \n" + begin[4:] + "2\n--B-- \t \n", a("1") + a("2") + "done"},
		{"the most padding", "--B" + long + begin[3:] + "1" + end, a("1") + "done"},
		{"more padding", begin + "1\n--B" + long + " \n", strings.TrimSuffix(a("1"), "\n") + " (incomplete)\ntoo many blanks after a boundary"},
		{"padding before other bytes is content", begin + "1\n--B \t x" + end, a(`1\r\n--B \t x`) + "done"},
		{"padding before one hyphen more", begin + "1\n--B --" + end, a(`1\r\n--B --`) + "done"},
		{"one hyphen", begin + "1\n--B-x\n--B-" + end, a(`1\r\n--B-x\r\n--B-`) + "done"},
		{"a longer boundary", begin + "--BB\n--BB--" + end, a(`--BB\r\n--BB--`) + "done"},
		{"a longer boundary before a bare LF", begin + "1\n" + `--Bq\n` + end, a(`1\r\n--Bq\n`) + "done"},
		{"half delimiters", begin + "\n-\n--\n--b\r\r\n-\r" + end, a(`\r\n-\r\n--\r\n--b\r\r\r\n-\r`) + "done"},
		{"CR before the delimiter", begin + `1\r\r` + end, a(`1\r\r`) + "done"},
		{"line end before the delimiter", begin + "\n\n" + end, a(`\r\n\r\n`) + "done"},
		{"boundary after a bare CR", begin + `1\r--B--` + end, a(`1\r--B--`) + "done"},
		{"boundary after a bare LF", begin + `1\n--B--` + end, a(`1\n--B--`) + "done"},
		{"boundary before a bare CR", begin + "1\n" + `--B\rx` + "\n" + `--B\r\r` + end, a(`1\r\n--B\rx\r\n--B\r\r`) + "done"},
		{"CR of a boundary begins the next", begin + "1\n" + `--B\r` + end, a(`1\r\n--B\r`) + "done"},
		{"boundary before a bare LF", begin + "1\n" + `--B\n`, strings.TrimSuffix(a("1"), "\n") + " (incomplete)\nboundary followed by a line end that is not CR LF"},
		{"all line ends are LF", `--B\nContent-Disposition: form-data; name=a\n\n1\n--B--\n`, "boundary followed by a line end that is not CR LF"},
		{"no content", begin + end, a("") + "done"},
		{"no content, nor a line end for it", begin + "--B\n" + begin[4:] + end, a("") + a("") + "done"},
		{"almost no content", begin + "--" + end, a("--") + "done"},
		{"ends in content", begin + "1", strings.TrimSuffix(a("1"), "\n") + " (incomplete)\n" + unend},
		{"ends in a delimiter", begin + "1\n--", strings.TrimSuffix(a("1"), "\n") + " (incomplete)\n" + unend},
		{"ends after a boundary", begin + "1\n--B", strings.TrimSuffix(a("1"), "\n") + " (incomplete)\n" + unend},
		{"ends after a delimiter", begin + "1\n--B\n", a("1") + unend},
		{"ends in a head", begin + "1\n--B\nContent-", a("1") + unend},
		{"the boundary is not that of the Content-Type", "--C\n\n\n--C--\n", unend},
	} {
		t.Run(tt.name, func(t *testing.T) { checkMultipart(t, tt.body, tt.want) })
	}
}

func TestMultipartHeads(t *testing.T) {
	const disposition = "Content-Disposition: form-data; name=a\n"
	for _, tt := range []struct{ name, head, want string }{
		{"empty", "", "part without Content-Disposition"},
		{"no disposition", "Content-Type: text/plain\n", "part without Content-Disposition"},
		{"two dispositions", disposition + disposition, "more than one Content-Disposition in a part"},
		{"another disposition", "Content-Disposition: attachment; name=a\n", "Content-Disposition of a part is not form-data"},
		{"two types", disposition + "Content-Type: a/b\ncontent-type: a/b\n", "more than one Content-Type in a part"},
		{"no name", "Content-Disposition: form-data; filename=a\n", "part without a name"},
		{"no parameters", "Content-Disposition: form-data\n", "part without a name"},
		{"two names", "Content-Disposition: form-data; name=a; NAME=a\n", "part with more than one name"},
		{"two file names", disposition[:len(disposition)-1] + "; filename=a; filename=b\n", "part with more than one file name"},
		{"two extended file names", disposition[:len(disposition)-1] + "; filename*=a; filename*=b\n", "part with more than one file name"},
		{"folded", "Content-Disposition: form-data;\n name=a\n", "folded field line"},
		{"line without a colon", disposition + "Content\n", "field line without a colon"},
		{"line without a name", disposition + ": a\n", "field line without a name"},
		{"blank before the colon", "Content-Disposition : form-data; name=a\n", "whitespace between field name and colon"},
		{"byte in a field name", disposition + "Cont<nt: a\n", "invalid byte in a field name"},
		{"NUL in a value", disposition + "X: a\x00\n", "control character in a field value"},
		{"CR in a value", disposition + `X: a\rb` + "\n", "control character in a field value"},
		{"CR before CR LF", disposition + `X: a\r` + "\n", "control character in a field value"},
		{"bare LF", disposition + `X: a\n`, "line end that is not CR LF"},
		{"empty line with a bare LF", disposition + `\n`, "line end that is not CR LF"},
		{"CR instead of the empty line", disposition + `\rx: y` + "\n", "invalid byte in a field name"},
		{"as many lines as allowed", disposition + strings.Repeat("X: a\n", MultipartHeadLinesMax-1), textOf("a", "") + "done"},
		{"one line more", disposition + strings.Repeat("X: a\n", MultipartHeadLinesMax), "too many field lines in the head of a part"},
	} {
		t.Run(tt.name, func(t *testing.T) { checkMultipart(t, "--B\n"+tt.head+"\n\n--B--\n", tt.want) })
	}
}

func TestMultipartHeadBytes(t *testing.T) {
	const frame = len("Content-Disposition: form-data; name=\r\n\r\n")
	name := strings.Repeat("n", MultipartHeadBytesMax-frame)
	body := func(name string) []byte {
		return []byte("--B\r\nContent-Disposition: form-data; name=" + name + "\r\n\r\n1\r\n--B--\r\n")
	}
	if got := multipartSplit(t, "B", body(name)).String(); got != textOf(name, "1")+"done" {
		t.Errorf("the largest head: %.100s", got)
	}
	// In pieces of this size, the buffer for heads has an odd size before it grows to the largest.
	if r := multipartPieces(t, "B", body(name), 9000); cap(r.m.head.raw) != MultipartHeadBytesMax {
		t.Errorf("a buffer of %d bytes for the largest head", cap(r.m.head.raw))
	}
	r := multipartSplit(t, "B", body(name+"n"))
	if r.err != errPartHeadLarge || r.err.Status != 431 {
		t.Errorf("a byte more: %.100s", r)
	}
	if got := cap(r.m.head.raw); got > MultipartHeadBytesMax {
		t.Errorf("a buffer of %d bytes for heads", got)
	}
}

// TestMultipartBoundaries: Reset accepts what MultipartBoundary returns, and bodies with such boundaries can be parsed.
func TestMultipartBoundaries(t *testing.T) {
	longest := strings.Repeat("-", MultipartBoundaryBytesMax)
	for _, b := range []string{"B", "-", "--", "- -", `\/\/`, longest, "----WebKitFormBoundary7MA4YWxkTrZu0gW", "'()+_,-./:=?", "\xff"} {
		content := "\r\n--" + b[:len(b)-1] + "\r\n-" + b + "\r\n--" + b + "."
		body := "--" + b + "\r\nContent-Disposition: form-data; name=a\r\n\r\n" + content + "\r\n--" + b + "--"
		r := multipartSplit(t, b, []byte(body))
		if !r.done || len(r.parts) != 1 || r.parts[0].data != content {
			t.Errorf("boundary %q: %s", b, r)
		}
	}
	var m Multipart
	for _, b := range []string{"", "B ", "B\t", "a\rb", "a\nb", "a\x00b", longest + "-"} {
		if err := m.Reset([]byte(b)); err != errBoundary {
			t.Errorf("Reset(%q): %v", b, err)
		}
		if _, _, _, err := m.Next([]byte("--")); err != errBoundary {
			t.Errorf("Next after a failed Reset(%q): %v", b, err)
		}
	}
	var zero Multipart
	if err := zero.End(); err != errBoundary {
		t.Errorf("End before Reset: %v", err)
	}
	if _, _, _, err := zero.Next(nil); err != errBoundary {
		t.Errorf("Next before Reset: %v", err)
	}
}

// TestMultipartReset: nothing of the previous body shows in the next one, wherever parsing stopped.
func TestMultipartReset(t *testing.T) {
	body := multipartText("--B\nContent-Disposition: form-data; name=a; filename=b\nContent-Type: c\n\n1\n--B--")
	bad := multipartText("--B\n: x\n\n")
	r := &multipartReplay{t: t}
	for cut := 0; cut <= len(body); cut++ {
		for _, before := range [][]byte{body[:cut], bad} {
			*r = multipartReplay{t: t, m: r.m}
			r.m.Reset([]byte("B"))
			r.feed(before)
			*r = multipartReplay{t: t, m: r.m}
			if err := r.m.Reset([]byte("B")); err != nil {
				t.Fatal(err)
			}
			if r.m.Part.HasFileName || r.m.Part.Name != nil {
				t.Fatalf("Part after Reset: %+v", r.m.Part)
			}
			r.feed(body)
			r.finish()
			if want := `"a" file"=b" kind"=c": "1"` + "\ndone"; r.String() != want {
				t.Fatalf("after %q: %s", before, r)
			}
		}
	}
}

// TestMultipartMemory: the only allocation for any body is the buffer for heads, once. Content is returned as views of
// the input, in pieces as large as the input.
func TestMultipartMemory(t *testing.T) {
	small := multipartFile("B", []byte("\r\n--"))
	large := multipartFile("B", bytes.Repeat([]byte("\r\n--B-\r\n--C"), 1<<16))
	many := bytes.Repeat(multipartText("--B\nContent-Disposition: form-data; name=a\n\n1\n"), 1<<10)
	many = append(many, "--B--"...)
	junk := append(bytes.Repeat([]byte("junk\r\n"), 1<<14), small...)
	var m Multipart
	drain := func(body []byte, size int) {
		if err := drainMultipart(&m, "B", body, size); err != nil {
			t.Fatal(err)
		}
	}
	drain(small, 1)
	room := cap(m.head.raw)
	for _, body := range [][]byte{small, large, many, junk} {
		for _, size := range []int{1, 7, 64 << 10} {
			if n := testing.AllocsPerRun(1, func() { drain(body, size) }); n != 0 {
				t.Errorf("%d bytes in pieces of %d: %v allocations", len(body), size, n)
			}
		}
	}
	if got := cap(m.head.raw); got != room || room > multipartHeadRoom {
		t.Errorf("the buffer has %d bytes, and had %d before", got, room)
	}
}

// TestMultipartEndBeforeDone: the closing boundary was read, even if the caller has not asked for MultipartDone.
func TestMultipartEndBeforeDone(t *testing.T) {
	var m Multipart
	m.Reset([]byte("B"))
	for rest := multipartFile("B", nil); ; {
		ev, _, n, err := m.Next(rest)
		if err != nil || ev == MultipartMore {
			t.Fatal(ev, err)
		}
		if rest = rest[n:]; ev == MultipartPartEnd {
			break
		}
	}
	if err := m.End(); err != nil {
		t.Error(err)
	}
}

// TestMultipartDataIsView: content is returned with a single event, however much it resembles a delimiter.
func TestMultipartDataIsView(t *testing.T) {
	content := bytes.Repeat([]byte("x\r\n--B-\r\n--B \tx\r\n--BB\r\n--B\r\r\n--"), 1000)
	body := multipartFile("B", content)
	var m Multipart
	m.Reset([]byte("B"))
	_, _, n, _ := m.Next(body)
	ev, data, k, err := m.Next(body[n:])
	if ev != MultipartData || err != nil || !bytes.Equal(data, content) || &data[0] != &body[n] || k < len(data) {
		t.Errorf("event %d, %d bytes of %d, %v", ev, len(data), len(content), err)
	}
}
