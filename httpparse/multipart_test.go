package httpparse

import (
	"strings"
	"testing"
)

// In these tables the boundary is B, and a line end of the text stands for CR LF; \n and \r are what they say.
func multipartText(s string) []byte {
	s = strings.ReplaceAll(strings.TrimPrefix(s, "\n"), "\n", "\r\n")
	return []byte(strings.NewReplacer(`\n`, "\n", `\r`, "\r").Replace(s))
}

const partA = "Content-Disposition: form-data; name=a\n\n"

func TestMultipart(t *testing.T) {
	a := func(data string) string { return `"a" file"-" kind"-": "` + data + "\"\n" }
	for _, tt := range []struct{ name, body, want string }{
		{"one part", `
--B
Content-Disposition: form-data; name="a"

one
--B--
`, a("one") + "done"},
		{"no final line end", "--B\n" + partA + "one\n--B--", a("one") + "done"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := multipartText(tt.body)
			if got := multipartSplit(t, "B", body).String(); got != tt.want {
				t.Errorf("%q:\ngot  %s\nwant %s", body, got, tt.want)
			}
		})
	}
}
