package shm

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// All pointer arithmetic on the mappings is in this file.

// view is the T at offset off of a mapping. If that is not inside the mapping the program has a bug: numbers of a worker
// never become offsets unchecked.
func view[T any](b []byte, off uint64) *T { return &views[T](b, off, 1)[0] }

// views are n values of type T, starting at offset off.
func views[T any](b []byte, off, n uint64) []T {
	var t T
	size := uint64(unsafe.Sizeof(t))
	if n == 0 || off%uint64(unsafe.Alignof(t)) != 0 || off > uint64(len(b)) || (uint64(len(b))-off)/size < n {
		panic(fmt.Sprintf("shm: view of %d × %d bytes at %d of %d", n, size, off, len(b)))
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[off])), int(n))
}

// windowAt is n bytes at offset off, with no room to grow.
func windowAt(b []byte, off uint64, n uint32) []byte {
	return b[off : off+uint64(n) : off+uint64(n)]
}

// index checks an index that comes from our own code.
func index(i int, n uint32) uint64 {
	if uint(i) >= uint(n) {
		panic(fmt.Sprintf("shm: index %d of %d", i, n))
	}
	return uint64(i)
}

// InLoop is loop l's part of the in segment.
func (m *Memory) InLoop(l int) *InLoop {
	return view[InLoop](m.in.b, m.h.InLoops+index(l, m.h.Loops)*m.h.InLoopStride)
}

// queue is the entries of loop l's queue.
func (m *Memory) queue(l int) []atomic.Uint32 {
	at := m.h.InLoops + index(l, m.h.Loops)*m.h.InLoopStride + uint64(unsafe.Sizeof(InLoop{}))
	return views[atomic.Uint32](m.in.b, at, uint64(m.h.QueueCap))
}

// InWorker is what the server tells the worker in a slot.
func (m *Memory) InWorker(slot int) *InWorker {
	return view[InWorker](m.in.b, m.h.InWorkers+index(slot, m.h.Workers)*m.h.InWorkerStride)
}

// InCell is the server's half of a cell, and its in-window.
func (m *Memory) InCell(l, cell int) (*InCell, []byte) {
	at := m.h.InCells + (index(l, m.h.Loops)*uint64(m.h.Cells)+index(cell, m.h.Cells))*m.h.InCellStride
	return view[InCell](m.in.b, at), windowAt(m.in.b, at+uint64(unsafe.Sizeof(InCell{})), m.h.InWindow)
}

// OutLoop is loop l's part of the out segment.
func (m *Memory) OutLoop(l int) *OutLoop {
	return view[OutLoop](m.out.b, m.h.OutLoops+index(l, m.h.Loops)*m.h.OutLoopStride)
}

// Ready is the ready bitmap of loop l. Bits beyond the last cell mean nothing.
func (m *Memory) Ready(l int) []atomic.Uint64 {
	at := m.h.OutLoops + index(l, m.h.Loops)*m.h.OutLoopStride + uint64(unsafe.Sizeof(OutLoop{}))
	return views[atomic.Uint64](m.out.b, at, uint64(readyWords(m.h.Cells)))
}

// OutWorker is what the worker in a slot tells the server.
func (m *Memory) OutWorker(slot int) *OutWorker {
	return view[OutWorker](m.out.b, m.h.OutWorkers+index(slot, m.h.Workers)*m.h.OutWorkerStride)
}

// OutCell is the worker's half of a cell, and its out-window.
func (m *Memory) OutCell(l, cell int) (*OutCell, []byte) {
	at := m.h.OutCells + (index(l, m.h.Loops)*uint64(m.h.Cells)+index(cell, m.h.Cells))*m.h.OutCellStride
	return view[OutCell](m.out.b, at), windowAt(m.out.b, at+uint64(unsafe.Sizeof(OutCell{})), m.h.OutWindow)
}

// Bytes is a value as its bytes in memory, for messages and heads. T must not contain pointers.
func Bytes[T any](t *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(t)), int(unsafe.Sizeof(*t)))
}

// sliceBytes is Bytes for a slice.
func sliceBytes[T any](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	var t T
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(t)))
}
