package stream_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"

	"moonbridge/engine"
	"moonbridge/handler/channel"
	"moonbridge/handler/channel/stream"
	"moonbridge/httpparse"
)

// Server-sent events that a Go program publishes. A client that comes with an id gets what it has missed first.
func ExampleNewBackend() {
	hub := channel.New(channel.Options{})
	if err := hub.SetRules([]channel.Rule{{Pattern: "news", Messages: 100}}); err != nil {
		panic(err)
	}
	events := stream.NewBackend(hub, func(h *httpparse.Head) (*stream.Request, int) {
		q := &stream.Request{Channels: []string{"news"}}
		if i := h.Find("last-event-id", 0); i >= 0 {
			q.After = string(h.Value(h.Fields[i]))
		}
		return q, 0
	})

	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer e.Shutdown(context.Background())
	defer hub.Drain() // streams have no end of their own
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	if err := e.Serve(ln, events, 0, engine.Limits{}); err != nil {
		panic(err)
	}

	hub.Publish("news", channel.Post{Data: "before the client comes", ID: "m1"})
	hub.Publish("news", channel.Post{Data: "also before", Event: "story"})
	q, err := http.NewRequest("GET", "http://"+ln.Addr()+"/", nil)
	if err != nil {
		panic(err)
	}
	q.Header.Set("Last-Event-ID", "m1")
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	fmt.Println(res.Header.Get("Content-Type"))
	for lines, seen := bufio.NewScanner(res.Body), 0; seen < 2 && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data: ") {
			if fmt.Println(lines.Text()); seen == 0 {
				n, err := hub.Publish("news", channel.Post{Data: "live"})
				fmt.Println(n, "subscriber", err)
			}
			seen++
		}
	}
	// Output:
	// text/event-stream
	// data: also before
	// 1 subscriber <nil>
	// data: live
}
