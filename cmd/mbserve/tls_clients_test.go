package main

import (
	"crypto/tls"
	"net/http"
	"os"
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
