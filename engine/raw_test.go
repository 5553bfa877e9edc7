package engine

import (
	"testing"

	"moonbridge/handler/backend"
)

// What a peer sends comes back, whatever its size, and its end too.
func TestRawEcho(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		for _, size := range []int{0, 1, 1000, 100_000, 5_000_000} {
			closed := make(chan error, 1)
			e := startEngine(t, Options{Loops: 1})
			ln := serveRaw(t, e, network, echo(t, func(_ backend.Conn, err error) { closed <- err }), backend.Bounds{})
			p := dialOn(t, ln.r.Addr().Network(), ln.Addr())
			want := noise(size)
			sending := sendAll(p, want)
			readsAll(t, p, want)
			sending.Wait()
			if err := waitFor(t, closed, "end"); err != nil {
				t.Errorf("%s, %d bytes: closed with %v", network, size, err)
			}
		}
	}
}

// A connection that is dialed works like one that was accepted.
func TestRawDial(t *testing.T) {
	for _, network := range []string{"tcp4", "unix"} {
		e := startEngine(t, Options{Loops: 2})
		ln := serveRaw(t, e, network, echo(t, nil), backend.Bounds{})
		want := noise(1_000_000)
		var got []byte
		closed := make(chan error, 1)
		l := e.loops[1].shown
		onLoop(t, l, func() {
			l.(backend.Dialer).Dial(addressOf(network, ln.Addr()), backend.DialOptions{}, opener(func(c backend.Conn) backend.Stream {
				c.Write(want)
				c.CloseWrite()
				return &calls{t: t, closed: func(_ backend.Conn, err error) { closed <- err }, data: func(c backend.Conn) {
					got = append(got, c.Unread()...)
					c.Discard(len(c.Unread()))
				}}
			}), func(err error) { closed <- err })
		})
		if err := waitFor(t, closed, "end"); err != nil {
			t.Error(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s: %d bytes, want %d", network, len(got), len(want))
		}
	}
}
