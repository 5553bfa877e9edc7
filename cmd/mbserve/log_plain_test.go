package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// The plain format is for readers: neither an application nor a client can send commands to a terminal through it.
func TestPlainLog(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(logPlain.handler(&b, handlerOptions(false)))
	log.Debug("not shown")
	log.Info("listening", "pool", 0, "address", "http://127.0.0.1:80/", "name", "", "two", "a b", "quote", `a"b`)
	log.With("generation", 3).WithGroup("g").Warn("a\x1b[31m\x00\xffb", "err", errors.New("é\x07"))
	log.Error("first\nsecond", "traceback", "stack:\n\tapp.lua:1: in \x1b[0m\n", "pid", 7)
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, line[min(len(line), len("15:04:05 ")):])
	}
	want := `listening pool=0 address=http://127.0.0.1:80/ name="" two="a b" quote="a\"b"
WARNING a\x1b[31m\x00\xffb generation=3 g.err=é\a
ERROR first
second pid=7
stack:
    app.lua:1: in \x1b[0m
`
	if text := strings.Join(got, ""); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	b.Reset()
	slog.New(logPlain.handler(&b, handlerOptions(true))).Debug("shown")
	if !strings.Contains(b.String(), " debug shown\n") {
		t.Errorf("%q", b.String())
	}
}

// --dev chooses it for a terminal, unless the command line has another format.
func TestPlainLogOnTerminal(t *testing.T) {
	for args, want := range map[string]bool{
		"testdata/hello.lua": false, "--dev testdata/hello.lua": true, "--dev --log-format text testdata/hello.lua": false,
	} {
		o, err := parseOptions(strings.Fields(args))
		if err != nil || o.plain != want {
			t.Errorf("%s: %v, %v", args, o, err)
		}
	}
}
