package pool

import (
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool/policy"
	"moonbridge/handler/shm"
)

// start begins to listen to a worker whose process has just been forked.
func (w *Worker) start(stderr *os.File, lines *lineLog) {
	pid := slog.Int("pid", int(w.pid.Load()))
	w.hear(func(tail func(string)) { lines.copy(stderr, tail, slog.Int("pool", w.p.index), pid) })
	w.said.Add(1)
	w.hear(func(func(string)) { w.listen() })
}

// hear reads what the worker says. tail takes lines that are to be kept; nil: none are.
func (w *Worker) hear(read func(tail func(string))) {
	n := w.notes
	if n == nil {
		w.p.h.reading.Go(func() { read(nil) })
		return
	}
	n.heard.Add(1)
	w.p.h.reading.Go(func() {
		defer n.heard.Done()
		read(n.line)
	})
}

// listen reads the worker's control socket to its end, and closes it. The caller has added it to w.said.
func (w *Worker) listen() {
	defer w.conn.Close()
	var buf []byte
	failed := false // to start
	in := newControlReader(w.conn, func() { w.kill("body in a file: more than one descriptor") })
	for {
		typ, body, err := readMsg(in, &buf)
		fds := in.take()
		if err != nil {
			closeFiles(fds)
			break
		}
		if in.closed {
			continue // until the worker has ended
		}
		if len(fds) > 0 && typ != shm.MsgFile && typ != shm.MsgChannels {
			closeFiles(fds)
			w.kill("descriptor that was not asked for")
			continue
		}
		switch typ {
		case shm.MsgFile:
			if err := w.receiveFile(body, fds); err != nil {
				w.kill("body in a file: " + err.Error())
			}
		case shm.MsgChannels:
			if err := w.receiveChannels(body, fds); err != nil {
				w.kill("socket for channels: " + err.Error())
			}
		case shm.MsgWorkerReady:
			w.p.workerReady(w, time.Now())
		case shm.MsgWorkerFailed:
			if failed {
				w.kill("unknown message on its control socket")
				continue
			}
			failed = true
			w.p.log.Error("worker: not started", "pid", w.pid.Load(), "err", notStarted(body))
		case shm.MsgReport:
			if w.report(body) != nil {
				w.kill("malformed report")
			}
		case shm.MsgFiles:
			if w.fs.h.loaded(body) != nil {
				w.kill("malformed list of files")
			}
		case shm.MsgAccess:
			if w.logAccess(body) != nil {
				w.kill("malformed record of a request")
			}
		case shm.MsgPurge:
			if w.purge(body) != nil {
				w.kill("malformed purge")
			}
		default:
			w.kill("unknown message on its control socket")
		}
	}
	w.said.Done()
	w.p.workerHungUp(w, time.Now())
}

// ask sends the worker one of the control bytes that come alone. It does not block: if the socket is full, the worker has
// been asked often enough.
func (w *Worker) ask(what byte) {
	raw, err := w.conn.SyscallConn()
	if err != nil {
		return
	}
	raw.Write(func(fd uintptr) bool {
		unix.SendmsgN(int(fd), []byte{what}, nil, nil, unix.MSG_DONTWAIT)
		return true
	})
}

// pass gives the worker a descriptor; the caller keeps its own. It does not block: a worker whose control socket is full of
// unread messages hangs.
func (w *Worker) pass(fd int) error {
	raw, err := w.conn.SyscallConn()
	if err != nil {
		return err
	}
	rights := unix.UnixRights(fd)
	failed := raw.Write(func(to uintptr) bool {
		for {
			_, err = unix.SendmsgN(int(to), []byte{shm.CtlDescriptor}, rights, nil, unix.MSG_DONTWAIT)
			if err != unix.EINTR {
				return true
			}
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// dismiss tells the worker to end when it has finished what it is at. Under Pool.mu.
func (w *Worker) dismiss() {
	if w.drain() {
		w.exit.told = true
		w.in.Quit.Store(1)
		w.out.Asleep.Store(0)
		w.bell.Ring()
	}
}

// stuck reports whether the worker is at an exchange, or still in prepare: it cannot run finish now. Under Pool.mu.
func (w *Worker) stuck() bool { return w.state == policy.Booting || w.out.At.Load() != 0 }

// signal sends a signal to the worker and to what it has started and left in its process group. Only the supervisor and
// Host call it, under Pool.mu.
func (w *Worker) signal(sig unix.Signal) {
	pid := int(w.pid.Load())
	if pid <= 0 || w.state == policy.Gone || w.proc.signalGroup(pid, sig) {
		return
	}
	if !w.fs.dead() {
		w.askKill(-pid, sig)
		return
	}
	if w.exit.hungUp.IsZero() {
		// Its control socket is open, so it has not been reaped, and the number is still its own.
		unix.Kill(-pid, sig)
		unix.Kill(pid, sig)
	}
}

// signalAlone sends a signal to a worker that has closed its control socket. It has probably ended, and what it has left
// running may go on. Under Pool.mu.
func (w *Worker) signalAlone(sig unix.Signal) {
	pid := int(w.pid.Load())
	if pid > 0 && w.state != policy.Gone && !w.proc.signal(sig) && !w.fs.dead() {
		w.askKill(pid, sig)
	}
}

// askKill has the fork server send a signal. It knows whether a number still means its child.
func (w *Worker) askKill(pid int, sig unix.Signal) {
	w.fs.send(shm.MsgKill, shm.Bytes(&shm.MsgKillBody{Pid: int32(pid), Sig: int32(sig)}))
}
