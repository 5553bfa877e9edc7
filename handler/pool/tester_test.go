package pool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/logging"
	"moonbridge/handler/shm"
)

// scriptedTester is a tester without a process: the test plays it at the other end of its control socket.
func scriptedTester(t *testing.T) (w *tester, end *os.File) {
	t.Helper()
	conn, end, err := controlPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); end.Close() })
	return &tester{fs: &forkServer{h: &Host{}}, conn: conn, most: 3 << 20}, end
}

func say(t *testing.T, to *os.File, typ uint32, body []byte) {
	t.Helper()
	if _, err := to.Write(append(shm.Bytes(&shm.Msg{Type: typ, Len: uint32(len(body))}), body...)); err != nil {
		t.Error(err)
	}
}

// Lists that do not fit into one message come in several, both ways.
func TestTesterLongLists(t *testing.T) {
	w, end := scriptedTester(t)
	long := strings.Repeat("x", 5<<19) // two and a half messages
	list := joinList([]string{"get", long, ""})
	over := make(chan error, 1)
	go func() {
		over <- w.serve(t.Context(), func(_ context.Context, q []string) ([]string, error) {
			if !slices.Equal(q, []string{"get", long, ""}) {
				return nil, errors.New("another question")
			}
			return []string{long, "end"}, nil
		})
	}()
	for ; len(list) > shm.MsgMax; list = list[shm.MsgMax:] {
		say(t, end, shm.MsgAskPart, list[:shm.MsgMax])
	}
	say(t, end, shm.MsgAsk, list)
	var answer, buf []byte
	for {
		typ, body, err := readMsg(end, &buf)
		if err != nil {
			t.Fatal(err)
		}
		answer = append(answer, body...)
		if typ == shm.MsgAsk {
			break
		}
	}
	if got, err := splitList(answer); err != nil || !slices.Equal(got, []string{long, "end"}) {
		t.Errorf("%d bytes, %v", len(answer), err)
	}
	end.Close()
	if err := <-over; err != nil {
		t.Errorf("the end of a tester: %v", err)
	}
}

// What a tester says may be anything.
func TestTesterMalformed(t *testing.T) {
	part := func(end *os.File) {
		end.Write(append(shm.Bytes(&shm.Msg{Type: shm.MsgAskPart, Len: shm.MsgMax}), make([]byte, shm.MsgMax)...))
	}
	tests := []struct {
		name, want string
		say        func(end *os.File)
	}{
		{"type", "type 1", func(end *os.File) { say(t, end, shm.MsgListen, nil) }},
		{"length", "bytes", func(end *os.File) { end.Write(shm.Bytes(&shm.Msg{Type: shm.MsgAsk, Len: shm.MsgMax + 1})) }},
		{"empty", "empty list", func(end *os.File) { say(t, end, shm.MsgAsk, nil) }},
		{"list", "list", func(end *os.File) { say(t, end, shm.MsgAsk, []byte{255, 255, 255, 255, 1}) }},
		{"short", "list", func(end *os.File) { say(t, end, shm.MsgAsk, []byte{1, 0, 0}) }},
		{"files", "malformed", func(end *os.File) { say(t, end, shm.MsgFiles, []byte("x")) }},
		{"failed", `boom\x01`, func(end *os.File) { say(t, end, shm.MsgFailed, []byte("boom\x01")) }},
		{"answer", "unanswerable", func(end *os.File) { say(t, end, shm.MsgAsk, joinList([]string{"q"})) }},
		{"endless", "more than", func(end *os.File) {
			for range 4 {
				part(end)
			}
		}},
	}
	for _, tt := range tests {
		w, end := scriptedTester(t)
		go tt.say(end)
		err := w.serve(t.Context(), func(context.Context, []string) ([]string, error) { return nil, errors.New("unanswerable") })
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		w.conn.Close()
		io.Copy(io.Discard, end)
	}
}

// A fork server that does not answer, and one that cannot fork.
func TestTestRefused(t *testing.T) {
	r := start(t, setup{})
	ask := Test{Answer: func(context.Context, []string) ([]string, error) { return []string{"ok"}, nil }}
	if err := r.h.Test(context.Background(), ask); err == nil || !strings.Contains(err.Error(), "no deadline") {
		t.Errorf("without a deadline: %v", err)
	}
	past, cancel := context.WithDeadline(context.Background(), time.Now())
	defer cancel()
	if err := r.h.Test(past, ask); err == nil {
		t.Error("a deadline in the past")
	}
	soon, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	if err := r.h.Test(soon, ask); err == nil || !strings.Contains(err.Error(), "fork: resource temporarily unavailable") {
		t.Errorf("a fork that fails: %v", err)
	}
}

// A fork server that does not answer is not asked again.
func TestTestUnanswered(t *testing.T) {
	ask := Test{Answer: func(context.Context, []string) ([]string, error) { return []string{"ok"}, nil }}
	soon, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	silent := start(t, setup{script: "silent-test"})
	late, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := silent.h.Test(late, ask); err == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	if err := silent.h.Test(soon, ask); err == nil || !strings.Contains(err.Error(), "the fork server does not answer") {
		t.Errorf("still no answer: %v", err)
	}
}

// playTester forks a process for the next test, as a fork server does, and reports its end.
func playTester(t *testing.T, fs *forkServer, end *os.File) {
	b, oob := make([]byte, 4096), make([]byte, 4096)
	_, n, _, _, err := unix.Recvmsg(int(end.Fd()), b, oob, 0)
	if err != nil {
		t.Error(err)
		return
	}
	cs, _ := unix.ParseSocketControlMessage(oob[:n])
	fds, _ := unix.ParseUnixRights(&cs[0])
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "passed")
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	pid := int32(cmd.Process.Pid)
	fs.testerForked(shm.MsgForkedBody{Pid: pid})
	cmd.Wait()
	fs.testerExited(shm.MsgExitedBody{Pid: pid, Status: int32(unix.SIGKILL)})
}

// The end of a host ends its test, and no other one begins.
func TestStopEndsTest(t *testing.T) {
	h := &Host{cfg: Config{Stdout: new(logging.Queue)}, stop: make(chan struct{})}
	if err := h.complete(); err != nil {
		t.Fatal(err)
	}
	conn, end, err := controlPair()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer end.Close()
	fs := &forkServer{h: h, conn: conn, gone: make(chan struct{}), testers: make(map[int32]*tester)}
	h.fs = fs
	played := make(chan bool)
	go func() {
		playTester(t, fs, end)
		close(played)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- h.Test(ctx, Test{}) }()
	eventually(t, "the test begins", func() bool {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		return len(fs.testers) > 0
	})
	h.begin()
	h.hearOut()
	if err := <-over; !errors.Is(err, errStopped) {
		t.Errorf("the test: %v", err)
	}
	<-played
	if err := h.Test(ctx, Test{}); !errors.Is(err, errStopped) {
		t.Errorf("another test: %v", err)
	}
}

// A process that is forked at the moment when the time is over is known: it is killed, and its handle is closed.
func TestTesterForkedTooLate(t *testing.T) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20 {
		conn, end, err := controlPair()
		if err != nil {
			t.Fatal(err)
		}
		fs := &forkServer{h: &Host{}, conn: conn, gone: make(chan struct{}), testers: make(map[int32]*tester)}
		w := &tester{fs: fs}
		fs.wmu.Lock() // it is answered before it can wait for the answer
		forked := make(chan error, 1)
		go func() {
			_, err := fs.fork(over, w, nil, end, end)
			forked <- err
		}()
		eventually(t, "a process is wanted", func() bool {
			fs.mu.Lock()
			defer fs.mu.Unlock()
			return fs.wanted != nil
		})
		fs.testerForked(shm.MsgForkedBody{Pid: int32(os.Getpid())})
		fs.wmu.Unlock()
		if err := <-forked; err != nil {
			t.Fatalf("forked, and forgotten: %v", err)
		}
		w.proc.close()
		conn.Close()
		end.Close()
	}
}

// A list is what it was joined from, and no bytes make splitting it fail in any way other than with an error.
func FuzzTesterList(f *testing.F) {
	f.Add([]byte{})
	f.Add(joinList([]string{"get", "/", ""}))
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := splitList(b)
		if err == nil && !bytes.Equal(joinList(list), b) {
			t.Errorf("%q became %q", b, list)
		}
	})
}
