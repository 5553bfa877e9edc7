package main

import (
	"net/http"
	"strings"
	"testing"
)

// Standard error of workers is logged line by line, with pool and process. It can neither forge lines nor fill the log.
func TestStandardErrorOfWorkers(t *testing.T) {
	s := start(t, "testdata/stderr.lua")
	get := func(path string) {
		t.Helper()
		if resp, err := http.Get(s.url(path)); err == nil {
			resp.Body.Close()
		}
	}
	get("/lines")
	for _, text := range []string{"first line", "\tsecond line"} {
		line := s.wait(text[1:])
		if field(line, "msg") != text || field(line, "pool") != "0" || number(t, field(line, "pid")) == s.pid() || field(line, "level") != "INFO" {
			t.Errorf("%q: %s", text, line)
		}
	}
	get("/binary")
	if line := s.wait("[31mred"); field(line, "msg") != `\x00\x01\x1b[31mred\xff` {
		t.Errorf("%q", line)
	}
	get("/injection")
	if line := s.wait("forged"); field(line, "msg") != `x level=ERROR msg="forged" y` || field(line, "level") != "INFO" {
		t.Errorf("%q", line)
	}
	get("/long")
	s.wait("after the long line")
	line := s.wait("zzz")
	if n := strings.Count(line, "z"); n != 8<<10 || !strings.Contains(line, "(1040384 more bytes)") {
		t.Errorf("%d bytes of a long line: …%s", n, line[len(line)-100:])
	}
	get("/last")
	s.wait("last words without an end")
	get("/flood")
	s.wait("lines of standard error dropped", "count=")
	if n := strings.Count(s.log.String(), "msg=flooding"); n < 1000 || n > 4900 {
		t.Errorf("%d of 5000 lines logged", n)
	}
}

// The same in JSON.
func TestStandardErrorInJSON(t *testing.T) {
	s := launch(t, "--log-format", "json", "testdata/stderr.lua")
	s.wait(`"msg":"ready"`)
	at := s.wait(`"msg":"listening"`)
	_, rest, _ := strings.Cut(at, "http://")
	address, _, _ := strings.Cut(rest, "/")
	resp, err := http.Get("http://" + address + "/binary")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.wait(`"msg":"\\x00\\x01\\x1b[31mred\\xff","pool":0,"pid":`)
}
