package reactor

import "testing"

func TestEndpoints(t *testing.T) {
	at := map[string]Endpoint{}
	for name, where := range map[string][2]string{
		"lo4":   {"tcp4", "127.0.0.1:80"},
		"all4":  {"tcp4", "0.0.0.0:80"},
		"also4": {"tcp", "0.0.0.0:80"},
		"some4": {"tcp", "192.0.2.1:80"},
		"lo6":   {"tcp6", "[::1]:80"},
		"also6": {"tcp", "[::1]:80"},
		"all6":  {"tcp6", "[::]:80"},
		"all":   {"tcp", "[::]:80"},
		"any":   {"tcp", ":80"},
		"other": {"tcp", "[::]:81"},
		"free":  {"tcp4", "127.0.0.1:0"},
	} {
		e, err := EndpointOf(where[0], where[1])
		if err != nil {
			t.Fatalf("%v: %v", where, err)
		}
		at[name] = e
	}
	for _, same := range [][2]string{{"all4", "also4"}, {"lo6", "also6"}, {"all", "any"}} {
		if at[same[0]] != at[same[1]] {
			t.Errorf("%v: %+v, %+v", same, at[same[0]], at[same[1]])
		}
	}
	const (
		apart = iota
		overlaps
		covers
	)
	for _, c := range []struct {
		a, b      string
		how, back int
	}{
		{"lo4", "lo4", covers, covers},
		{"all4", "lo4", covers, overlaps},
		{"some4", "lo4", apart, apart},
		{"all", "lo4", covers, overlaps},
		{"all", "all4", covers, overlaps},
		{"all", "all6", covers, overlaps},
		{"all", "lo6", covers, overlaps},
		{"all6", "lo6", covers, overlaps},
		{"all6", "all4", apart, apart},
		{"all6", "lo4", apart, apart},
		{"lo6", "lo4", apart, apart},
		{"all", "other", apart, apart},
		{"free", "free", apart, apart},
	} {
		for _, way := range []struct {
			a, b string
			want int
		}{{c.a, c.b, c.how}, {c.b, c.a, c.back}} {
			got := apart
			if at[way.a].Overlaps(at[way.b]) {
				got = overlaps
			}
			if at[way.a].Covers(at[way.b]) {
				got = covers
			}
			if got != way.want {
				t.Errorf("%s and %s: %d, want %d", way.a, way.b, got, way.want)
			}
		}
	}
	if _, err := EndpointOf("tcp4", "127.0.0.1:no-such-service"); err == nil {
		t.Error("no error for a service that does not exist")
	}
}
