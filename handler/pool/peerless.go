package pool

import (
	"net/netip"
	"time"

	"moonbridge/handler/backend"
	"moonbridge/handler/shm"
)

// peerless is the backend.Exchange of what has no response: raw connections, ticks of intervals, main handlers. Whatever a
// worker writes to one is thrown away.
type peerless struct{}

func (peerless) Output(a, b []byte, _ bool) int { return len(a) + len(b) }

func (peerless) Done(backend.End) {}

func (peerless) Complete(backend.Running, backend.End) {}

func (peerless) Left(backend.Running) {}

func (peerless) Failed(int, time.Duration) {}

func (peerless) BodyRoom() {}

func (peerless) BodyWanted() {}

func (peerless) Addrs() (local, remote netip.AddrPort) { return }

// startPeerless hands an exchange to a worker that comes from no connection. It waits for one like any exchange, but without
// a limit. false: there is no room for it.
func (l *loop) startPeerless(x backend.Exchange, kind uint16, listener int, name string) bool {
	if len(l.cells.free) == 0 || l.queue.Full() {
		return false
	}
	l.p.inFlight.Add(1)
	c := l.cells.take()
	b := l.headBlock(kind, listener)
	b.Name = name
	c.body.flags = shm.InEnd
	if err := c.put(&b, nil); err != nil {
		l.release(c)
		l.p.log.Error("not given to a worker", "name", name, "err", err)
		return false
	}
	c.x, c.kind = x, kind
	l.taken.Add(1)
	l.publish(c, l.on.Now())
	return true
}

// waitsForever reports whether the exchange waits for a worker as long as it takes: the client of a WebSocket waits too.
func (c *cell) waitsForever() bool { return c.withoutConnection() || c.kind == shm.KindWebSocket }

// withoutConnection reports whether the exchange comes from no connection: no client waits for it, and it waits for a worker
// as long as it takes.
func (c *cell) withoutConnection() bool { return c.kind == shm.KindInterval || c.kind == shm.KindMain }
