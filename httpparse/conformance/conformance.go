// Package conformance loads cases of what a server has to make of bytes on a connection, written down in files that
// need no Go: package httpparse replays them through the parser, a server may replay them through a socket.
//
// A file is lines of the form "key: value"; "#" begins a comment line, an empty line ends a case. Every case has
//
//	case: what it shows
//	rfc: the clause, or why we go beyond it
//	in: bytes of the connection (any number of lines, put together as they stand)
//	in x1000: bytes that come as often as it says
//
// with \r \n \t \\ and \xHH standing for these bytes. There are no others than the written ones: lines are not ended. Then
// come the requests that the server sees, in order, each
//
//	request: METHOD target
//
// followed by what else is to be seen of it, all optional:
//
//	path: query: host: body:   with the same escapes, "" if it is empty; body is decoded
//	asterisk: persistent: continue:   yes or no
//
// and at last what becomes of the connection:
//
//	want: end         all bytes are used, the connection waits for the next request
//	want: incomplete  the bytes end inside a request
//	want: close       the last request was not persistent; further bytes are not looked at
//	want: reject 400  what follows the requests is refused with this status. Where a request came before, its head was
//	                  taken and its body is what is refused
package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Case is one connection.
type Case struct {
	Where    string // file:line
	Name     string
	RFC      string
	Input    []byte
	Requests []Request
	End      End
	Status   int // if End is Reject
}

// Request is one request of a Case. Want holds what is to be seen of it besides Method and Target, by key, unescaped.
type Request struct {
	Method, Target string
	Want           map[string]string
}

// End is what becomes of a connection after its input.
type End string

const (
	AtEnd      End = "end"
	Incomplete End = "incomplete"
	Close      End = "close"
	Reject     End = "reject"
)

// Load reads all *.txt files of a directory.
func Load(dir string) (cases []Case, err error) {
	err = each(dir, func(name, text string) error {
		more, err := Parse(name, text)
		cases = append(cases, more...)
		return err
	})
	return cases, err
}

// each calls f with the base name and the text of all *.txt files of a directory.
func each(dir string, f func(name, text string) error) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("load %s: no *.txt files", dir)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := f(filepath.Base(name), string(text)); err != nil {
			return err
		}
	}
	return nil
}

// Parse reads the text of one file. name is for Case.Where and errors.
func Parse(name, text string) (cases []Case, err error) {
	err = blocks(name, text, func(where string) (block, func()) {
		c := &Case{Where: where}
		return c, func() { cases = append(cases, *c) }
	})
	return cases, err
}

// block is a case that is being read.
type block interface {
	set(key, value string) error
	complete() error
}

// blocks splits the text of a file into cases. begin is called at the start of each. It returns the case, and what is to be
// done when it is complete.
func blocks(name, text string, begin func(where string) (block, func())) error {
	var c block
	var add func()
	finish := func() error {
		if c == nil {
			return nil
		}
		if err := c.complete(); err != nil {
			return err
		}
		add()
		c = nil
		return nil
	}
	for i, line := range strings.Split(text, "\n") {
		where := fmt.Sprintf("%s:%d", name, i+1)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if line == "" {
			if err := finish(); err != nil {
				return err
			}
			continue
		}
		key, value, ok := strings.Cut(line, ": ")
		if !ok {
			return fmt.Errorf("%s: not of the form key: value", where)
		}
		if c == nil {
			c, add = begin(where)
		}
		if err := c.set(key, value); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	return finish()
}

func (c *Case) complete() error {
	if c.Name == "" || c.RFC == "" || c.End == "" || len(c.Input) == 0 {
		return fmt.Errorf("%s: a case needs case, rfc, in and want", c.Where)
	}
	return nil
}

func (c *Case) set(key, value string) error {
	if c.End != "" {
		return fmt.Errorf("%s after want", key)
	}
	switch key {
	case "case":
		c.Name = value
	case "rfc":
		c.RFC = value
	case "request":
		method, target, ok := strings.Cut(value, " ")
		if !ok {
			return fmt.Errorf("request without a target")
		}
		c.Requests = append(c.Requests, Request{method, target, map[string]string{}})
	case "path", "query", "host", "body", "asterisk", "persistent", "continue":
		if len(c.Requests) == 0 {
			return fmt.Errorf("%s before request", key)
		}
		if value == `""` {
			value = ""
		}
		b, err := Unescape(value)
		c.Requests[len(c.Requests)-1].Want[key] = b
		return err
	case "want":
		return c.setEnd(value)
	default:
		return addInput(&c.Input, key, value)
	}
	return nil
}

// addInput adds bytes of the connection, with the key "in" or "in x" and how often they come.
func addInput(input *[]byte, key, value string) error {
	times := 1
	if count, ok := strings.CutPrefix(key, "in x"); ok {
		var err error
		if times, err = strconv.Atoi(count); err != nil {
			return err
		}
	} else if key != "in" {
		return fmt.Errorf("unknown key %q", key)
	}
	b, err := Unescape(value)
	*input = append(*input, strings.Repeat(b, times)...)
	return err
}

func (c *Case) setEnd(value string) error {
	end, status, _ := strings.Cut(value, " ")
	c.End = End(end)
	switch c.End {
	case AtEnd, Incomplete, Close:
		if status != "" {
			return fmt.Errorf("%s with a status", end)
		}
		return nil
	case Reject:
		var err error
		c.Status, err = strconv.Atoi(status)
		return err
	}
	return fmt.Errorf("unknown end %q", end)
}

// Unescape replaces \r \n \t \\ and \xHH by the bytes they stand for.
func Unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", fmt.Errorf("backslash at the end")
		}
		switch s[i] {
		case 'r':
			b.WriteByte('\r')
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '\\':
			b.WriteByte('\\')
		case 'x':
			if i+2 >= len(s) {
				return "", fmt.Errorf("\\x without two digits")
			}
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", err
			}
			b.WriteByte(byte(v))
			i += 2
		default:
			return "", fmt.Errorf("unknown escape \\%c", s[i])
		}
	}
	return b.String(), nil
}
