package tcpproxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"moonbridge/handler/upstream"
)

// end is what one side of a session does.
type end struct {
	text   []byte
	sends  int  // bytes of text
	resets bool // after that, instead of an orderly end
	slow   bool
}

// plays sends and reads at the same time. whole is false if the connection has broken. A write that fails takes the error from the system: then
// a read says nothing of it.
func (e *end) plays(c *net.TCPConn, random *rand.Rand) (got []byte, whole bool) {
	sent := make(chan bool)
	go func() { sent <- e.send(c, random) == nil }()
	got, err := io.ReadAll(c)
	return got, <-sent && err == nil
}

var errResets = errors.New("this side has reset the connection")

func (e *end) send(c *net.TCPConn, random *rand.Rand) error {
	for b := e.text[:e.sends]; len(b) > 0; {
		n := min(len(b), 1+random.IntN(200_000))
		if _, err := c.Write(b[:n]); err != nil {
			return err
		}
		if b = b[n:]; e.slow {
			time.Sleep(time.Millisecond)
		}
	}
	if e.resets {
		reset(c)
		return errResets
	}
	return c.CloseWrite()
}

// Whatever both sides do: what ends in order is whole, and a side that breaks is broken on the other side too.
func TestNoPartLooksWhole(t *testing.T) {
	const clients, sessions = 8, 40
	text := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(text)
	var mu sync.Mutex
	var plans [clients * sessions][2]end // what the client and the target do
	plan := func(i uint32) [2]end {
		mu.Lock()
		defer mu.Unlock()
		return plans[i]
	}
	check := func(who string, i uint32, got []byte, whole bool) {
		of := plan(i)[0]
		if who == "client" {
			of = plan(i)[1]
		}
		if whole && !bytes.Equal(got, of.text) || !whole && !plan(i)[0].resets && !plan(i)[1].resets {
			t.Errorf("session %d: the %s has got %d bytes, whole %v; the other side has sent %d of %d", i, who, len(got), whole, of.sends, len(of.text))
		}
	}
	r := newRig(t, Config{To: To(set(t, upstream.Options{}, target(t, func(c *net.TCPConn) {
		var number [4]byte
		if _, err := io.ReadFull(c, number[:]); err != nil {
			return // it was reset before
		}
		i := binary.BigEndian.Uint32(number[:])
		side := plan(i)[1]
		got, whole := side.plays(c, rand.New(rand.NewPCG(uint64(i), 1)))
		check("target", i, got, whole)
	})))}, nil)
	var all sync.WaitGroup
	for k := range clients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(k), 2))
			for n := range sessions {
				i := uint32(k*sessions + n)
				var both [2]end
				for j := range both {
					e := end{text: text[:random.IntN([]int{1, 3000, len(text)}[random.IntN(3)])], slow: random.IntN(4) == 0, resets: random.IntN(4) == 0}
					if e.sends = len(e.text); e.resets {
						e.sends = random.IntN(e.sends + 1)
						e.resets = e.sends < len(e.text)
					}
					both[j] = e
				}
				mu.Lock()
				plans[i] = both
				mu.Unlock()
				c := r.dial()
				c.Write(binary.BigEndian.AppendUint32(nil, i))
				got, whole := both[0].plays(c, random)
				check("client", i, got, whole)
				c.Close()
			}
		})
	}
	all.Wait()
}
