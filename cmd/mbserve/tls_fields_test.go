package main

import (
	"io"
	"net/http"
	"testing"
)

// All responses of a listener have the fields that tls asks for, whoever makes them, and those of no other listener.
func TestSecureFields(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := certificateFiles(t, dir, "a", "a.test")
	certificateFiles(t, dir, "b", "b.test")
	s := start(t, "testdata/tls.lua", dir)
	at := s.addresses()
	client, _ := tlsClient("a.test", a)
	for path, status := range map[string]int{"/": 200, "/static/a.pem": 200, "/static/missing": 200, "/route/": 502} {
		for _, i := range []int{0, 6} {
			r, err := http.NewRequest("GET", "https://"+at[i]+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.URL.Opaque = path
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			hsts, alt := "max-age=31536000; includeSubDomains; preload", `h3=":443"; ma=60`
			if i == 0 {
				hsts, alt = "", ""
			}
			if h := resp.Header; resp.StatusCode != status || h.Get("Strict-Transport-Security") != hsts || h.Get("Alt-Svc") != alt {
				t.Errorf("%s at listener %d: %d %v", path, i, resp.StatusCode, h)
			}
		}
	}
	s.stop()
}
