package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

const (
	// garbageMin is how many bytes may be allocated between two collections, however little memory is in use. Go's own minimum is 4 MiB,
	// which a hundred TLS handshakes fill: then collections take a fifth of the processor time of a server that has little else.
	garbageMin = 16 << 20
	// percentMax bounds what is asked of Go for that.
	percentMax     = 800
	percentDefault = 100
)

// collector keeps the garbage collector from running too often: it begins, as usual, when as much was allocated as is in use, but not
// before it is garbageMin.
type collector struct {
	percent atomic.Int64 // what Go was told last
	over    atomic.Bool
}

// collected is garbage from the start: its finalizer runs after each collection.
type collected struct{ by *collector }

// tuneCollector does so from now on. With GOGC or GOMEMLIMIT in the environment, it is the operator who decides: then it returns nil.
func tuneCollector() *collector {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	c := &collector{}
	c.percent.Store(percentDefault)
	c.adjust()
	runtime.SetFinalizer(&collected{c}, (*collected).again)
	return c
}

// again is called on the goroutine of finalizers.
func (o *collected) again() {
	if o.by.over.Load() {
		return
	}
	o.by.adjust()
	runtime.SetFinalizer(o, (*collected).again)
}

// adjust tells Go what is right for the memory that is in use, if that is another value by more than a fifth: to tell it stops all goroutines for a
// moment.
func (c *collector) adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	want, is := percentFor(live[0].Value.Uint64()), c.percent.Load()
	if want > is+is/5 || want < is-is/5 || want == percentDefault && is != want {
		c.percent.Store(want)
		debug.SetGCPercent(int(want))
	}
}

// percentFor is how much may be allocated until the next collection, as a percentage of what is in use.
func percentFor(live uint64) int64 {
	return int64(min(max(garbageMin*100/max(live, 1), percentDefault), percentMax))
}

// end leaves the collector to Go.
func (c *collector) end() {
	if c != nil && !c.over.Swap(true) {
		debug.SetGCPercent(percentDefault)
	}
}
