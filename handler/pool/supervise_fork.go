package pool

import (
	"os"
	"slices"
	"time"

	"moonbridge/handler/pool/policy"
	"moonbridge/handler/shm"
)

// forkRequest is a worker that is yet to be forked, with its ends of what it shares with the server.
type forkRequest struct {
	w           *Worker
	ctl, stderr *os.File
}

// canFork reports whether there is a fork server. Under mu.
func (p *Pool) canFork() bool { return p.fs != nil && !p.fs.dead() }

// newWorker takes a free slot and makes what a worker needs. false: there is no slot, or descriptors are used up. Under mu.
func (p *Pool) newWorker(now time.Time) (f forkRequest, ok bool) {
	slot, home := p.freeSlot()
	if slot < 0 {
		return f, false
	}
	w := &Worker{
		p: p, fs: p.fs, slot: slot, home: home,
		in: p.mem.InWorker(slot), out: p.mem.OutWorker(slot),
		activity: activity{forked: now, last: now},
	}
	w.keepNotes()
	f.w = w
	if err := f.open(); err != nil {
		p.log.Error("no worker forked", "err", err)
		p.sv.policy.Failed(&p.spec.Options, now)
		return f, false
	}
	w.seq = p.seqs.next()
	w.activity.limit = jitter(p.spec.Options.MaxRequests, w.seq)
	w.in.Home.Store(uint32(home))
	w.in.Quit.Store(0)
	w.in.Stopping.Store(0)
	if p.draining || p.stopping.Load() {
		w.in.Stopping.Store(1)
	}
	w.out.Asleep.Store(0)
	w.out.Finished.Store(0)
	w.out.At.Store(0)
	p.slots[slot].Store(w)
	return f, true
}

// freeSlot is the first free slot, or -1, and the loop that is home to the fewest workers.
func (p *Pool) freeSlot() (slot, home int) {
	slot = -1
	homes := make([]int, len(p.loops))
	for i := range p.slots {
		if w := p.slots[i].Load(); w == nil {
			if slot < 0 {
				slot = i
			}
		} else if w.state != policy.Gone {
			homes[w.home]++
		}
	}
	return slot, slices.Index(homes, slices.Min(homes))
}

// open makes doorbell, control socket and log pipe.
func (f *forkRequest) open() (err error) {
	w := f.w
	if w.bell, err = shm.NewWorkerBell(); err != nil {
		return err
	}
	if w.conn, f.ctl, err = controlPair(); err != nil {
		w.bell.Close()
		return err
	}
	if w.stderr, f.stderr, err = logPipe(); err != nil {
		w.bell.Close()
		w.conn.Close()
		f.ctl.Close()
	}
	return err
}

// send asks the fork server for the process.
func (f *forkRequest) send() {
	w, p := f.w, f.w.p
	in, out := p.mem.Files()
	fds := []int{int(in.Fd()), int(out.Fd()), int(f.ctl.Fd()), int(f.stderr.Fd()), w.bell.Reader()}
	for _, bell := range p.bells {
		fds = append(fds, bell.Writer())
	}
	err := w.fs.send(shm.MsgFork, shm.Bytes(&shm.MsgForkBody{Pool: uint32(p.index), Slot: uint32(w.slot)}), fds...)
	f.ctl.Close()
	f.stderr.Close()
	if err != nil {
		p.log.Error("fork failed", "err", err)
		p.workerGone(w, 0, false)
	}
}
