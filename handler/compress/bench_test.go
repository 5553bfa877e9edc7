package compress

import (
	"fmt"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/httpparse"
)

// benchExchange measures one response: what the loop does, and with waiting for the goroutine if there is one.
func benchExchange(b *testing.B, request, response string, o Options) {
	loop, inner := newFakeLoop(), new(fakeInner)
	c, err := New(inner, o, NewShared())
	if err != nil {
		b.Fatal(err)
	}
	lb, _ := c.Attach(loop)
	var p httpparse.Parser
	var h httpparse.Head
	p.Parse(&h, []byte(request), nil)
	out := []byte(response)
	b.SetBytes(int64(len(out)))
	b.ReportAllocs()
	for b.Loop() {
		loop.now++
		conn := &fakeConn{}
		conn.r, _ = lb.Start(conn, &h, 0, nil, false)
		inner.x.Output(out, nil, true)
		inner.x.Done(backend.EndKeep)
		for conn.ended == 0 {
			<-loop.wake
			loop.turn()
		}
	}
}

func BenchmarkWhole(b *testing.B) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		for _, size := range []int{1024, 2048, 4096, 8192, 16384, 65536 - 200} {
			b.Run(fmt.Sprintf("%s/%d", coding, size), func(b *testing.B) {
				benchExchange(b, get(coding), html(page(size)), Options{})
			})
		}
	}
}

// BenchmarkPassed is what a response costs that is not compressed.
func BenchmarkPassed(b *testing.B) {
	for name, request := range map[string]string{"without Accept-Encoding": get(""), "with": get("gzip, deflate, br, zstd")} {
		b.Run("small, "+name, func(b *testing.B) { benchExchange(b, request, html("hello"), Options{}) })
	}
	b.Run("large, without Accept-Encoding", func(b *testing.B) { benchExchange(b, get(""), html(page(4096)), Options{}) })
}
