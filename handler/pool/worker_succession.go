package pool

// succession is how a worker is replaced: another one is forked, and the worker goes on until that one is ready. Under
// Pool.mu.
type succession struct {
	stale     bool    // the worker is to be replaced
	successor *Worker // that was forked to replace it
	replaces  *Worker // that it was forked to replace
}

// replace has w replace an old worker when it is ready.
func (w *Worker) replace(old *Worker) {
	w.succession.replaces = old
	old.succession.successor = w
}
