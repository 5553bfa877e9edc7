package testrun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Outcome is what has become of a test.
type Outcome int

// Outcomes.
const (
	Passed Outcome = iota
	Failed
	Skipped
)

// Result is what has become of a test.
type Result struct {
	Name    string
	Outcome Outcome
	Where   string // in the tests: file:line; "": unknown
	Message string // why it has failed or was skipped
	Trace   string // of an error that is no assertion
	Last    string // the last request and its status; "": there was none
	Log     []string
	Took    time.Duration
}

// Run answers the questions of one process with tests. The fields are set before the first one.
type Run struct {
	// Dial connects a client with a listener of a pool, both counted from 1; 0: the one that is meant. from is the address that
	// the client has; "": any.
	Dial func(pool, listener int, from string) (net.Conn, error)

	// Title is the name of each test, if it is not empty.
	Title string

	// IDs begins the request ids of requests that have none of their own.
	IDs string

	// Logged returns what was logged about a request with an id. Optional.
	Logged func(id string) []string

	// Report is called with each result. Optional.
	Report func(*Result)

	Counts  Counts
	failure *Result // the first one
	broken  error   // there are no tests
	running *Result // its test has begun
	began   time.Time
	ids     int
	failing []string // ids of requests that were answered with 500, of the running test
}

// Counts are the numbers of results.
type Counts struct{ Passed, Failed, Skipped int }

// Total is all of them.
func (c Counts) Total() int { return c.Passed + c.Failed + c.Skipped }

// What a process says of its tests is kept up to a length.
const (
	nameBytesMax = 1 << 10  // of a name, and of a place
	textBytesMax = 64 << 10 // of a message, and of a traceback
)

// cut is the beginning of a text.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s… (%d more bytes)", strings.ToValidUTF8(s[:most], ""), len(s)-most)
}

var errQuestion = errors.New("malformed question")

// Answer implements pool.Test.Answer.
func (r *Run) Answer(ctx context.Context, q []string) ([]string, error) {
	switch what, rest := q[0], q[1:]; {
	case what == "get" && len(rest) >= fixedFields:
		return r.get(ctx, rest), nil
	case what == "begin" && len(rest) == 1:
		r.running, r.began, r.failing = &Result{Name: cmp.Or(r.Title, cut(rest[0], nameBytesMax))}, time.Now(), nil
	case what == "passed" && len(rest) == 1 && r.running != nil:
		r.end(Passed, "", "", "")
	case what == "skipped" && len(rest) == 2 && r.running != nil:
		r.end(Skipped, "", rest[1], "")
	case what == "failed" && len(rest) == 4 && r.running != nil:
		r.end(Failed, rest[1], rest[2], rest[3])
	case what == "broken" && len(rest) == 2:
		text := cut(rest[0], textBytesMax)
		if rest[1] != "" {
			text += "\n" + cut(rest[1], textBytesMax)
		}
		r.broken = errors.New(text)
	default:
		return nil, errQuestion
	}
	return []string{"ok"}, nil
}

// end ends the running test.
func (r *Run) end(o Outcome, where, message, trace string) {
	one := r.running
	r.running = nil
	one.Outcome, one.Where, one.Took = o, cut(where, nameBytesMax), time.Since(r.began)
	one.Message, one.Trace = cut(message, textBytesMax), cut(trace, textBytesMax)
	switch o {
	case Passed:
		r.Counts.Passed++
	case Skipped:
		r.Counts.Skipped++
	default:
		r.Counts.Failed++
		for _, id := range r.failing {
			if r.Logged != nil {
				one.Log = append(one.Log, r.Logged(id)...)
			}
		}
		if r.failure == nil {
			r.failure = one
		}
	}
	if r.Report != nil {
		r.Report(one)
	}
}

// Finish is called when the process has ended. err is why it has not ended well: that is a failure of the running test. It returns
// why the tests as a whole have failed: they could not be run, or there is a failure.
func (r *Run) Finish(err error) error {
	if err != nil && r.running != nil {
		r.end(Failed, "", err.Error(), "")
		err = nil
	}
	switch {
	case err != nil:
		r.broken = err
		return err
	case r.broken != nil:
		return r.broken
	case r.failure == nil:
		return nil
	case r.Counts.Total() == 1:
		return errors.New(r.failure.text())
	}
	return fmt.Errorf("%d of %d tests failed; %s: %s", r.Counts.Failed, r.Counts.Total(), r.failure.Name, r.failure.text())
}

// Broken is why the tests could not be run; nil: they could.
func (r *Run) Broken() error { return r.broken }

// text says why a test has failed, in short.
func (one *Result) text() string {
	text := one.Message
	if one.Where != "" && !hasPlace(text, one.Where) {
		text = one.Where + ": " + text
	}
	if one.Last != "" {
		text += "\n" + one.Last
	}
	return text
}

// hasPlace reports whether a message begins with its place, as those of Lua do.
func hasPlace(message, where string) bool {
	return len(message) > len(where) && message[:len(where)] == where && message[len(where)] == ':'
}
