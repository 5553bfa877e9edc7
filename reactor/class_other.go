//go:build !linux

package reactor

// enterBatch does nothing: other systems have no such class.
func enterBatch() (leave func(), err error) { return func() {}, nil }
