package shmtest

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// Memory is the two segments as a worker sees them.
type Memory struct {
	h       shm.Header
	in, out []byte
}

// Map maps the segments, in read-only. The files stay the caller's and are not needed afterwards.
func Map(in, out *os.File) (*Memory, error) {
	m := &Memory{}
	var err error
	if m.in, err = mapFile(in, unix.PROT_READ); err != nil {
		return nil, err
	}
	if m.out, err = mapFile(out, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	if len(m.in) < len(shm.Bytes(&m.h)) {
		return nil, errors.Join(fmt.Errorf("in segment of %d bytes", len(m.in)), m.Close())
	}
	copy(shm.Bytes(&m.h), m.in)
	if h := &m.h; h.Magic != shm.Magic || h.Version != shm.Version ||
		h.InSize != uint64(len(m.in)) || h.OutSize != uint64(len(m.out)) {
		return nil, errors.Join(fmt.Errorf("header of another version: %+v", m.h), m.Close())
	}
	return m, nil
}

// Of is the memory of a server in this process, for workers that are goroutines: both halves have the same addresses, so that
// the race detector can watch them. It must not be closed.
func Of(m *shm.Memory) *Memory {
	h := m.Header()
	return &Memory{
		h:   *h,
		in:  segment(unsafe.Pointer(m.InLoop(0)), h.InLoops, h.InSize),
		out: segment(unsafe.Pointer(m.OutLoop(0)), h.OutLoops, h.OutSize),
	}
}

// segment is the segment in which p is at offset off.
func segment(p unsafe.Pointer, off, size uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(p, -int(off))), int(size))
}

func mapFile(f *os.File, prot int) ([]byte, error) {
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(stat.Size()), prot, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	return b, nil
}

// Close unmaps the memory.
func (m *Memory) Close() error {
	var err error
	for _, b := range []*[]byte{&m.in, &m.out} {
		if *b != nil {
			err = errors.Join(err, unix.Munmap(*b))
			*b = nil
		}
	}
	return err
}

// Header is where everything is.
func (m *Memory) Header() *shm.Header { return &m.h }

// element is element i of the array at at, and the bytes after it that belong to it.
func element[T any](b []byte, at, stride uint64, i int) (*T, []byte) {
	b = b[at+uint64(i)*stride:][:stride]
	var t T
	return (*T)(unsafe.Pointer(&b[0])), b[unsafe.Sizeof(t):]
}

// InCell is the server's half of a cell, and its in-window.
func (m *Memory) InCell(loop, cell int) (*shm.InCell, []byte) {
	c, after := element[shm.InCell](m.in, m.h.InCells, m.h.InCellStride, loop*int(m.h.Cells)+cell)
	return c, after[:m.h.InWindow:m.h.InWindow]
}

// OutCell is the worker's half of a cell, and its out-window.
func (m *Memory) OutCell(loop, cell int) (*shm.OutCell, []byte) {
	c, after := element[shm.OutCell](m.out, m.h.OutCells, m.h.OutCellStride, loop*int(m.h.Cells)+cell)
	return c, after[:m.h.OutWindow:m.h.OutWindow]
}

// InWorker is what the server tells a worker.
func (m *Memory) InWorker(slot int) *shm.InWorker {
	w, _ := element[shm.InWorker](m.in, m.h.InWorkers, m.h.InWorkerStride, slot)
	return w
}

// OutWorker is what a worker tells the server.
func (m *Memory) OutWorker(slot int) *shm.OutWorker {
	w, _ := element[shm.OutWorker](m.out, m.h.OutWorkers, m.h.OutWorkerStride, slot)
	return w
}

// inLoop is the server's half of a loop's queue, and the entries.
func (m *Memory) inLoop(loop int) (*shm.InLoop, []atomic.Uint32) {
	l, after := element[shm.InLoop](m.in, m.h.InLoops, m.h.InLoopStride, loop)
	return l, unsafe.Slice((*atomic.Uint32)(unsafe.Pointer(&after[0])), int(m.h.QueueCap))
}

// OutLoop is the workers' half of a loop's queue, and the loop's ready bitmap.
func (m *Memory) OutLoop(loop int) (*shm.OutLoop, []atomic.Uint64) {
	l, after := element[shm.OutLoop](m.out, m.h.OutLoops, m.h.OutLoopStride, loop)
	return l, unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(&after[0])), int(m.h.Cells+63)/64)
}
