package httpparse

import "testing"

func TestRequestStart(t *testing.T) {
	for _, c := range []struct {
		in, method, path string
		ok               bool
	}{
		{"GET /a/b?secret HTTP/1.1\r\nHost: h\r\n\r\n", "GET", "/a/b", true},
		{"\r\n\nPOST / HTTP/1.1", "POST", "/", true},
		{"GET /incomplete", "GET", "/incomplete", true},
		{"GET ", "GET", "", true},
		{"GET /\x00\xff", "GET", "/\x00\xff", true},
		{"\x16\x03\x01\nGET / HTTP/1.1", "", "\x16\x03\x01", false},
		{"GET", "", "GET", false},
		{"", "", "", false},
		{"\r\n", "", "", false},
	} {
		method, path, ok := RequestStart([]byte(c.in))
		if string(method) != c.method || string(path) != c.path || ok != c.ok {
			t.Errorf("%q: %q, %q, %v", c.in, method, path, ok)
		}
	}
}
