package shm

import (
	"fmt"
	"testing"
	"unsafe"
)

// The same numbers come out of layout.h; a test where C is compiled compares every offset.
func TestLayoutSizes(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"Header", unsafe.Sizeof(Header{}), 152},
		{"InLoop", unsafe.Sizeof(InLoop{}), 64},
		{"InWorker", unsafe.Sizeof(InWorker{}), 64},
		{"InCell", unsafe.Sizeof(InCell{}), 64},
		{"OutLoop", unsafe.Sizeof(OutLoop{}), 128},
		{"OutWorker", unsafe.Sizeof(OutWorker{}), 64},
		{"OutCell", unsafe.Sizeof(OutCell{}), 64},
		{"Head", unsafe.Sizeof(Head{}), 136},
		{"Field", unsafe.Sizeof(Field{}), 16},
		{"Entry", unsafe.Sizeof(Entry{}), 16},
		{"Msg", unsafe.Sizeof(Msg{}), 8},
		{"MsgForkedBody", unsafe.Sizeof(MsgForkedBody{}), 16},
		{"OutLoop.Asleep", unsafe.Offsetof(OutLoop{}.Asleep), 64},
		{"OutCell.Result", unsafe.Offsetof(OutCell{}.Result), 32},
		{"Header.InLoops", unsafe.Offsetof(Header{}.InLoops), 48},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.name, c.got, c.want)
		}
	}
}

// Every array lies in its segment, none overlaps another, and cells do not share sets of the caches.
func TestGeometry(t *testing.T) {
	for _, g := range []Geometry{
		{1, 1, 1, 64, 64},
		{2, 3, 2, 64, 128},
		{3, 5, 65, 4096, 64},
		{2, 18, 1048, 65536, 65536},
	} {
		t.Run(fmt.Sprint(g), func(t *testing.T) {
			h, err := g.header()
			if err != nil {
				t.Fatal(err)
			}
			cells := uint64(g.Loops * g.Cells)
			type array struct{ at, stride, n, need, align uint64 }
			check := func(size, from uint64, as ...array) {
				for _, a := range as {
					if a.at < from || a.at%a.align != 0 || a.stride%64 != 0 || a.stride < a.need {
						t.Errorf("array %+v after %d", a, from)
					}
					from = a.at + a.n*a.stride
				}
				if from > size {
					t.Errorf("segment of %d bytes, arrays up to %d", size, from)
				}
			}
			check(h.InSize, 152,
				array{h.InLoops, h.InLoopStride, uint64(g.Loops), 64 + 4*uint64(h.QueueCap), 128},
				array{h.InWorkers, h.InWorkerStride, uint64(g.Workers), 64, 128},
				array{h.InCells, h.InCellStride, cells, 64 + uint64(g.InWindow), 64})
			check(h.OutSize, 0,
				array{h.OutLoops, h.OutLoopStride, uint64(g.Loops), 128 + uint64(g.Cells+63)/64*8, 128},
				array{h.OutWorkers, h.OutWorkerStride, uint64(g.Workers), 64, 128},
				array{h.OutCells, h.OutCellStride, cells, 64 + uint64(g.OutWindow), 64})
			if h.InCellStride/64%2 != 1 || h.OutCellStride/64%2 != 1 {
				t.Errorf("cell strides %d, %d: even numbers of lines", h.InCellStride, h.OutCellStride)
			}
			if h.QueueCap&(h.QueueCap-1) != 0 || int(h.QueueCap) < 2*g.Cells {
				t.Errorf("queue of %d for %d cells", h.QueueCap, g.Cells)
			}
		})
	}
}

func TestGeometryRefused(t *testing.T) {
	for _, g := range []Geometry{
		{0, 1, 1, 64, 64}, {249, 1, 1, 64, 64}, {1, 0, 1, 64, 64}, {1, 1, 0, 64, 64}, {1, 1, 1 << 17, 64, 64},
		{1, 1, 1, 32, 64}, {1, 1, 1, 64, 96}, {1, 1, 1, 64, 32 << 20},
	} {
		if m, err := Create(g); err == nil {
			m.Close()
			t.Errorf("%+v accepted", g)
		}
	}
}

// A view that reaches out of its segment is a mistake of the program.
func TestViewReach(t *testing.T) {
	m, err := Create(Geometry{Loops: 2, Workers: 3, Cells: 5, InWindow: 64, OutWindow: 128})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, bad := range []func(){
		func() { m.InCell(1, 5) }, func() { m.OutCell(2, 0) }, func() { m.InWorker(-1) },
		func() { view[Header](m.in.b, uint64(len(m.in.b))-8) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a view out of reach was given out")
				}
			}()
			bad()
		}()
	}
}

func TestRing(t *testing.T) {
	win := make([]byte, 64)
	for from := range uint64(130) {
		for n := range uint64(65) {
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(from + uint64(i))
			}
			RingPut(win, from, p)
			a, b := Ring(win, from, n)
			if got := string(a) + string(b); got != string(p) {
				t.Fatalf("from %d, %d bytes: %q, want %q", from, n, got, p)
			}
		}
	}
}
