package handler_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moonbridge/engine"
	"moonbridge/handler"
)

// asideMixed is a handler that does what handlers may do: most of it in no time, some of it with the help of its loop. Its response is
// its query.
func asideMixed(e *atomic.Pointer[engine.Engine]) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text := strings.Repeat(r.URL.RawQuery+" ", 20)
		w.Header().Set("X-Id", r.URL.RawQuery)
		switch r.URL.Path {
		case "/computes":
			for end := time.Now().Add(2 * time.Millisecond); time.Now().Before(end); {
			}
		case "/sleeps":
			time.Sleep(2 * time.Millisecond)
		case "/flushes":
			io.WriteString(w, text[:10])
			w.(http.Flusher).Flush()
			text = text[10:]
		case "/reads":
			io.Copy(io.Discard, r.Body)
		case "/asks":
			e.Load().Stats()
		case "/posts":
			called := make(chan struct{})
			e.Load().Loop(0).Post(func() { close(called) })
			<-called
		case "/keeps":
			go r.Body.Read(make([]byte, 1))
		case "/exits":
			runtime.Goexit()
		case "/hijacks":
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				break
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", r.URL.RawQuery, len(text), text)
			c.Close()
			return
		}
		io.WriteString(w, text)
	}
}

// Handlers on the goroutine of a loop, and others that leave it, answer each client with what it has asked for, in any order of them.
func TestAsideMixed(t *testing.T) {
	var shared atomic.Pointer[engine.Engine]
	e, url := serveOneLoop(t, handler.HTTP(asideMixed(&shared)))
	shared.Store(e)
	special := []string{"computes", "sleeps", "flushes", "reads", "asks", "posts", "keeps", "exits", "hijacks"}
	var running sync.WaitGroup
	for client := range 6 {
		running.Go(func() {
			var c net.Conn
			var in *bufio.Reader
			for i := range 300 {
				if c == nil {
					var err error
					if c, err = net.Dial("tcp", url[len("http://"):]); err != nil {
						t.Error(err)
						return
					}
					c.SetDeadline(time.Now().Add(patience))
					in = bufio.NewReader(c)
				}
				path, id := "short", strconv.Itoa(client*1000+i)
				if rand.IntN(20) == 0 {
					path = special[rand.IntN(len(special))]
				}
				fmt.Fprintf(c, "POST /%s?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", path, id)
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Errorf("%s: %v", path, err)
					return
				}
				body, err := io.ReadAll(res.Body)
				switch want := strings.Repeat(id+" ", 20); {
				case path == "exits" && res.StatusCode == 500:
				case err != nil || res.Header.Get("X-Id") != id || string(body) != want:
					t.Errorf("%s: status %d, %q, %v; want %q", path, res.StatusCode, body, err, want)
				}
				if res.Close {
					c.Close()
					c = nil
				}
			}
			if c != nil {
				c.Close()
			}
		})
	}
	running.Wait()
}
