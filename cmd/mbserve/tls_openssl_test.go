package main

import (
	"os/exec"
	"strings"
	"testing"
)

// What OpenSSL and curl say about the protocols and cipher suites.
func TestTLSOfOpenSSL(t *testing.T) {
	t.Parallel()
	openssl := needs(t, "openssl")
	dir := t.TempDir()
	certificateFiles(t, dir, "a", "a.test")
	certificateFiles(t, dir, "b", "b.test")
	s := start(t, "testdata/tls.lua", dir)
	at := s.addresses()[0]
	connect := func(input string, args ...string) string {
		c := exec.Command(openssl, append([]string{"s_client", "-connect", at, "-servername", "a.test", "-CAfile", dir + "/a.pem"}, args...)...)
		c.Stdin = strings.NewReader(input)
		out, _ := c.CombinedOutput()
		return string(out)
	}
	const request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
	for _, tt := range []struct {
		args string
		want []string
	}{
		{"-tls1_3 -ign_eof", []string{"TLSv1.3, Cipher is TLS_AES_", "Verify return code: 0 (ok)", "https version=TLSv1.3"}},
		{"-tls1_2 -ign_eof", []string{"TLSv1.2, Cipher is ECDHE-ECDSA-AES128-GCM-SHA256", "Secure Renegotiation IS supported", "https version=TLSv1.2"}},
		{"-tls1_2 -ign_eof -cipher ECDHE-ECDSA-CHACHA20-POLY1305", []string{"Cipher is ECDHE-ECDSA-CHACHA20-POLY1305", "https version=TLSv1.2"}},
		{"-ign_eof -alpn http/1.1,h3", []string{"ALPN protocol: http/1.1", "https version=TLSv1.3"}},
		{"-tls1_1 -cipher ALL:@SECLEVEL=0", []string{"alert"}},
		{"-tls1_2 -cipher AES128-SHA:@SECLEVEL=0", []string{"alert handshake failure"}},
		{"-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", []string{"alert handshake failure"}},
		{"-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0", []string{"alert handshake failure"}},
		{"-alpn h2,http/1.1", []string{"ALPN protocol: h2"}},
		{"-ign_eof -alpn http/1.0", []string{"ALPN protocol: http/1.0", "https version=TLSv1.3"}},
		{"-alpn h3", []string{"alert no application protocol"}},
	} {
		got := connect(request, strings.Fields(tt.args)...)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", tt.args, want, got)
			}
		}
	}
	// Renegotiation, which only TLS 1.2 has, is refused. (A line with R is its command, outside of -ign_eof.)
	got := connect("R\n", "-tls1_2")
	if !strings.Contains(got, "RENEGOTIATING") || !strings.Contains(got, "alert unexpected message") {
		t.Errorf("renegotiation:\n%s", got)
	}
	s.stop()
}
