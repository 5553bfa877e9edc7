package cache

import "time"

// use is what a stored response may be used for.
type use uint8

const (
	useNothing  use = iota // neither for an answer nor for a validation
	useValidate            // it has to be validated; or it answers if that fails, within stale-if-error
	useStale               // it answers, though it is stale: the client wants that (max-stale)
	useRefresh             // it answers, though it is stale, and is refreshed meanwhile (stale-while-revalidate)
	useFresh               // it answers
)

// freshness is how long a stored response may be used for what. Times are in nanoseconds on the loop's clock.
type freshness struct {
	born       int64 // when its age was 0
	lifetime   int64 // how long it is fresh
	whileStale int64 // how long after that it answers while it is refreshed
	ifError    int64 // how long after that it answers if it cannot be refreshed
	obeysMax   bool  // max-stale of a request counts
	authorized bool  // it may answer requests with Authorization
	validated  bool  // it can be validated
}

// newFreshness is that of a response that comes at now.
func newFreshness(f *facts, now int64) freshness {
	c := &f.control
	r := freshness{
		born: now - seconds(f.age), lifetime: seconds(f.lifetime),
		authorized: c.allowsAuthorized(), validated: f.validated(),
	}
	if c.allowsStale() {
		r.whileStale, r.ifError = seconds(c.staleWhileRevalidate), seconds(c.staleIfError)
		r.obeysMax = c.sMaxAge == notGiven
	}
	return r
}

func seconds(n int64) int64 { return max(0, n) * int64(time.Second) }

// age is how old the response is at now, in nanoseconds.
func (f *freshness) age(now int64) int64 { return max(0, now-f.born) }

// use decides what the response may be used for (RFC 9111 §4, §4.2.4, §5.2.1).
func (f *freshness) use(c *requestControl, authorized bool, now int64) use {
	age := f.age(now)
	left := f.lifetime - age // if negative, it has been stale for that time
	switch {
	case authorized && !f.authorized:
		return useNothing
	case c.noCache, c.maxAge == 0, c.maxAge != notGiven && age > seconds(c.maxAge), c.minFresh != notGiven && left < seconds(c.minFresh):
		return f.otherwise(now)
	case left > 0:
		return useFresh
	case -left < f.whileStale:
		return useRefresh
	case f.obeysMax && c.maxStale != notGiven && -left < seconds(c.maxStale):
		return useStale
	}
	return f.otherwise(now)
}

// otherwise is what a response may be used for that must not answer without a validation.
func (f *freshness) otherwise(now int64) use {
	if f.validated || f.answersErrors(now) {
		return useValidate
	}
	return useNothing
}

// answersErrors reports whether the response may answer because the backend fails (RFC 5861 §4).
func (f *freshness) answersErrors(now int64) bool {
	return f.ifError > 0 && f.age(now) < f.lifetime+f.ifError
}

// spent reports whether the response is of no use any more, whatever a client asks for.
func (f *freshness) spent(now int64) bool {
	return !f.validated && !f.obeysMax && f.age(now) >= f.lifetime+max(f.whileStale, f.ifError)
}
