package handler_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"time"
	"weak"

	"moonbridge/engine"
	"moonbridge/handler"
)

// page is a handler with much that it refers to.
type page struct{ text string }

func (p *page) Serve(w *handler.Response, _ *handler.Request) { w.WriteString(p.text) }

// A handler that another one has replaced is not kept.
func TestReplacedHandlerIsFreed(t *testing.T) {
	e, err := engine.New(engine.Options{Loops: 2, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown(context.Background())
	ln, err := e.Open("tcp4", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	serve := func(text string) (weak.Pointer[page], func()) {
		p := &page{text}
		b := handler.OnLoop(p)
		if err := e.Serve(ln, b, 0, engine.Limits{}); err != nil {
			t.Fatal(err)
		}
		return weak.Make(p), func() { e.Detach(b) }
	}
	url := "http://" + ln.Addr() + "/"
	old, detach := serve("old")
	if _, text := answerTo(t, "GET", url, ""); text != "old" {
		t.Fatalf("%q", text)
	}
	serve("new")
	detach()
	detach = nil
	for end := time.Now().Add(patience); old.Value() != nil; {
		if time.Now().After(end) {
			t.Fatal("the old handler is kept")
		}
		for range 100 { // a turn each
			for i := range e.Loops() {
				turn := make(chan struct{})
				e.Loop(i).Post(func() { close(turn) })
				<-turn
			}
		}
		runtime.GC()
	}
	if _, text := answerTo(t, "GET", url, ""); text != "new" {
		t.Errorf("%q", text)
	}
}
