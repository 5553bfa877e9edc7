package httpparse

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// corporaDir holds requests from the parser tests of other projects. It is not part of this repository.
const corporaDir = "../../shared/corpora"

type corpusCase struct {
	ID, Raw, Level, Note string
	Expect               any
}

// input returns the bytes of the case, which Raw holds as characters. HTTP/1.1 requests without Host get one, since
// most cases are about something else.
func (c corpusCase) input() []byte {
	var b []byte
	for _, r := range c.Raw {
		b = append(b, byte(r))
	}
	return addHost(b)
}

// addHost adds a Host field to every HTTP/1.1 head of a connection that has none. It relies on line ends alone, so it
// need not understand the requests.
func addHost(b []byte) []byte {
	mark := []byte(" HTTP/1.1\r\n")
	var out []byte
	for {
		i := bytes.Index(b, mark)
		if i < 0 {
			return append(out, b...)
		}
		i += len(mark)
		out = append(out, b[:i]...)
		b = b[i:]
		head := b
		if end := bytes.Index(b, []byte("\r\n\r\n")); end >= 0 {
			head = b[:end+2]
		}
		if !bytes.Contains(bytes.ToLower(append([]byte("\r\n"), head...)), []byte("\r\nhost:")) {
			out = append(out, "Host: a\r\n"...)
		}
	}
}

// verdict is accept, reject or incomplete.
func verdict(tr transcript) string {
	switch tr.end {
	case "end", "close":
		return "accept"
	}
	return tr.end
}

// agrees reports whether a verdict is the expected one. "any" matches every verdict. All ranges of status codes are
// errors.
func (c corpusCase) agrees(verdict string) bool {
	switch want := c.Expect.(type) {
	case string:
		return want == "any" || want == verdict || want == "wait" && verdict == "incomplete"
	default:
		return verdict == "reject"
	}
}

func loadCorpus(t *testing.T, name string) []corpusCase {
	t.Helper()
	f, err := os.Open(filepath.Join(corporaDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s does not exist: these data are not part of the repository", corporaDir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cases []corpusCase
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c corpusCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return cases
}

// TestCorpora compares our verdict on every case with the expected one. A table lists each disagreement with its
// verdict and reason. A missing or unused entry is a failure.
func TestCorpora(t *testing.T) {
	for name, disagreements := range corporaDisagreements {
		t.Run(name, func(t *testing.T) {
			known := map[string]bool{}
			for _, c := range loadCorpus(t, name) {
				known[c.ID] = true
				tr := split(t, c.input(), nil)
				got := verdict(tr)
				d, listed := disagreements[c.ID]
				switch {
				case c.agrees(got):
					if listed {
						t.Errorf("%q is listed as a disagreement, but the verdict is the expected one: %s", c.ID, got)
					}
				case !listed || d.verdict != got || d.reason == "":
					t.Errorf("%q (%s): %s %v, want %v, or a reason\n%.300q", c.ID, c.Level, got, tr.err, c.Expect, c.input())
				case d.then != "":
					if tr := split(t, append(c.input(), d.then...), nil); tr.end != "reject" {
						t.Errorf("%q is not refused with %q after it: %s", c.ID, d.then, tr)
					}
				}
			}
			for id := range disagreements {
				if !known[id] {
					t.Errorf("%q is listed as a disagreement, but there is no such case", id)
				}
			}
		})
	}
}
