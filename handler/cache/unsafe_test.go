package cache

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// A handler that changes something makes the pages of its address invalid, however its exchange ends.
func TestInvalidatedAtEnd(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		leaves  bool // the client, while the handler runs
		aborts  bool // the handler, when it has changed something
	}{
		"client leaves":             {"Content-Length: 0\r\n\r\n", true, false},
		"client leaves in the body": {"Content-Length: 100000\r\n\r\nabc", true, false},
		"client leaves, no head":    {"Content-Length: 0\r\n\r\n", true, true},
		"no head":                   {"Content-Length: 0\r\n\r\n", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			var state atomic.Int64
			running, gone := make(chan struct{}), make(chan struct{})
			r := newRig(t, rigOptions{}, func(w http.ResponseWriter, q *http.Request) {
				if q.Method == "GET" {
					w.Header().Set("Cache-Control", "max-age=60")
					fmt.Fprint(w, state.Load())
					return
				}
				close(running)
				<-gone
				io.Copy(io.Discard, q.Body)
				state.Store(1)
				if c.aborts {
					panic(http.ErrAbortHandler)
				}
			})
			r.get("/", "0")
			conn, br := r.dial("POST / HTTP/1.1\r\nHost: example.com\r\n" + c.request)
			<-running
			r.get("/", "0")
			if c.leaves {
				conn.(*net.TCPConn).SetLinger(0)
				conn.Close()
				until(t, "the engine has noticed that", func() bool { return r.conns() == 0 })
			}
			close(gone)
			if !c.leaves {
				io.Copy(io.Discard, br)
			}
			until(t, "the page is new", func() bool { return r.ask("GET", "/").body == "1" })
		})
	}
}
