package main

import (
	"io"
	"net/http"
	"testing"
)

// Responses over HTTP/2 have the fields that tls asks for, too.
func TestSecureFieldsHTTP2(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := certificateFiles(t, dir, "a", "a.test")
	certificateFiles(t, dir, "b", "b.test")
	s := start(t, "testdata/tls.lua", dir)
	client, config := tlsClient("a.test", a)
	config.NextProtos = []string{"h2"}
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	for path, status := range map[string]int{"/": 200, "/static/a.pem": 200, "/route/": 502} {
		resp, err := client.Get("https://" + s.addresses()[6] + path)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if h := resp.Header; resp.ProtoMajor != 2 || resp.StatusCode != status || len(h["Strict-Transport-Security"]) != 1 || h.Get("Alt-Svc") == "" {
			t.Errorf("%s: %s %d %v", path, resp.Proto, resp.StatusCode, h)
		}
	}
	s.stop()
}
