package pool

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// The test binary plays all the processes: with shm.Env set it is a fork server, with workerEnv a worker.

const (
	workerEnv = "MOONBRIDGE_POOL_TEST_WORKER"
	scriptEnv = "MOONBRIDGE_POOL_TEST_SCRIPT"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(shm.Env) != "":
		fakeForkServer()
	case os.Getenv(workerEnv) != "":
		fakeWorker()
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the processes that are started
	os.Exit(m.Run())
}

// fakeServer plays a fork server. The "script" is a list of words, what it does; the arguments are messages of listen{}
// calls in hexadecimal.
type fakeServer struct {
	mu   sync.Mutex
	ctl  *os.File
	kids map[int]*exec.Cmd
}

func fakeForkServer() {
	os.Unsetenv(shm.Env)
	unix.CloseOnExec(3)
	s := &fakeServer{ctl: os.NewFile(3, "control"), kids: map[int]*exec.Cmd{}}
	script := os.Args[1]
	has := func(word string) bool { return strings.Contains(script, word) }
	fmt.Fprintln(os.Stderr, "fork server says hello")
	if has("exit-early") {
		os.Exit(7)
	}
	if has("hang") {
		time.Sleep(time.Hour)
	}
	if m, found := strings.CutPrefix(script, "second-waits "); found && !marker(m) && marker(m+".2") {
		time.Sleep(time.Hour)
	}
	var buf []byte
	for _, arg := range os.Args[2:] {
		msg, err := hex.DecodeString(arg)
		if err != nil {
			continue
		}
		s.send(shm.MsgListen, msg)
		typ, body, err := readMsg(s.ctl, &buf)
		if err != nil {
			os.Exit(0)
		}
		if typ == shm.MsgListenErr && !has("pcall") {
			s.send(shm.MsgFailed, body)
			os.Exit(3)
		}
	}
	if has("fail") && !has("prepare-fail") {
		s.send(shm.MsgFailed, []byte("script.lua:1: boom"))
		os.Exit(3)
	}
	if has("slow-load") {
		time.Sleep(100 * time.Millisecond)
	}
	warning := ""
	if word, found := strings.CutPrefix(script, "warn "); found {
		warning = "the machine is " + word
	}
	s.send(shm.MsgReady, []byte(warning))
	os.Setenv(scriptEnv, script)
	s.serve()
}

func (s *fakeServer) send(typ uint32, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctl.Write(append(shm.Bytes(&shm.Msg{Type: typ, Len: uint32(len(body))}), body...))
}

func (s *fakeServer) serve() {
	for {
		b, oob := make([]byte, 4096), make([]byte, 4096)
		n, oobn, _, _, err := unix.Recvmsg(3, b, oob, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			os.Exit(0)
		}
		var fds []int
		if cs, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(cs) > 0 {
			fds, _ = unix.ParseUnixRights(&cs[0])
			for _, fd := range fds {
				unix.CloseOnExec(fd) // nothing else forks in the meantime
			}
		}
		// Descriptors end a read, and only one kind of message has some.
		for r := b[:n]; len(r) > 0; {
			var buf []byte
			rd := strings.NewReader(string(r))
			typ, body, err := readMsg(io.MultiReader(rd, s.ctl), &buf)
			if err != nil {
				os.Exit(0)
			}
			r = r[len(r)-rd.Len():]
			s.message(typ, body, fds)
		}
	}
}

func (s *fakeServer) message(typ uint32, body []byte, fds []int) {
	switch typ {
	case shm.MsgFork:
		m, _ := as[shm.MsgForkBody](body)
		s.fork(m, fds)
	case shm.MsgTest: // no process: the tests with Lua have some
		for _, fd := range fds {
			unix.Close(fd)
		}
		if !strings.Contains(os.Args[1], "silent-test") {
			s.send(shm.MsgTester, shm.Bytes(&shm.MsgForkedBody{Err: int32(unix.EAGAIN)}))
		}
	case shm.MsgKill:
		m, _ := as[shm.MsgKillBody](body)
		s.mu.Lock()
		if s.kids[max(int(m.Pid), -int(m.Pid))] != nil {
			unix.Kill(int(m.Pid), unix.Signal(m.Sig))
		}
		s.mu.Unlock()
	}
}

func (s *fakeServer) fork(m shm.MsgForkBody, fds []int) {
	self, _ := os.Executable()
	cmd := exec.Command(self)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), workerEnv+"="+strconv.Itoa(int(m.Slot)))
	cmd.Stdout = os.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for _, fd := range fds {
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), "passed"))
	}
	cmd.Stderr = cmd.ExtraFiles[3]
	r := shm.MsgForkedBody{Pool: m.Pool, Slot: m.Slot}
	var err error
	if strings.Contains(os.Args[1], "slow-fork") {
		time.Sleep(100 * time.Millisecond)
	}
	if m, found := strings.CutPrefix(os.Args[1], "second-fork-waits prepare-once "); found && !marker(m+".1") && marker(m+".2") {
		time.Sleep(time.Hour)
	}
	if gate, found := strings.CutPrefix(os.Args[1], "gated-fork "); found {
		for exists(gate) {
			time.Sleep(time.Millisecond)
		}
	}
	if strings.Contains(os.Args[1], "no-fork") {
		err = unix.EAGAIN
	} else {
		err = cmd.Start()
	}
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	if err != nil {
		r.Err = int32(unix.EAGAIN)
		s.send(shm.MsgForked, shm.Bytes(&r))
		return
	}
	pid := cmd.Process.Pid
	if strings.Contains(os.Args[1], "dies-forking ") && marker(os.Args[1][strings.Index(os.Args[1], "/"):]) {
		os.Exit(0) // the worker exists, and the server does not know
	}
	r.Pid = int32(pid)
	s.mu.Lock()
	s.kids[pid] = cmd
	s.mu.Unlock()
	s.send(shm.MsgForked, shm.Bytes(&r))
	go func() {
		// Not reaped before it is out of the list: as in a fork server that does one thing at a time.
		cmd.Wait()
		s.mu.Lock()
		delete(s.kids, pid)
		s.mu.Unlock()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		s.send(shm.MsgExited, shm.Bytes(&shm.MsgExitedBody{Pid: int32(pid), Status: int32(status)}))
	}()
}

// marker reports whether this is the first call for a file, in all processes.
func marker(name string) bool {
	f, err := os.OpenFile(filepath.Clean(name), os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		f.Close()
	}
	return err == nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
