package reactor

import (
	"net/netip"
	"path/filepath"
	"testing"
)

// Ends tells in advance what the connections of a listener will be like.
func TestEnds(t *testing.T) {
	for _, c := range []struct {
		network, address string
		host             string // "": not known
		dual             bool
	}{
		{"tcp4", "127.0.0.1:0", "127.0.0.1", false},
		{"tcp4", "0.0.0.0:0", "", false},
		{"tcp6", "[::1]:0", "::1", false},
		{"tcp6", "[::]:0", "", false},
		{"tcp", "[::1]:0", "::1", false},
		{"tcp", "127.0.0.1:0", "127.0.0.1", false},
		{"tcp", "[::]:0", "", true},
		{"unix", filepath.Join(t.TempDir(), "socket"), "", false},
	} {
		t.Run(c.network+" "+c.address, func(t *testing.T) {
			ln, err := OpenListener(c.network, c.address, ListenOptions{Sockets: 2})
			if err != nil {
				t.Skip("not on this machine: ", err)
			}
			local, dual := ln.Ends()
			if dual != c.dual || local.IsValid() != (c.host != "") {
				t.Errorf("%v, %v", local, dual)
			}
			if c.host != "" && local != netip.MustParseAddrPort(ln.Addr().String()) {
				t.Errorf("%v at %v", local, ln.Addr())
			}
			ln.Close()
			if local, dual = ln.Ends(); local.IsValid() || dual {
				t.Errorf("after Close: %v, %v", local, dual)
			}
		})
	}
}
