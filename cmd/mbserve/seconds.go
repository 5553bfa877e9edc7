package main

import (
	"fmt"
	"strconv"
	"time"
)

// seconds is the value of an option that is a duration: a number of seconds, or a number with a unit, such as 500ms or
// 2m.
type seconds time.Duration

// secondsMax leaves room for what is added to it.
const secondsMax = 1_000_000_000

var errSeconds = fmt.Errorf("not between 0 and %d seconds", secondsMax)

func (s *seconds) Set(text string) error {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		if !(n >= 0 && n <= secondsMax) {
			return errSeconds
		}
		*s = seconds(n * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("not a number of seconds")
	}
	if d > secondsMax*time.Second {
		return errSeconds
	}
	*s = seconds(d)
	return nil
}

func (s *seconds) String() string {
	return strconv.FormatFloat(time.Duration(*s).Seconds(), 'g', -1, 64)
}

func (s *seconds) Type() string { return "SECONDS" }
