//go:build !linux

package reactor

// parking is not needed: gnet's Polling yields before it blocks.
type parking struct{}

func (p *poller) park(bell) error { return nil }

func (k *parking) yield() {}

func (k *parking) hasParked() bool { return false }

func (k *parking) close() {}
