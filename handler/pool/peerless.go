package pool

import (
	"net/netip"
	"time"

	"moonbridge/handler/backend"
)

// peerless is the backend.Exchange of what has no response: raw connections, and ticks of intervals. Whatever a worker
// writes to one is thrown away.
type peerless struct{}

func (peerless) Output(a, b []byte, _ bool) int { return len(a) + len(b) }

func (peerless) Done(backend.End) {}

func (peerless) Complete(backend.Running, backend.End) {}

func (peerless) Left(backend.Running) {}

func (peerless) Failed(int, time.Duration) {}

func (peerless) BodyRoom() {}

func (peerless) BodyWanted() {}

func (peerless) Addrs() (local, remote netip.AddrPort) { return }
