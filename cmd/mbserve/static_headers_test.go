package main

import (
	"net/http"
	"strings"
	"testing"
)

// static_headers are in every response, including those that the server makes itself, through the server and on a raw
// connection.
func TestStaticHeadersOfOwnAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/static_headers.lua")
	raw := strings.TrimPrefix(field(s.wait("msg=listening", "serves=raw"), "address"), "tcp://")
	for where, address := range map[string]string{"served by the server": s.address(0), "served by a worker": raw} {
		for _, c := range []struct {
			request string
			status  int
		}{
			{"GET /ok HTTP/1.1\r\nHost: h\r\n\r\n", 200},
			{"GET /error HTTP/1.1\r\nHost: h\r\n\r\n", 500},
			{"GET /silent HTTP/1.1\r\nHost: h\r\n\r\n", 500},
			{"GET / HTTP/1.1\r\n\r\n", 400},
			{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n", 413},
			{"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
			{"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505},
			{"HEAD / HTTP/1.1\r\n\r\n", 400},
		} {
			p := dial(t, address)
			p.say("%s", c.request)
			resp, err := http.ReadResponse(p.r, nil)
			if err != nil {
				t.Errorf("%s: %q: %v", where, c.request, err)
				continue
			}
			h := resp.Header
			if resp.StatusCode != c.status || h.Get("X-Frame-Options") != "DENY" || h.Get("X-Two") != "2" || len(h["Date"]) != 1 {
				t.Errorf("%s: %q: status %d, want %d; %v", where, c.request, resp.StatusCode, c.status, h)
			}
			p.Close()
		}
	}
}
