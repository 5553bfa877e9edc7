package pool

import (
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool/policy"
	"moonbridge/handler/shm"
)

// This file is what a pool hears of its workers and fork servers.

// forked notes the answer to a FORK message.
func (p *Pool) forked(fs *forkServer, m shm.MsgForkedBody) {
	p.mu.Lock()
	w := p.worker(m.Slot)
	if w == nil || w.fs != fs || !w.state.Alive() || w.pid.Load() != 0 {
		p.mu.Unlock()
		p.log.Error("fork server: answer to a fork that was not requested", "slot", m.Slot, "pid", m.Pid)
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
	w.openStat()
	fs.adopt(w)
	p.counts.forks++
	p.mu.Unlock()
	w.start(stderr, p.lines)
}

// workerReady: prepare has returned.
func (p *Pool) workerReady(w *Worker, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.ready(now) {
		return
	}
	p.sv.policy.Ready()
	p.noWorker.Store(false)
	if old := w.succession.replaces; old != nil {
		w.succession.replaces = nil
		old.dismiss()
	}
	p.kick()
}

// workerHungUp: the worker's control socket is closed, so the process has ended or is about to be ended.
func (p *Pool) workerHungUp(w *Worker, now time.Time) {
	p.mu.Lock()
	w.exit.hungUp = now
	unreported := w.fs.dead()
	p.mu.Unlock()
	if unreported {
		p.workerGoneUnreported(w)
	}
	p.kick()
}

// workerGoneUnreported: a worker has ended whose fork server has died, which would have reported its status.
func (p *Pool) workerGoneUnreported(w *Worker) {
	p.mu.Lock()
	if w.state != policy.Gone {
		w.proc.signal(unix.SIGKILL) // in case it has only closed the socket
	}
	p.mu.Unlock()
	p.workerGone(w, 0, false)
}

// workerGone: the process does not exist any more, and touches no memory. Its cells are reclaimed on every loop, when all that it has said
// and asked was heard: a client that learns of the failure must not find that the request goes on to publish messages. reaped:
// status is what waitpid said.
func (p *Pool) workerGone(w *Worker, status unix.WaitStatus, reaped bool) {
	p.mu.Lock()
	if !w.end(status, reaped) {
		p.mu.Unlock()
		return
	}
	loops := p.attached()
	w.reclaim.start(len(loops))
	p.mu.Unlock()
	p.h.reading.Go(func() {
		waitAtMost(&w.said, lastWords)
		for _, l := range loops {
			l.on.Post(func() { l.reclaim(w) })
		}
		p.kick()
	})
	p.kick()
}

// useForkServer makes fs fork all further workers. Those of another fork server are replaced.
func (p *Pool) useForkServer(fs *forkServer) {
	p.mu.Lock()
	p.fs = fs
	p.sv.policy.Renewed()
	p.mu.Unlock()
	p.kick()
}

// forkServerDied: the workers of fs go on until they are replaced, but the end of those that have ended is not reported.
func (p *Pool) forkServerDied(fs *forkServer) {
	p.mu.Lock()
	if p.fs == fs {
		p.fs = nil
	}
	var ended, unknown []*Worker
	for w := range p.workers() {
		switch {
		case w.fs != fs || w.state == policy.Gone:
		case !w.exit.hungUp.IsZero():
			ended = append(ended, w)
		case w.pid.Load() == 0:
			w.said.Add(1) // under mu: a fork request that fails meanwhile makes workerGone wait for it
			unknown = append(unknown, w)
		}
	}
	p.mu.Unlock()
	for _, w := range ended {
		p.workerGoneUnreported(w)
	}
	for _, w := range unknown {
		// Whether it was forked is not known. If so, it ends when it reads the end of its control socket, and closes it.
		w.conn.CloseWrite()
		p.h.reading.Go(w.listen)
	}
	p.kick()
}
