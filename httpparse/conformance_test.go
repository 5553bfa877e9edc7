package httpparse

import (
	"testing"

	"moonbridge/httpparse/conformance"
)

func loadCases(t testing.TB) []conformance.Case {
	t.Helper()
	cases, err := conformance.Load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestConformance(t *testing.T) {
	yes := map[bool]string{true: "yes", false: "no"}
	for _, c := range loadCases(t) {
		t.Run(c.Where, func(t *testing.T) {
			got := split(t, c.Input, nil)
			if got.end != string(c.End) || got.status() != c.Status {
				t.Errorf("%s (%s): %s %d %v, want %s %d", c.Name, c.RFC, got.end, got.status(), got.err, c.End, c.Status)
			}
			if len(got.exchanges) != len(c.Requests) {
				t.Fatalf("%s (%s): %d requests, want %d\n%s", c.Name, c.RFC, len(got.exchanges), len(c.Requests), got)
			}
			for i, want := range c.Requests {
				x := got.exchanges[i]
				if x.method != want.Method || x.target != want.Target {
					t.Errorf("%s: request %d: %s %s, want %s %s", c.Name, i, x.method, x.target, want.Method, want.Target)
				}
				have := map[string]string{
					"path": x.path, "query": x.query, "host": x.host, "body": x.body,
					"asterisk": yes[x.asterisk], "persistent": yes[x.persistent], "continue": yes[x.expect],
				}
				for key, value := range want.Want {
					if have[key] != value {
						t.Errorf("%s: request %d: %s is %q, want %q", c.Name, i, key, have[key], value)
					}
				}
			}
		})
	}
}
