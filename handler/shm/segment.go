package shm

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Segment is one mapping and its file.
type Segment struct {
	b []byte
	f *os.File
}

// Memory is the two segments of a pool.
type Memory struct {
	h       Header // our own copy: the geometry is never read back from shared memory
	in, out Segment
}

// Create makes and maps the memory of a pool. All of it is zero: no cell is owned, every queue is empty.
func Create(g Geometry) (*Memory, error) {
	h, err := g.header()
	if err != nil {
		return nil, err
	}
	h.IDPrefix = newIDPrefix()
	m := &Memory{h: h}
	if m.in, err = createSegment("moonbridge-in", h.InSize, true); err != nil {
		return nil, fmt.Errorf("shared memory: %w", err)
	}
	if m.out, err = createSegment("moonbridge-out", h.OutSize, false); err != nil {
		return nil, errors.Join(fmt.Errorf("shared memory: %w", err), m.in.close())
	}
	*view[Header](m.in.b, 0) = h
	return m, nil
}

// newIDPrefix is a prefix by which the requests of this memory differ from those of any other.
func newIDPrefix() uint64 {
	var b [8]byte
	rand.Read(b[3:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// Header is where everything is.
func (m *Memory) Header() *Header { return &m.h }

// Files are what a worker maps the segments from. in is open for reading only, or sealed against writing, where the system
// supports one of these. Close closes them.
func (m *Memory) Files() (in, out *os.File) { return m.in.f, m.out.f }

// Close unmaps the memory and closes the files. No view may be used afterwards.
func (m *Memory) Close() error { return errors.Join(m.in.close(), m.out.close()) }

func (s *Segment) close() error {
	var err error
	if s.b != nil {
		err = unix.Munmap(s.b)
		s.b = nil
	}
	if s.f != nil {
		err = errors.Join(err, s.f.Close())
		s.f = nil
	}
	return err
}
