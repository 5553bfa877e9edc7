package httpparse

import "testing"

func TestPrefersJSON(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "application/json": true, "Application/JSON; charset=utf-8": true, "application/problem+json": true, "+json": false,
		"text/html, application/json": false, "text/html;q=0.9,application/json": true, "application/json;q=0.5, text/html;q=0.4": true,
		"application/json;q=0": false, "application/json; Q = 0.1": true, "application/json;q=x": false, "application/json;q=-1": false,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": false, ",,;;,=;q=": false, "application/json;q=NaN": false,
	} {
		var h Head
		var p Parser
		if n, err := p.Parse(&h, []byte("GET / HTTP/1.1\r\nHost: x\r\naccept: "+accept+"\r\n\r\n"), nil); n == 0 || err != nil {
			t.Fatalf("%q: %d, %v", accept, n, err)
		}
		if got := h.PrefersJSON(); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}
