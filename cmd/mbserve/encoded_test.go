package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func encodeBody(t *testing.T, coding, body string) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "br":
		w = brotli.NewWriter(&out)
	case "zstd":
		z, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	default:
		return []byte(body)
	}
	io.WriteString(w, body)
	w.Close()
	return out.Bytes()
}

// logLines is text that gets about four times smaller.
func logLines(n int) string {
	var b strings.Builder
	for x := uint32(1); b.Len() < n; x = x*1664525 + 1013904223 {
		fmt.Fprintf(&b, "client %x status %d\n", x, 200+x%5)
	}
	return b.String()[:n]
}

// post sends a body with a Content-Encoding, chunked or not.
func post(t *testing.T, url, coding string, body []byte, chunked bool) (*http.Response, string) {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	if chunked {
		r = struct{ io.Reader }{r}
	}
	req, err := http.NewRequest("POST", url, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true // a raw connection occupies a worker
	req.Header.Set("Content-Encoding", coding)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, text, err := do(newClient(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return resp, text
}

func TestEncodedBody(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/encoded.lua")
	addresses := []string{s.address(0), s.address(1), s.address(2), s.address(3), s.address(4), rawAddress(t, s, 0)}
	type body struct {
		coding string
		size   int
	}
	encoded := map[body][]byte{}
	for listener, address := range addresses {
		refuses := listener < 2 || listener == 5
		decodes := listener == 2 || listener == 3
		for _, coding := range []string{"identity", "gzip", "br", "zstd"} {
			for _, size := range []int{100, 20000, 2000000} {
				plain, b := logLines(size), body{coding, size}
				if encoded[b] == nil {
					encoded[b] = encodeBody(t, coding, plain)
				}
				sent := encoded[b]
				for _, chunked := range []bool{false, true} {
					resp, text := post(t, "http://"+address+"/", coding, sent, chunked)
					want := fmt.Sprintf("%d %s %s", len(sent), sent[:20], coding)
					if decodes && coding != "identity" {
						want = fmt.Sprintf("%d %s nil", size, plain[:20])
					}
					if refuses && coding != "identity" {
						if resp.StatusCode != 415 || resp.Header.Get("Accept-Encoding") != "identity" {
							t.Errorf("listener %d, %s: %d, %v", listener, coding, resp.StatusCode, resp.Header)
						}
					} else if resp.StatusCode != 200 || text != want {
						t.Errorf("listener %d, %s, %d: %d %.100q, want %.100q", listener, coding, size, resp.StatusCode, text, want)
					}
				}
			}
		}
	}
}

func TestEncodedBodyErrors(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/encoded.lua")
	good := encodeBody(t, "gzip", longPage(100000))
	for _, listener := range []int{2, 3} {
		url := "http://" + s.address(listener)
		for _, c := range []struct {
			name, coding string
			body         []byte
			status       int
		}{
			{"unknown", "compress", good, 415},
			{"two", "gzip, br", good, 415},
			{"cut", "gzip", good[:len(good)-9], 400},
			{"garbage", "br", []byte("garbage garbage garbage"), 400},
			{"too large", "gzip", encodeBody(t, "gzip", logLines(3000001)), 413},
			{"bomb", "zstd", encodeBody(t, "zstd", strings.Repeat("a", 2900000)), 413},
		} {
			resp, text := post(t, url+"/", c.coding, c.body, false)
			if resp.StatusCode != c.status {
				t.Errorf("listener %d, %s: %d %.60q", listener, c.name, resp.StatusCode, text)
			}
			if accept := resp.Header.Get("Accept-Encoding"); accept != map[bool]string{true: "zstd, br, gzip"}[c.status == 415] {
				t.Errorf("listener %d, %s: Accept-Encoding %q", listener, c.name, accept)
			}
		}
		if _, text := post(t, url+"/form", "br", encodeBody(t, "br", "a=b&name=moon"), false); text != "name is moon" {
			t.Errorf("listener %d: %q", listener, text)
		}
		if _, text := post(t, url+"/unread", "gzip", good, false); text != "not read" {
			t.Errorf("listener %d: %q", listener, text)
		}
	}
}

// TestEncodedBodyContinue: a client that waits for leave to send the body gets it, or 415.
func TestEncodedBodyContinue(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/encoded.lua")
	body := encodeBody(t, "zstd", longPage(5000))
	for listener, status := range []int{415, 415, 200, 200, 200} {
		p := dial(t, s.address(listener))
		p.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: zstd\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
		in := bufio.NewReader(p)
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if status == 200 {
			if r.StatusCode != 100 {
				t.Fatalf("listener %d: %d, want 100", listener, r.StatusCode)
			}
			p.Write(body)
			if r, err = http.ReadResponse(in, nil); err != nil {
				t.Fatal(err)
			}
		}
		if r.StatusCode != status {
			t.Errorf("listener %d: %d", listener, r.StatusCode)
		}
		p.Close()
	}
}

// TestEncodedBodyUnread: the server has received the body before the handler runs. Whether the handler reads it does not matter to the
// next request on the connection.
func TestEncodedBodyUnread(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/encoded.lua")
	for _, size := range []int{100, 20000, 2000000} {
		for _, framing := range []string{"Content-Length: %d\r\n\r\n%s", "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"} {
			body := encodeBody(t, "gzip", logLines(size))
			p := dial(t, s.address(2))
			in := bufio.NewReader(p)
			for i, path := range []string{"unread", "unread", ""} {
				p.say("POST /%s HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"+framing, path, len(body), body)
				r, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatalf("%d bytes, request %d: %v", size, i, err)
				}
				text, err := io.ReadAll(r.Body)
				want := "not read"
				if path == "" {
					want = fmt.Sprintf("%d %s nil", size, logLines(20))
				}
				if err != nil || r.StatusCode != 200 || string(text) != want || r.Close {
					t.Errorf("%d bytes, request %d: %d %.60q, close %v, %v", size, i, r.StatusCode, text, r.Close, err)
				}
			}
			p.Close()
		}
	}
}
