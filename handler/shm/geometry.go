package shm

import (
	"fmt"
	"math/bits"
	"unsafe"
)

// Geometry is what a pool decides about its memory. Windows are in bytes.
type Geometry struct {
	Loops     int // 1 … 248
	Workers   int // worker slots, 1 … 8192
	Cells     int // of each loop, 1 … 65536
	InWindow  int // power of two, 64 … 16 MiB
	OutWindow int // power of two, 64 … 16 MiB
}

const (
	line     = 64  // bytes of a cache line
	linePair = 128 // lines are fetched in pairs
	// A message carries at most 253 descriptors (SCM_MAX_FD): one doorbell per loop, and five others.
	loopsMax  = 248
	windowMin = 64
	windowMax = 16 << 20
)

func (g Geometry) check() error {
	switch {
	case g.Loops < 1 || g.Loops > loopsMax:
		return fmt.Errorf("shared memory: %d loops: not in 1 … %d", g.Loops, loopsMax)
	case g.Workers < 1 || g.Workers > 8192:
		return fmt.Errorf("shared memory: %d workers: not in 1 … 8192", g.Workers)
	case g.Cells < 1 || g.Cells > 65536:
		return fmt.Errorf("shared memory: %d cells: not in 1 … 65536", g.Cells)
	case !window(g.InWindow) || !window(g.OutWindow):
		return fmt.Errorf("shared memory: windows of %d and %d bytes: not powers of two in %d … %d",
			g.InWindow, g.OutWindow, windowMin, windowMax)
	}
	return nil
}

func window(n int) bool { return n >= windowMin && n <= windowMax && n&(n-1) == 0 }

// header computes where everything is.
func (g Geometry) header() (Header, error) {
	if err := g.check(); err != nil {
		return Header{}, err
	}
	h := Header{
		Magic: Magic, Version: Version,
		Loops: uint32(g.Loops), Workers: uint32(g.Workers), Cells: uint32(g.Cells),
		InWindow: uint32(g.InWindow), OutWindow: uint32(g.OutWindow),
		// Twice as many entries as cells: positions of cancelled exchanges stay in the queue until it has moved past them,
		// while their cells are used again.
		QueueCap: 1 << bits.Len(uint(2*g.Cells-1)),
	}
	cells := uint64(g.Loops) * uint64(g.Cells)

	in := place{}
	in.skip(roundUp(uint64(unsafe.Sizeof(h)), linePair))
	h.InLoopStride = roundUp(uint64(unsafe.Sizeof(InLoop{}))+4*uint64(h.QueueCap), linePair)
	h.InLoops = in.skip(uint64(g.Loops) * h.InLoopStride)
	h.InWorkerStride = roundUp(uint64(unsafe.Sizeof(InWorker{})), linePair)
	h.InWorkers = in.skip(uint64(g.Workers) * h.InWorkerStride)
	h.InCellStride = cellStride(uint64(unsafe.Sizeof(InCell{})), g.InWindow)
	h.InCells = in.skip(cells * h.InCellStride)
	h.InSize = roundUp(in.end, pageSize)

	out := place{}
	h.OutLoopStride = roundUp(uint64(unsafe.Sizeof(OutLoop{}))+8*uint64(readyWords(h.Cells)), linePair)
	h.OutLoops = out.skip(uint64(g.Loops) * h.OutLoopStride)
	h.OutWorkerStride = roundUp(uint64(unsafe.Sizeof(OutWorker{})), linePair)
	h.OutWorkers = out.skip(uint64(g.Workers) * h.OutWorkerStride)
	h.OutCellStride = cellStride(uint64(unsafe.Sizeof(OutCell{})), g.OutWindow)
	h.OutCells = out.skip(cells * h.OutCellStride)
	h.OutSize = roundUp(out.end, pageSize)
	return h, nil
}

// pageSize is a multiple of every page size in use.
const pageSize = 64 << 10

// place hands out room, one array after another.
type place struct{ end uint64 }

func (p *place) skip(n uint64) (at uint64) {
	at = p.end
	p.end += n
	return at
}

// cellStride is an odd number of lines: with a power of two the control blocks of all cells would share the few sets of
// the caches that such addresses map to.
func cellStride(ctl uint64, window int) uint64 {
	lines := (ctl + uint64(window) + line - 1) / line
	return (lines | 1) * line
}

func roundUp(n, to uint64) uint64 { return (n + to - 1) / to * to }

// readyWords is the number of words of a ready bitmap.
func readyWords(cells uint32) int { return int(cells+63) / 64 }
