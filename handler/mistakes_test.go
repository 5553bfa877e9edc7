package handler

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A handler that is nil is found where it is given, not by the first request.
func TestNilHandlersPanic(t *testing.T) {
	for name, call := range map[string]func(){
		"OnLoop":   func() { OnLoop(nil) },
		"Blocking": func() { Blocking(Func(nil), 1) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, name+": the handler is nil") {
					t.Errorf("%s: %q", name, got)
				}
			}()
			call()
		}()
	}
}

// As for an http.Server, no handler is the DefaultServeMux.
func TestHTTPWithoutHandler(t *testing.T) {
	if h := HTTP(nil).(*httpHandler).h; h != http.Handler(http.DefaultServeMux) {
		t.Errorf("%T", h)
	}
}

// The panic says which code it was.
func TestWriteHeaderPanics(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); !strings.HasSuffix(got, "invalid WriteHeader code 42") {
			t.Errorf("%q", got)
		}
	}()
	(&httpWriter{}).WriteHeader(42)
}
