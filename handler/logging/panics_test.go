package logging

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// A panic is logged with its place, and no more of them than the quota has.
func TestPanics(t *testing.T) {
	var log bytes.Buffer
	p := NewPanics(slog.New(slog.NewTextHandler(&log, nil)))
	p.quota = NewQuota(0, 2, func(int) {})
	for range 3 {
		func() {
			defer func() { p.Log("a function", recover()) }()
			panic(strings.Repeat("x", 2*panicTextMax))
		}()
	}
	text := log.String()
	if strings.Count(text, "\n") != 2 || !strings.Contains(text, `in="a function"`) || !strings.Contains(text, "panics_test.go") {
		t.Errorf("%.1000q", text)
	}
	if len(text) > 2*(2*panicTextMax+1000) {
		t.Errorf("%d bytes", len(text))
	}
}
