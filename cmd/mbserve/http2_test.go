package main

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
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

// The server is replaced twice under load of all kinds: HTTP/2 with and without TLS, HTTP/1.1 with TLS on kept connections, and with a handshake for
// each request. No request fails.
func TestHTTP2Upgrade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	trusted := certificateFiles(t, dir, "a", "a.test")
	s := start(t, "testdata/http2.lua", dir)
	at := s.addresses()
	kept, _ := tlsClient("a.test", trusted)
	kept.Transport.(*http.Transport).DisableKeepAlives = false
	fresh, _ := tlsClient("a.test", trusted)
	loads := []struct {
		client    *http.Client
		url, want string
		served    atomic.Int64
	}{
		{client: http2Client(trusted), url: "https://" + at[0] + "/", want: "2 https h2"},
		{client: http2Client(nil), url: "http://" + at[2] + "/", want: "2 http nil"},
		{client: kept, url: "https://" + at[1] + "/", want: "1.1 https http/1.1"},
		{client: fresh, url: "https://" + at[1] + "/", want: "1.1 https http/1.1"},
	}
	var stop atomic.Bool
	var all sync.WaitGroup
	for i := range loads {
		l := &loads[i]
		for range 3 {
			all.Go(func() {
				for !stop.Load() && !t.Failed() {
					begun := time.Now()
					if got, err := says(l.client, l.url); !late(begun, err) && (err != nil || !strings.HasPrefix(got, l.want+" ")) {
						t.Errorf("%s: %q, %v after %v", l.want, got, err, time.Since(begun))
					}
					l.served.Add(1)
				}
			})
		}
	}
	someMore := func() {
		for i := range loads {
			l := &loads[i]
			before := l.served.Load()
			eventually(t, "requests are served", func() bool { return l.served.Load() > before+10 || t.Failed() })
		}
	}
	pid := s.pid()
	for range 2 {
		someMore()
		from, old := s.log.size(), pid
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		pid = number(t, field(s.log.wait(t, from, "msg=\"handed over\""), "pid"))
		eventually(t, "the old process ends", func() bool { return gone(old) })
		someMore()
	}
	stop.Store(true)
	all.Wait()
	for i := range loads {
		loads[i].client.CloseIdleConnections()
	}
	s.endOf(pid)
}

// Early hints of a handler in Lua reach a client with HTTP/2 before the response.
func TestHTTP2Hints(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	trusted := certificateFiles(t, dir, "a", "a.test")
	s := start(t, "testdata/http2.lua", dir)
	for i, client := range map[int]*http.Client{0: http2Client(trusted), 2: http2Client(nil)} {
		var hints []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
			hints = append(hints, strconv.Itoa(status)+" "+h.Get("Link"))
			return nil
		}}
		url := map[int]string{0: "https://", 2: "http://"}[i] + s.addresses()[i] + "/hints"
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != 200 || len(hints) != 1 || hints[0] != "103 </a.css>; rel=preload" {
			t.Errorf("%s: %s %s, hints %q", url, resp.Proto, resp.Status, hints)
		}
		client.CloseIdleConnections()
	}
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

// While clients send requests with HTTP/2, and with TLS on kept connections, the server ends. No request is lost: each is answered, or the client has
// found no server to send it to.
func TestHTTP2StopUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	trusted := certificateFiles(t, dir, "a", "a.test")
	s := start(t, "testdata/http2.lua", dir)
	at := s.addresses()
	var served atomic.Int64
	var all sync.WaitGroup
	for i := range 9 {
		client, url := http2Client(trusted), "https://"+at[0]+"/"
		switch i % 3 {
		case 1:
			client, url = http2Client(nil), "http://"+at[2]+"/"
		case 2:
			client, _ = tlsClient("a.test", trusted)
			client.Transport.(*http.Transport).DisableKeepAlives = false
			url = "https://" + at[1] + "/"
		}
		for range 2 {
			all.Go(func() {
				for {
					sent, err := asks(client, url)
					if sent && err != nil {
						t.Errorf("%s: %v", url, err)
					}
					if err != nil {
						return
					}
					served.Add(1)
				}
			})
		}
	}
	eventually(t, "requests are served", func() bool { return served.Load() > 200 })
	s.signal(syscall.SIGTERM)
	all.Wait()
	s.exit(0)
}

// asks sends a request, and reports whether the last attempt at it had a connection.
func asks(client *http.Client, url string) (sent bool, err error) {
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "GET", url, nil)
	if err != nil {
		return false, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return connected.Load(), err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return true, err
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
