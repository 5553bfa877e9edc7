package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What a script sees of a request, all the way from the socket.
func TestRequestObject(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/api.lua")
	form := "POST /form HTTP/1.1\nContent-Type: application/x-www-form-urlencoded; charset=utf-8"
	tests := []struct {
		head string // lines without Host, Show and Content-Length
		body string
		show string
		want string
	}{
		{"GET / HTTP/1.1", "", "request.method; request.path; request.query; request.get_params; request.post_params",
			`"GET"|""|""|{}|{}`},
		{"GET /a%20b/c?x=1&y=a+b%21&x=2&z&%zz=%4 HTTP/1.1", "",
			"request.path; request.query; request.get_params; request.get_params_list; request.get_params_list.none",
			`"a%20b/c"|"?x=1&y=a+b%21&x=2&z&%zz=%4"|{%zz="%4" x="1" y="a b!" z=""}|{%zz={"%4"} x={"1" "2"} y={"a b!"} z={""}}|{}`},
		{"OPTIONS * HTTP/1.1", "", "request.method; request.path; request.query", `"OPTIONS"|nil|nil`},
		{"GET http://other.example/there?q HTTP/1.1", "", "request.path; request.query; request.headers.host",
			`"there"|"?q"|{"other.example"}`},
		{form, "a=1&b=x%0Ay&a=2&e=", "request.post_params; request.post_params_list.a; request.post_params_list.none",
			"{a=\"1\" b=\"x\\\ny\" e=\"\"}|{\"1\" \"2\"}|{}"},
		{"POST / HTTP/1.1\nContent-Type: text/plain", "just text", "request.post_params; request.body; #request.body",
			`{}|"just text"|9`},
		{"GET / HTTP/1.1\nCookie: a=1; b=\"quoted\"; a=2\nCookie: c=x=y", "", "request.cookies; request.cookies.none",
			`{a="1" b="quoted" c="x=y"}|nil`},
		{"GET / HTTP/1.1\nX-List: one, \"two, three\"\nAccept: text/html\nx-list: Four", "",
			"request.headers['X-LIST']; request.headers_csv_table['x-list']; request.headers_csv_string['x-List'];" +
				"request.headers_value['x-list']; request.headers_value['ACCEPT']; request.headers_flags['X-list'].four;" +
				"request.headers_flags['X-list'].five",
			`{"one, \"two, three\"" "Four"}|{"one" "\"two, three\"" "Four"}|"one, \"two, three\", Four"|false|"text/html"|true|false`},
		{"GET / HTTP/1.1", "", "request.headers.none; request.headers_csv_table.none; request.headers_csv_string.none;" +
			"request.headers_value.none; request.headers_flags.none.none", `{}|{}|""|nil|false`},
		{"PATCH /x HTTP/1.1", "", "request.method; request.body", `"PATCH"|""`},
	}
	p := dial(t, s.address(0))
	for _, test := range tests {
		t.Run(strings.SplitN(test.head, "\n", 2)[0], func(t *testing.T) {
			p.t = t
			p.say("%s\r\nHost: h\r\nShow: %s\r\nContent-Length: %d\r\n\r\n%s",
				strings.ReplaceAll(test.head, "\n", "\r\n"), test.show, len(test.body), test.body)
			if got, want := p.hears(200), strings.ReplaceAll(test.want, "|", "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestResponseHead(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/api.lua")
	req, err := http.NewRequest("GET", s.url("/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Show", "1 + 1")
	resp, body, err := do(newClient(t), req)
	if err != nil {
		t.Fatal(err)
	}
	if body != "2" || resp.ContentLength != 1 || resp.Proto != "HTTP/1.1" || resp.Header.Get("Date") == "" {
		t.Errorf("%v %q", resp, body)
	}
	for name, want := range map[string]string{
		"X-Static": "[always]", "X-Pair": "[too]", "Set-Cookie": "[a=1 b=2]", "Content-Type": "[text/plain]",
	} {
		if got := fmt.Sprint(resp.Header.Values(name)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
