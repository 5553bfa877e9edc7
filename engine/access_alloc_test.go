//go:build !race

package engine

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"moonbridge/handler"
)

// An exchange does not allocate, whether it is logged or not.
func TestAccessLogAllocatesNothing(t *testing.T) {
	for _, pipelined := range []int{1, 16} {
		allocatesNothing(t, pipelined)
	}
}

// allocatesNothing checks it for requests that are sent together in this number.
func allocatesNothing(t *testing.T, together int) {
	all := func([16]byte, bool, bool) bool { return true }
	hello := handler.Func(func(w *handler.Response, r *handler.Request) { w.WriteString("hello") })
	for _, c := range []struct {
		name  string
		log   func(*Access)
		brief bool
		trace *Tracing
	}{{"not logged", nil, false, nil}, {"logged", func(*Access) {}, false, nil}, {"counted", func(*Access) {}, true, nil},
		{"traced", nil, false, &Tracing{}}, {"recorded", func(*Access) {}, true, &Tracing{Sample: all, Children: true}}} {
		_, addr := start(t, Options{Loops: 1, AccessLog: c.log, AccessBrief: c.brief, MeasureTurns: c.brief, Trace: c.trace}, Limits{}, handler.OnLoop(hello))
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(waitMost))
		request, answer := []byte(strings.Repeat(get("/hello"), together)), make([]byte, 4<<10)
		conn.Write(request[:len(request)/together])
		n, _ := conn.Read(answer)
		answer = answer[:n*together] // of one size each
		ask := func(times int) {
			for range times {
				if _, err := conn.Write(request); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(conn, answer); err != nil {
					t.Fatal(err)
				}
			}
		}
		const rounds = 2000
		ask(100)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ask(rounds)
		runtime.ReadMemStats(&after)
		if n := after.Mallocs - before.Mallocs; n > rounds/10 {
			t.Errorf("%s: %d allocations for %d times %d exchanges", c.name, n, rounds, together)
		}
	}
}
