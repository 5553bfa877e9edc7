package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Many streams share a connection of HTTP/2, beside other requests.
func TestSubscribeHTTP2(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/channels.lua")
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols, MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var streams []*bufio.Reader
	for range 20 {
		q, err := http.NewRequestWithContext(ctx, "GET", s.url("/?c=room:a"), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
			t.Fatalf("%s %s", resp.Proto, resp.Status)
		}
		streams = append(streams, bufio.NewReader(resp.Body))
	}
	resp, err := client.Post(s.url("/"), "text/plain", strings.NewReader(`return channel.publish("room:a", "hello")`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || !strings.HasPrefix(string(text), "20") {
		t.Errorf("published to %s, %v; want 20", text, err)
	}
	for _, in := range streams {
		for line := ""; line != "data: hello\n"; {
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	eventually(t, "all have left", func() bool { return strings.HasPrefix(s.lua(0, `return channel.count("room:a")`), "0") })
}
