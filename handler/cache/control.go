package cache

import (
	"bytes"

	"moonbridge/httpparse"
)

// secondsMax stands for all larger numbers of seconds (RFC 9111 §1.2.2).
const secondsMax = 1 << 31

// notGiven is the number of seconds of a directive that is missing.
const notGiven = -1

// responseControl is what Cache-Control says in a response (RFC 9111 §5.2.2, RFC 5861). Ages are in seconds, or notGiven.
type responseControl struct {
	noStore, noCache, private, public                   bool
	mustRevalidate, proxyRevalidate, mustUnderstand     bool
	maxAge, sMaxAge, staleWhileRevalidate, staleIfError int64
}

// requestControl is what Cache-Control says in a request (RFC 9111 §5.2.1). Ages are in seconds, or notGiven.
type requestControl struct {
	given                          bool // there is such a field
	noStore, noCache, onlyIfCached bool
	maxAge, minFresh, maxStale     int64
}

func newResponseControl() responseControl {
	return responseControl{maxAge: notGiven, sMaxAge: notGiven, staleWhileRevalidate: notGiven, staleIfError: notGiven}
}

func newRequestControl() requestControl {
	return requestControl{maxAge: notGiven, minFresh: notGiven, maxStale: notGiven}
}

// add takes one field line into account.
func (c *responseControl) add(value []byte) {
	for element := range httpparse.Elements(value) {
		c.directive(splitDirective(element))
	}
}

// directive takes one directive into account. no-cache and private count whole, even if they name fields: RFC 9111 §5.2.2.4
// and §5.2.2.7 allow that.
func (c *responseControl) directive(name, value []byte) {
	switch {
	case is(name, "no-store"):
		c.noStore = true
	case is(name, "no-cache"):
		c.noCache = true
	case is(name, "private"):
		c.private = true
	case is(name, "public"):
		c.public = true
	case is(name, "must-revalidate"):
		c.mustRevalidate = true
	case is(name, "proxy-revalidate"):
		c.proxyRevalidate = true
	case is(name, "must-understand"):
		c.mustUnderstand = true
	case is(name, "max-age"):
		least(&c.maxAge, value)
	case is(name, "s-maxage"):
		least(&c.sMaxAge, value)
	case is(name, "stale-while-revalidate"):
		least(&c.staleWhileRevalidate, value)
	case is(name, "stale-if-error"):
		least(&c.staleIfError, value)
	}
}

// add takes one field line into account.
func (c *requestControl) add(value []byte) {
	c.given = true
	for element := range httpparse.Elements(value) {
		c.directive(splitDirective(element))
	}
}

func (c *requestControl) directive(name, value []byte) {
	switch {
	case is(name, "no-store"):
		c.noStore = true
	case is(name, "no-cache"):
		c.noCache = true
	case is(name, "only-if-cached"):
		c.onlyIfCached = true
	case is(name, "max-age"):
		least(&c.maxAge, value)
	case is(name, "min-fresh"):
		least(&c.minFresh, value)
	case is(name, "max-stale") && len(value) == 0:
		c.maxStale = secondsMax
	case is(name, "max-stale"):
		least(&c.maxStale, value)
	}
}

func is(name []byte, lower string) bool { return httpparse.EqualFold(name, lower) }

// splitDirective splits "name=value" or name="value".
func splitDirective(element []byte) (name, value []byte) {
	name, value, _ = bytes.Cut(element, []byte("="))
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	return name, value
}

// least sets an age to that in value. Of several the least counts, and what is not a number counts as 0: a response that
// contradicts itself is stale rather than fresh (RFC 9111 §4.2.1).
func least(age *int64, value []byte) {
	n, _ := parseSeconds(value)
	if *age == notGiven || n < *age {
		*age = n
	}
}

// parseSeconds parses delta-seconds. ok: it is a number.
func parseSeconds(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(10*n+int64(c-'0'), secondsMax)
	}
	return n, len(b) > 0
}
