package reactortest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// Names is a name server: every name is that of 127.0.0.1.
type Names struct {
	quick atomic.Int64
	asked chan struct{}
	goOn  chan struct{}
}

// SlowNames makes this process ask a name server that answers quick questions at once, and further ones when it is told to. Names that are
// to be looked up end in a dot. A test that uses it does not run beside others.
func SlowNames(t testing.TB, quick int) *Names {
	n := &Names{asked: make(chan struct{}, 100), goOn: make(chan struct{})}
	n.quick.Store(int64(quick))
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: n.dial}
	t.Cleanup(func() { net.DefaultResolver = before })
	return n
}

// Asked receives each time that a question waits for its answer.
func (n *Names) Asked() <-chan struct{} { return n.asked }

// Answer has all questions answered.
func (n *Names) Answer() { close(n.goOn) }

func (n *Names) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe() // no PacketConn, so it is used as a stream
	go n.serve(there)
	return here, nil
}

func (n *Names) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, question); err != nil {
			return
		}
		if n.quick.Add(-1) < 0 {
			n.asked <- struct{}{}
			<-n.goOn
		}
		answer := answerTo(question)
		c.Write(binary.BigEndian.AppendUint16(nil, uint16(len(answer))))
		c.Write(answer)
	}
}

// answerTo makes the answer (RFC 1035 §4.1): 127.0.0.1 for an IPv4 address, nothing for anything else.
func answerTo(question []byte) []byte {
	const header, typeA = 12, 1
	end := header
	for question[end] != 0 {
		end += 1 + int(question[end])
	}
	kind := binary.BigEndian.Uint16(question[end+1:])
	a := append([]byte(nil), question[:end+5]...)
	a[2], a[3] = a[2]|0x80, 0x80          // it is an answer
	a[8], a[9], a[10], a[11] = 0, 0, 0, 0 // with no other sections
	if kind == typeA {
		a[7] = 1
		a = append(a, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return a
}
