package bufio

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// TestModel runs random operations on several Inputs and Outputs of one pool, and on plain slices. Since freed buffers
// are poisoned, two that share a buffer would be noticed.
func TestModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		p := NewPool()
		inputs := make([]Input, 1+r.IntN(8))
		outputs := make([]Output, 1+r.IntN(8))
		unread := make([][]byte, len(inputs))
		unsent := make([][]byte, len(outputs))
		for range 300 {
			i, o := r.IntN(len(inputs)), r.IntN(len(outputs))
			for range 1 + r.IntN(5) {
				unread[i] = stepInput(t, r, p, &inputs[i], unread[i])
			}
			inputs[i].Settle(p)
			unsent[o] = stepOutput(r, p, &outputs[o], unsent[o])
			check(t, p, inputs, outputs, unread, unsent)
		}
		for i := range inputs {
			inputs[i].Release(p)
		}
		for o := range outputs {
			outputs[o].Release(p)
		}
		done(t, p)
	}
}

// length returns a random length: mostly small, sometimes above all classes.
func length(r *rand.Rand) int { return r.IntN(1 << (1 + r.IntN(19))) }

func stepInput(t *testing.T, r *rand.Rand, p *Pool, in *Input, unread []byte) []byte {
	switch r.IntN(3) {
	case 0:
		n := r.IntN(len(unread) + 1)
		in.Discard(n)
		return unread[n:]
	case 1:
		in.Discard(len(unread))
		return nil
	}
	n := length(r)
	room := in.Reserve(p, n)
	if len(room) < max(n, 1) {
		t.Fatalf("room of %d for %d", len(room), n)
	}
	got := bytesOf(r, r.IntN(min(len(room), 2*n+1)+1))
	in.Commit(copy(room, got))
	return append(unread, got...)
}

func stepOutput(r *rand.Rand, p *Pool, out *Output, unsent []byte) []byte {
	if r.IntN(2) == 0 {
		n := r.IntN(len(unsent) + 1)
		if r.IntN(3) == 0 {
			n = len(unsent)
		}
		out.Discard(p, n)
		return unsent[n:]
	}
	b := bytesOf(r, length(r))
	out.Append(p, b)
	return append(unsent, b...)
}

func bytesOf(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	x := byte(r.Uint32())
	for i := range b {
		b[i] = x + byte(i)
	}
	return b
}

func check(t *testing.T, p *Pool, inputs []Input, outputs []Output, unread, unsent [][]byte) {
	t.Helper()
	held := 0
	for i := range inputs {
		if inputs[i].Len() != len(unread[i]) || !bytes.Equal(inputs[i].Unread(), unread[i]) {
			t.Fatalf("input %d differs", i)
		}
		if inputs[i].buf != nil {
			held++
		}
		if (inputs[i].buf != nil) != (len(unread[i]) > 0) {
			t.Fatalf("input %d: %d bytes unread, buffer of %d", i, len(unread[i]), len(inputs[i].buf))
		}
	}
	for o := range outputs {
		if outputs[o].Len() != len(unsent[o]) || !bytes.Equal(outputs[o].Unsent(), unsent[o]) {
			t.Fatalf("output %d differs", o)
		}
		if outputs[o].buf != nil {
			held++
		}
		if (outputs[o].buf != nil) != (len(unsent[o]) > 0) {
			t.Fatalf("output %d: %d bytes unsent, buffer of %d", o, len(unsent[o]), len(outputs[o].buf))
		}
	}
	if p.InUse() != held || p.reader != nil {
		t.Fatalf("%d buffers in use, %d held", p.InUse(), held)
	}
}
