package engine

// lateRunning stands for the backend while the connection has not taken all that a follower had kept when its turn came.
type lateRunning struct{ p *pipelined }

// OutputRoom implements backend.Running.
func (r lateRunning) OutputRoom() { r.p.takeTurn() }

// PeerEnd implements backend.Running.
func (r lateRunning) PeerEnd() {
	if running := r.p.exchange.running; running != nil {
		running.PeerEnd()
	}
}

// Cancel implements backend.Running.
func (r lateRunning) Cancel() {
	p := r.p
	running := p.exchange.running
	p.drop()
	if running != nil {
		p.exchange.leave()
		running.Cancel()
	}
}

// BodyRoom implements backend.Running: there is no body.
func (r lateRunning) BodyRoom() (a, b []byte) { return nil, nil }

// BodyCommit implements backend.Running.
func (r lateRunning) BodyCommit(int) {}

// BodyEnd implements backend.Running.
func (r lateRunning) BodyEnd() {}

// BodyAbort implements backend.Running.
func (r lateRunning) BodyAbort(bool) {}
