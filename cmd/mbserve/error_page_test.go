package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// What the server answers itself has the bodies that the script has made, and JSON for clients that like it better.
func TestErrorPageOption(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/error_page.lua")
	for _, c := range []struct {
		method, path, accept string
		status               int
		contentType, want    string
	}{
		{"GET", "/fail", "", 500, "text/html; charset=utf-8", "<h1>500 Internal Server Error</h1>"},
		{"GET", "/fail", "application/json", 500, "application/json", `{"error":"Internal Server Error","status":500}` + "\n"},
		{"GET", "/fail", "text/html, application/json;q=0.9", 500, "text/html; charset=utf-8", "<h1>500 Internal Server Error</h1>"},
		{"GET", "/exit", "", 502, "text/html; charset=utf-8", "<h1>502 Bad Gateway</h1>"},
		{"GET", "/late", "", 504, "text/html; charset=utf-8", "<h1>504 Gateway Timeout</h1>"},
		{"GET", "/late", "application/json", 504, "application/problem+json", `{"late":true}`},
		{"GET", "/files/missing", "", 404, "text/html; charset=utf-8", "<h1>404 Not Found</h1>"},
		{"GET", "/files/missing", "application/json", 404, "application/json", `{"error":"Not Found","status":404}` + "\n"},
		{"HEAD", "/files/missing", "", 404, "text/html; charset=utf-8", ""},
		{"GET", "/own", "application/json", 404, "", "the application's own\n"},
	} {
		url := s.url(c.path)
		if c.path == "/late" {
			url = "http://" + s.address(2) + c.path
		}
		resp, body := answerTo(t, c.method, url, "Accept", c.accept)
		if resp.StatusCode != c.status || resp.Header.Get("Content-Type") != c.contentType || body != c.want {
			t.Errorf("%s %s for %q: %s %q %q", c.method, c.path, c.accept, resp.Status, resp.Header.Get("Content-Type"), body)
		}
		if vary := resp.Header.Get("Vary"); (vary == "Accept") != (c.path != "/own") {
			t.Errorf("%s: Vary %q", c.path, vary)
		}
	}
	if resp, err := http.Post(s.url("/"), "text/plain", strings.NewReader("more than ten bytes")); err != nil {
		t.Error(err)
	} else {
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 413 || string(body) != "<h1>413 Content Too Large</h1>" {
			t.Errorf("%s %q", resp.Status, body)
		}
	}
	for head, want := range map[string]string{
		"nonsense\r\n\r\n": "<h1>400 Bad Request</h1>",
		"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 3000) + "\r\n\r\n": "<h1>431 Request Header Fields Too Large</h1>",
	} {
		p := dial(t, s.address(0))
		p.say("%s", head)
		if text, _ := io.ReadAll(p.r); !strings.HasSuffix(string(text), "\r\n\r\n"+want) {
			t.Errorf("%.20q: %q", head, text)
		}
		p.Close()
	}
}

// The pages of requests that were sent at once fit each of them.
func TestErrorPagePipelined(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/error_page.lua")
	p := dial(t, s.address(0))
	p.say("GET /fail HTTP/1.1\r\nHost: x\r\n\r\nGET /fail HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n" +
		"GET /fail HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	text, _ := io.ReadAll(p.r)
	parts := strings.Split(string(text), "HTTP/1.1 500 ")
	if len(parts) != 4 || !strings.HasSuffix(parts[1], "</h1>") || !strings.HasSuffix(parts[2], "}\n") || !strings.HasSuffix(parts[3], "</h1>") {
		t.Errorf("%q", parts)
	}
	p.Close()
}

// With true, only clients that like JSON get something else. A refusal for too many requests is JSON, too.
func TestErrorPageJSON(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/error_page.lua")
	url := "http://" + s.address(1)
	for _, c := range []struct {
		accept string
		status int
		want   string
	}{
		{"", 500, "Internal Server Error\n"}, {"application/json", 500, `{"error":"Internal Server Error","status":500}` + "\n"}, {"*/*", 500, "Internal Server Error\n"},
		{"application/json", 429, `{"error":"Too Many Requests","status":429}` + "\n"}, {"", 429, "Too Many Requests\n"},
	} {
		resp, body := answerTo(t, "GET", url+"/fail", "Accept", c.accept)
		if resp.StatusCode != c.status || body != c.want || c.status == 429 && resp.Header.Get("Retry-After") == "" {
			t.Errorf("for %q: %s %q", c.accept, resp.Status, body)
		}
	}
}

// What is wrong with the function is an error of listen, at a check too.
func TestErrorPageMistakes(t *testing.T) {
	t.Parallel()
	for option, want := range map[string]string{
		`function() error("on purpose") end`:                            "listen: error_page for 400 (html): ",
		`function(status) if status == 504 then return nil + 1 end end`: "listen: error_page for 504 (html): ",
		`function() return 5 end`:                                       "listen: error_page for 400 (html): a string expected",
		`function() return "x", {} end`:                                 "listen: error_page for 400 (html): a string expected",
		`function() return ("x"):rep(20000) end`:                        "more than 16384 bytes",
		`function() return "x", "text" end`:                             `"text" is not a media type`,
		`function() return "x", "a/b\r\nX: y" end`:                      "is not a media type",
		`"page.html"`: "option error_page: function or boolean expected, got string",
	} {
		script := writeScript(t, `listen{ { proto = "tcp4", port = 0, localhost = true }, error_page = `+option+`,
	connect = require("moonbridge_http").generate_handler(print) }`)
		for _, args := range [][]string{{script}, {"--check", script}} {
			_, stderr := runToEnd(t, 3, args...)
			checkMessage(t, stderr, want)
		}
	}
}
