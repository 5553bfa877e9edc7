package stream_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"

	"moonbridge/engine"
	"moonbridge/handler/channel"
	"moonbridge/handler/channel/stream"
	"moonbridge/httpparse"
)

// Clients of /events get the messages of a channel.
func Example() {
	hub := channel.New(channel.Options{})
	defer hub.Close()
	first := "welcome"
	b := stream.NewBackend(hub, func(h *httpparse.Head) (*stream.Request, int) {
		if string(h.Bytes(h.Path)) != "events" {
			return nil, 404
		}
		return &stream.Request{Channels: []string{"news"}, First: &first}, 0
	})
	e, err := engine.New(engine.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer e.Shutdown(context.Background())
	defer hub.Drain() // ends the streams
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		panic(err)
	}
	if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
		panic(err)
	}

	res, err := http.Get("http://" + ln.Addr() + "/events")
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		switch text := lines.Text(); text {
		case "data: welcome":
			fmt.Println(text)
			hub.Publish("news", channel.Post{Data: "The moon is up."})
		case "data: The moon is up.":
			fmt.Println(text)
			return
		}
	}
	// Output:
	// data: welcome
	// data: The moon is up.
}
