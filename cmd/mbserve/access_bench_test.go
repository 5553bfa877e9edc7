package main

import (
	"net/netip"
	"testing"
	"time"

	"moonbridge/engine"
)

// BenchmarkAccessLine is what a loop does for a line of the access log, besides keeping the parts of the exchange.
func BenchmarkAccessLine(b *testing.B) {
	a := &engine.Access{Time: time.Now(), Peer: netip.MustParseAddrPort("192.0.2.1:1234"), Method: []byte("GET"),
		Target: []byte("/articles/2024/05/some-title?page=2"), Minor: 1, Status: 200, Bytes: 4321,
		UserAgent: []byte("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"),
		ID:        []byte("0123456789abcdef"), Queue: 12 * time.Microsecond, Service: 345 * time.Microsecond, Total: 400 * time.Microsecond}
	var line []byte
	clock := &accessClock{zone: time.Local}
	b.ReportAllocs()
	for b.Loop() {
		line = accessCombined.append(line[:0], a, clock)
	}
}
