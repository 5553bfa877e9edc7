package cache

import (
	"strings"
	"testing"
	"time"

	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// wall is the time of day of these tests.
const wall = int64(1_700_000_000)

func date(offset int64) string { return string(httpwrite.AppendDate(nil, wall+offset)) }

// parseResponse parses a response head: a status, and field lines.
func parseResponse(t *testing.T, status string, lines ...string) *httpparse.ResponseHead {
	t.Helper()
	h := new(httpparse.ResponseHead)
	text := "HTTP/1.1 " + status + " X\r\n" + strings.Join(append(lines, "", ""), "\r\n")
	if n, err := new(httpparse.Parser).ParseResponse(h, []byte(text), nil); err != nil || n != len(text) {
		t.Fatalf("%q: %d %v", text, n, err)
	}
	return h
}

// parseRequest parses a request.
func parseRequest(t *testing.T, line string, lines ...string) *httpparse.Head {
	t.Helper()
	h := new(httpparse.Head)
	text := line + " HTTP/1.1\r\n" + strings.Join(append(lines, "", ""), "\r\n")
	if n, err := new(httpparse.Parser).Parse(h, []byte(text), nil); err != nil || n != len(text) {
		t.Fatalf("%q: %d %v", text, n, err)
	}
	return h
}

// Which responses may be kept (RFC 9111 §3).
func TestStorable(t *testing.T) {
	for _, c := range []struct {
		why        string
		status     string
		lines      string
		authorized bool
		want       bool
	}{
		{"§4.2.1 max-age", "200", "Cache-Control: max-age=1", false, true},
		{"§4.2.1 s-maxage", "200", "Cache-Control: s-maxage=1", false, true},
		{"§4.2.1 Expires", "200", "Expires: " + date(5), false, true},
		{"no heuristics", "200", "Last-Modified: " + date(-1e6), false, false},
		{"no heuristics, even if public", "200", "Cache-Control: public|Last-Modified: " + date(-1e6), false, false},
		{"§5.2.2.5 no-store", "200", "Cache-Control: max-age=1, no-store", false, false},
		{"on a second line", "200", "Cache-Control: max-age=1|Cache-Control: no-store", false, false},
		{"in any case", "200", "CACHE-CONTROL: Max-Age=1, No-Store", false, false},
		{"§5.2.2.4 no-cache", "200", "Cache-Control: max-age=1, no-cache", false, false},
		{"no-cache with fields", "200", `Cache-Control: max-age=1, no-cache="X-A, X-B"`, false, false},
		{"a directive in quotes is none", "200", `Cache-Control: max-age=1, x="a, no-store"`, false, true},
		{"§5.2.2.7 private", "200", "Cache-Control: max-age=1, private", false, false},
		{"private with fields", "200", `Cache-Control: max-age=1, private="X-A"`, false, false},
		{"§5.2.2.3 must-understand", "200", "Cache-Control: max-age=1, must-understand, no-store", false, true},
		{"§5.2.2.3 must-understand, unknown status", "299", "Cache-Control: max-age=1, must-understand, no-store", false, false},
		{"unknown status", "299", "Cache-Control: max-age=1", false, true},
		{"an error with a lifetime", "503", "Cache-Control: max-age=1", false, true},
		{"a redirect", "301", "Cache-Control: max-age=1|Location: /", false, true},
		{"204", "204", "Cache-Control: max-age=1", false, true},
		{"§3.3 a part", "206", "Cache-Control: max-age=1", false, false},
		{"304", "304", "Cache-Control: max-age=1", false, false},
		{"101", "101", "Cache-Control: max-age=1", false, false},
		{"§4.1 Vary: *", "200", "Cache-Control: max-age=1|Vary: *", false, false},
		{"§4.1 Vary with *", "200", "Cache-Control: max-age=1|Vary: X-A, *", false, false},
		{"Set-Cookie", "200", "Cache-Control: s-maxage=1|Set-Cookie: a=b", false, false},
		{"§3.5 Authorization", "200", "Cache-Control: max-age=1", true, false},
		{"§3.5 with public", "200", "Cache-Control: max-age=1, public", true, true},
		{"§3.5 with must-revalidate", "200", "Cache-Control: max-age=1, must-revalidate", true, true},
		{"§3.5 with s-maxage", "200", "Cache-Control: s-maxage=1", true, true},
		{"§3.5 with proxy-revalidate", "200", "Cache-Control: max-age=1, proxy-revalidate", true, false},
		{"stale when it comes", "200", "Cache-Control: max-age=0", false, false},
		{"stale, but may be used so", "200", "Cache-Control: max-age=0, stale-while-revalidate=5", false, true},
		{"stale, and must not be used so", "200", "Cache-Control: max-age=0, stale-while-revalidate=5, must-revalidate", false, false},
		{"too old when it comes", "200", "Cache-Control: max-age=10|Age: 10", false, false},
		{"§5.3 invalid Expires", "200", "Expires: 0", false, false},
		{"past Expires", "200", "Expires: " + date(-5), false, false},
		{"§5.3 Expires does not count beside max-age", "200", "Cache-Control: max-age=1|Expires: 0", false, true},
		{"§5.2.2.10 max-age does not count beside s-maxage", "200", "Cache-Control: max-age=100, s-maxage=0", false, false},
		{"no number", "200", "Cache-Control: max-age=1a", false, false},
		{"a fraction", "200", "Cache-Control: max-age=1.5", false, false},
		{"negative", "200", "Cache-Control: max-age=-1", false, false},
		{"without a number", "200", "Cache-Control: max-age", false, false},
		{"quoted", "200", `Cache-Control: max-age="10"`, false, true},
		{"huge", "200", "Cache-Control: max-age=99999999999999999999999", false, true},
		{"a space before =", "200", "Cache-Control: max-age =10", false, false},
		{"contradiction: the shorter one counts", "200", "Cache-Control: max-age=10, max-age=0", false, false},
		{"unknown directives", "200", "Cache-Control: a, b=c, max-age=10, d=\"e,f\"", false, true},
		{"empty elements", "200", "Cache-Control: ,, max-age=10,,", false, true},
	} {
		lines := strings.Split(c.lines, "|")
		f := readFacts(parseResponse(t, c.status, lines...), wall)
		if got := f.storable(c.authorized); got != c.want {
			t.Errorf("%s: %s %q: %v", c.why, c.status, lines, got)
		}
	}
}

// How old a response is when it comes, and how long it is fresh (RFC 9111 §4.2).
func TestAgeAndLifetime(t *testing.T) {
	for _, c := range []struct {
		lines         string
		age, lifetime int64
	}{
		{"Cache-Control: max-age=60", 0, 60},
		{"Cache-Control: max-age=60|Date: " + date(0), 0, 60},
		{"Cache-Control: max-age=60|Date: " + date(-1), 0, 60}, // the second may have ended in between
		{"Cache-Control: max-age=60|Date: " + date(-30), 30, 60},
		{"Cache-Control: max-age=60|Date: " + date(30), 0, 60},
		{"Cache-Control: max-age=60|Age: 20", 20, 60},
		{"Cache-Control: max-age=60|Age: 20|Age: 50", 20, 60},
		{"Cache-Control: max-age=60|Age: 20, 50", 20, 60},
		{"Cache-Control: max-age=60|Age: x", 0, 60},
		{"Cache-Control: max-age=60|Age: 20|Date: " + date(-30), 30, 60},
		{"Expires: " + date(40) + "|Date: " + date(-20), 20, 60},
		{"Expires: " + date(40), 0, 40},
		{"Expires: tomorrow", 0, 0},
		{"Cache-Control: s-maxage=7, max-age=60", 0, 7},
		{"Expires: Fri, 31 Dec 9999 23:59:59 GMT", 0, secondsMax},
		{"Cache-Control: max-age=60|Date: Mon, 01 Jan 0001 00:00:00 GMT", secondsMax, 60},
		{"Cache-Control: max-age=60, max-age=30", 0, 30},
		{"X: y", 0, notGiven},
	} {
		f := readFacts(parseResponse(t, "200", strings.Split(c.lines, "|")...), wall)
		if f.age != c.age || f.lifetime != c.lifetime {
			t.Errorf("%q: age %d, lifetime %d", c.lines, f.age, f.lifetime)
		}
	}
}

// What a stored response may be used for (RFC 9111 §4, §5.2.1; RFC 5861).
func TestUse(t *testing.T) {
	for _, c := range []struct {
		why        string
		response   string // Cache-Control
		other      string
		after      int64 // seconds
		request    string
		authorized bool
		want       use
	}{
		{"fresh", "max-age=10", "", 9, "", false, useFresh},
		{"stale", "max-age=10", "", 10, "", false, useNothing},
		{"stale, can be validated", "max-age=10", `ETag: "x"`, 10, "", false, useValidate},
		{"stale, can be validated by time", "max-age=10", "Last-Modified: " + date(-100), 10, "", false, useValidate},
		{"§3.5", "max-age=10", "", 5, "", true, useNothing},
		{"§3.5 public", "max-age=10, public", "", 5, "", true, useFresh},

		{"RFC 5861 §3", "max-age=10, stale-while-revalidate=5", "", 14, "", false, useRefresh},
		{"RFC 5861 §3, too late", "max-age=10, stale-while-revalidate=5", "", 15, "", false, useNothing},
		{"with s-maxage", "s-maxage=10, stale-while-revalidate=5", "", 14, "", false, useRefresh},
		{"must-revalidate is stronger", "max-age=10, stale-while-revalidate=5, must-revalidate", "", 14, "", false, useNothing},
		{"proxy-revalidate is stronger", "max-age=10, stale-while-revalidate=5, proxy-revalidate", "", 14, "", false, useNothing},
		{"RFC 5861 §4", "max-age=10, stale-if-error=5", "", 14, "", false, useValidate},
		{"RFC 5861 §4, too late", "max-age=10, stale-if-error=5", "", 15, "", false, useNothing},

		{"§5.2.1.4 no-cache", "max-age=10", `ETag: "x"`, 5, "no-cache", false, useValidate},
		{"§5.2.1.4 no-cache without a validator", "max-age=10", "", 5, "no-cache", false, useNothing},
		{"§5.2.1.1 max-age", "max-age=10", "", 5, "max-age=5", false, useFresh},
		{"§5.2.1.1 max-age, older", "max-age=10", `ETag: "x"`, 6, "max-age=5", false, useValidate},
		{"§5.2.1.1 max-age=0", "max-age=10", `ETag: "x"`, 1, "max-age=0", false, useValidate},
		{"§5.2.1.3 min-fresh", "max-age=10", "", 5, "min-fresh=5", false, useFresh},
		{"§5.2.1.3 min-fresh, not long enough", "max-age=10", `ETag: "x"`, 6, "min-fresh=5", false, useValidate},
		{"§5.2.1.2 max-stale", "max-age=10", "", 14, "max-stale=5", false, useStale},
		{"§5.2.1.2 max-stale, too late", "max-age=10", "", 15, "max-stale=5", false, useNothing},
		{"§5.2.1.2 max-stale, whatever", "max-age=10", "", 1000, "max-stale", false, useStale},
		{"§5.2.1.2 max-stale and must-revalidate", "max-age=10, must-revalidate", "", 12, "max-stale", false, useNothing},
		{"§5.2.2.10 max-stale and s-maxage", "s-maxage=10", "", 12, "max-stale", false, useNothing},
		{"stale-while-revalidate and max-age of the request", "max-age=10, stale-while-revalidate=50", `ETag: "x"`, 20, "max-age=15", false, useValidate},
	} {
		f := readFacts(parseResponse(t, "200", "Cache-Control: "+c.response, "X: y\r\n"+orX(c.other)), wall)
		fresh := newFreshness(&f, 1000)
		var q query
		q.read(parseRequest(t, "GET /", "Host: a", "Cache-Control: "+c.request), true)
		if got := fresh.use(&q.control, c.authorized, 1000+c.after*int64(time.Second)); got != c.want {
			t.Errorf("%s: %q after %d s for %q: %d instead of %d", c.why, c.response, c.after, c.request, got, c.want)
		}
	}
}

func orX(line string) string {
	if line == "" {
		return "X: z"
	}
	return line
}

func TestKey(t *testing.T) {
	long := strings.Repeat("x", keyMax)
	for _, c := range []struct {
		line, lines, want string
	}{
		{"GET /", "Host: a", "a/"},
		{"GET /A/b?C=d&e", "Host: EXAMPLE.com:8080", "example.com:8080/A/b?C=d&e"},
		{"GET /a%2Fb/../c", "Host: a", "a/a%2Fb/../c"},
		{"GET /?", "Host: a", "a/?"},
		{"GET http://B.example/x?y", "Host: a", "b.example/x?y"},
		{"GET http://b", "Host: a", "b/"},
		{"GET http://b?q", "Host: a", "b/?q"},
		{"GET http://b?q", "Host:", "b/?q"},
		{"HEAD /x", "Host: a", "a/x"},
		{"GET /" + long, "Host: a", ""},
		{"GET /", "Host: a|Content-Length: 1", ""},
		{"GET /", `Host: a|If-Match: "x"`, ""},
		{"GET /", "Host: a|If-Unmodified-Since: " + date(0), ""},
		{"GET /", "Host: a|Connection: upgrade|Upgrade: websocket", ""},
	} {
		var q query
		ok := q.read(parseRequest(t, c.line, strings.Split(c.lines, "|")...), true)
		if !ok {
			q.key = nil
		}
		if string(q.key) != c.want {
			t.Errorf("%s %q: %q", cut(c.line), c.lines, cut(string(q.key)))
		}
	}
}

// Requests that want the same have the same secondary key.
func TestSecondary(t *testing.T) {
	for _, c := range []struct {
		names, a, b string
		same        bool
	}{
		{"x-a", "X-A: 1", "x-a:   1  ", true},
		{"x-a", "X-A: 1", "X-A: 2", false},
		{"x-a", "X-A: 1, 2", "X-A: 1|X-A: 2", false},
		{"x-a", "X-A: 1", "X-A: 1,", false},
		{"x-a", "X-A: 1,2", "X-A: 1 ,  2", false},
		{"x-a", "X-A: 1|X-A: 2", "X-B: 0|X-A: 1|X-A: 2", true},
		{"x-a x-b", "X-A:", "X-B:", false},
		{"x-a x-b", "X-A: 1|X-A: 2", "X-A: 1|X-B: 2", false},
		{"x-a", "X-A: 1", "X-B: 1", false},
		{"x-a", "X-C: 1", "X-B: 1", true},
		{"x-a x-b", "X-A: 1|X-B: 2", "X-B: 2|X-A: 1", true},
		{"x-a x-b", "X-A: 1", "X-B: 1", false},
		{"accept-encoding", "Accept-Encoding: gzip, deflate", "Accept-Encoding: deflate;q=0.1, gzip;q=0.5", true},
		{"accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: br, gzip", false},
		{"accept-encoding", "Accept-Encoding: identity", "X: y", true},
		{"accept-encoding", "Accept-Encoding: *", "Accept-Encoding: zstd", true},
	} {
		names := strings.Fields(c.names)
		secondary := func(lines string) string {
			var q query
			q.read(parseRequest(t, "GET /", strings.Split("Host: a|"+lines, "|")...), true)
			b, ok := q.secondaryOf(names)
			if !ok {
				t.Errorf("%q: too long", lines)
			}
			return string(b)
		}
		if a, b := secondary(c.a), secondary(c.b); (a == b) != c.same {
			t.Errorf("%s: %q gives %q, %q gives %q", c.names, c.a, a, c.b, b)
		}
	}
	var q query
	q.read(parseRequest(t, "GET /", "Host: a", "X-A: "+strings.Repeat("x", secondaryMax)), true)
	if _, ok := q.secondaryOf([]string{"x-a"}); ok {
		t.Error("a secondary key may be too long")
	}
}

// What Location and Content-Location make invalid.
func TestKeyOfLocation(t *testing.T) {
	for uri, want := range map[string]string{
		"/x?y":                    "a.example/x?y",
		"/x#f":                    "a.example/x",
		"http://A.example/x":      "a.example/x",
		"https://a.example":       "a.example/",
		"http://a.example?q":      "a.example/?q",
		"http://a.example:1/x":    "",
		"http://a.example.com/x":  "",
		"http://b.example/x":      "",
		"//a.example/x":           "",
		"ftp://a.example/x":       "",
		"x":                       "",
		"":                        "",
		"#":                       "",
		"http://a.exampleevil/x":  "",
		"http://a.example@evil/x": "",
	} {
		if got := string(keyOf([]byte(uri), []byte("a.example/page"))); got != want {
			t.Errorf("%q: %q instead of %q", uri, got, want)
		}
	}
}

// The head that is kept has no field that concerns only the connection (RFC 9111 §3.1), and a Date.
func TestStoredHead(t *testing.T) {
	h := parseResponse(t, "200", "X-A: 1", "Connection: close, X-Hop", "X-Hop: 2", "Keep-Alive: 3", "Transfer-Encoding: chunked", "Trailer: x",
		"TE: x", "Proxy-Authenticate: x", "Upgrade: x", "Age: 5", "Date: "+date(0), "X-B: 4")
	if got, want := string(appendStored(nil, h, true)), "HTTP/1.1 200 X\r\nX-A: 1\r\nDate: "+date(0)+"\r\nX-B: 4\r\n"; got != want {
		t.Errorf("%q instead of %q", got, want)
	}
	h = parseResponse(t, "200", "Date: x", "X-A: 1")
	if got := string(appendStored(nil, h, false)); !strings.HasPrefix(got, "HTTP/1.1 200 X\r\nX-A: 1\r\nDate: ") || len(got) != len("HTTP/1.1 200 X\r\nX-A: 1\r\nDate: "+date(0)+"\r\n") {
		t.Errorf("%q", got)
	}
}

// A 304 updates the stored head (RFC 9111 §3.2), except for what describes the stored body.
func TestFreshened(t *testing.T) {
	stored := "HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: 2\r\nX-B: 3\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
	h := parseResponse(t, "304", "X-B: 9", "Content-Type: text/html", "X-C: 8", "Connection: X-C", "Age: 3", "ETag: \"y\"")
	want := "HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nX-B: 9\r\nETag: \"y\"\r\n"
	if got := string(appendFreshened(nil, &variant{head: []byte(stored)}, h)); got != want {
		t.Errorf("%q instead of %q", got, want)
	}
}

// A 304 may vary by the coding only because package compress does not know what it is for.
func TestFreshenedVary(t *testing.T) {
	for _, c := range []struct {
		codings    int
		negotiated bool
		answer     []string
		becomes    string
	}{
		{0, false, []string{"Vary: Accept-Encoding"}, "Vary: A\r\n"},
		{0, false, []string{"Vary: B", "Vary: Accept-Encoding"}, "Vary: B\r\n"},
		{0, false, []string{"Vary: B, Accept-Encoding"}, "Vary: B, Accept-Encoding\r\n"},
		{1, false, []string{"Vary: Accept-Encoding"}, "Vary: Accept-Encoding\r\n"},
		{0, true, []string{"Vary: Accept-Encoding"}, "Vary: Accept-Encoding\r\n"},
	} {
		stored := &variant{head: []byte("HTTP/1.1 200 OK\r\nVary: A\r\n"), codings: c.codings, negotiated: c.negotiated}
		got := string(appendFreshened(nil, stored, parseResponse(t, "304", c.answer...)))
		if want := "HTTP/1.1 200 OK\r\n" + c.becomes; got != want {
			t.Errorf("%+v: %q instead of %q", c, got, want)
		}
	}
}
