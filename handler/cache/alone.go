package cache

import "time"

// aloneMax bounds how long an exchange goes on that has no client. One with a client ends with that, or with the limits that
// the engine has for it.
const aloneMax = 60 * time.Second

// blockedMax is how long others wait for a response whose client takes none of it. A client on a slow line often takes nothing for
// a moment: if they did not wait then, all of them would go to the backend.
const blockedMax = 250 * time.Millisecond

// watchBlocked: the client has taken less than it was offered, and the response may be kept.
func (r *run) watchBlocked() {
	if r.filling == nil || r.stall != nil {
		return
	}
	r.stall = r.l.on.After(blockedMax, func() {
		r.stall = nil
		if r.blocked && r.filling != nil {
			wake(r.filling.letGo(), true)
		}
	})
}

// goesAlone: the exchange has no client, and goes on to fill the store.
func (r *run) goesAlone() {
	if r.filling == nil && r.invalidates == nil {
		return
	}
	r.alone = r.l.on.After(aloneMax, func() {
		if r.state == runForward && !r.ended {
			r.failFill(0)
			r.endAlone()
		}
	})
}

// giveUpAlone ends an exchange that has no client, and whose response is not kept, and invalidates nothing more. The backend may be in the middle of a call, so
// it is told later.
func (r *run) giveUpAlone() {
	if r.x == nil && r.capture == nil && r.invalidates == nil {
		r.l.on.Post(r.endAlone)
	}
}

func (r *run) endAlone() {
	if r.state == runForward && r.x == nil && !r.ended {
		r.state = runOver
		r.unwatch()
		r.stopAlone()
		r.inner.Cancel()
	}
}

func (r *run) stopAlone() {
	if r.alone != nil {
		r.alone.Stop()
	}
}
