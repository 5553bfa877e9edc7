package worker

import (
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"moonbridge/handler/shm"
)

// A worker leads a process group (testdata/fork.lua). What handlers start is in that group, dies with a worker that is
// killed, and outlives one that ends normally.

func TestGroup(t *testing.T) {
	w := loadForking(t, "", "fork").fork(0, small)
	if r := w.get("/group"); r.body() != "its own" {
		t.Errorf("group: %q", r.text)
	}
	w.serves()
}

// starts has the worker wait for a process that it has started.
func (w *worker) starts(path string) {
	w.t.Helper()
	w.start(request{head: "GET " + path})
	w.stderr.wait(w.t, "started\n")
}

func TestGroupDiesWithKilledWorker(t *testing.T) {
	f := loadForking(t, "", "fork")
	w := f.fork(0, small)
	w.starts("/starts")
	send(t, f.control, shm.MsgKill, shm.Bytes(&shm.MsgKillBody{Pid: int32(-w.pid), Sig: int32(unix.SIGKILL)}))
	if status := w.wait(); status.Signal() != unix.SIGKILL {
		t.Errorf("worker ended with %#x", status)
	}
	w.stderr.all(t)
}

// The fork server kills the group of a worker that has ended itself.
func TestGroupDiesAtTimeout(t *testing.T) {
	w := loadForking(t, "", "fork").fork(0, small)
	w.starts("/starts_late")
	if status := w.wait(); status.ExitStatus() != exitTimeout {
		t.Errorf("worker ended with %#x", status)
	}
	w.stderr.all(t)
}

func TestGroupOutlivesRegularEnd(t *testing.T) {
	w := loadForking(t, "", "fork").fork(0, small)
	pid, err := strconv.Atoi(w.get("/leaves").body())
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Kill(pid, unix.SIGKILL)
	w.serves()
	if err := unix.Kill(pid, 0); err != nil {
		t.Errorf("what the handler started has ended: %v", err)
	}
}
