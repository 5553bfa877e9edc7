package httpparse

import (
	"strings"
	"testing"
)

func TestPartNames(t *testing.T) {
	for _, tt := range []struct{ why, params, name, file string }{
		{"quoted", `name="a b"; filename="c; d=e"`, "a b", "=c; d=e"},
		{"plain", `name=a; filename=b.txt`, "a", "=b.txt"},
		{"plain, not tokens", `name=a[]; filename=b/c.txt`, "a[]", "=b/c.txt"},
		{"any order and blanks", ` ;; filename = "b"	; name	=a ; `, "a", "=b"},
		{"other parameters", `name="a"; size=3; handler="x; name=b"`, "a", "-"},
		{"empty", `name=""; filename=""`, "", "="},
		{"valid and invalid UTF-8", "name=\"\xc3\xa4\xff\"; filename=\xc3\xa4", "\xc3\xa4\xff", "=\xc3\xa4"},
		{"browsers", `name="a%22b%0D%0Ac"; filename="%22"`, "a\"b\r\nc", `="`},
		{"line breaks in a file name", `name="a"; filename="b%0D%0Ac%0A.txt"`, "a", `=b%0D%0Ac%0A.txt`},
		{"browsers encode nothing else", `name="%41%2522%0a%0d%"; filename="100%2"`, "%41%2522%0a%0d%", "=100%2"},
		{"percent in plain values", `name=%22`, "%22", "-"},
		{"programs", `name="a\"b\\c"; filename="\\\""`, `a"b\c`, `=\"`},
		{"programs, two backslashes in a row", `name="a\\\\b"`, `a\\b`, "-"},
		{"programs, backslash at the end", `name="a\\"; filename=b`, `a\`, "=b"},
		{"an escaped quote before a semicolon", `name="a\"; filename=b"`, `a"; filename=b`, "-"},
		{"old browsers, path", `name="a"; filename="C:\dir\a.txt"`, "a", `=C:\dir\a.txt`},
		{"old browsers, network path", `name="a"; filename="\\host\dir\a.txt"`, "a", `=\\host\dir\a.txt`},
		{"old browsers, path and quote", `name="a"; filename="C:\dir\a\".txt"`, "a", `=C:\dir\a".txt`},
		{"browsers, backslash at the end", `name="a\"; filename="C:\"`, `a\`, `=C:\`},
		{"browsers, backslash at the end, last", `filename=b; name="a\"`, `a\`, `=b`},
		{"extended", `name=a; filename*=UTF-8''%e2%82%AC%20x.txt`, "a", "=€ x.txt"},
		{"extended is preferred", `name=a; filename="EUR"; filename*=utf-8'en'%E2%82%AC`, "a", "=€"},
		{"extended is preferred, in any order", `name=a; FileName*=utf-8'en'%E2%82%AC; filename="EUR"`, "a", "=€"},
		{"extended, invalid UTF-8", `name=a; filename="x"; filename*=UTF-8''%FF`, "a", "=x"},
		{"extended, other charset", `name=a; filename="x"; filename*=iso-8859-1''%FC`, "a", "=x"},
		{"extended, not encoded", "name=a; filename=\"x\"; filename*=UTF-8''\xc3\xa4", "a", "=x"},
		{"extended, half an encoding", `name=a; filename="x"; filename*=UTF-8''a%2`, "a", "=x"},
		{"extended, no hexadecimal digits", `name=a; filename="x"; filename*=UTF-8''a%2x`, "a", "=x"},
		{"extended, control character", `name=a; filename="x"; filename*=UTF-8''a%00b`, "a", "=x"},
		{"extended, no quotes", `name=a; filename="x"; filename*=UTF-8'b`, "a", "=x"},
		{"extended, nothing", `name=a; filename="x"; filename*=UTF-8''`, "a", "=x"},
		{"extended, invalid, alone", `name=a; filename*=x`, "a", "-"},
		{"extended name is another parameter", `name=a; name*=UTF-8''b`, "a", "-"},
	} {
		r := multipartPieces(t, "B", partWith(tt.params))
		if len(r.parts) != 1 || r.parts[0].name != tt.name || r.parts[0].file != tt.file {
			t.Errorf("%s: %s\ngot  %s\nwant %q %q", tt.why, tt.params, r, tt.name, tt.file)
		}
	}
}

func TestPartNamesMalformed(t *testing.T) {
	for _, params := range []string{
		`name="a`, `name="`, `name=`, `name= ;`, `name`, `=a`, `name=a b`, `name="a"b`, `name=a"b"`, `name="a" filename="b"`,
		`name=a; b`, `name=a; filename="b"c"`, `name=a; b c=d`, `name=a; "b"=c`, `name="a\"b`,
	} {
		if r := multipartPieces(t, "B", partWith(params)); r.err != errDisposition {
			t.Errorf("%s: %s", params, r)
		}
	}
}

func partWith(params string) []byte {
	return []byte("--B\r\nContent-Disposition: form-data;" + params + "\r\n\r\n\r\n--B--\r\n")
}

func TestMultipartBoundary(t *testing.T) {
	long := strings.Repeat("-", MultipartBoundaryBytesMax)
	for _, tt := range []struct{ value, want string }{
		{"multipart/form-data; boundary=B", "B"},
		{"Multipart/Form-Data;BOUNDARY=B", "B"},
		{"multipart/form-data ; charset=utf-8; boundary=----x; a=b;", "----x"},
		{`multipart/form-data; boundary="a b,c:d"`, "a b,c:d"},
		{`multipart/form-data; boundary="a\"b\\c\d"`, `a"b\cd`},
		{`multipart/form-data; a="; boundary=x"; boundary=y`, "y"},
		{`multipart/form-data; boundary=\/\/`, `\/\/`},
		{"multipart/form-data; boundary=a,b/c=d", "a,b/c=d"},
		{"multipart/form-data; boundary=" + long, long},
		{"multipart/form-data; boundary=" + long + "-", ""},
		{`multipart/form-data; boundary=""`, ""},
		{`multipart/form-data; boundary="a "`, ""},
		{`multipart/form-data; boundary="a`, ""},
		{"multipart/form-data; boundary=", ""},
		{"multipart/form-data; boundary", ""},
		{"multipart/form-data; boundary=a; boundary=a", ""},
		{"multipart/form-data; boundary=a b", ""},
		{"multipart/form-data", ""},
		{"multipart/form-data boundary=B", ""},
		{"multipart/mixed; boundary=B", ""},
		{"application/x-www-form-urlencoded; boundary=B", ""},
		{"", ""},
	} {
		got, ok := MultipartBoundary([]byte(tt.value))
		if string(got) != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %v, want %q", tt.value, got, ok, tt.want)
		}
	}
	plain := []byte(`multipart/form-data; boundary="----WebKitFormBoundary7MA4YWxkTrZu0gW"`)
	if n := testing.AllocsPerRun(100, func() { MultipartBoundary(plain) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
