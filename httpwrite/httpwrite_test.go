package httpwrite

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"moonbridge/httpparse"
)

func TestErrorPage(t *testing.T) {
	const unix = 784111777 // the example of RFC 9110 §5.6.7
	const date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
	for _, c := range []struct {
		name               string
		status, retryAfter int
		closeConn, noBody  bool
		want               string
	}{
		{"plain", 404, 0, false, false,
			"HTTP/1.1 404 Not Found\r\n" + date + "Content-Type: text/plain\r\nContent-Length: 10\r\n\r\nNot Found\n"},
		{"close", 400, 0, true, false,
			"HTTP/1.1 400 Bad Request\r\n" + date + "Content-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\nBad Request\n"},
		{"retry", 503, 7, false, false,
			"HTTP/1.1 503 Service Unavailable\r\n" + date + "Content-Type: text/plain\r\nRetry-After: 7\r\nContent-Length: 20\r\n\r\nService Unavailable\n"},
		{"head", 413, 0, true, true,
			"HTTP/1.1 413 Content Too Large\r\n" + date + "Content-Type: text/plain\r\nContent-Length: 18\r\nConnection: close\r\n\r\n"},
		{"unregistered", 599, 0, false, false,
			"HTTP/1.1 599 \r\n" + date + "Content-Type: text/plain\r\nContent-Length: 6\r\n\r\nError\n"},
		{"beyond the table", 799, 0, false, true,
			"HTTP/1.1 799 \r\n" + date + "Content-Type: text/plain\r\nContent-Length: 6\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string((&ErrorPage{Status: c.status, RetryAfter: c.retryAfter, Unix: unix, Close: c.closeConn, NoBody: c.noBody}).Append([]byte("before")))
			if want := "before" + c.want; got != want {
				t.Errorf("got %q\nwant %q", got, want)
			}
		})
	}
	refused := ErrorPage{Status: 415, Unix: unix, Codings: httpparse.CodingsOf(httpparse.Gzip, httpparse.Brotli)}
	if got := string(refused.Append(nil)); !strings.Contains(got, "\r\nAccept-Encoding: br, gzip\r\n") {
		t.Errorf("got %q", got)
	}
	refused.Status = 413
	if got := string(refused.Append(nil)); strings.Contains(got, "Accept-Encoding") {
		t.Errorf("got %q", got)
	}
	dst := make([]byte, 0, 512)
	fixed := NewFixed("X-A: b\r\n")
	page := ErrorPage{Status: 503, RetryAfter: 7, Unix: unix, Close: true, Fixed: &fixed}
	if n := testing.AllocsPerRun(100, func() { page.Append(dst) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestStatusText compares the table with net/http's, which has older phrases for some codes and lacks a new one.
func TestStatusText(t *testing.T) {
	other := map[int]string{104: "", 413: "Request Entity Too Large", 414: "Request URI Too Long", 416: "Requested Range Not Satisfiable", 422: "Unprocessable Entity"}
	for status := range 1000 {
		want := http.StatusText(status)
		got := StatusText(status)
		if old, is := other[status]; is && old == want {
			if got == want {
				t.Errorf("%d: %q is listed as a difference", status, got)
			}
			continue
		}
		if got != want {
			t.Errorf("%d: got %q, net/http has %q", status, got, want)
		}
	}
}

func TestAppendDate(t *testing.T) {
	for unix := int64(0); unix < 253402300800; unix += 86400*97 + 3671 {
		want := time.Unix(unix, 0).UTC().Format(http.TimeFormat)
		if got := string(AppendDate(nil, unix)); got != want {
			t.Fatalf("%d: got %q, want %q", unix, got, want)
		}
	}
}

func TestDateIsFormattedOnceASecond(t *testing.T) {
	defer func() { wallClock = time.Now }()
	reads := 0
	wall := time.Unix(1000, 600_000_000)
	wallClock = func() time.Time { reads++; return wall }

	var d Date
	at := func(mono int64) string { return string(d.At(mono)) }
	if got := at(5_000_000_000); !strings.Contains(got, "00:16:40") {
		t.Errorf("got %q", got)
	}
	at(5_399_999_999)
	if reads != 1 {
		t.Errorf("%d reads of the clock within a second", reads)
	}
	wall = time.Unix(1001, 0)
	if got := at(5_400_000_000); !strings.Contains(got, "00:16:41") || reads != 2 {
		t.Errorf("got %q after %d reads", got, reads)
	}
	wall = time.Unix(90, 0) // the wall clock is set back
	if got := at(6_400_000_000); !strings.Contains(got, "00:01:30") {
		t.Errorf("got %q", got)
	}
}

func TestFixed(t *testing.T) {
	for _, c := range []struct {
		lines, want string
		closes      bool
	}{
		{"", "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\n", false},
		{"X-A: b\r\nX-C: d\r\n", "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\nX-A: b\r\nX-C: d\r\n", false},
		{"content-type: text/html\r\nX-A: b\r\n", "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\nX-A: b\r\n", false},
		{"Date: never\r\n", "Content-Type: text/plain\r\nDate: never\r\n", false},
		{"Connection: Close\r\n", "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\n", true},
	} {
		f := NewFixed(c.lines)
		page := ErrorPage{Status: 404, NoBody: true, Fixed: &f}
		want := "HTTP/1.1 404 Not Found\r\n" + c.want + "Content-Length: 10\r\n\r\n"
		if got := string(page.Append(nil)); got != want || f.Close() != c.closes {
			t.Errorf("%q: got %q, %v", c.lines, got, f.Close())
		}
	}
}
