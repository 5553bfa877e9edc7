package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
)

// A client has to show a certificate of client_ca. A reload reads that again: from then on, clients with certificates of another authority are
// refused, even if they have a session.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := newApplication(t)
	server := certificateFiles(t, dir, "server", "server.test")
	write := func(from string) {
		text, err := os.ReadFile(dir + "/" + from + ".pem")
		if err == nil {
			err = os.WriteFile(dir+"/clients.pem", text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	clients := map[string]*http.Client{}
	for _, name := range []string{"one", "two", "nobody"} {
		client, config := tlsClient("server.test", server)
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		clients[name] = client
		if name == "nobody" {
			continue
		}
		certificateFiles(t, dir, name, name+".test")
		pair, err := tls.LoadX509KeyPair(dir+"/"+name+".pem", dir+"/"+name+"-key.pem")
		if err != nil {
			t.Fatal(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	write("one")
	a.write(`@ listen{ { proto = "tcp4", port = 0, localhost = true, tls = { cert = %q, key = %q, client_ca = %q } }, connect = say("in") }`,
		dir+"/server.pem", dir+"/server-key.pem", dir+"/clients.pem")
	s := start(t, a.script)
	at := "https://" + s.addresses()[0] + "/"
	check := func(which string) {
		t.Helper()
		for name, client := range clients {
			got, err := says(client, at)
			if served := err == nil; served != (name == which) || served && got != "in" {
				t.Errorf("client %s: %q, %v", name, got, err)
			}
		}
	}
	resumed := func() bool {
		resp, err := clients["one"].Get(at)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.TLS.DidResume
	}
	check("one")
	if !resumed() {
		t.Error("the session is not resumed")
	}
	s.mustReload()
	if !resumed() {
		t.Error("the session is not resumed after a reload that has changed nothing")
	}
	write("two")
	s.mustReload()
	check("two")
	if err := os.Remove(dir + "/clients.pem"); err != nil {
		t.Fatal(err)
	}
	s.reload()
	check("two")
	s.stop()
}

// clientFiles writes certificates for a server and its clients, and returns what writes the file of authorities.
func clientFiles(t *testing.T, dir string) (authorities func(names ...string)) {
	t.Helper()
	for _, name := range []string{"one", "two"} {
		certificateFiles(t, dir, name, name+".test")
	}
	return func(names ...string) {
		var all []byte
		for _, name := range names {
			text, err := os.ReadFile(dir + "/" + name + ".pem")
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text...)
		}
		if err := os.WriteFile(dir+"/clients.pem", all, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A connection from before client_ca, or from before another one, does not reach the script that has it. Its last request is the old
// script's.
func TestClientCertificatesOfOpenConnections(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprint("http2=", http2), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			a := newApplication(t)
			server := certificateFiles(t, dir, "server", "server.test")
			clientFiles(t, dir)("one")
			write := func(says, more string) {
				a.write(`@ listen{ { proto = "tcp4", port = 0, localhost = true, tls = { cert = %q, key = %q %s } }, connect = say(%q) }`,
					dir+"/server.pem", dir+"/server-key.pem", more, says)
			}
			write("old", "")
			s := start(t, a.script)
			at := "https://" + s.addresses()[0] + "/"
			_, config := tlsClient("server.test", server)
			config.NextProtos = nil
			transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: http2}
			defer transport.CloseIdleConnections()
			client := &http.Client{Timeout: patience, Transport: transport}
			wantsToHear(t, client, at, "old")
			write("new", "") // the connection stays
			s.mustReload()
			wantsToHear(t, client, at, "new")
			write("checked", fmt.Sprintf(", client_ca = %q", dir+"/clients.pem"))
			s.mustReload()
			for n := 0; ; n++ {
				got, err := says(client, at)
				if err != nil {
					break // a new connection needs a certificate
				}
				if got != "new" || n > 0 && !http2 {
					t.Fatalf("request %d after the reload: %q", n, got)
				}
			}
			s.stop()
		})
	}
}

// While client_ca changes again and again, no request of a client fails whose certificate is good all the time.
func TestClientCertificatesUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := newApplication(t)
	server := certificateFiles(t, dir, "server", "server.test")
	authorities := clientFiles(t, dir)
	authorities("one")
	pair, err := tls.LoadX509KeyPair(dir+"/one.pem", dir+"/one-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	a.write(`@ listen{ { proto = "tcp4", port = 0, localhost = true, tls = { cert = %q, key = %q, client_ca = %q } }, queue_timeout = 120, connect = say("in") }`,
		dir+"/server.pem", dir+"/server-key.pem", dir+"/clients.pem")
	s := start(t, a.script)
	at := "https://" + s.addresses()[0] + "/"
	var stop atomic.Bool
	ended := make(chan int)
	for i := range 4 {
		_, config := tlsClient("server.test", server)
		config.Certificates, config.NextProtos = []tls.Certificate{pair}, nil
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: i%2 == 0}
		defer transport.CloseIdleConnections()
		go func() {
			client, n := &http.Client{Timeout: patience, Transport: transport}, 0
			for ; !stop.Load() && !t.Failed(); n++ {
				if got, err := says(client, at); err != nil || got != "in" {
					t.Errorf("client %d, request %d: %q, %v", i, n, got, err)
				}
			}
			ended <- n
		}()
	}
	for i := range 6 {
		authorities([]string{"one", "two"}[:2-i%2]...)
		s.mustReload()
	}
	stop.Store(true)
	for range 4 {
		if n := <-ended; n == 0 {
			t.Error("no requests")
		}
	}
	s.stop()
}
