package httpparse

import (
	"slices"
	"testing"

	"moonbridge/httpparse/conformance"
)

func loadResponseCases(t testing.TB) []conformance.ResponseCase {
	t.Helper()
	cases, err := conformance.LoadResponses("testdata/responses")
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

func methodsOf(names []string) (to []Method) {
	for _, name := range names {
		to = append(to, MethodOf([]byte(name)))
	}
	return to
}

// TestResponseConformance replays the cases of testdata/responses. Those with the word theirs are cases that other projects have in
// their tests too; where our verdict differs, the case says why.
func TestResponseConformance(t *testing.T) {
	for _, c := range loadResponseCases(t) {
		t.Run(c.Where, func(t *testing.T) {
			got := splitResponses(t, c.Input, methodsOf(c.To))
			reason := ""
			if got.err != nil {
				reason = got.err.Reason
			}
			if got.end != string(c.End) || reason != c.Reason {
				t.Errorf("%s (%s): %s %s, want %s %s", c.Name, c.RFC, got.end, reason, c.End, c.Reason)
			}
			if len(got.list) != len(c.Responses) {
				t.Fatalf("%s: %d responses, want %d\n%s", c.Name, len(got.list), len(c.Responses), got)
			}
			for i := range c.Responses {
				checkAnswer(t, &c.Responses[i], &got.list[i])
			}
		})
	}
}

var kindNames = map[BodyKind]string{
	BodyNone: "none", BodyLength: "length", BodyChunked: "chunked", BodyUntilClose: "until-close", BodyTunnel: "tunnel",
}

func checkAnswer(t *testing.T, want *conformance.WantResponse, got *answer) {
	t.Helper()
	if got.status != want.Status || got.reason != want.Reason {
		t.Errorf("response %d %q, want %d %q", got.status, got.reason, want.Status, want.Reason)
	}
	have := map[string]string{"body": got.body, "trailer": got.trailer, "kind": kindNames[got.kind], "persistent": "no"}
	if got.persistent {
		have["persistent"] = "yes"
	}
	for key, value := range want.Want {
		if have[key] != value {
			t.Errorf("%s is %q, want %q", key, have[key], value)
		}
	}
	for _, f := range want.Fields {
		if !slices.Contains(got.fields, f) {
			t.Errorf("no field %q in %q", f, got.fields)
		}
	}
}

// FuzzResponses checks that the outcome does not depend on the pieces, whatever the methods of the requests are.
func FuzzResponses(f *testing.F) {
	for _, c := range loadResponseCases(f) {
		methods := byte(0)
		for i, m := range methodsOf(c.To) {
			methods |= byte(m) << (2 * i)
		}
		f.Add(c.Input, methods)
	}
	f.Fuzz(func(t *testing.T, in []byte, methods byte) {
		if len(in) > shortHead {
			return
		}
		var to []Method
		for ; methods != 0; methods >>= 2 {
			to = append(to, Method(methods&3)%3)
		}
		splitResponses(t, in, to)
	})
}
