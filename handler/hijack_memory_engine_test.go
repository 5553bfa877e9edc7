package handler_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"
	"weak"

	"moonbridge/engine"
	"moonbridge/handler"
)

// A program may have its hijacked connections in a list that its handler uses. When they are closed, and the engine has ended, nothing
// keeps the engine in memory.
func TestClosedHijackKeepsNoEngine(t *testing.T) {
	ended := func() weak.Pointer[engine.Engine] {
		e, err := engine.New(engine.Options{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var all []net.Conn // only the handler's goroutine and, after it has answered, this one use it
		answered := make(chan struct{})
		err = e.Serve(ln, handler.Blocking(handler.HTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			all = append(all, conn)
			close(answered)
		})), 0), 0, engine.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp4", ln.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		<-answered
		if err := all[0].Close(); err != nil {
			t.Error(err)
		}
		c.SetDeadline(time.Now().Add(time.Minute))
		bufio.NewReader(c).ReadByte() // its end
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		return weak.Make(e)
	}()
	for deadline := time.Now().Add(time.Minute); ended.Value() != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the engine is still there")
		}
		runtime.GC()
	}
}
