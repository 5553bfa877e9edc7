package main

import (
	"net/http"
	"slices"
	"testing"
)

// A client that waits for leave to send its body gets it after early hints too, on both kinds of listeners.
func TestHintsBeforeContinue(t *testing.T) {
	t.Parallel()
	_, all := startTwins(t)
	for _, address := range []string{all[twinPlain].server, all[twinPlain].raw} {
		p := dial(t, address)
		for range 2 { // the connection is kept
			p.say("POST /hints_read HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
			var got []int
			for {
				resp, err := http.ReadResponse(p.r, nil)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode >= 200 {
					t.Fatalf("status %d before the body", resp.StatusCode)
				}
				if got = append(got, resp.StatusCode); resp.StatusCode == 100 {
					break
				}
			}
			p.say("abc")
			if !slices.Contains(got, 103) {
				resp, err := http.ReadResponse(p.r, nil) // the server may give leave before it calls the handler
				if err != nil || resp.StatusCode != 103 {
					t.Fatalf("%v %v, want early hints", resp, err)
				}
			}
			if body := p.hears(200); body != "read abc" {
				t.Errorf("got %q", body)
			}
		}
	}
}
