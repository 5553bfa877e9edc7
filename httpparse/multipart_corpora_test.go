package httpparse

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"testing"
)

// multipartReasons lists the cases where our verdict differs from that of the project the case is from. Cases without
// an expectation should be accepted.
var multipartReasons = map[string]struct{ got, reason string }{
	"bad_initial_boundary.http": {
		"done", "the line with the other boundary belongs to the preamble, which is ignored (RFC 2046 §5.1.1); the body is then closed",
	},
	"single_field_blocks.http": {
		errMultipartEnd.Reason,
		"the boundary is given as --boundary, so the delimiter is ----boundary (RFC 2046 §5.1.1), which is not in the body",
	},
	"base64_encoding.http":                 {"done", notDecoded},
	"mixed_case_headers.http":              {"done", notDecoded},
	"mixed_plain_and_base64_encoding.http": {"done", notDecoded},
	"quoted_printable_encoding.http":       {"done", notDecoded},
	"tests/multipart/ie7_full_path_request.http": {
		errBoundaryLineEnd.Reason, "line ends were changed to LF on the way; a delimiter has CR LF (RFC 2046 §5.1.1)",
	},
	"test/fixture/http/special-chars-in-filename/line-separator.http": {
		errBoundaryLineEnd.Reason, "line ends were changed to LF on the way; a delimiter has CR LF (RFC 2046 §5.1.1)",
	},
	"test/fixture/http/special-chars-in-filename/osx-firefox-3.6.http": {errDisposition.Reason, bareQuote},
	"test/fixture/http/special-chars-in-filename/xp-ie-7.http":         {errDisposition.Reason, bareQuote},
	"test/fixture/http/special-chars-in-filename/xp-ie-8.http":         {errDisposition.Reason, bareQuote},
	"test/fixture/http/workarounds/missing-hyphens1.http":              {errMultipartEnd.Reason, noClose},
	"test/fixture/http/workarounds/missing-hyphens2.http":              {errMultipartEnd.Reason, noClose},
}

const (
	notDecoded = "Content-Transfer-Encoding must not be sent and has no meaning (RFC 7578 §4.7): content is not decoded"
	bareQuote  = "a quote in a quoted string must be escaped (RFC 9110 §5.6.4), and current browsers do; where this string ends is a guess"
	noClose    = "the closing boundary is not optional (RFC 2046 §5.1.1): without it the body may be truncated"
)

// TestMultipartCorpora compares the result with the expected one. Where none is stated and we accept the body, it
// compares with the result of mime/multipart.
func TestMultipartCorpora(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range loadCorpus(t, "multipart.jsonl") {
		t.Run(c.ID, func(t *testing.T) {
			seen[c.ID] = true
			boundary, body, want := multipartCase(t, c)
			if boundary == "" {
				return // not a multipart body, as multipartCase has checked
			}
			r := multipartSplit(t, boundary, body)
			got := "done"
			if r.err != nil {
				got = r.err.Reason
			} else if !r.done && len(body) > 0 {
				t.Fatalf("neither accepted nor refused: %s", r)
			}
			known, listed := multipartReasons[c.ID]
			differs := want.differs(r)
			switch {
			case !listed && differs != "":
				t.Errorf("%s, without a reason: %s\n%.500q", differs, r, body)
			case listed && (differs == "" || known.got != got || known.reason == ""):
				t.Errorf("%s (%s), but the table says: %s", got, differs, known.got)
			}
			// What we accept without an expectation must match the result of mime/multipart.
			if r.done && (want.any || listed) {
				parts, err := stdParts(boundary, body)
				if differs := (multipartWant{parts: parts}).differs(r); err != nil || differs != "" {
					t.Errorf("mime/multipart: %v, %s", err, differs)
				}
			}
		})
	}
	for id := range multipartReasons {
		if !seen[id] {
			t.Errorf("%q is listed, but there is no such case", id)
		}
	}
}

// multipartWant is what a case expects. Of its parts, only name, data and, if not empty, file and kind are compared.
type multipartWant struct {
	refused bool
	any     bool // nothing is known about the parts
	parts   []replayedPart
}

// differs says how r differs from w, or "".
func (w multipartWant) differs(r *multipartReplay) string {
	switch {
	case w.refused != (r.err != nil):
		return fmt.Sprintf("refused: %v, want %v", r.err != nil, w.refused)
	case w.refused || w.any:
		return ""
	case len(w.parts) != len(r.parts):
		return fmt.Sprintf("%d parts, want %d", len(r.parts), len(w.parts))
	}
	for i, w := range w.parts {
		g := r.parts[i]
		if g.name != w.name || g.data != w.data || w.file != "" && g.file != w.file || w.kind != "" && g.kind != w.kind {
			return fmt.Sprintf("part %d: %+v, want %+v", i, g, w)
		}
	}
	return ""
}

// multipartCase parses a case. The boundary is in the expectation, in the head of the request that contains the body,
// or in the body's first line.
func multipartCase(t *testing.T, c corpusCase) (boundary string, body []byte, want multipartWant) {
	t.Helper()
	for _, r := range c.Raw {
		body = append(body, byte(r))
	}
	expect, _ := c.Expect.(string)
	switch {
	case strings.HasPrefix(expect, "boundary: "):
		boundary, expect, _ = strings.Cut(strings.TrimPrefix(expect, "boundary: "), "\n")
		return boundary, body, readExpectation(t, expect)
	case bytes.HasPrefix(body, []byte("POST ")):
		lines := "\r\n"
		if !bytes.Contains(body, []byte("\r\n\r\n")) {
			lines = "\n"
		}
		head, rest, _ := strings.Cut(string(body), lines+lines)
		for line := range strings.SplitSeq(head, lines) {
			if value, ok := strings.CutPrefix(line, "Content-Type: "); ok {
				found, isMultipart := MultipartBoundary([]byte(value))
				if isMultipart != strings.HasPrefix(value, "multipart/form-data") {
					t.Errorf("boundary in %s: %q, %v", value, found, isMultipart)
				}
				boundary = string(found)
			}
		}
		return boundary, []byte(rest), multipartWant{any: true}
	}
	line, _, _ := strings.Cut(string(body), "\n")
	return strings.TrimPrefix(strings.TrimSuffix(line, "\r"), "--"), body, multipartWant{any: true}
}

// readExpectation reads the subset of YAML that these cases use.
func readExpectation(t *testing.T, text string) (want multipartWant) {
	t.Helper()
	var part *replayedPart
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "- "), ": ")
		value = strings.Trim(value, `'"`)
		switch {
		case !ok && part != nil:
			part.data += key // a line of base64
		case key == "error":
			want.refused = true
		case key == "name":
			want.parts = append(want.parts, replayedPart{name: value})
			part = &want.parts[len(want.parts)-1]
		case key == "file_name":
			part.file = "=" + value
		case key == "content_type" && part.file != "": // not compared there for fields either
			part.kind = "=" + value
		}
	}
	for i := range want.parts {
		decoded, err := base64.StdEncoding.DecodeString(want.parts[i].data)
		if err != nil {
			t.Fatalf("%q in the expectation: %v", want.parts[i].data, err)
		}
		want.parts[i].data = string(decoded)
	}
	return want
}

// stdParts returns the parts that mime/multipart finds in a body, without file names, since it removes their
// directories.
func stdParts(boundary string, body []byte) (parts []replayedPart, err error) {
	for r := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(p)
		if err != nil {
			return nil, err
		}
		parts = append(parts, replayedPart{name: p.FormName(), data: string(data)})
	}
}
