package main

import (
	"crypto/x509"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"moonbridge/engine"
)

// http2Client is a client that speaks HTTP/2, with TLS if it trusts a certificate.
func http2Client(trusted *x509.Certificate) *http.Client {
	t := &http.Transport{Protocols: new(http.Protocols)}
	if trusted == nil {
		t.Protocols.SetUnencryptedHTTP2(true)
	} else {
		t.Protocols.SetHTTP2(true)
		t.Protocols.SetHTTP1(true)
		_, config := tlsClient("a.test", trusted)
		t.TLSClientConfig = config
		config.NextProtos = nil
	}
	return &http.Client{Timeout: patience, Transport: t}
}

// With TLS, HTTP/2 is there unless a listener says no; without TLS, if it says so.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	trusted := certificateFiles(t, dir, "a", "a.test")
	s := start(t, "testdata/http2.lua", dir)
	at := s.addresses()
	for i, want := range []string{"2 https h2", "1.1 https http/1.1", "2 http nil", "1.1 http nil"} {
		client, scheme := http2Client(trusted), "https://"
		if i > 1 {
			client, scheme = http2Client(nil), "http://"
		}
		if i == 3 {
			client = http.DefaultClient
		}
		wantsToHear(t, client, scheme+at[i]+"/a", want+" GET a\n")
		for _, size := range []int{1, 70_000, 3_000_000} {
			body := strings.Repeat("0123456789", size/10+1)[:size]
			res, err := client.Post(scheme+at[i]+"/b", "text/plain", io.MultiReader(strings.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || string(got) != want+" POST b\n"+body || res.Header.Get("X-Length") != strconv.Itoa(size) {
				t.Errorf("%s: %d bytes of %d, %v", want, len(got), size, err)
			}
		}
		client.CloseIdleConnections()
	}
	s.stop()
}

// Reloads under load, and the end of the server, cost no request of a client with HTTP/2.
func TestHTTP2Reload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	trusted := certificateFiles(t, dir, "a", "a.test")
	s := start(t, "testdata/http2.lua", dir)
	at := s.addresses()
	var stop atomic.Bool
	var served atomic.Int64
	var all sync.WaitGroup
	for i := range 6 {
		client, url := http2Client(trusted), "https://"+at[0]+"/"
		if i > 2 {
			client, url = http2Client(nil), "http://"+at[2]+"/"
		}
		for range 3 {
			all.Go(func() {
				for !stop.Load() && !t.Failed() {
					if got, err := says(client, url); err != nil || !strings.HasPrefix(got, "2 ") {
						t.Errorf("%q, %v", got, err)
					}
					served.Add(1)
				}
				client.CloseIdleConnections()
			})
		}
	}
	for range 4 {
		before := served.Load()
		s.mustReload()
		for served.Load() < before+20 && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
	}
	stop.Store(true)
	all.Wait()
	s.stop()
}

// The end of the server is told: requests on their way are answered.
func TestHTTP2Stop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	trusted := certificateFiles(t, dir, "a", "a.test")
	s := start(t, "testdata/http2.lua", dir)
	url := "https://" + s.addresses()[0] + "/"
	client := http2Client(trusted)
	wantsToHear(t, client, url, "2 https h2 GET \n")
	s.signal(syscall.SIGTERM)
	s.exit(0)
	if _, err := says(client, url); err == nil {
		t.Error("there is still a server")
	}
}

func TestAccessVersion(t *testing.T) {
	a := &engine.Access{Method: []byte("GET"), Target: []byte("/"), Minor: 1, HTTP2: true, Status: 200}
	if line := string(appendCombined(nil, a, &accessClock{zone: time.UTC})); !strings.Contains(line, `"GET / HTTP/2.0" 200`) {
		t.Errorf("%s", line)
	}
	if line := string(appendJSONLine(nil, a)); !strings.Contains(line, `"protocol":"HTTP/2.0"`) {
		t.Errorf("%s", line)
	}
}
