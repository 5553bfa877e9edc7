package pool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// Test says what a tester runs. A tester is a process that is forked as workers are, with the state that the script has left. It
// runs tests instead of exchanges, and asks the server for what it needs.
type Test struct {
	Pool int    // whose option selftest is called, unless there is a file
	File string // with tests: a path as the fork server finds it

	// Answer is called with each question, a list of strings that is not empty, and returns the answer. An error ends the tester.
	// It is called by one goroutine, and should end when ctx does.
	Answer func(ctx context.Context, question []string) ([]string, error)
}

// testerEnd is how long a tester may live on after the server has ended it: an alarm of its own ends it then.
const testerEnd = 5 * time.Second

// tester is the process of a test.
type tester struct {
	fs     *forkServer
	conn   *net.UnixConn
	pid    int
	proc   process
	exited chan unix.WaitStatus // receives once
	left   bool                 // Test has not waited for its fork; under forkServer.mu
	most   int                  // bytes of a list
	over   bool                 // it has run all of its tests
}

// Test runs tests, and returns when their process has ended. The error says why it could not run them, or has not ended well; what
// has become of each test is among the questions. ctx must have a deadline: then the process is killed, as it is by Stop and Kill. One Test
// runs at a time.
func (h *Host) Test(ctx context.Context, t Test) error {
	h.testing.Lock()
	defer h.testing.Unlock()
	fs, err := h.beginTest()
	if err != nil {
		return fmt.Errorf("tests: %w", err)
	}
	defer h.reading.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-h.stop:
			cancel(errStopped)
		case <-ctx.Done():
		}
	}()
	w, err := fs.startTester(ctx, &t)
	if err != nil {
		return fmt.Errorf("tests: %w", err)
	}
	defer w.proc.close()
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.kill()
		close(killed)
	})
	err = w.serve(ctx, t.Answer)
	if err != nil {
		w.kill() // it may not be listening
	}
	w.conn.Close()
	status, ended := w.await()
	if !stop() { // not before: it may have closed its end, and live on
		<-killed // with the handle, which is closed now
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return errors.New("tests: not finished in time: ended")
	case ctx.Err() != nil:
		return fmt.Errorf("tests: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("tests: %w", err)
	case !ended:
		return errors.New("tests: the fork server has died")
	case status != 0:
		return fmt.Errorf("tests: the process has ended: %s", endOf(status))
	case !w.over: // os.exit, for example
		return fmt.Errorf("tests: the process has ended before its tests: %s", endOf(status))
	}
	return nil
}

// beginTest returns the fork server. Stop hears the test out: the caller ends h.reading.
func (h *Host) beginTest() (*forkServer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return nil, errStopped
	case h.fs == nil || h.fs.dead():
		return nil, errors.New("there is no fork server")
	}
	h.reading.Add(1) // under mu: Stop waits for it after it has set ended
	return h.fs, nil
}

// endOf says how a process has ended.
func endOf(status unix.WaitStatus) string {
	if status.Signaled() {
		return "signal: " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// startTester has the fork server fork the process.
func (fs *forkServer) startTester(ctx context.Context, t *Test) (*tester, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errors.New("no deadline")
	}
	left := time.Until(deadline)
	if left <= 0 {
		return nil, context.DeadlineExceeded
	}
	conn, ctl, err := controlPair()
	if err != nil {
		return nil, err
	}
	defer ctl.Close()
	log, stderr, err := logPipe()
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer stderr.Close()
	body := shm.MsgTestBody{Pool: uint32(t.Pool), Seconds: uint32(math.Ceil((left + testerEnd).Seconds()))}
	w := &tester{fs: fs, conn: conn, most: shm.AskListMax, exited: make(chan unix.WaitStatus, 1)}
	m, err := fs.fork(ctx, w, append(shm.Bytes(&body), t.File...), ctl, stderr)
	if err != nil {
		conn.Close()
		log.Close()
		return nil, err
	}
	w.pid = int(m.Pid)
	fs.h.reading.Go(func() { fs.h.lines.copy(log, nil, slog.String("in", "selftest"), slog.Int("pid", w.pid)) })
	return w, nil
}

// fork asks for the process of w and waits for the answer.
func (fs *forkServer) fork(ctx context.Context, w *tester, body []byte, ctl, stderr *os.File) (m shm.MsgForkedBody, err error) {
	answer := make(chan shm.MsgForkedBody, 1)
	fs.mu.Lock()
	busy := fs.wanted != nil
	if !busy {
		fs.wanted, fs.tester = w, answer
	}
	fs.mu.Unlock()
	if busy {
		return m, errors.New("the fork server does not answer")
	}
	if err := fs.send(shm.MsgTest, body, int(ctl.Fd()), int(stderr.Fd())); err != nil {
		return m, err
	}
	select {
	case m = <-answer:
	case <-fs.gone:
		return m, errors.New("the fork server has died")
	case <-ctx.Done():
		fs.mu.Lock()
		w.left = fs.wanted == w
		fs.mu.Unlock()
		if w.left {
			return m, context.Cause(ctx)
		}
		m = <-answer // it has come meanwhile: there is a process, which the caller kills
	}
	if m.Err != 0 || m.Pid <= 0 {
		return m, fmt.Errorf("fork: %w", unix.Errno(m.Err))
	}
	return m, nil
}

// testerForked notes the answer to a MsgTest. It is called before the process can be reported as ended.
func (fs *forkServer) testerForked(m shm.MsgForkedBody) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.wanted == nil {
		return
	}
	if m.Err == 0 && m.Pid > 0 && !fs.wanted.left { // otherwise it finds its control socket closed
		fs.wanted.proc = openProcess(int(m.Pid))
		fs.testers[m.Pid] = fs.wanted
	}
	fs.wanted = nil
	fs.tester <- m
}

// testerExited reports whether the process was a tester.
func (fs *forkServer) testerExited(m shm.MsgExitedBody) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	w := fs.testers[m.Pid]
	if w == nil {
		return false
	}
	delete(fs.testers, m.Pid)
	w.exited <- unix.WaitStatus(m.Status)
	return true
}

// kill ends the process, with all that it has started and left in its group.
func (w *tester) kill() {
	if w.proc.signalGroup(w.pid, unix.SIGKILL) || w.fs.dead() {
		return
	}
	w.fs.send(shm.MsgKill, shm.Bytes(&shm.MsgKillBody{Pid: int32(-w.pid), Sig: int32(unix.SIGKILL)}))
}

// await waits for the end of the process. false: nobody is left to report it.
func (w *tester) await() (unix.WaitStatus, bool) {
	select {
	case status := <-w.exited:
		return status, true
	case <-w.fs.gone:
		return 0, false
	}
}

// serve answers the questions of the tester until it ends. What it says may be anything.
func (w *tester) serve(ctx context.Context, answer func(context.Context, []string) ([]string, error)) error {
	var list, buf []byte
	for {
		typ, body, err := readMsg(w.conn, &buf)
		if err != nil {
			if errors.Is(err, errMessage) {
				return err
			}
			return nil // it has ended: its status says how
		}
		switch typ {
		case shm.MsgAskPart, shm.MsgAsk:
			if len(list)+len(body) > w.most {
				return fmt.Errorf("%w: more than %d bytes", errMessage, w.most)
			}
			list = append(list, body...)
		case shm.MsgFiles:
			err = w.fs.h.loaded(body)
		case shm.MsgFailed:
			err = errors.New(printableText(body))
		case shm.MsgTested:
			w.over = true
		default:
			err = fmt.Errorf("%w: type %d", errMessage, typ)
		}
		if err == nil && typ == shm.MsgAsk {
			err = w.answer(ctx, list, answer)
			list = list[:0]
		}
		if err != nil {
			return err
		}
	}
}

func (w *tester) answer(ctx context.Context, list []byte, answer func(context.Context, []string) ([]string, error)) error {
	question, err := splitList(list)
	if err != nil {
		return err
	}
	reply, err := answer(ctx, question)
	if err != nil {
		return err
	}
	b := joinList(reply)
	if len(b) > w.most {
		return fmt.Errorf("an answer of %d bytes", len(b))
	}
	for ; len(b) > shm.MsgMax; b = b[shm.MsgMax:] {
		if err := writeMsg(w.conn, shm.MsgAskPart, b[:shm.MsgMax]); err != nil {
			return err
		}
	}
	return writeMsg(w.conn, shm.MsgAsk, b)
}

// splitList takes a list apart.
func splitList(b []byte) (list []string, err error) {
	for len(b) > 0 {
		if len(b) < 4 || uint64(binary.NativeEndian.Uint32(b)) > uint64(len(b)-4) {
			return nil, fmt.Errorf("%w: list", errMessage)
		}
		n := binary.NativeEndian.Uint32(b)
		list = append(list, string(b[4:4+n]))
		b = b[4+n:]
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: empty list", errMessage)
	}
	return list, nil
}

func joinList(list []string) (b []byte) {
	for _, s := range list {
		b = binary.NativeEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}
