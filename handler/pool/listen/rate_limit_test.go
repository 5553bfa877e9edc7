package listen

import (
	"strings"
	"testing"

	"moonbridge/handler/pool/listen/listentest"
)

func rate(name string, v any) [3]any { return [3]any{0, "rate_limit\x00" + name, v} }

func TestDecodeRateLimit(t *testing.T) {
	for _, c := range []struct {
		entries [][3]any
		want    *RateLimit
	}{
		{nil, nil},
		{[][3]any{{0, "rate_limit", false}}, nil},
		{[][3]any{rate("rate", 10)}, &RateLimit{10, 10, "ip"}},
		{[][3]any{rate("rate", 0.5)}, &RateLimit{0.5, 1, "ip"}},
		{[][3]any{rate("burst", 20), rate("key", "ip"), rate("rate", 2.5)}, &RateLimit{2.5, 20, "ip"}},
	} {
		spec, err := Decode(listentest.Message(append(c.entries, listentest.Listener...)...))
		if err != nil {
			t.Fatal(err)
		}
		got := spec.Options.RateLimit
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%v: %+v, want %+v", c.entries, got, c.want)
		}
	}
}

func TestDecodeRateLimitMistakes(t *testing.T) {
	for _, c := range []struct {
		entries [][3]any
		want    string
	}{
		{[][3]any{{0, "rate_limit", 5}}, "option rate_limit: table or false expected, got number"},
		{[][3]any{rate("burst", 5)}, "option rate_limit: rate is missing"},
		{[][3]any{rate("rate", 0)}, "option rate_limit: rate: 0 is not a number of requests per second"},
		{[][3]any{rate("rate", 1e7)}, "is not a number of requests per second up to 1000000"},
		{[][3]any{rate("rate", "5")}, "option rate_limit: rate: number expected, got string"},
		{[][3]any{rate("rate", 5), rate("burst", 0.5)}, "option rate_limit: burst: 0.5 is not an integer"},
		{[][3]any{rate("rate", 5), rate("key", "user")}, `option rate_limit: key: is "ip"`},
		{[][3]any{rate("rate", 5), rate("brust", 5)}, `unknown option of rate_limit: "brust" (did you mean "burst"?)`},
		{[][3]any{rate("rate", 0.001), rate("burst", 1000)}, "takes longer than a day to recover"},
	} {
		if _, err := Decode(listentest.Message(append(c.entries, listentest.Listener...)...)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.entries, err, c.want)
		}
	}
	_, err := Decode(listentest.Message(rate("rate", 1), [3]any{1, "proto", "tcp4"}, [3]any{1, "port", 0}, [3]any{1, "connect", listentest.Func{}}))
	if err == nil || !strings.Contains(err.Error(), "option rate_limit: no listener of the pool has an HTTP handler") {
		t.Error(err)
	}
}
