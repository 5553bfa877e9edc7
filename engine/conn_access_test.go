package engine

import (
	"fmt"
	"testing"
	"time"

	"moonbridge/handler/backend"
)

// The record of an exchange is exact, to the millisecond and to the byte.
func TestAccessDialogue(t *testing.T) {
	const second = time.Second
	for _, c := range []struct {
		name string
		talk func(*dialogue)
		want string // method, target, id, status, bytes, complete; Time, Queue, Service, Total in seconds
	}{
		{"answered", func(d *dialogue) {
			d.peer.says("GET /a HTTP/1.1\r\n")
			d.passes(5 * second)
			d.peer.says("Host: h\r\nX-Request-Id: 12345678\r\n\r\n")
			d.passes(3 * second)
			d.handler.queue, d.handler.ran = 1*second, 2*second
			d.handler.answers("hello")
		}, "GET /a 12345678 200 5 true, 5 1 2 3"},
		{"small body awaited", func(d *dialogue) {
			d.peer.says("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nha")
			d.passes(5 * second)
			d.peer.says("lf")
			d.passes(3 * second)
			d.handler.answers("hello")
		}, "POST /a prefix-0-2 200 5 true, 0 0 0 8"},
		{"peer takes it slowly", func(d *dialogue) {
			d.peer.says(get("/a"))
			d.peer.room = len(response("")) + 2
			d.handler.answers("hello")
			d.passes(7 * second)
			d.peer.takes(anyRoom)
		}, "GET /a prefix-0-1 200 5 true, 0 0 0 7"},
		{"peer takes a part", func(d *dialogue) {
			d.peer.says(get("/a"))
			d.peer.room = len(response("")) + 2
			d.handler.answers("hello")
			d.passes(7 * second)
			d.peer.vanishes()
		}, "GET /a prefix-0-1 200 2 false, 0 0 0 7"},
		{"peer gone before the response", func(d *dialogue) {
			d.peer.says(get("/a"))
			d.passes(7 * second)
			d.handler.queue, d.handler.ran = 1*second, 2*second
			d.peer.vanishes()
		}, "GET /a prefix-0-1 0 0 false, 0 1 2 7"},
		{"head not complete in time", func(d *dialogue) {
			d.peer.says("GET /a HTTP/1.1\r\n")
			d.passes(120 * second)
		}, "  prefix-0-1 408 16 true, 120 -1 -1 0"},
		{"not HTTP", func(d *dialogue) { d.peer.says("nonsense\r\n\r\n") }, "  prefix-0-1 400 12 true, 0 -1 -1 0"},
		{"refused by the backend", func(d *dialogue) {
			d.handler.refuses = backend.ErrQueueFull
			d.peer.says(get("/a"))
		}, "GET /a prefix-0-1 503 20 true, 0 -1 -1 0"},
		{"handler failed", func(d *dialogue) {
			d.peer.says(get("/a"))
			d.handler.fails(502)
		}, "GET /a prefix-0-1 502 12 true, 0 0 0 0"},
		{"handler failed in the middle", func(d *dialogue) {
			d.peer.says(get("/a"))
			d.handler.outputs(response("hello")[:len(response(""))+1], false)
			d.handler.fails(502)
		}, "GET /a prefix-0-1 200 1 false, 0 0 0 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			d := newLoggedDialogue(t, Limits{}, func(a *Access) {
				seconds := func(d time.Duration) any {
					if d == -1 {
						return -1
					}
					return d.Seconds()
				}
				got = append(got, fmt.Sprintf("%s %s %s %d %d %v, %v %v %v %v", a.Method, a.Target, a.ID, a.Status, a.Bytes, a.Complete,
					seconds(a.Time.Sub(startedAt)), seconds(a.Queue), seconds(a.Service), seconds(a.Total)))
			})
			c.talk(d)
			if len(got) != 1 || got[0] != c.want {
				t.Errorf("logged %q, want %q", got, c.want)
			}
		})
	}
}
