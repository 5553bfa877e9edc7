package pool

import (
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool/policy"
	"moonbridge/handler/shm"
)

// forked notes the answer to a FORK message.
func (p *Pool) forked(fs *forkServer, m shm.MsgForkedBody) {
	p.mu.Lock()
	w := p.worker(m.Slot)
	if w == nil || w.fs != fs || !w.state.Alive() || w.pid.Load() != 0 {
		p.mu.Unlock()
		p.log.Error("fork server: answer to a fork that nobody asked for", "slot", m.Slot, "pid", m.Pid)
		return
	}
	stderr := w.stderr
	w.stderr = nil
	if m.Err != 0 || m.Pid <= 0 {
		p.mu.Unlock()
		stderr.Close()
		p.log.Error("fork failed", "err", unix.Errno(m.Err))
		p.workerGone(w, 0, false)
		return
	}
	w.pid.Store(m.Pid)
	w.proc = openProcess(int(m.Pid))
	fs.adopt(w)
	p.counts.forks++
	p.mu.Unlock()
	w.start(stderr, p.lines)
}

// workerReady: prepare has returned.
func (p *Pool) workerReady(w *Worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.begin(time.Now()) {
		return
	}
	p.sv.policy.Ready()
	p.noWorker.Store(false)
	if old := w.replaces; old != nil {
		w.replaces = nil
		p.drain(old)
	}
	p.kick()
}

// workerDeaf: the worker's control socket has come to its end, so the process has ended or is about to be ended.
func (p *Pool) workerDeaf(w *Worker) {
	p.mu.Lock()
	w.deaf = time.Now()
	gone := w.fs.dead()
	p.mu.Unlock()
	if gone {
		p.orphanGone(w)
	}
	p.kick()
}

// orphanGone: a worker has ended whose fork server has died, so that nobody tells how.
func (p *Pool) orphanGone(w *Worker) {
	p.mu.Lock()
	if w.state != policy.Gone {
		w.proc.signal(unix.SIGKILL) // in case that it has only closed the socket
	}
	p.mu.Unlock()
	p.workerGone(w, 0, false)
}

// workerGone: the process does not exist any more, and touches no memory. Its cells are reclaimed on every loop.
func (p *Pool) workerGone(w *Worker, status unix.WaitStatus, known bool) {
	p.mu.Lock()
	if !w.end(status, known) {
		p.mu.Unlock()
		return
	}
	loops := p.attached()
	w.left.Store(int32(len(loops)))
	w.reclaimed.Store(len(loops) == 0)
	p.mu.Unlock()
	for _, l := range loops {
		l.on.Post(func() { l.reclaim(w) })
	}
	p.kick()
}

// employ has workers forked by fs from now on; those of another fork server are replaced.
func (p *Pool) employ(fs *forkServer) {
	p.mu.Lock()
	p.fs = fs
	p.sv.policy.Renewed()
	p.mu.Unlock()
	p.kick()
}

// orphaned: fs has died. Its workers go on until they are replaced; of those that are known to have ended nobody else
// will tell.
func (p *Pool) orphaned(fs *forkServer) {
	p.mu.Lock()
	if p.fs == fs {
		p.fs = nil
	}
	var gone, unknown []*Worker
	for i := range p.slots {
		w := p.slots[i].Load()
		switch {
		case w == nil || w.fs != fs || w.state == policy.Gone:
		case !w.deaf.IsZero():
			gone = append(gone, w)
		case w.pid.Load() == 0:
			unknown = append(unknown, w)
		}
	}
	p.mu.Unlock()
	for _, w := range gone {
		p.orphanGone(w)
	}
	for _, w := range unknown {
		// Whether it was forked is not known. If so, it ends at the end of file, and then there is one for us.
		w.conn.CloseWrite()
		go w.listen()
	}
	p.kick()
}
