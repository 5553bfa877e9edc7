package httpwrite

import (
	"strings"
	"testing"
)

func TestErrorPages(t *testing.T) {
	pages := NewErrorPages([]ErrorBody{
		{Status: 404, ContentType: "text/html", Body: "<p>gone</p>"}, {Status: 404, JSON: true, ContentType: "application/problem+json", Body: "{}"},
		{Status: 502, ContentType: "text/html", Body: "<p>bad</p>"},
	})
	for _, c := range []struct {
		pages  *ErrorPages
		status int
		json   bool
		noBody bool
		fields string
		body   string
	}{
		{nil, 404, false, false, "Content-Type: text/plain\r\n", "Not Found\n"},
		{nil, 404, true, false, "Content-Type: text/plain\r\n", "Not Found\n"},
		{pages, 404, false, false, "Content-Type: text/html\r\nVary: Accept\r\n", "<p>gone</p>"},
		{pages, 404, true, false, "Content-Type: application/problem+json\r\nVary: Accept\r\n", "{}"},
		{pages, 404, false, true, "Content-Length: 11\r\n", ""},
		{pages, 502, true, false, "Content-Type: application/json\r\n", `{"error":"Bad Gateway","status":502}` + "\n"},
		{pages, 503, false, false, "Content-Type: text/plain\r\nVary: Accept\r\n", "Service Unavailable\n"},
	} {
		p := ErrorPage{Status: c.status, Pages: c.pages, JSON: c.json, NoBody: c.noBody, Close: true}
		head, body, _ := strings.Cut(string(p.Append(nil)), "\r\n\r\n")
		if body != c.body || !strings.Contains(head+"\r\n", c.fields) {
			t.Errorf("%d, JSON %v: %q, %q", c.status, c.json, head, body)
		}
	}
}
