package static

import (
	"net/http"
	"testing"
)

// TestRequestAfterClose: a connection of a listener that is gone may still send requests. They are answered, and none of them says that
// a file is missing which is there.
func TestRequestAfterClose(t *testing.T) {
	root := tree(t, map[string]string{"file": "text"})
	for name, c := range map[string]testConfig{
		"alone":     alone(Rule{Prefix: "/f/", Path: root}),
		"with next": withNext(Rule{Prefix: "/f/", Path: root}),
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, c)
			p := dial(t, r)
			if status, body := p.get("/f/file"); status != http.StatusOK || body != "text" {
				t.Fatalf("before: %d, %q", status, body)
			}
			r.static.Close()
			for _, target := range []string{"/f/file", "/f/file", "/f/missing"} {
				if status, _ := p.get(target); status != http.StatusServiceUnavailable {
					t.Errorf("%s: %d", target, status)
				}
			}
			status, body := p.get("/other")
			if c.next == nil && status != http.StatusServiceUnavailable || c.next != nil && body != handled+"GET /other" {
				t.Errorf("/other: %d, %q", status, body)
			}
		})
	}
}
