package servers

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"moonbridge/benchmarks/internal/probe"
)

// Fetch sends the request twice, over one connection unless the workload closes it, and returns the second answer.
func (s *Server) Fetch(w Workload) (probe.Answer, error) {
	second, err := w.fetch(s.Address)
	if err != nil {
		return second, fmt.Errorf("%s: %w", s.Name, err)
	}
	return second, nil
}

func (w Workload) fetch(address string) (second probe.Answer, err error) {
	if !w.closes {
		_, second, err = probe.Get(w.dial(address), w.Request(address))
		return second, err
	}
	for range 2 {
		if second, err = probe.GetOnce(w.dial(address), w.Request(address)); err != nil {
			break
		}
	}
	return second, err
}

// Compare returns an error for each difference between an answer and the first one, so that no server wins by sending
// less. Status, body, Content-Type, Content-Encoding and Content-Length must be equal, there must be a Date, and the
// connection must be announced as closing if, and only if, the request asked for it. Server and Connection: keep-alive may
// differ. If the client accepts a coding, the decoded bodies must be equal; the encoded ones must have about the same size, and
// may come in chunks.
func (w Workload) Compare(names []string, answers []probe.Answer) error {
	var wrong []error
	for i, a := range answers {
		fault := func(format string, args ...any) {
			wrong = append(wrong, fmt.Errorf("%s: %s", names[i], fmt.Sprintf(format, args...)))
		}
		if a.Status != answers[0].Status {
			fault("status %q, %s has %q", a.Status, names[0], answers[0].Status)
		}
		body, err := decoded(a)
		if err != nil {
			fault("%v", err)
		}
		// An error in the first answer has been reported for that one.
		if first, _ := decoded(answers[0]); !w.sameBody(body, first) {
			fault("another body (%d bytes) than %s (%d bytes)", len(body), names[0], len(first))
		}
		if got, _ := a.Get("Content-Encoding"); got != w.coding {
			fault("Content-Encoding %q", got)
		}
		compared := []string{"Content-Type", "Content-Length"}
		if w.coding != "" {
			compared = compared[:1]
			if got, want := len(a.Body), len(answers[0].Body); !alike(got, want) {
				fault("%d compressed bytes, %s has %d", got, names[0], want)
			}
		}
		for _, name := range compared {
			got, there := a.Get(name)
			want, _ := answers[0].Get(name)
			if !there || got != want {
				fault("%s %q, %s has %q", name, got, names[0], want)
			}
		}
		if _, there := a.Get("Date"); !there {
			fault("no Date")
		}
		c, _ := a.Get("Connection")
		switch {
		case c == "close" && !w.closes:
			fault("closes the connection")
		case c != "close" && w.closes:
			fault("keeps the connection")
		}
	}
	return errors.Join(wrong...)
}

// decoded returns the body without its coding.
func decoded(a probe.Answer) ([]byte, error) {
	if coding, _ := a.Get("Content-Encoding"); coding != "gzip" {
		return a.Body, nil
	}
	from, err := gzip.NewReader(bytes.NewReader(a.Body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(from)
}

// alike reports whether two sizes differ by at most 3 %. Compressors differ by more from level to level.
func alike(a, b int) bool { return 100*max(a, b) <= 103*min(a, b) }

// sameBody compares two bodies. The members of a JSON object may come in any order.
func (w Workload) sameBody(a, b []byte) bool {
	if w.answerType() != "application/json" {
		return bytes.Equal(a, b)
	}
	var values [2]any
	for i, text := range [][]byte{a, b} {
		if json.Unmarshal(text, &values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

// Expected checks the first answer, since equal answers may all be wrong.
func (w Workload) Expected(a probe.Answer) error {
	if a.Status != "200 OK" {
		return fmt.Errorf("%s: status %q", w.Name, a.Status)
	}
	if w.coding != "" || w.Path() == FilePath {
		return w.expectEncoded(a)
	}
	if w.proxied > 0 {
		return w.expectText(a.Body, string(w.proxiedBody()))
	}
	if w.path == largePath {
		return w.expectText(a.Body, strings.Repeat("x", 100<<10))
	}
	switch w.Name {
	case "echo":
		if !bytes.Equal(a.Body, w.body) {
			return errors.New("echo: the body was not sent back")
		}
		return nil
	case "page", "cached":
		if rows := bytes.Count(a.Body, []byte("<tr ")); rows != 50 || len(a.Body) < 3500 || len(a.Body) > 5000 {
			return fmt.Errorf("%s: %d rows in %d bytes", w.Name, rows, len(a.Body))
		}
		return nil
	case "json":
		return expectItems(a.Body)
	case "download":
		if len(a.Body) != 10<<20 || !bytes.Equal(a.Body, bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)) {
			return fmt.Errorf("download: %d bytes", len(a.Body))
		}
		return nil
	case "upload":
		return w.expectText(a.Body, strconv.Itoa(len(w.body))+"\n")
	case "form":
		return w.expectText(a.Body, "Hello, Man in the Moon!\n")
	default:
		return w.expectText(a.Body, "Hello, world!\n")
	}
}

// expectEncoded checks the answer of a workload with static files or compression.
func (w Workload) expectEncoded(a probe.Answer) error {
	body, err := decoded(a)
	if err != nil {
		return fmt.Errorf("%s: %w", w.Name, err)
	}
	if coding, _ := a.Get("Content-Encoding"); coding != w.coding {
		return fmt.Errorf("%s: Content-Encoding %q", w.Name, coding)
	}
	if w.fileBytes > 0 && !bytes.Equal(body, prose(w.fileBytes)) {
		return fmt.Errorf("%s: %d bytes, or another text", w.Name, len(body))
	}
	if paragraphs := bytes.Count(body, []byte("<p>")); w.compress && (paragraphs != 40 || len(body) < 19000 || len(body) > 21000) {
		return fmt.Errorf("%s: %d paragraphs in %d bytes", w.Name, paragraphs, len(body))
	}
	return nil
}

func (w Workload) expectText(got []byte, want string) error {
	if string(got) != want {
		return fmt.Errorf("%s: body %.80q", w.Name, got)
	}
	return nil
}

func expectItems(body []byte) error {
	var items []struct {
		ID, Pieces int
		Name       string
		Tags       []string
	}
	if err := json.Unmarshal(body, &items); err != nil {
		return fmt.Errorf("json: %w", err)
	}
	if len(items) != 50 || items[49].ID != 50 || items[49].Pieces != 350 || items[49].Name != "Article number 50" || len(items[49].Tags) != 2 {
		return fmt.Errorf("json: %d items, body %.80q", len(items), body)
	}
	return nil
}

// proxiedBody is the body that the upstream of proxies sends.
func (w Workload) proxiedBody() []byte {
	return bytes.Repeat([]byte("Hello, world!\n"), w.proxied/14+1)[:w.proxied]
}
