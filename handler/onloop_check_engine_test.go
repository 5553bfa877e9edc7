package handler_test

import (
	"testing"

	"moonbridge/engine"
	"moonbridge/handler"
)

// With engine.Options.Check, what a handler keeps after Serve panics instead of returning errors that might be ignored.
func TestCheckedStaleUse(t *testing.T) {
	var oldW *handler.Response
	var oldR *handler.Request
	url := "http://" + onLoopOf(t, engine.Options{Loops: 1, Check: true}, handler.Config{}, func(w *handler.Response, r *handler.Request) {
		if oldW == nil {
			oldW, oldR = w, r
			return
		}
		for name, use := range map[string]func(){
			"Write":   func() { oldW.WriteString("x") },
			"Set":     func() { oldW.Set("A", "x") },
			"Status":  func() { oldW.SetStatus(204) },
			"Trailer": func() { oldW.AddTrailer("A", "x") },
			"Flush":   func() { oldW.Flush() },
			"Path":    func() { oldR.Path() },
			"Read":    func() { oldR.Read(make([]byte, 1)) },
			"Body":    func() { oldR.Body(1) },
		} {
			if !panics(use) {
				t.Errorf("%s does not panic", name)
			}
		}
		w.WriteString("tried")
	}) + "/"
	answerTo(t, "GET", url, "")
	if status, text := answerTo(t, "GET", url, ""); status != 200 || text != "tried" {
		t.Errorf("%d %q", status, text)
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}
