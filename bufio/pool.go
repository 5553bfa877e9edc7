package bufio

import (
	"math/bits"
	"sync"
	"unsafe"
)

const (
	// ScratchSize is the size of the read buffer that all Inputs of a Pool share, in bytes.
	ScratchSize = 64 << 10

	// Buffers come in classes of 4, 16, 64, 128 and 256 KiB. Larger ones are allocated when needed and not kept. Go clears what it
	// allocates, so a class that is much larger than what it is taken for costs time, too.
	classes      = 5
	minClassBits = 12
	maxClassSize = 256 << 10
)

// classSizes are the sizes of the classes.
var classSizes = [classes]int{1 << minClassBits, 16 << 10, 64 << 10, 128 << 10, maxClassSize}

// keptMax is how many free buffers of each class a Pool keeps, 8 MiB in total: enough for a loop with a few hundred
// busy connections to run without allocation, and little enough to keep after a peak. The rest goes to spare, or to the garbage
// collector.
var keptMax = [classes]int{256, 128, 32, 12, 6}

// spare has further buffers of the classes from spareFrom on, of all Pools. The garbage collector takes those that nobody has needed
// for one or two cycles. During a peak, allocating and clearing them again and again would take a tenth of the time.
var spare [classes]sync.Pool

// spareFrom is the class of 64 KiB.
const spareFrom = 2

// poison makes put overwrite freed buffers, so that tests notice a view that has outlived its buffer.
var poison = false

const poisonByte = 0xDB

// Pool is the buffer memory of one loop: the shared scratch buffer, and free buffers of five sizes.
type Pool struct {
	scratch []byte
	reader  *Input // the Input that uses scratch, or nil
	free    [classes][][]byte
	inUse   int  // buffers handed out
	check   bool // see Poison
}

// NewPool returns a pool without free buffers. It allocates ScratchSize bytes at once.
func NewPool() *Pool {
	p := &Pool{scratch: make([]byte, ScratchSize)}
	for class := range p.free {
		p.free[class] = make([][]byte, 0, keptMax[class])
	}
	return p
}

// Poison makes the pool overwrite buffers when they are given back, so that views which have outlived them show. It is for tests.
func (p *Pool) Poison() { p.check = true }

// InUse returns the number of buffers that Inputs and Outputs currently hold, not counting the scratch buffer.
func (p *Pool) InUse() int { return p.inUse }

// get returns a buffer of at least n bytes with arbitrary contents.
func (p *Pool) get(n int) []byte {
	p.inUse++
	size := roundUp(n)
	if size > maxClassSize {
		return make([]byte, size)
	}
	class := classOf(size)
	free := p.free[class]
	if len(free) == 0 {
		if b, ok := spare[class].Get().(*byte); ok {
			return unsafe.Slice(b, size)
		}
		return make([]byte, size)
	}
	last := len(free) - 1
	b := free[last]
	free[last] = nil
	p.free[class] = free[:last]
	return b
}

// put takes back a buffer that get returned.
func (p *Pool) put(b []byte) {
	p.inUse--
	if poison || p.check {
		overwrite(b)
	}
	if len(b) > maxClassSize {
		return
	}
	class := classOf(len(b))
	if len(p.free[class]) < keptMax[class] {
		p.free[class] = append(p.free[class], b)
	} else if class >= spareFrom {
		spare[class].Put(unsafe.SliceData(b))
	}
}

// isScratch reports whether b is the scratch buffer.
func (p *Pool) isScratch(b []byte) bool { return unsafe.SliceData(b) == unsafe.SliceData(p.scratch) }

// leaveScratch ends the use of scratch by its reader.
func (p *Pool) leaveScratch() {
	p.reader = nil
	if poison || p.check {
		overwrite(p.scratch)
	}
}

func classSize(class int) int { return classSizes[class] }

// classOf returns the smallest class with buffers of at least n bytes, n ≤ maxClassSize.
func classOf(n int) int {
	switch {
	case n <= 1<<minClassBits:
		return 0
	case n <= 64<<10:
		return (bits.Len(uint(n-1)) - minClassBits + 1) / 2
	case n <= 128<<10:
		return classes - 2
	}
	return classes - 1
}

// roundUp returns the size of the buffer that get returns for n bytes: that of a class, or above the classes a multiple
// of the largest.
func roundUp(n int) int {
	if n <= maxClassSize {
		return classSize(classOf(n))
	}
	return (n + maxClassSize - 1) &^ (maxClassSize - 1)
}

func overwrite(b []byte) {
	for i := range b {
		b[i] = poisonByte
	}
}
