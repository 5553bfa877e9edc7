package backend

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// A refusal has a status of its own, whatever its error is wrapped in.
func TestRefusalOf(t *testing.T) {
	for _, c := range []struct {
		err        error
		status     int
		retryAfter time.Duration
	}{
		{&TooMany{RetryAfter: 3 * time.Second}, 429, 3 * time.Second},
		{ErrHeadTooLarge, 431, 0},
		{ErrBodyTooLarge, 413, 0},
		{ErrQueueFull, 503, time.Second},
		{ErrNoWorker, 503, time.Second},
		{ErrStopped, 503, time.Second},
		{errors.New("another"), 500, 0},
	} {
		for _, err := range []error{c.err, fmt.Errorf("pool 1: %w", c.err)} {
			if status, retryAfter := RefusalOf(err); status != c.status || retryAfter != c.retryAfter {
				t.Errorf("%v: %d after %v, want %d after %v", err, status, retryAfter, c.status, c.retryAfter)
			}
		}
	}
}
