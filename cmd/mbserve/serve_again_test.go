package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"testing"

	"moonbridge/engine"
	"moonbridge/handler/compress"
	"moonbridge/handler/pool/listen"
)

// TestServeAgain: if the second listener cannot be switched to a new generation, the first one goes back to the old generation.
func TestServeAgain(t *testing.T) {
	e, err := engine.New(engine.Options{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown(context.Background())
	s := &server{tickets: newTickets(nil), engine: e, o: &options{}, log: slog.New(slog.DiscardHandler), compressor: compress.NewShared()}
	s.o.static = "-" // no script
	var lns []*engine.Listener
	for range 2 {
		ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		lns = append(lns, ln)
	}
	load := func(content string) *generation {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/file", []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		g := &generation{s: s, host: noHost{}, log: s.log}
		g.pools = []*listen.Spec{{Options: listen.Options{Static: []listen.StaticRule{{Prefix: "/", Path: dir}}}}}
		g.listeners = [][]listener{nil}
		for _, ln := range lns {
			g.listeners[0] = append(g.listeners[0], listener{&listen.Listener{Proto: "tcp", HTTP: &listen.HTTPOptions{}}, &address{ln: ln}, nil})
		}
		if err := g.openStatic(); err != nil {
			t.Fatal(err)
		}
		if err := g.attach(); err != nil {
			t.Fatal(err)
		}
		return g
	}
	get := func() string {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
		res, err := c.Get("http://" + lns[0].Addr() + "/file")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return string(body)
	}
	old := load("old")
	defer old.detach()
	if err := old.serveAll(); err != nil {
		t.Fatal(err)
	}
	s.serving = old
	next := load("new")
	defer next.detach()
	lns[1].Close()
	if err := next.switchOver(); err == nil {
		t.Fatal("a closed listener was switched")
	}
	if body := get(); body != "old" {
		t.Errorf("served: %q", body)
	}
}
