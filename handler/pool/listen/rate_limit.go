package listen

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// rateLimitName is the option with the rate of a client's requests. Its table comes as entries of their own.
const rateLimitName = "rate_limit"

// Bounds of a rate limit. A client that has used its burst must not have to wait for longer than the table is there.
const (
	rateMax     = 1e6       // requests or connections per second: more than a client can send
	burstMax    = 1_000_000 // of them
	recoveryMax = 86400     // seconds until a burst is recovered
)

// rateLimitOptions are the values of the table.
var rateLimitOptions = map[string]func(r *RateLimit, v value) error{
	"rate":  func(r *RateLimit, v value) (err error) { r.Rate, err = v.rate("requests"); return },
	"burst": func(r *RateLimit, v value) (err error) { r.Burst, err = v.integer(1, burstMax); return },
	"key":   setRateKey,
}

func (o *Options) setRateLimit(name string, v value) error {
	if o.RateLimit == nil {
		o.RateLimit = &RateLimit{Key: "ip"}
	}
	set := rateLimitOptions[name]
	if set == nil {
		return unknown("option of rate_limit:", name, slices.Collect(maps.Keys(rateLimitOptions)))
	}
	if err := set(o.RateLimit, v); err != nil {
		return fmt.Errorf("option rate_limit: %s: %w", name, err)
	}
	return nil
}

// rate is how many of something may come in a second.
func (v value) rate(of string) (float64, error) {
	rate, err := v.number()
	if err == nil && (rate <= 0 || rate > rateMax) {
		err = fmt.Errorf("%v is not a number of %s per second up to %d", rate, of, int(rateMax))
	}
	return rate, err
}

// checkRecovery refuses a burst that takes too long to be recovered.
func checkRecovery(option, of string, rate float64, burst int) error {
	if float64(burst)/rate > recoveryMax {
		return fmt.Errorf("option %s: a burst of %d takes longer than a day to recover at %v %s per second", option, burst, rate, of)
	}
	return nil
}

func setRateKey(r *RateLimit, v value) (err error) {
	if r.Key, err = v.str(); err == nil && r.Key != "ip" {
		err = errors.New(`is "ip"`)
	}
	return err
}

// checkRateLimit completes the option, and checks what it needs.
func (s *Spec) checkRateLimit() error {
	r := s.Options.RateLimit
	switch {
	case r == nil:
		return nil
	case r.Rate == 0:
		return errors.New("option rate_limit: rate is missing")
	case !slices.ContainsFunc(s.Listeners, func(l Listener) bool { return l.HTTP != nil }):
		return errors.New("option rate_limit: no listener of the pool has an HTTP handler")
	}
	r.Burst = cmp.Or(r.Burst, max(1, int(r.Rate)))
	return checkRecovery(rateLimitName, "requests", r.Rate, r.Burst)
}
