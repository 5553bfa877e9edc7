package httpparse

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// validIPv6 agrees with netip on everything, but for zones, which RFC 3986 does not allow.
func TestIPv6AgainstNetip(t *testing.T) {
	check := func(s string) {
		a, err := netip.ParseAddr(s)
		if want, got := err == nil && a.Is6() && a.Zone() == "", validIPv6([]byte(s)); got != want {
			t.Errorf("%q: got %v, netip says %v", s, got, want)
		}
	}
	for _, s := range []string{"", ":", "::", ":::", "::1", "1::", "1::2::3", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:7::", "1:2:3:4:5:6::8", "::2:3:4:5:6:7:8", "::1:2:3:4:5:6:7:8", "::12345", "ab..cd::", "::ffff:1.2.3.4",
		"::1.2.3", "::1.2.3.4.5", "::1.2.3.256", "::01.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "1.2.3.4",
		"::1%eth0", "1:2:3:4:5:6:7:8:", ":1:2:3:4:5:6:7:8", "::g", "::1.2.3.4:5", "1:::2", "fe80::1:", "::.", "::1."} {
		check(s)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		b := make([]byte, 1+r.IntN(12))
		for i := range b {
			b[i] = "::::1f0.2"[r.IntN(9)]
		}
		check(string(b))
	}
}

func TestIPvFuture(t *testing.T) {
	for s, want := range map[string]bool{"v1.a": true, "V1F.a:b": true, "v.a": false, "v1.": false, "v1a": false, "vg.a": false,
		"v1.a/b": false, "v1.%41": false} {
		if got := validIPLiteral([]byte(s)); got != want {
			t.Errorf("%q: got %v", s, got)
		}
	}
}
