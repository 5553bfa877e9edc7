package crash

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	const form, json = "application/x-www-form-urlencoded; charset=utf-8", "application/json"
	for _, c := range []struct {
		name, typ, head, body string
		wantHead, wantBody    string
		masked                []string
	}{
		{"fields", "", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\ncookie: a=b; c=d\r\nSet-Cookie: x\r\nProxy-Authorization: y\r\nX-API-Key: z\r\nX-Auth-Token:w\r\nX-Other: v\r\n\r\n", "",
			"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: ***\r\ncookie: ***\r\nSet-Cookie: ***\r\nProxy-Authorization: ***\r\nX-API-Key: ***\r\nX-Auth-Token: ***\r\nX-Other: v\r\n\r\n", "",
			[]string{"Authorization", "cookie", "Set-Cookie", "Proxy-Authorization", "X-API-Key", "X-Auth-Token"}},
		{"a field of several lines", "", "GET / HTTP/1.1\r\nCookie: a\r\n b\r\n\tc\r\nX: 1\r\n 2", "", "GET / HTTP/1.1\r\nCookie: ***\r\n ***\r\n ***\r\nX: 1\r\n 2", "", []string{"Cookie"}},
		{"a query", "", "GET /a?b=1&access_token=xyz&c HTTP/1.1\r\nReferer: http://h/p?password=1&q=2\r\n", "",
			"GET /a?b=1&access_token=***&c HTTP/1.1\r\nReferer: http://h/p?password=***&q=2\r\n", "", []string{"access_token", "password"}},
		{"a coded name", "", "GET /?%50assword=1;user%5btoken%5d=2 HTTP/1.1", "", "GET /?%50assword=***;user%5btoken%5d=*** HTTP/1.1", "", []string{"Password", "user[token]"}},
		{"a form", form, "", "user=me&Password=a%26b&new_password=c&x=%", "", "user=me&Password=***&new_password=***&x=%", []string{"Password", "new_password"}},
		{"no form", "text/plain", "", "password=1", "", "password=1", nil},
		{"JSON", json, "", `{"user":"me","password":"a\"b,","list":[{"apiKey": 12, "z":1}],"secret" : {"a":["}"]},"n":null}`,
			"", `{"user":"me","password":"***","list":[{"apiKey": "***", "z":1}],"secret" : "***","n":null}`, []string{"password", "apiKey", "secret"}},
		{"JSON that breaks off", "application/problem+json", "", `{"token":"abc`, "", `{"token":"***"`, []string{"token"}},
		{"JSON in a string", json, "", `["password", "token"]`, "", `["password", "token"]`, nil},
		{"a coded name in JSON", json, "", `{"pass\u0077ord":true}`, "", `{"pass\u0077ord":"***"}`, []string{"password"}},
		{"a multipart form", `multipart/form-data; boundary="b b"`, "",
			"--b b\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nme\r\n--b b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nsec\r\nret\r\n--b b--\r\n", "",
			"--b b\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nme\r\n--b b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n***\r\n--b b--\r\n", []string{"password"}},
		{"a multipart form that breaks off", `multipart/form-data; boundary=x`, "", "--x\r\ncontent-disposition: form-data; name=token\r\n\r\nsec", "",
			"--x\r\ncontent-disposition: form-data; name=token\r\n\r\n***", []string{"token"}},
		{"a word of one's own", form, "", "iban=1&tax_id=2", "", "iban=***&tax_id=***", []string{"iban", "tax_id"}},
	} {
		head := c.head
		if head == "" {
			head = "POST / HTTP/1.1\r\nContent-Type: " + c.typ + "\r\n\r\n"
			c.wantHead = head
		}
		q := &Request{Head: Text(head), Body: Text(c.body)}
		var own []string
		if strings.HasPrefix(c.name, "a word") {
			own = []string{"IBAN", "Tax-ID"}
		}
		NewMask(own).Request(q)
		if string(q.Head) != c.wantHead || string(q.Body) != c.wantBody || !slices.Equal(q.Masked, c.masked) {
			t.Errorf("%s: %q\n%q\n%q", c.name, q.Head, q.Body, q.Masked)
		}
	}
}

// A field with a secret is masked wherever it stands, and nothing else is changed.
func FuzzMask(f *testing.F) {
	for _, typ := range []string{"application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		f.Add(typ, "GET /?token=1 HTTP/1.1\r\nCookie: a\r\n", []byte("{\"password\":\"x\"}"))
		f.Add(typ, "", []byte("--x\r\nContent-Disposition: form-data; name=token\r\n\r\nsec\r\n--x--"))
	}
	f.Fuzz(func(t *testing.T, typ, head string, body []byte) {
		q := &Request{Head: Text(head + "\r\nContent-Type: " + typ + "\r\nAuthorization: SECRET\r\n"), Body: bytes.Clone(body)}
		NewMask(nil).Request(q)
		if bytes.Contains(q.Head, []byte("SECRET")) && !strings.Contains(head+typ, "SECRET") {
			t.Errorf("%q", q.Head)
		}
		if len(q.Masked) == 0 && !bytes.Equal(q.Body, body) {
			t.Errorf("%q became %q", body, q.Body)
		}
	})
}
