package handler

import "testing"

// A handler that keeps its Response and Request reaches no other exchange, although these use the same room.
func TestBlockingKept(t *testing.T) {
	var w *Response
	var r *Request
	b := attachBlocking(t, Config{}, Func(func(w2 *Response, r2 *Request) {
		if w != nil {
			w.WriteString("of another exchange")
			w.Set("X-Other", "1")
			if n, err := r.Read(make([]byte, 1)); n != 0 || err != ErrEnded || len(r.Method()) > 0 || r.Field("Host") != nil {
				t.Errorf("a Request that was kept: read %d bytes, %v, method %q", n, err, r.Method())
			}
		}
		w, r = w2, r2
		w.WriteString("own")
	}), 0)
	for range 3 {
		c := b.exchange(get11, "")
		if got, want := c.text(), "HTTP/1.1 200 OK\nDate: D\nContent-Length: 3\n\nown"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if _, err := w.WriteString("x"); err != ErrEnded {
		t.Errorf("a Response that was kept: %v", err)
	}
}
