package upstream

import (
	"context"
	"crypto/tls"
	"net/netip"
	"testing"
)

// lookup answers with one address.
type lookup struct{}

func (lookup) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
}

// What a target has to prove, and the field Host of its requests, are its name, or else its address.
func TestNames(t *testing.T) {
	for _, tt := range []struct {
		t          Target
		config     *tls.Config
		host, name string
	}{
		{Target{Addr: "10.0.0.1:80"}, nil, "10.0.0.1:80", ""},
		{Target{Addr: "10.0.0.1:80", Name: "a.example"}, nil, "a.example", ""},
		{Target{Addr: "10.0.0.1:443", Name: "a.example"}, nil, "a.example:443", ""},
		{Target{Addr: "10.0.0.1:443", Name: "a.example"}, &tls.Config{}, "a.example", "a.example"},
		{Target{Addr: "10.0.0.1:443"}, &tls.Config{}, "10.0.0.1:443", "10.0.0.1"},
		{Target{Addr: "[fe80::1%eth0]:443"}, &tls.Config{}, "[fe80::1]:443", "fe80::1"},
		{Target{Addr: "[::1]:80", Name: "::1"}, nil, "[::1]", ""},
		{Target{Addr: "[::1]:8080", Name: "::1"}, nil, "[::1]:8080", ""},
		{Target{Addr: "unix:/run/s"}, nil, "localhost", ""},
		{Target{Addr: "10.0.0.1:443", Name: "a.example"}, &tls.Config{ServerName: "b.example"}, "a.example", "b.example"},
		{Target{Addr: "unix:/run/s", Name: "a.example"}, &tls.Config{}, "a.example", "a.example"},
		{Target{Addr: "unix:/run/s", Name: "localhost:3000"}, nil, "localhost:3000", ""},
		{Target{Addr: "[::1]:80", Name: "[::1]"}, nil, "[::1]", ""},
		{Target{Addr: "[::1]:8080", Name: "[::1]"}, nil, "[::1]:8080", ""},
		{Target{Addr: "[::1]:8443", Name: "[::1]"}, &tls.Config{}, "[::1]:8443", "::1"},
		{Target{Addr: "10.0.0.1:8080", Name: "a.example:3000"}, nil, "a.example:3000", ""},
		{Target{Addr: "10.0.0.1:8443", Name: "a.example:443"}, &tls.Config{}, "a.example:443", "a.example"},
		{Target{Addr: "[::1]:8080", Name: "[::1]:80"}, nil, "[::1]:80", ""},
	} {
		s, err := New(Options{TLS: tt.config}, tt.t)
		if err != nil {
			t.Fatal(err)
		}
		v := s.Servers()[0]
		if v.Host() != tt.host || (v.TLS() != nil) != (tt.config != nil) || v.TLS() != nil && (v.TLS().ServerName != tt.name || v.TLS().ClientSessionCache == nil) {
			t.Errorf("%+v: host %q, %+v", tt.t, v.Host(), v.TLS())
		}
	}
	s, err := New(Options{TLS: &tls.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := s.Follow(ctx, Target{Addr: "a.example:443"}, lookup{}, 0); err != nil {
		t.Fatal(err)
	}
	if v := s.Servers()[0]; v.Addr() != "10.0.0.1:443" || v.TLS().ServerName != "a.example" {
		t.Errorf("%s, %q", v.Addr(), v.TLS().ServerName)
	}
}
