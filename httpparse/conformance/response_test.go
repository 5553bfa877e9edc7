package conformance

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseResponses(t *testing.T) {
	text := "case: one\nrfc: none\nto: HEAD GET\nin: a\\r\\n\nin x2: b\nresponse: 200 O\\x4b\nbody: \"\"\nfield: A b c\nresponse: 204\nkind: none\nwant: end\n" +
		"theirs: them reject\ndiffers: for a reason\n\n" +
		"case: two\nrfc: none\nin: b\nwant: reject what it says\ntheirs: them reject\n"
	got, err := ParseResponses("f.txt", text)
	if err != nil {
		t.Fatal(err)
	}
	want := []ResponseCase{
		{Where: "f.txt:1", Name: "one", RFC: "none", To: []string{"HEAD", "GET"}, Input: []byte("a\r\nbb"),
			Responses: []WantResponse{
				{200, "OK", [][2]string{{"A", "b c"}}, map[string]string{"body": ""}},
				{204, "", nil, map[string]string{"kind": "none"}},
			},
			End: AtEnd, Project: "them", Theirs: "reject", Differs: "for a reason"},
		{Where: "f.txt:15", Name: "two", RFC: "none", Input: []byte("b"), End: Reject, Reason: "what it says", Project: "them", Theirs: "reject"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestParseResponsesErrors(t *testing.T) {
	const whole = "case: x\nrfc: y\nin: z\n"
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", "request: GET /", `f:1: unknown key "request"`},
		{"no want", whole, "f:1: a case needs"},
		{"unknown end", "want: stop", `f:1: unknown end "stop"`},
		{"end with a reason", "want: end x", "f:1: end with the reason"},
		{"reject without a reason", "want: reject", "f:1: reject with the reason"},
		{"check before response", "body: x", "f:1: body before response"},
		{"response without a status", "response: OK", "f:1: strconv"},
		{"something after want", "want: end\nin: x", "f:2: in after want"},
		{"theirs without a verdict", "want: end\ntheirs: them", "f:2: theirs without"},
		{"another verdict without a reason", whole + "want: end\ntheirs: them reject", "f:1: differs belongs"},
		{"the same verdict with a reason", whole + "want: open\ntheirs: them accept\ndiffers: x", "f:1: differs belongs"},
		{"a reason without a verdict", whole + "want: end\ndiffers: x", "f:1: differs without"},
		{"bad escape", "response: 200 \\q", `f:1: unknown escape \q`},
	} {
		if _, err := ParseResponses("f", tt.text); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}
