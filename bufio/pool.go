package bufio

import (
	"math/bits"
	"unsafe"
)

const (
	// ScratchSize is the size of the read buffer that all Inputs of a Pool share, in bytes.
	ScratchSize = 64 << 10

	// Buffers come in classes of 4, 16, 64 and 256 KiB. Larger ones are allocated when needed and not kept.
	classes      = 4
	minClassBits = 12
	maxClassSize = 1 << (minClassBits + 2*(classes-1))
)

// keptMax is how many free buffers of each class a Pool keeps, 7 MiB in total: enough for a loop with a few hundred
// busy connections to run without allocation, and little enough to keep after a peak. The rest goes to the garbage
// collector.
var keptMax = [classes]int{256, 128, 32, 8}

// poison makes put overwrite freed buffers, so that tests notice a view that has outlived its buffer.
var poison = false

const poisonByte = 0xDB

// Pool is the buffer memory of one loop: the shared scratch buffer, and free buffers of four sizes.
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

func classSize(class int) int { return 1 << (minClassBits + 2*class) }

// classOf returns the smallest class with buffers of at least n bytes, n ≤ maxClassSize.
func classOf(n int) int {
	if n <= 1<<minClassBits {
		return 0
	}
	return (bits.Len(uint(n-1)) - minClassBits + 1) / 2
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
