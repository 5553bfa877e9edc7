package conformance

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	text := "# comment\n" +
		"case: one\nrfc: none\nin: a\\r\\n\nin x3: \\x41\\\\\nrequest: GET /x\nbody: \"\"\npersistent: no\nwant: close\n" +
		"\n\n" +
		"case: two\nrfc: none\nin: b\nwant: reject 400"
	got, err := Parse("f.txt", text)
	if err != nil {
		t.Fatal(err)
	}
	want := []Case{
		{"f.txt:2", "one", "none", []byte("a\r\nA\\A\\A\\"),
			[]Request{{"GET", "/x", map[string]string{"body": "", "persistent": "no"}}}, Close, 0},
		{"f.txt:12", "two", "none", []byte("b"), nil, Reject, 400},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no colon", "case", "f:1: not of the form"},
		{"unknown key", "case: x\nbla: y", `f:2: unknown key "bla"`},
		{"no want", "case: x\nrfc: y\nin: z\n", "f:1: a case needs"},
		{"no input", "case: x\nrfc: y\nwant: end\n", "f:1: a case needs"},
		{"unknown end", "want: stop", `f:1: unknown end "stop"`},
		{"end with a status", "want: end 400", "f:1: end with a status"},
		{"reject without a status", "want: reject", "f:1: strconv"},
		{"check before request", "path: x", "f:1: path before request"},
		{"request without a target", "request: GET", "f:1: request without a target"},
		{"something after want", "want: end\nin: x", "f:2: in after want"},
		{"bad escape", `in: \q`, `f:1: unknown escape \q`},
		{"half an escape", `in: \x4`, `f:1: \x without`},
		{"backslash at the end", `in: \`, "f:1: backslash at the end"},
		{"bad repetition", "in xx: y", "f:1: strconv"},
	} {
		if _, err := Parse("f", tt.text); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestLoadEmpty(t *testing.T) {
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("an empty directory is no error")
	}
}
