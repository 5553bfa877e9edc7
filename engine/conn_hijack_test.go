package engine

import (
	"errors"
	"io"
	"net"
	"slices"
	"testing"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

const upgradeRequest = "GET /up HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"

const upgradeHead = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"

// hijacks takes the connection of the exchange over.
func (h *scriptedHandler) hijacks(head string) (net.Conn, error) {
	conn, err := h.x.(interface {
		Hijack(head []byte) (net.Conn, error)
	}).Hijack([]byte(head))
	h.d.settle()
	return conn, err
}

// reads checks what comes next of a hijacked connection.
func reads(t *testing.T, c io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got, err, want)
	}
}

func TestHijackDialogue(t *testing.T) {
	var log []Access
	d := newLoggedDialogue(t, Limits{}, func(a *Access) { log = append(log, *a) })
	d.peer.says(upgradeRequest + "early")
	conn, err := d.handler.hijacks(upgradeHead)
	if err != nil {
		t.Fatal(err)
	}
	d.is(stateClosed)
	if !d.peer.left {
		t.Error("the descriptor is still registered")
	}
	d.peer.hearsText(upgradeHead)
	if len(log) != 1 || log[0].Status != 101 || !log[0].Complete {
		t.Errorf("logged: %+v", log)
	}
	reads(t, conn, "early")
	go io.WriteString(d.peer.detached, "late")
	reads(t, conn, "late")
	if n, held := d.e.conns.Load(), d.e.detached.Load(); n != 1 || held != 1 {
		t.Errorf("counted: %d, %d", n, held)
	}
	conn.Close()
	conn.Close() // counts once
	if n, held := d.e.conns.Load(), d.e.detached.Load(); n != 0 || held != 0 {
		t.Errorf("counted after the end: %d, %d", n, held)
	}
	if d.handler.cancelled != 0 {
		t.Error("the handler was told that its connection is gone")
	}
}

// What the socket has not taken when the connection leaves is sent before anything else.
func TestHijackBeforeHeadIsSent(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(upgradeRequest)
	d.peer.room = 10
	conn, err := d.handler.hijacks(upgradeHead)
	if err != nil {
		t.Fatal(err)
	}
	d.peer.hearsText(upgradeHead[:10])
	go io.WriteString(conn, "first")
	reads(t, d.peer.detached, upgradeHead[10:]+"first")
	conn.Close()

	d.connects()
	d.peer.says(upgradeRequest)
	d.peer.room = 10
	if conn, err = d.handler.hijacks(upgradeHead); err != nil {
		t.Fatal(err)
	}
	conn.Close() // after the rest
	reads(t, d.peer.detached, upgradeHead[10:])
	if n, err := d.peer.detached.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d, %v, want the end", n, err)
	}
	eventually(t, "its place is given back", func() bool { return d.e.conns.Load() == 0 }) // after the end was seen here
}

// A hijack that is refused changes nothing.
func TestHijackRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		talk func(d *dialogue)
		want error
	}{
		{"response begun", func(d *dialogue) { d.peer.says(get("/")); d.handler.outputs("HTTP/1.1 200 OK\r\n", false) }, errResponded},
		{"within an interim head", func(d *dialogue) { d.peer.says(get("/")); d.handler.outputs("HTTP/1.1 103 X\r\n", false) }, errResponded},
		{"body", func(d *dialogue) { d.peer.says(uploadOf(100_000)) }, errBodyMissing},
		{"followers", func(d *dialogue) { d.peer.says(get("/1")); d.handler.x = first(d) }, errOthersFollow},
		{"exchange over", func(d *dialogue) { d.peer.says(get("/")); d.handler.answers("x") }, errNotRunning},
		{"no descriptor", func(d *dialogue) { d.peer.says(get("/")); d.duplicateErr = errors.New("no descriptor") }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialogue(t, Limits{})
			c.talk(d)
			before := slices.Clone(d.peer.got)
			conn, err := d.handler.hijacks(upgradeHead)
			if conn != nil || err == nil || c.want != nil && err != c.want {
				t.Errorf("%v, %v", conn, err)
			}
			if string(d.peer.got) != string(before) || d.peer.closed || d.c.state == stateClosed {
				t.Errorf("heard %q, closed %v", d.peer.got, d.peer.closed)
			}
		})
	}
}

// first sends a second request, and returns the exchange of the first.
func first(d *dialogue) backend.Exchange {
	x := d.handler.x
	d.peer.says(get("/2"))
	return x
}

// A follower may take the connection over when its turn has come.
func TestHijackOfFollower(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(get("/1"))
	one := first(d)
	two := d.handler.x
	if _, err := d.handler.hijacks(upgradeHead); err != errOthersFollow {
		t.Errorf("before its turn: %v", err)
	}
	d.handler.x = one
	d.handler.answers("one")
	d.handler.x = two
	d.peer.says("more")
	conn, err := d.handler.hijacks(upgradeHead)
	if err != nil {
		t.Fatal(err)
	}
	d.peer.hears(200, "one")
	d.peer.hearsText(upgradeHead)
	reads(t, conn, "more")
	conn.Close()
}

// lines is a Protocol that keeps what it gets, and echoes it.
type lines struct {
	got    string
	closed bool
	err    error
}

func (l *lines) Open(backend.Conn) backend.Stream { return l }

func (l *lines) Data(c backend.Conn) {
	l.got += string(c.Unread())
	c.Write(c.Unread())
	c.Discard(len(c.Unread()))
	if c.Ended() {
		c.Close()
	}
}
func (l *lines) Room(backend.Conn)                {}
func (l *lines) Closed(_ backend.Conn, err error) { l.closed, l.err = true, err }

// upgrades gives the connection of the exchange to p.
func (h *scriptedHandler) upgrades(head string, p backend.Protocol) error {
	err := h.x.(backend.Upgrader).Upgrade([]byte(head), p, backend.Bounds{})
	h.d.settle()
	return err
}

func TestUpgradeDialogue(t *testing.T) {
	for _, room := range []int{anyRoom, 10} {
		d := newDialogue(t, Limits{})
		d.peer.says(upgradeRequest + "early ")
		d.peer.room = room
		var p lines
		if err := d.handler.upgrades(upgradeHead, &p); err != nil {
			t.Fatal(err)
		}
		d.is(stateClosed)
		raw := d.handed.(*rawConn)
		d.peer.room = anyRoom
		raw.Ready(reactor.Writable)
		d.peer.unread = append(d.peer.unread, "late"...)
		raw.Ready(reactor.Readable)
		d.settle()
		d.peer.hearsText(upgradeHead + "early late")
		if n := d.e.conns.Load(); n != 1 {
			t.Errorf("%d connections are counted", n)
		}
		d.peer.finished = true
		raw.Ready(reactor.Readable | reactor.PeerClosed)
		d.settle()
		if p.got != "early late" || !p.closed || p.err != nil || !d.peer.closed {
			t.Errorf("%+v, closed: %v", p, d.peer.closed)
		}
	}
}

// An upgrade that is refused changes nothing.
func TestUpgradeRefused(t *testing.T) {
	d := newDialogue(t, Limits{})
	d.peer.says(uploadOf(100_000))
	var p lines
	if err := d.handler.upgrades(upgradeHead, &p); err != errBodyMissing {
		t.Error(err)
	}
	d.is(stateDispatched)
	d.peer.hearsNothing()
}
