package pool

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool/listen"
	"moonbridge/handler/shm"
)

// run reads the control socket to its end. Then the process is ended and reaped.
func (fs *forkServer) run() {
	err := fs.read()
	fs.isDead.Store(true)
	fs.cmd.Process.Kill() // in case it has only closed the socket
	state := fs.wait()
	fs.conn.Close()
	for _, p := range fs.h.Pools() {
		p.forkServerDied(fs)
	}
	fs.settle(fmt.Errorf("%s: its process ended before the script was loaded (%s)%s", fs.h.cfg.Script, state, fs.lastWords()))
	if !errors.Is(err, errMessage) {
		err = nil
	}
	fs.h.log.Debug("fork server ended", "pid", fs.cmd.Process.Pid, "end", state, "err", err)
	close(fs.gone)
}

func (fs *forkServer) wait() string {
	err := fs.cmd.Wait()
	if s := fs.cmd.ProcessState; s != nil {
		return s.String()
	}
	return err.Error()
}

// settle tells await, once, how loading the script has ended.
func (fs *forkServer) settle(err error) {
	if err != nil {
		err = &ScriptError{Text: err.Error()}
	}
	select {
	case fs.ready <- err:
	default:
	}
}

func (fs *forkServer) read() error {
	var buf []byte
	for {
		typ, body, err := readMsg(fs.conn, &buf)
		if err != nil {
			return err
		}
		switch typ {
		case shm.MsgListen:
			err = fs.listen(body)
		case shm.MsgDictionary:
			err = fs.dictionary(body)
		case shm.MsgDeclare:
			err = fs.declare(body)
		case shm.MsgReady:
			fs.h.warn(string(body))
			fs.settle(nil)
		case shm.MsgFiles:
			err = fs.h.loaded(body)
		case shm.MsgFailed:
			fs.settle(errors.New(string(body)))
		case shm.MsgForked:
			fs.heard()
			err = give(body, fs.forked)
		case shm.MsgTester:
			fs.heard()
			err = give(body, fs.testerForked)
		case shm.MsgExited:
			err = give(body, fs.exited)
		default:
			err = fmt.Errorf("%w: type %d", errMessage, typ)
		}
		if err != nil {
			return err
		}
	}
}

// warned has the warnings that have been logged. They are about the machine, so once is enough for this process.
var warned sync.Map

// warn logs what a fork server has to say about the machine that it runs on.
func (h *Host) warn(text string) {
	if text == "" {
		return
	}
	if _, before := warned.LoadOrStore(text, true); !before {
		h.log.Warn(text)
	}
}

// listen answers a listen{} call.
func (fs *forkServer) listen(body []byte) error {
	n := fs.listens
	spec, err := listen.Decode(body)
	if err == nil {
		err = fs.h.listen(fs.generation, n, spec)
	}
	if err != nil {
		return fs.send(shm.MsgListenErr, []byte("listen: "+err.Error()))
	}
	fs.listens++ // a failed call makes no pool
	return fs.send(shm.MsgListenOK, nil)
}

func (fs *forkServer) forked(m shm.MsgForkedBody) {
	if pools := fs.h.Pools(); m.Pool < uint32(len(pools)) {
		pools[m.Pool].forked(fs, m)
	}
}

func (fs *forkServer) adopt(w *Worker) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.workers[w.pid.Load()] = w
}

func (fs *forkServer) exited(m shm.MsgExitedBody) {
	if fs.testerExited(m) {
		return
	}
	fs.mu.Lock()
	w := fs.workers[m.Pid]
	delete(fs.workers, m.Pid)
	fs.mu.Unlock()
	if w != nil {
		w.p.workerGone(w, unix.WaitStatus(m.Status), true)
	}
}
