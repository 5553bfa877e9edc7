package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// garbageMin is how many bytes may be allocated between two collections, however little memory is in use. Go's own minimum is 4 MiB,
	// which a hundred TLS handshakes fill: then collections take a fifth of the processor time of a server that has little else.
	garbageMin = 16 << 20
	// percentMax bounds what is asked of Go for that.
	percentMax     = 800
	percentDefault = 100

	// While less than quietMax is allocated in the time between two looks, nothing is going on that leaves garbage. If there is giveBackMin of
	// it then, it is given back to the system: the next collection may be far away, and connections that stay idle would seem to need twice
	// the memory until then.
	quietLook   = time.Second
	quietMax    = 1 << 20
	giveBackMin = 8 << 20
)

// collector keeps the garbage collector from running too often: it begins, as usual, when as much was allocated as is in use, but not
// before it is garbageMin. After a burst it has what was left collected.
type collector struct {
	percent atomic.Int64 // what Go was told last
	over    atomic.Bool

	looks     *time.Timer // armed by a collection, and then as long as much is allocated
	mu        sync.Mutex
	allocated uint64 // bytes of objects, since the start of the process, at the last look; under mu
}

// collected is garbage from the start: its finalizer runs after each collection.
type collected struct{ by *collector }

// tuneCollector does so from now on. With GOGC or GOMEMLIMIT in the environment, it is the operator who decides: then it returns nil.
func tuneCollector() *collector {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	c := &collector{}
	c.looks = time.AfterFunc(quietLook, c.look)
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
	o.by.looks.Reset(quietLook)
	runtime.SetFinalizer(o, (*collected).again)
}

// look gives garbage back when it is quiet.
func (c *collector) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over.Load() {
		return
	}
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	heap, live, allocated := s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64()
	switch was := c.allocated; { // not how the heap has grown: it is smaller after a collection, however busy the server is
	case allocated > was+quietMax:
		c.looks.Reset(quietLook)
	case heap > live+giveBackMin:
		debug.FreeOSMemory()
	}
	c.allocated = allocated
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
		c.looks.Stop()
		debug.SetGCPercent(percentDefault)
	}
}
