package worker

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The module moonbridge_io (testdata/io.lua).

func ioWorker(t *testing.T) *worker {
	t.Helper()
	return mustLoad(t, "io.lua").fork(0, small)
}

func (w *worker) wants(path, want string) {
	w.t.Helper()
	if got := w.get(path).body(); got != want {
		w.t.Errorf("%s:\n got %q\nwant %q\nstderr: %s", path, got, want, w.stderr)
	}
}

func TestIOExec(t *testing.T) {
	w := ioWorker(t)
	w.f.out.wait(t, "top level\tfalse\t\tblock\n")
	w.wants("/filter", "true 800000 0")
	w.wants("/exec", "out input1 argument\n eof|err maxlen|3|wait: wait has already returned the end of this process|"+
		"kill: wait has already returned the end of this process|nil")
	w.wants("/signals", "-15 false the process is still running -15 true -9")
	w.wants("/fails", "nil No such file or directory 2|bad argument #1 (string expected, got no value)|"+
		"exec: argument 2 contains a NUL|nil Permission denied 13")
	const alien = ": the process was started by the script, before this worker was forked"
	w.wants("/early", "kill"+alien+"|wait"+alien+"|wait_nb"+alien)
	w.wants("/collected", "gone\n 0")
	if runtime.GOOS == "linux" {
		w.wants("/clean", "4 0") // ls has a descriptor of the folder
	}
	if status := w.quit(); status != 0 {
		t.Errorf("worker ended with %#x\n%s", status, w.stderr)
	}
}

func TestIOHandles(t *testing.T) {
	w := ioWorker(t)
	w.wants("/reads", "on maxlen|e\n term|tw maxlen|o; term| maxlen|three maxlen| block|four eof| eof| eof|false")
	w.wants("/misuse", strings.Join([]string{
		"bad argument #2 (number expected, got string)", "read: the number of bytes is out of range",
		"read: the number of bytes is out of range", "read: the terminator must be one byte",
		"bad argument #1 (handle expected: call it as a method, with a colon)",
		"write: argument 1 must be a string or a number, not a table", "flush_nb: argument 1 must be a string or a number, not a nil",
		"read: the handle is closed", "write: the handle is closed", "flush_nb: the handle is closed", "close: the handle is closed",
		"finish: the handle is closed", "handle (closed)handle: "}, "\n"))
	w.wants("/gone", "nil Broken pipe 32|nil Broken pipe 32|nil Broken pipe 32|nil Broken pipe 32|-9")
	w.wants("/held", "0 true true 1000003 xend")
	w.wants("/finish", "true|text\nend\n eof| eof|write: the handle is finished|finish: the handle is already finished|true")
}

// answers serves connections: it reads to the end, and answers.
func answers(t *testing.T, network, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b, _ := io.ReadAll(c)
			fmt.Fprintf(c, "answer to %s", b)
			c.Close()
		}
	}()
	return ln
}

func TestIOConnect(t *testing.T) {
	w := ioWorker(t)
	ln := answers(t, "tcp4", "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	w.wants("/tcp?port="+port, "true answer to question eof|true answer  to another true")
	path := filepath.Join(t.TempDir(), "socket")
	answers(t, "unix", path)
	w.wants("/unix?path="+path, "true answer to question true")
	ln.Close()
	w.wants("/refused?port="+port, "nil Connection refused 111|nil No such file or directory 2|"+
		"localconnect: the path is longer than 107 bytes, or contains a NUL|localconnect: the path is longer than 107 bytes, or contains a NUL|"+
		"bad argument #2 (string expected, got no value)|nil|tcpconnect: the host contains a NUL"+
		strings.Repeat("|tcpconnect: the port must be a whole number from 0 to 65535, or the name of a service", 5))
}

func TestIOPoll(t *testing.T) {
	w := ioWorker(t)
	w.wants("/poll", strings.Join([]string{
		"false timeout", "true true", "false timeout false", "false timeout", "false timeout", "true", "true", "true", "true",
		"poll: a key of a set is a string: it must be a file descriptor, a handle or a socket",
		"poll: a number in a set must be a file descriptor", "poll: a number in a set must be a file descriptor",
		"poll: descriptor 9999 is not open", "bad argument #1 (table expected, got number)",
		"bad argument #3 (number expected, got string)", "poll: seconds are out of range (up to 1e9)",
		"poll: only the socket of a raw connection that is being handled can be waited for",
		"poll: a key of a set is a userdata: it must be a file descriptor, a handle or a socket",
		"poll: a handle in the set for writing is finished", "true", "poll: a handle in a set is closed"}, "\n"))
	c := w.connect(1)
	ready := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(c.client, ready); err != nil {
		t.Fatal(err)
	}
	c.send("one\ntwo\n")
	c.expect("one\ntwo\n")
	c.over(0)
	w.stderr.wait(t, "poll: a socket in a set is closed\n")
}

// What finalizers add to a set, while poll makes room for it, has room.
func TestIOPollFinalizer(t *testing.T) {
	w := ioWorker(t)
	if got := w.get("/poll_finalizer").body(); got != "survived" {
		t.Errorf("%q\n%s", got, w.stderr)
	}
}
