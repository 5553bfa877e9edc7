package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// An application that was made with Orbit runs, where Orbit is installed.
func TestOrbit(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/wsapi_app.lua")
	if _, body := answerTo(t, "GET", s.url("/")); body == "Orbit is not installed" {
		t.Skip("Orbit is not installed")
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(resp *http.Response, err error) (*http.Response, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp, string(b)
	}
	if resp, body := ask(client.Get(s.url("/app/?name=Luna"))); resp.StatusCode != 200 || body != "<p>get Luna</p>\n" || resp.Header.Get("Content-Type") != "text/html" {
		t.Errorf("%s %q %v", resp.Status, body, resp.Header)
	}
	if resp, body := ask(client.Get(s.url("/app/show/42"))); body != "number 42\n" || resp.Header.Get("X-Number") != "42" {
		t.Errorf("%s %q %v", resp.Status, body, resp.Header)
	}
	resp, _ := ask(client.Post(s.url("/app/save"), "application/x-www-form-urlencoded", strings.NewReader("word=full+moon")))
	if resp.StatusCode != 302 || resp.Header.Get("Location") != "/app/show/7" || !strings.HasPrefix(resp.Header.Get("Set-Cookie"), "saved=full") {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	if resp, _ := ask(client.Get(s.url("/app/missing"))); resp.StatusCode != 404 {
		t.Errorf("%s", resp.Status)
	}
}
