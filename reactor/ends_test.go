package reactor

import (
	"net/netip"
	"path/filepath"
	"testing"
)

// The address of a listener's connections is known in advance, unless the listener is on all interfaces.
func TestLocalEnd(t *testing.T) {
	for _, c := range []struct {
		network, address string
		host             string // "": not known
	}{
		{"tcp4", "127.0.0.1:0", "127.0.0.1"},
		{"tcp4", "0.0.0.0:0", ""},
		{"tcp6", "[::1]:0", "::1"},
		{"tcp6", "[::]:0", ""},
		{"tcp", "[::1]:0", "::1"},
		{"tcp", "127.0.0.1:0", "127.0.0.1"},
		{"tcp", "[::]:0", ""},
		{"unix", filepath.Join(t.TempDir(), "socket"), ""},
	} {
		t.Run(c.network+" "+c.address, func(t *testing.T) {
			ln, err := OpenListener(c.network, c.address, ListenOptions{Sockets: 2})
			if err != nil {
				t.Skip("not on this machine: ", err)
			}
			local := ln.LocalEnd()
			if local.IsValid() != (c.host != "") {
				t.Errorf("%v", local)
			}
			if c.host != "" && local != netip.MustParseAddrPort(ln.Addr().String()) {
				t.Errorf("%v at %v", local, ln.Addr())
			}
			ln.Close()
			if local = ln.LocalEnd(); local.IsValid() {
				t.Errorf("after Close: %v", local)
			}
		})
	}
}
