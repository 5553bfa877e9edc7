package httpparse

import "testing"

// TestNoAllocation: nothing is allocated for a request, valid or not.
func TestNoAllocation(t *testing.T) {
	var h Head
	var p Parser
	good, bad := []byte(requestBrowser), []byte("GET / HTTP/1.1\r\n\r\n")
	body := []byte("3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n")
	wrong := []byte("3\r\nabcd")
	form, scratch := []byte("a=b&c=%41+&%zz"), make([]byte, 16)
	cookie, list := []byte(`a=b; c="d"`), []byte(`a, "b,c"`)
	room := make([]byte, 8)
	h.Fields = make([]Field, 0, 16)
	for _, tt := range []struct {
		name string
		run  func()
	}{
		{"head", func() { p.Parse(&h, good, nil) }},
		{"head in pieces", func() { p.Parse(&h, good[:20], nil); p.Parse(&h, good[:300], nil); p.Parse(&h, good, nil) }},
		{"refused head", func() { p.Parse(&h, bad, nil) }},
		{"chunks", func() {
			var d Chunked
			for rest := body; len(rest) > 0; {
				_, n, _, _ := d.Next(rest)
				rest = rest[n:]
			}
		}},
		{"chunks into room", func() { var d Chunked; d.Decode(room[:2], room[2:], body) }},
		{"refused chunks", func() { var d Chunked; d.Decode(room, nil, wrong) }},
		{"form", func() {
			f := NewForm(form, scratch)
			for _, _, ok := f.Next(); ok; _, _, ok = f.Next() {
			}
		}},
		{"cookies", func() {
			c := NewCookies(cookie)
			for _, _, ok := c.Next(); ok; _, _, ok = c.Next() {
			}
		}},
		{"list", func() {
			l := NewList(list)
			for _, ok := l.Next(); ok; _, ok = l.Next() {
			}
		}},
	} {
		if n := testing.AllocsPerRun(100, tt.run); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}
