package websocket

import (
	"net"
	"strings"
	"testing"

	"moonbridge/handler/websocket/wstest"
)

// The cases of Autobahn's suite, with messages up to 1 MiB, and 2 of each size.
func TestAutobahnCases(t *testing.T) {
	for _, tt := range []struct {
		name        string
		compression *Compression
		chapters    string
		dial        func(address string) (net.Conn, error)
	}{
		{"compression", &Compression{Min: 1}, "1 2 3 4 5 6 7 9 10 12 13", dialer},
		{"takeover", &Compression{Takeover: true}, "13", dialer},
		{"small windows", &Compression{Takeover: true, WindowBits: 9, Level: 5}, "13", dialer},
		{"HTTP/2", &Compression{Min: 1}, "1 2 3 4 5 6 7 9 10 12 13", wstest.DialH2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // one message is on its way at a time
			address, _ := serve(t, New(Options{MaxMessage: 2 << 20, MaxHeld: 8 << 20, Compression: tt.compression}), echoing{}, nil)
			for _, k := range wstest.Cases(2, 1<<20) {
				if chapter, _, _ := strings.Cut(k.ID, "."); !strings.Contains(" "+tt.chapters+" ", " "+chapter+" ") {
					continue
				}
				if tt.name == "small windows" {
					// The client's encoder knows no smaller window than 32 KiB, so it must not be asked for one.
					k.Offer = strings.ReplaceAll(k.Offer, "; client_max_window_bits", "")
				}
				if err := k.Run(func() (net.Conn, error) { return tt.dial(address) }, "/"); err != nil {
					t.Errorf("%s: %v", k.ID, err)
				}
			}
		})
	}
}
