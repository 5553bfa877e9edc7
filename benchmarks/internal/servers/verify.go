package servers

import (
	"bytes"
	"errors"
	"fmt"

	"moonbridge/benchmarks/internal/probe"
)

// Fetch sends the request twice over one connection and returns the second answer.
func (s *Server) Fetch(w Workload) (probe.Answer, error) {
	_, second, err := probe.Get(s.Address, w.Request(s.Address), probeTimeout)
	if err != nil {
		return second, fmt.Errorf("%s: %w", s.Name, err)
	}
	return second, nil
}

// Compare returns an error for each difference between an answer and the first one, so that no server wins by sending
// less. Status, body, Content-Type and Content-Length must be equal, there must be a Date, and the connection must not
// be announced as closing. Server and Connection may differ.
func Compare(names []string, answers []probe.Answer) error {
	var wrong []error
	for i, a := range answers {
		fault := func(format string, args ...any) {
			wrong = append(wrong, fmt.Errorf("%s: %s", names[i], fmt.Sprintf(format, args...)))
		}
		if a.Status != answers[0].Status {
			fault("status %q, %s has %q", a.Status, names[0], answers[0].Status)
		}
		if !bytes.Equal(a.Body, answers[0].Body) {
			fault("another body (%d bytes) than %s (%d bytes)", len(a.Body), names[0], len(answers[0].Body))
		}
		for _, name := range []string{"Content-Type", "Content-Length"} {
			got, there := a.Get(name)
			want, _ := answers[0].Get(name)
			if !there || got != want {
				fault("%s %q, %s has %q", name, got, names[0], want)
			}
		}
		if _, there := a.Get("Date"); !there {
			fault("no Date")
		}
		if c, _ := a.Get("Connection"); c == "close" {
			fault("closes the connection")
		}
	}
	return errors.Join(wrong...)
}

// Expected checks the first answer, since equal answers may all be wrong.
func (w Workload) Expected(a probe.Answer) error {
	switch w.Name {
	case "echo":
		if !bytes.Equal(a.Body, w.body) {
			return errors.New("echo: the body was not sent back")
		}
	case "page":
		if rows := bytes.Count(a.Body, []byte("<tr ")); rows != 50 || len(a.Body) < 3500 || len(a.Body) > 5000 {
			return fmt.Errorf("page: %d rows in %d bytes", rows, len(a.Body))
		}
	default:
		if string(a.Body) != "Hello, world!\n" {
			return fmt.Errorf("%s: body %.80q", w.Name, a.Body)
		}
	}
	if a.Status != "200 OK" {
		return fmt.Errorf("%s: status %q", w.Name, a.Status)
	}
	return nil
}
