package pool

import (
	"os"
	"slices"
	"time"

	"moonbridge/handler/pool/policy"
	"moonbridge/handler/shm"
)

// birth is a worker that is yet to be forked, with its ends of what it has in common with us.
type birth struct {
	w           *Worker
	ctl, stderr *os.File
}

// fertile reports whether there is a fork server. Under mu.
func (p *Pool) fertile() bool { return p.fs != nil && !p.fs.dead() }

// newWorker takes a free slot and makes what a worker needs. false: there is no slot, or no descriptor to be had. Under mu.
func (p *Pool) newWorker(now time.Time) (b birth, ok bool) {
	slot, home := p.freeSlot()
	if slot < 0 {
		return b, false
	}
	w := &Worker{
		p: p, fs: p.fs, slot: slot, home: home,
		in: p.mem.InWorker(slot), out: p.mem.OutWorker(slot),
		since: now, active: now,
	}
	b.w = w
	err := b.open()
	if err != nil {
		p.log.Error("no worker forked", "err", err)
		p.sv.policy.Failed(&p.spec.Options, now)
		return b, false
	}
	w.seq = p.seq.Add(1)
	w.limit = jitter(p.spec.Options.MaxRequests, w.seq)
	w.in.Home.Store(uint32(home))
	w.in.Quit.Store(0)
	w.out.Asleep.Store(0)
	w.out.Finished.Store(0)
	w.out.At.Store(0)
	p.slots[slot].Store(w)
	return b, true
}

// freeSlot is the first free slot, or -1, and the loop that the fewest workers are at home at.
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
func (b *birth) open() (err error) {
	w := b.w
	if w.bell, err = shm.NewWorkerBell(); err != nil {
		return err
	}
	if w.conn, b.ctl, err = controlPair(); err != nil {
		w.bell.Close()
		return err
	}
	if w.stderr, b.stderr, err = logPipe(); err != nil {
		w.bell.Close()
		w.conn.Close()
		b.ctl.Close()
	}
	return err
}

// fork asks the fork server for the process.
func (b *birth) fork() {
	w, p := b.w, b.w.p
	in, out := p.mem.Files()
	fds := []int{int(in.Fd()), int(out.Fd()), int(b.ctl.Fd()), int(b.stderr.Fd()), w.bell.Reader()}
	for _, bell := range p.bells {
		fds = append(fds, bell.Writer())
	}
	err := w.fs.send(shm.MsgFork, shm.Bytes(&shm.MsgForkBody{Pool: uint32(p.index), Slot: uint32(w.slot)}), fds...)
	b.ctl.Close()
	b.stderr.Close()
	if err != nil {
		p.log.Error("fork failed", "err", err)
		p.workerGone(w, 0, false)
	}
}

// jitter spreads a limit by a tenth to either side, so that workers of the same age are not replaced at the same time.
func jitter(limit int, seq uint64) uint64 {
	if limit <= 0 {
		return 0
	}
	span := uint64(limit)/5 + 1
	mixed := seq * 0x9e3779b97f4a7c15 >> 33 // consecutive numbers, well spread
	return max(1, uint64(limit)-uint64(limit)/10+mixed%span)
}
