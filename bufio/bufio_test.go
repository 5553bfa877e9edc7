package bufio

import (
	"bytes"
	"testing"
)

func TestMain(m *testing.M) {
	poison = true
	m.Run()
}

// feed reads b into in, as a loop does.
func feed(in *Input, p *Pool, b []byte) {
	in.Commit(copy(in.Reserve(p, len(b)), b))
}

// done checks that all buffers have been returned.
func done(t *testing.T, p *Pool) {
	t.Helper()
	if p.InUse() != 0 || p.reader != nil {
		t.Errorf("%d buffers in use, scratch in use: %v", p.InUse(), p.reader != nil)
	}
}

// kept is the number of bytes in free buffers.
func (p *Pool) kept() (bytes int) {
	for class := range p.free {
		bytes += len(p.free[class]) * classSize(class)
	}
	return bytes
}

func TestClasses(t *testing.T) {
	for _, c := range []struct{ n, size int }{
		{0, 4096}, {1, 4096}, {4096, 4096}, {4097, 16384}, {16384, 16384}, {16385, 65536}, {65536, 65536},
		{65537, 131072}, {131072, 131072}, {131073, 262144}, {262144, 262144}, {262145, 524288}, {1 << 20, 1 << 20},
	} {
		if got := roundUp(c.n); got != c.size {
			t.Errorf("%d bytes: buffer of %d, not %d", c.n, got, c.size)
		}
		if c.size <= maxClassSize && classSize(classOf(c.size)) != c.size {
			t.Errorf("class of %d bytes has %d", c.size, classSize(classOf(c.size)))
		}
	}
}

func TestPoolKeepsABoundedAmount(t *testing.T) {
	p := NewPool()
	for class := range classes {
		var held [][]byte
		for range keptMax[class] + 10 {
			held = append(held, p.get(classSize(class)))
		}
		for _, b := range held {
			p.put(b)
		}
		if len(p.free[class]) != keptMax[class] {
			t.Errorf("class %d: %d kept", class, len(p.free[class]))
		}
	}
	if p.kept() != 8<<20 {
		t.Errorf("%d bytes kept", p.kept())
	}
	p.put(p.get(maxClassSize + 1))
	if p.kept() != 8<<20 {
		t.Error("a buffer above the classes was kept")
	}
	done(t, p)
}

// Large buffers beyond what a pool keeps are used again, by other pools too, until the garbage collector has come twice.
func TestSpareBuffers(t *testing.T) {
	one, other := NewPool(), NewPool()
	for class := spareFrom; class < classes; class++ {
		all := make(map[*byte]bool)
		var held [][]byte
		for range keptMax[class] + 50 {
			b := one.get(classSize(class))
			held, all[&b[0]] = append(held, b), true
		}
		for _, b := range held {
			one.put(b)
		}
		again := 0
		for range 50 {
			b := other.get(classSize(class))
			if len(b) != classSize(class) {
				t.Fatalf("class %d: %d bytes", class, len(b))
			}
			if all[&b[0]] {
				again++
			}
		}
		if again == 0 { // with the race detector, some are lost on purpose
			t.Errorf("class %d: no buffer was used again", class)
		}
	}
}

func TestInputUsesScratch(t *testing.T) {
	p := NewPool()
	var in Input
	room := in.Reserve(p, 1)
	if len(room) != ScratchSize || &room[0] != &p.scratch[0] {
		t.Fatal("room is not scratch")
	}
	in.Commit(copy(room, "whole request"))
	in.Discard(in.Len())
	in.Settle(p)
	if in.buf != nil || p.kept() != 0 {
		t.Error("an idle Input holds a buffer")
	}
	done(t, p)
}

func TestInputSettleKeepsUnread(t *testing.T) {
	p := NewPool()
	var a, b Input
	feed(&a, p, []byte("GET / HT"))
	a.Discard(4)
	a.Settle(p)
	feed(&b, p, bytes.Repeat([]byte("x"), 5000))
	b.Settle(p)
	if string(a.Unread()) != "/ HT" || len(a.buf) != 4096 {
		t.Errorf("%q in %d bytes", a.Unread(), len(a.buf))
	}
	if b.Len() != 5000 || len(b.buf) != 16384 {
		t.Errorf("%d in %d bytes", b.Len(), len(b.buf))
	}
	feed(&a, p, []byte("TP/1.1"))
	if string(a.Unread()) != "/ HTTP/1.1" {
		t.Errorf("%q", a.Unread())
	}
	a.Discard(a.Len())
	a.Settle(p)
	b.Release(p)
	done(t, p)
}

func TestInputStaysInScratchWhileItFits(t *testing.T) {
	p := NewPool()
	var in Input
	feed(&in, p, bytes.Repeat([]byte("a"), 60<<10))
	in.Discard(50 << 10)
	feed(&in, p, bytes.Repeat([]byte("b"), 20<<10)) // fits only after a move to the front
	if !p.isScratch(in.buf) || in.Len() != 30<<10 {
		t.Errorf("scratch %v, %d bytes", p.isScratch(in.buf), in.Len())
	}
	feed(&in, p, bytes.Repeat([]byte("c"), 60<<10))
	if p.isScratch(in.buf) || p.reader != nil || len(in.buf) != 128<<10 {
		t.Errorf("%d bytes of buffer", len(in.buf))
	}
	want := append(append(bytes.Repeat([]byte("a"), 10<<10), bytes.Repeat([]byte("b"), 20<<10)...), bytes.Repeat([]byte("c"), 60<<10)...)
	if !bytes.Equal(in.Unread(), want) {
		t.Error("bytes were lost")
	}
	in.Discard(85 << 10)
	in.Settle(p)
	if len(in.buf) != 16<<10 {
		t.Errorf("5 KiB held in a buffer of %d bytes", len(in.buf))
	}
	in.Release(p)
	done(t, p)
}

func TestInputLargeReserve(t *testing.T) {
	p := NewPool()
	var in Input
	if room := in.Reserve(p, 300<<10); len(room) < 300<<10 || p.isScratch(in.buf) {
		t.Errorf("room of %d", len(room))
	}
	in.Settle(p)
	done(t, p)
}

// TestInputDiscardKeepsViews: a consumed head stays readable until the next Reserve or Settle.
func TestInputDiscardKeepsViews(t *testing.T) {
	p := NewPool()
	var in Input
	feed(&in, p, []byte("head"))
	view := in.Unread()
	in.Discard(4)
	if string(view) != "head" {
		t.Errorf("%q", view)
	}
	in.Settle(p)
	if view[0] != poisonByte {
		t.Error("scratch was not poisoned")
	}
	done(t, p)
}

func TestFreedBuffersArePoisoned(t *testing.T) {
	p := NewPool()
	var out Output
	out.Append(p, []byte("sent"))
	view := out.Unsent()
	out.Discard(p, 4)
	if !bytes.Equal(view, bytes.Repeat([]byte{poisonByte}, 4)) {
		t.Errorf("%q", view)
	}
	done(t, p)
}

func TestMisusePanics(t *testing.T) {
	p := NewPool()
	var a, b Input
	var out Output
	feed(&a, p, []byte("x"))
	for name, misuse := range map[string]func(){
		"two Inputs in scratch":  func() { b.Reserve(p, 1) },
		"Discard too much":       func() { a.Discard(2) },
		"Discard less than none": func() { a.Discard(-1) },
		"Commit too much":        func() { a.Commit(ScratchSize) },
		"Commit without room":    func() { b.Commit(1) },
		"Discard unsent":         func() { out.Discard(p, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			misuse()
		}()
	}
}

// TestOutputStream alternates appending and sending. The buffer must not grow far beyond the unsent bytes, and must not
// be moved for every byte.
func TestOutputStream(t *testing.T) {
	p := NewPool()
	var out Output
	piece := make([]byte, 1000)
	out.Append(p, piece)
	for range 10_000 {
		out.Append(p, piece)
		out.Discard(p, 1000)
		if len(out.buf) > 16<<10 {
			t.Fatalf("buffer of %d for %d bytes", len(out.buf), out.Len())
		}
	}
	out.Discard(p, 1000)
	if out.buf != nil {
		t.Error("an empty Output holds a buffer")
	}
	done(t, p)
}

func TestNoAllocation(t *testing.T) {
	p := NewPool()
	var a, b Input
	var out Output
	piece := make([]byte, 3000)
	turn := func() {
		for range 10 {
			for _, in := range []*Input{&a, &b} {
				feed(in, p, piece)
				in.Discard(2000)
				in.Settle(p)
			}
			out.Append(p, piece)
			out.Append(p, []byte("x"))
			out.Discard(p, 1500)
		}
		a.Release(p)
		b.Release(p)
		out.Release(p)
	}
	turn()
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("%v allocations", n)
	}
	done(t, p)
}

func BenchmarkTurn(b *testing.B) {
	poison = false
	defer func() { poison = true }()
	p := NewPool()
	var in Input
	for range b.N {
		in.Reserve(p, 1)
		in.Commit(100)
		in.Discard(100)
		in.Settle(p)
	}
}

func BenchmarkPartial(b *testing.B) {
	poison = false
	defer func() { poison = true }()
	p := NewPool()
	var in Input
	for range b.N {
		in.Reserve(p, 1)
		in.Commit(100)
		in.Settle(p)
		in.Reserve(p, 1)
		in.Commit(100)
		in.Discard(200)
		in.Settle(p)
	}
}
