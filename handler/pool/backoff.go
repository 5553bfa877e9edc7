package pool

import "time"

// backoff is the pause before the fork server is started again: it doubles as long as the fork server does not live for
// a while.
type backoff struct{ next time.Duration }

const (
	backoffFirst = 100 * time.Millisecond
	backoffMax   = 30 * time.Second
	backoffReset = time.Minute // of life: what ended then is not what ended before
)

// pause is how long to wait after a life of the given length.
func (b *backoff) pause(lived time.Duration) time.Duration {
	if lived >= backoffReset || b.next == 0 {
		b.next = backoffFirst
	}
	p := b.next
	b.next = min(2*b.next, backoffMax)
	return p
}
