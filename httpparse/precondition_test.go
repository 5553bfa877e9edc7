package httpparse

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The time of the example in RFC 9110 §5.6.7, in its three formats.
const exampleDate = 784111777

func TestParseDate(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC).Unix()
	date := func(y int, m time.Month, d, hh, mm, ss int) int64 {
		return time.Date(y, m, d, hh, mm, ss, 0, time.UTC).Unix()
	}
	const bad = -1 << 62
	for in, want := range map[string]int64{
		"Sun, 06 Nov 1994 08:49:37 GMT":      exampleDate,
		"Sunday, 06-Nov-94 08:49:37 GMT":     exampleDate,
		"Sun Nov  6 08:49:37 1994":           exampleDate,
		"Sun Nov 06 08:49:37 1994":           exampleDate,
		"Mon, 06 Nov 1994 08:49:37 GMT":      exampleDate, // a wrong weekday
		"Thu, 01 Jan 1970 00:00:00 GMT":      0,
		"Wed, 31 Dec 1969 23:59:59 GMT":      -1,
		"Mon, 29 Feb 2016 00:00:00 GMT":      date(2016, 2, 29, 0, 0, 0),
		"Sat, 31 Dec 2016 23:59:60 GMT":      date(2017, 1, 1, 0, 0, 0), // a leap second
		"Wednesday, 31-Dec-25 23:59:59 GMT":  date(2025, 12, 31, 23, 59, 59),
		"Saturday, 28-Nov-76 12:00:00 GMT":   date(2076, 11, 28, 12, 0, 0), // 50 years ahead
		"Sunday, 28-Nov-76 12:00:01 GMT":     date(1976, 11, 28, 12, 0, 1), // a second more
		"Friday, 01-Jan-99 00:00:00 GMT":     date(1999, 1, 1, 0, 0, 0),
		"Tuesday, 29-Feb-00 00:00:00 GMT":    date(2000, 2, 29, 0, 0, 0),
		"Fri, 31 Dec 9999 23:59:59 GMT":      date(9999, 12, 31, 23, 59, 59),
		"":                                   bad,
		"Sun, 06 Nov 1994 08:49:37":          bad,
		"Sun, 06 Nov 1994 08:49:37 UTC":      bad,
		"Sun, 06 Nov 1994 08:49:37 +0000":    bad,
		"sun, 06 nov 1994 08:49:37 gmt":      bad,
		"Sun, 6 Nov 1994 08:49:37 GMT":       bad,
		"Sun,  6 Nov 1994 08:49:37 GMT":      bad,
		"Sun, 31 Nov 1994 08:49:37 GMT":      bad,
		"Sun, 00 Nov 1994 08:49:37 GMT":      bad,
		"Sun, 29 Feb 2015 08:49:37 GMT":      bad,
		"Sun, 06 Nov 1994 24:00:00 GMT":      bad,
		"Sun, 06 Nov 1994 08:60:37 GMT":      bad,
		"Sun, 06 Nov 1994 08:49:61 GMT":      bad,
		"Sun, 06 Nov 1994 08:49:37 GMT ":     bad,
		"Sunday, 06-Nov-1994 08:49:37 GMT":   bad,
		"Sun, 06-Nov-94 08:49:37 GMT":        bad,
		"Sun Nov 6 08:49:37 1994":            bad,
		"784111777":                          bad,
		"Sun, 06 Nov 1994 08:49:37 GMTGMT":   bad,
		"Sun, 06 Nov 1994 -8:49:37 GMT":      bad,
		"Blursday, 06-Nov-94 08:49:37 GMT":   bad,
		"Thursday, 29-Feb-01 00:00:00 GMT":   bad,
		"Sun Nov  6 08:49:37 1994 and later": bad,
	} {
		got, ok := ParseDate([]byte(in), now)
		if !ok {
			got = bad
		}
		if got != want {
			t.Errorf("%q: got %d, want %d", in, got, want)
		}
	}
}

func TestEvaluate(t *testing.T) {
	const date, before, after = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"
	strong := Validators{ETag: `"a"`, Modified: exampleDate, HasModified: true}
	weak := Validators{ETag: `W/"a"`, Modified: exampleDate, HasModified: true, Young: true}
	tagOnly, dateOnly, none := Validators{ETag: `"a"`}, Validators{Modified: exampleDate, HasModified: true}, Validators{}
	odd := Validators{ETag: `"a,b\"`}
	for _, c := range []struct {
		fields string
		v      Validators
		get    Verdict // of GET; that of PUT is 412 instead of 304
		put    Verdict
	}{
		{"", strong, Perform, Perform},
		{`If-Match: "a"`, strong, Perform, Perform},
		{`If-Match: "b"`, strong, PreconditionFailed, PreconditionFailed},
		{`If-Match: "b", "a"`, strong, Perform, Perform},
		{`If-Match: W/"a"`, strong, PreconditionFailed, PreconditionFailed},
		{`If-Match: "a"`, weak, PreconditionFailed, PreconditionFailed},
		{`If-Match: W/"a"`, weak, PreconditionFailed, PreconditionFailed},
		{`If-Match: *`, strong, Perform, Perform},
		{`If-Match: *`, none, Perform, Perform},
		{`If-Match: "a"`, none, PreconditionFailed, PreconditionFailed},
		{`If-Match:`, strong, PreconditionFailed, PreconditionFailed},
		{`If-Match: a`, strong, PreconditionFailed, PreconditionFailed},
		{"If-Match: \"b\"\nIf-Match: \"a\"", strong, Perform, Perform},
		{`If-Match: "a,b\"`, odd, Perform, Perform},
		{`If-Match: "a`, Validators{ETag: `"a`}, PreconditionFailed, PreconditionFailed},
		{`If-Match: x "a"`, strong, PreconditionFailed, PreconditionFailed},
		{`If-Match: "a" x, "c"`, strong, PreconditionFailed, PreconditionFailed},
		{`If-Match: , ,"a" ,`, strong, Perform, Perform},
		{`If-None-Match: "a"`, strong, NotModified, PreconditionFailed},
		{`If-None-Match: W/"a"`, strong, NotModified, PreconditionFailed},
		{`If-None-Match: "a"`, weak, NotModified, PreconditionFailed},
		{`If-None-Match: w/"a"`, strong, Perform, Perform},
		{`If-None-Match: "b"`, strong, Perform, Perform},
		{`If-None-Match: "b", W/"a"`, strong, NotModified, PreconditionFailed},
		{"If-None-Match: \"b\"\nIf-None-Match: \"a\"", strong, NotModified, PreconditionFailed},
		{`If-None-Match: *`, strong, NotModified, PreconditionFailed},
		{`If-None-Match: a`, strong, Perform, Perform},
		{`If-None-Match: ""`, Validators{ETag: `""`}, NotModified, PreconditionFailed},
		{`If-None-Match: "a"`, none, Perform, Perform},
		{"If-None-Match: \"a\x80\"", Validators{ETag: "\"a\x80\""}, NotModified, PreconditionFailed},
		{"If-Modified-Since: " + date, strong, NotModified, Perform},
		{"If-Modified-Since: " + after, strong, NotModified, Perform},
		{"If-Modified-Since: " + before, strong, Perform, Perform},
		{"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", strong, NotModified, Perform},
		{"If-Modified-Since: Sun Nov  6 08:49:37 1994", strong, NotModified, Perform},
		{"If-Modified-Since: yesterday", strong, Perform, Perform},
		{"If-Modified-Since: " + date + "; length=9", strong, Perform, Perform},
		{"If-Modified-Since: " + date + "\nIf-Modified-Since: " + date, strong, Perform, Perform},
		{"If-Modified-Since: " + date, tagOnly, Perform, Perform},
		{"If-Unmodified-Since: " + date, strong, Perform, Perform},
		{"If-Unmodified-Since: " + after, strong, Perform, Perform},
		{"If-Unmodified-Since: " + before, strong, PreconditionFailed, PreconditionFailed},
		{"If-Unmodified-Since: Sun Nov  6 08:49:36 1994", strong, PreconditionFailed, PreconditionFailed},
		{"If-Unmodified-Since: never", strong, Perform, Perform},
		{"If-Unmodified-Since: " + before + "\nIf-Unmodified-Since: " + before, strong, Perform, Perform},
		{"If-Unmodified-Since: " + before, tagOnly, Perform, Perform},
		{"If-Match: \"a\"\nIf-Unmodified-Since: " + before, strong, Perform, Perform},
		{"If-Match: \"b\"\nIf-Unmodified-Since: " + after, strong, PreconditionFailed, PreconditionFailed},
		{"If-None-Match: \"b\"\nIf-Modified-Since: " + date, strong, Perform, Perform},
		{"If-None-Match: \"a\"\nIf-Modified-Since: " + before, strong, NotModified, PreconditionFailed},
		{"If-Match: \"b\"\nIf-None-Match: \"a\"", strong, PreconditionFailed, PreconditionFailed},
		{"If-Match: \"a\"\nIf-None-Match: \"a\"", strong, NotModified, PreconditionFailed},
		{"If-Unmodified-Since: " + before + "\nIf-Modified-Since: " + after, strong, PreconditionFailed, PreconditionFailed},
		{"If-Unmodified-Since: " + date + "\nIf-Modified-Since: " + date, dateOnly, NotModified, Perform},
	} {
		conditions := conditionsOf(t, c.fields)
		if got := conditions.Evaluate(true, true, &c.v, exampleDate); got != c.get {
			t.Errorf("GET with %q of %+v: %d, want %d", c.fields, c.v, got, c.get)
		}
		if got := conditions.Evaluate(false, true, &c.v, exampleDate); got != c.put {
			t.Errorf("PUT with %q of %+v: %d, want %d", c.fields, c.v, got, c.put)
		}
	}
}

// What does not exist matches no "*".
func TestEvaluateWithoutRepresentation(t *testing.T) {
	for fields, want := range map[string]Verdict{
		"If-Match: *":         PreconditionFailed,
		`If-Match: "a"`:       PreconditionFailed,
		"If-None-Match: *":    Perform,
		`If-None-Match: "a"`:  Perform,
		"If-Modified-Since: ": Perform,
	} {
		c := conditionsOf(t, fields)
		if got := c.Evaluate(false, false, new(Validators), exampleDate); got != want {
			t.Errorf("%q: %d, want %d", fields, got, want)
		}
	}
}

func TestRangeApplies(t *testing.T) {
	const date = "Sun, 06 Nov 1994 08:49:37 GMT"
	strong := Validators{ETag: `"a"`, Modified: exampleDate, HasModified: true}
	weak := Validators{ETag: `W/"a"`, Modified: exampleDate, HasModified: true, Young: true}
	wed := Validators{ETag: `"a"`, Modified: exampleDate + 3*86400, HasModified: true}
	for _, c := range []struct {
		ifRange string
		v       Validators
		want    bool
	}{
		{"", strong, true},
		{`"a"`, strong, true},
		{`W/"a"`, strong, false},
		{`"b"`, strong, false},
		{`"a"`, weak, false},
		{`W/"a"`, weak, false},
		{`"a", "a"`, strong, false},
		{`a`, strong, false},
		{`*`, strong, false},
		{date, strong, true},
		{"Sunday, 06-Nov-94 08:49:37 GMT", strong, true},
		{"Wed, 09 Nov 1994 08:49:37 GMT", wed, true},
		{"Sun, 06 Nov 1994 08:49:38 GMT", strong, false},
		{"Sun, 06 Nov 1994 08:49:36 GMT", strong, false},
		{date, weak, false},
		{date, Validators{ETag: `"a"`}, false},
		{`"a"`, Validators{}, false},
	} {
		fields := "Range: bytes=0-1"
		if c.ifRange != "" {
			fields += "\nIf-Range: " + c.ifRange
		}
		conditions := conditionsOf(t, fields)
		if got := conditions.RangeApplies(&c.v, exampleDate); got != c.want {
			t.Errorf("%q of %+v: %v", c.ifRange, c.v, got)
		}
	}
	for _, fields := range []string{"", "If-Range: \"a\"", "Range: bytes=0-1\nRange: bytes=0-1",
		"Range: bytes=0-1\nIf-Range: \"a\"\nIf-Range: \"a\""} {
		c := conditionsOf(t, fields)
		if c.RangeApplies(&strong, exampleDate) {
			t.Errorf("%q: a range applies", fields)
		}
	}
}

// conditionsOf parses a request with these field lines.
func conditionsOf(t *testing.T, fields string) Conditions {
	t.Helper()
	text := "GET / HTTP/1.1\r\nHost: a\r\n"
	if fields != "" {
		text += strings.ReplaceAll(fields, "\n", "\r\n") + "\r\n"
	}
	var p Parser
	h := new(Head)
	if n, err := p.Parse(h, []byte(text+"\r\n"), nil); err != nil || n == 0 {
		t.Fatalf("%q: %d bytes, %v", fields, n, err)
	}
	c := h.Conditions()
	if fields == "" && !c.None() {
		t.Errorf("no fields, but %+v", c)
	}
	return c
}

func TestValidETag(t *testing.T) {
	for tag, want := range map[string]bool{
		`"a"`: true, `W/"a"`: true, `""`: true, `"a b"`: false, `a`: false, `"a`: false, `"a""`: false, `w/"a"`: false,
		` "a"`: false, `"a" `: false, "\"a\n\"": false, `"a,b"`: true, ``: false,
	} {
		if ValidETag(tag) != want {
			t.Errorf("%q: %v", tag, !want)
		}
	}
}

// A date that both read is the same for net/http, apart from the century of two digits and wrong weekdays, which it knows
// nothing of.
func FuzzParseDate(f *testing.F) {
	f.Add("Sun, 06 Nov 1994 08:49:37 GMT")
	f.Add("Sunday, 06-Nov-94 08:49:37 GMT")
	f.Add("Sun Nov  6 08:49:37 1994")
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := ParseDate([]byte(in), exampleDate)
		want, err := http.ParseTime(in)
		if !ok || err != nil {
			return
		}
		if years := int64(100) * 366 * 86400; got != want.Unix() && (in[3] == ',' || in[3] == ' ' || got < want.Unix()-years || got > want.Unix()+years) {
			t.Errorf("%q: got %v, net/http has %v", in, time.Unix(got, 0).UTC(), want)
		}
	})
}

// Whatever the fields are, a weak match is no less than a strong one, and joined lines are a list.
func FuzzConditions(f *testing.F) {
	f.Add(`"a"`, `W/"b", "c"`)
	f.Add(`*`, `"a" x`)
	f.Fuzz(func(t *testing.T, a, b string) {
		if !IsFieldValue([]byte(a)) || !IsFieldValue([]byte(b)) {
			return
		}
		a, b = TrimBlanks(a), TrimBlanks(b)
		for _, tag := range []string{a, b, `"a"`} {
			if !ValidETag(tag) {
				continue
			}
			v := Validators{ETag: tag}
			strong := Conditions{IfMatch: []byte(b)}
			weak := Conditions{IfNoneMatch: []byte(b)}
			matches := strong.Evaluate(true, true, &v, 0) == Perform
			if matches && weak.Evaluate(true, true, &v, 0) != NotModified {
				t.Errorf("%q matches %q strongly, but not weakly", b, tag)
			}
			var s conditionScan
			s.add([]byte("If-None-Match"), []byte(a))
			s.add([]byte("if-none-match"), []byte(b))
			joined := Conditions{IfNoneMatch: []byte(a + ", " + b)}
			if s.Evaluate(true, true, &v, 0) != joined.Evaluate(true, true, &v, 0) {
				t.Errorf("lines %q and %q are not the list of both for %q", a, b, tag)
			}
		}
	})
}
