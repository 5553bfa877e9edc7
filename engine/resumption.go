package engine

// resumption is what a loop goes on with when the other events of its turn have been handled.
type resumption[T any] struct {
	sys    *system
	resume func(T)
	run    func() // all, made once
	due    []T    // waiting for all
	other  []T    // the buffer that due takes turns with
}

func (r *resumption[T]) init(sys *system, resume func(T)) {
	r.sys, r.resume = sys, resume
	r.run = r.all
}

// add makes the loop call resume with e at the end of this turn, or in the next one.
func (r *resumption[T]) add(e T) {
	r.due = append(r.due, e)
	if len(r.due) == 1 {
		r.sys.soon(r.run)
	}
}

func (r *resumption[T]) all() {
	r.due, r.other = r.other[:0], r.due
	for _, e := range r.other {
		r.resume(e)
	}
	clear(r.other)
}
