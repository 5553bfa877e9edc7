package cache

import (
	"slices"
	"strings"

	"moonbridge/httpparse"
)

// facts is what a response head says about keeping the response.
type facts struct {
	status  int
	control responseControl

	lifetime  int64 // seconds for which the response is fresh, or notGiven
	age       int64 // seconds that it is old when it comes
	varies    []string
	varyAll   bool // Vary: *
	setCookie bool
	dated     bool // there is a valid Date

	etag         string
	modified     int64 // of Last-Modified, in seconds since 1970
	lastModified string
	young        bool             // Last-Modified is not before Date: within that second there may be another version
	coding       httpparse.Coding // Content-Encoding
	codings      int              // how many content codings there are; 2 stands for all that cannot be judged
}

// varyFieldsMax bounds how many fields Vary names: they are compared in each lookup.
const varyFieldsMax = 16

// readFacts reads a response head that comes at wall, in seconds since 1970.
func readFacts(h *httpparse.ResponseHead, wall int64) facts {
	f := facts{status: h.Status, control: newResponseControl(), lifetime: notGiven}
	var s headScan
	for _, line := range h.Fields {
		s.field(&f, h.Name(line), h.Value(line))
	}
	f.resolve(&s, wall)
	slices.Sort(f.varies)
	f.varies = slices.Compact(f.varies)
	return f
}

// headScan holds values of a head that are judged together.
type headScan struct{ date, expires, age, modified []byte }

// field takes one field line into account. Of Date, Expires and Age the first line counts.
func (s *headScan) field(f *facts, name, value []byte) {
	switch {
	case is(name, "cache-control"):
		f.control.add(value)
	case is(name, "date"):
		first(&s.date, value)
	case is(name, "expires"):
		first(&s.expires, value)
	case is(name, "age"):
		first(&s.age, value)
	case is(name, "last-modified"):
		first(&s.modified, value)
	case is(name, "etag") && f.etag == "":
		f.etag = string(value)
	case is(name, "vary"):
		f.addVary(value)
	case is(name, "set-cookie"), is(name, "set-cookie2"):
		f.setCookie = true
	case is(name, "content-encoding"):
		f.addCoding(value)
	}
}

func first(to *[]byte, value []byte) {
	if *to == nil {
		*to = value[:len(value):len(value)]
	}
}

func (f *facts) addVary(value []byte) {
	for name := range httpparse.Elements(value) {
		if string(name) == "*" || len(f.varies) == varyFieldsMax {
			f.varyAll = true
			return
		}
		f.varies = append(f.varies, strings.ToLower(string(name)))
	}
}

func (f *facts) addCoding(value []byte) {
	for name := range httpparse.Elements(value) {
		coding, known := httpparse.CodingOf(name)
		if f.codings++; !known {
			f.codings = 2
		}
		f.coding = coding
	}
}

// resolve computes the freshness lifetime (RFC 9111 §4.2.1) and the age (§4.2.3) of a response that comes at wall.
func (f *facts) resolve(s *headScan, wall int64) {
	date, ok := httpparse.ParseDate(s.date, wall)
	if f.dated = ok; !ok {
		date = wall
	}
	if t, ok := httpparse.ParseDate(s.modified, wall); ok {
		f.modified, f.lastModified, f.young = t, string(s.modified), t >= date
	}
	switch {
	case f.control.sMaxAge != notGiven:
		f.lifetime = f.control.sMaxAge
	case f.control.maxAge != notGiven:
		f.lifetime = f.control.maxAge
	case s.expires != nil:
		f.lifetime = 0 // an invalid date is in the past (§5.3)
		if t, ok := httpparse.ParseDate(s.expires, wall); ok {
			f.lifetime = min(max(0, t-date), secondsMax)
		}
	}
	// Date has whole seconds: a response that was made and taken within a second may seem to be one second old.
	if apparent := wall - date; apparent > 1 {
		f.age = min(apparent, secondsMax)
	}
	if n, ok := parseSeconds(ageOf(s.age)); ok {
		f.age = max(f.age, n)
	}
}

// ageOf is the first element of an Age field (§5.1).
func ageOf(value []byte) []byte {
	list := httpparse.NewList(value)
	element, _ := list.Next()
	return element
}

// validated reports whether the wrapped backend can be asked if the response has changed.
func (f *facts) validated() bool { return f.etag != "" || f.lastModified != "" }

// storable reports whether the response to a GET may be kept (RFC 9111 §3). authorized: the request had Authorization.
func (f *facts) storable(authorized bool) bool {
	c := &f.control
	understood := understands(f.status)
	switch {
	case f.status < 200 || f.status == 206 || f.status == 304:
		return false
	case c.mustUnderstand && !understood:
		return false
	case c.noStore && !c.mustUnderstand, c.private, c.noCache:
		return false
	case f.varyAll, f.setCookie:
		return false
	case authorized && !c.allowsAuthorized():
		return false
	case f.lifetime == notGiven: // nothing is kept by heuristics
		return false
	}
	return f.useful()
}

// useful reports whether the response can be used for anything if it is kept.
func (f *facts) useful() bool {
	if f.age < f.lifetime {
		return true
	}
	return f.control.allowsStale() && f.age < f.lifetime+max(f.control.staleWhileRevalidate, f.control.staleIfError)
}

// allowsAuthorized reports whether a response may be used for requests with Authorization (RFC 9111 §3.5).
func (c *responseControl) allowsAuthorized() bool {
	return c.public || c.mustRevalidate || c.sMaxAge != notGiven
}

// allowsStale reports whether stale-while-revalidate and stale-if-error count. By RFC 9111 §5.2.2.10 s-maxage alone forbids
// stale responses. But a handler that names both means both: the two directives are the exception that it asks for.
func (c *responseControl) allowsStale() bool { return !c.mustRevalidate && !c.proxyRevalidate }

// understands reports whether this cache knows what the status means for caching (§5.2.2.3).
func understands(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 414, 421, 451, 500, 501, 502, 503, 504:
		return true
	}
	return false
}
