package shm

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Segment is one mapping and the file behind it.
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

// Map maps the memory from a worker's side: in read-only. The files stay the caller's and are not needed afterwards.
func Map(in, out *os.File) (*Memory, error) {
	m := &Memory{}
	stat, err := in.Stat()
	if err != nil {
		return nil, fmt.Errorf("shared memory: %w", err)
	}
	if stat.Size() < pageSize || stat.Size() > 1<<46 {
		return nil, fmt.Errorf("shared memory: in segment of %d bytes", stat.Size())
	}
	if m.in.b, err = unix.Mmap(int(in.Fd()), 0, int(stat.Size()), unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("shared memory: map in segment: %w", err)
	}
	m.h = *view[Header](m.in.b, 0)
	want, err := Geometry{
		Loops: int(m.h.Loops), Workers: int(m.h.Workers), Cells: int(m.h.Cells),
		InWindow: int(m.h.InWindow), OutWindow: int(m.h.OutWindow),
	}.header()
	if err == nil && (m.h != want || uint64(stat.Size()) != want.InSize) {
		err = errors.New("shared memory: header of another version")
	}
	if err == nil {
		m.out.b, err = unix.Mmap(int(out.Fd()), 0, int(want.OutSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err != nil {
		return nil, errors.Join(err, m.in.close())
	}
	return m, nil
}

// Header is where everything is.
func (m *Memory) Header() *Header { return &m.h }

// Files are what a worker gets to map the segments: in is open for reading only, or sealed against writing, where the
// system can do either. They are closed by Close.
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
