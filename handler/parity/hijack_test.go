package parity

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n"

// serveLines answers each line with the same in capital letters, until the end.
func serveLines(c net.Conn, in *bufio.Reader) {
	defer c.Close()
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(c, strings.ToUpper(line))
	}
}

// hijack takes the connection over, or panics.
func hijack(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter) {
	c, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	return c, rw
}

func addHijacks(mux *http.ServeMux, world *world) {
	upgrade := func(w http.ResponseWriter) {
		w.Header().Set("Upgrade", "lines")
		w.Header().Set("Connection", "Upgrade")
	}
	for path, h := range map[string]http.HandlerFunc{
		"own-head": func(w http.ResponseWriter, r *http.Request) {
			c, rw := hijack(w)
			io.WriteString(c, switched)
			serveLines(c, rw.Reader)
		},
		"written-head": func(w http.ResponseWriter, r *http.Request) {
			upgrade(w)
			w.WriteHeader(101)
			c, rw := hijack(w)
			serveLines(c, rw.Reader)
		},
		"flushed-head": func(w http.ResponseWriter, r *http.Request) {
			upgrade(w)
			w.WriteHeader(101)
			w.(http.Flusher).Flush()
			c, rw := hijack(w)
			serveLines(c, rw.Reader)
		},
		"no-response": func(w http.ResponseWriter, r *http.Request) { c, _ := hijack(w); c.Close() },
		"own-response": func(w http.ResponseWriter, r *http.Request) {
			c, rw := hijack(w)
			rw.WriteString("HTTP/1.1 200 Mine\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
			rw.Flush()
			c.Close()
		},
		"goroutine": func(w http.ResponseWriter, r *http.Request) {
			c, rw := hijack(w)
			go func() { io.WriteString(c, switched); serveLines(c, rw.Reader) }()
		},
		"hijack-hints": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(103)
			c, rw := hijack(w)
			io.WriteString(c, switched)
			serveLines(c, rw.Reader)
		},
		"written-200": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "3")
			w.WriteHeader(200)
			c, _ := hijack(w)
			io.WriteString(c, "abc")
			c.Close()
		},
		"after-hijack": func(w http.ResponseWriter, r *http.Request) {
			c, _ := hijack(w)
			_, write := w.Write([]byte("x"))
			_, _, again := w.(http.Hijacker).Hijack()
			w.WriteHeader(500)
			world.note(fmt.Sprint(write == http.ErrHijacked, errors.Is(again, http.ErrHijacked), r.Context().Err()))
			c.Close()
		},
		"panic-hijacked": func(w http.ResponseWriter, r *http.Request) {
			c, rw := hijack(w)
			go serveLines(c, rw.Reader)
			panic("alas")
		},
		"flush-then-hijack": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				io.WriteString(w, "refused")
				return
			}
			c.Close()
		},
		"hijack-body": func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				io.WriteString(w, "refused")
				return
			}
			io.WriteString(c, switched)
			serveLines(c, rw.Reader)
		},
		"no-hijack-101": func(w http.ResponseWriter, r *http.Request) { upgrade(w); w.WriteHeader(101) },
		"half-closing": func(w http.ResponseWriter, r *http.Request) {
			c, rw := hijack(w)
			defer c.Close()
			io.WriteString(c, switched)
			c.(interface{ CloseWrite() error }).CloseWrite()
			rest, err := io.ReadAll(rw)
			world.note(fmt.Sprintf("%q %v", rest, err))
		},
	} {
		mux.HandleFunc("/"+path, h)
	}
}

// connect answers CONNECT, as a forward proxy does, with a service for lines in place of another server.
func connect(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Port() {
	case "1":
		http.Error(w, fmt.Sprintf("%q %q %q", r.Host, r.URL.Host, r.RequestURI), http.StatusForbidden)
	case "2":
		w.WriteHeader(200)
		c, rw := hijack(w)
		serveLines(c, rw.Reader)
	case "3":
		c, rw := hijack(w)
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		serveLines(c, rw.Reader)
	}
}
