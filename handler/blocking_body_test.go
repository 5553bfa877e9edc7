package handler

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestBlockingBodySplitEverywhere(t *testing.T) {
	const body = "0123456789"
	for _, head := range []string{post10, postMany} {
		for _, window := range []int{1, 3, 4096} {
			b := attachBlocking(t, Config{Window: window}, echo, 0)
			for i := range len(body) + 1 {
				for j := i; j <= len(body); j++ {
					c := b.start(-1, head, body[:i], true)
					c.send([]byte(body[i:j]))
					c.send([]byte(body[j:]))
					b.turn(func() { c.running.BodyEnd() })
					b.until("the response", func() bool { return c.over })
					if !strings.HasSuffix(c.text(), "Content-Length: 10\n\n"+body) || c.outcome() != "keep" {
						t.Fatalf("window %d, cut at %d and %d: %s %q", window, i, j, c.outcome(), c.text())
					}
				}
			}
		}
	}
}

// The body is complete at the start. Its sizes lie on both sides of the limits at which its buffer changes.
func TestBlockingBodyAtOnce(t *testing.T) {
	b := attachBlocking(t, Config{Window: 8 << 10}, echo, 0)
	for _, n := range []int{1, smallBody, smallBody + 1, 8 << 10, 8<<10 + 1, 20 << 10} {
		body := strings.Repeat("x", n)
		c := b.exchange(fmt.Sprintf("POST / HTTP/1.1\nHost: a\nContent-Length: %d\n\n", n), body)
		if _, got := c.response("POST"); got != body {
			t.Errorf("%d bytes of %d", len(got), n)
		}
	}
}

// The connection stops when the window is full, and is told once when there is room again.
func TestBlockingBodyBackPressure(t *testing.T) {
	read := make(chan int)
	b := attachBlocking(t, Config{Window: 8}, Func(func(w *Response, r *Request) {
		for n := range read {
			if _, err := io.ReadFull(r, make([]byte, n)); err != nil {
				t.Error(err)
			}
		}
	}), 0)
	c := b.start(-1, postMany, "", true)
	b.turn(func() {
		if n := c.sendSome([]byte("0123456789")); n != 8 {
			t.Errorf("room for %d bytes", n)
		}
		if n := c.sendSome([]byte("89")); n != 0 {
			t.Errorf("room for %d bytes more", n)
		}
	})
	read <- 3
	read <- 1
	b.until("room", func() bool { return c.room > 0 })
	b.turn(func() {
		if n := c.sendSome([]byte("89abcdef")); n != 4 {
			t.Errorf("room for %d bytes", n)
		}
		c.running.BodyEnd()
	})
	read <- 8
	close(read)
	b.until("the end", func() bool { return c.over })
	if c.room != 1 {
		t.Errorf("told %d times", c.room)
	}
}

func TestBlockingBodyWanted(t *testing.T) {
	const head = "POST / HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 3\n\n"
	t.Run("read", func(t *testing.T) {
		b := attachBlocking(t, Config{}, echo, 0)
		c := b.start(-1, head, "", true)
		b.until("the wish for the body", func() bool { return c.wanted > 0 })
		c.send([]byte("a"))
		c.send([]byte("bc"))
		b.turn(func() { c.running.BodyEnd() })
		b.until("the end", func() bool { return c.over })
		if c.outcome() != "keep" || c.wanted != 1 {
			t.Errorf("%s after %d wishes", c.outcome(), c.wanted)
		}
	})
	t.Run("not read", func(t *testing.T) {
		b := attachBlocking(t, Config{}, hello, 0)
		c := b.start(-1, head, "", true)
		b.until("the end", func() bool { return c.over })
		if c.wanted != 0 || c.outcome() != "close" || !strings.Contains(c.text(), "Connection: close\n") {
			t.Errorf("%s after %d wishes: %q", c.outcome(), c.wanted, c.text())
		}
	})
}

func TestBlockingBodyAbort(t *testing.T) {
	for _, c := range []struct {
		name     string
		tooLarge bool
		answers  bool
		want     string
	}{
		{"broken", false, false, "failed 400"},
		{"too large", true, false, "failed 413"},
		{"the handler answers", true, true, "close"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []byte
			var err error
			b := attachBlocking(t, Config{}, Func(func(w *Response, r *Request) {
				got, err = io.ReadAll(r)
				if c.answers {
					w.SetStatus(422)
				}
			}), 0)
			x := b.start(-1, post10, "abc", true)
			x.send([]byte("def"))
			b.turn(func() { x.running.BodyAbort(c.tooLarge) })
			b.until("the end", func() bool { return x.over })
			want := io.ErrUnexpectedEOF
			if c.tooLarge {
				want = ErrBodyTooLarge
			}
			if string(got) != "abcdef" || err != want {
				t.Errorf("read %q, %v", got, err)
			}
			if x.outcome() != c.want {
				t.Errorf("%s, want %s", x.outcome(), c.want)
			}
		})
	}
}

func TestBlockingBodyMax(t *testing.T) {
	b := attachBlocking(t, Config{}, Func(func(w *Response, r *Request) {
		if _, err := r.Body(9); err == ErrBodyTooLarge {
			w.Error(413)
		}
	}), 0)
	for _, head := range []string{post10, postMany} {
		c := b.start(-1, head, "0123456789", true)
		b.turn(func() { c.running.BodyEnd() })
		b.until("the end", func() bool { return c.over })
		if res, _ := c.response("POST"); res.StatusCode != 413 {
			t.Errorf("got %q", c.text())
		}
	}
}

// What has been read of a body does not count against the bound of the rest.
func TestBodyRest(t *testing.T) {
	h := Func(func(w *Response, r *Request) {
		if _, err := io.ReadFull(r, make([]byte, 6)); err != nil {
			t.Error(err)
		}
		if _, err := r.Body(3); err != ErrBodyTooLarge {
			t.Errorf("4 bytes where 3 are allowed: %v", err)
		}
		rest, err := r.Body(4)
		fmt.Fprintf(w, "%s %v", rest, err)
	})
	for name, b := range map[string]*fakeBackend{"loop": attach(t, OnLoop(h)), "goroutine": attachBlocking(t, Config{}, h, 0)} {
		if _, body := b.exchange(post10, "0123456789").response("POST"); body != "6789 <nil>" {
			t.Errorf("%s: %q", name, body)
		}
	}
}
