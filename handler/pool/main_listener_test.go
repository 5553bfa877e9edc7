package pool

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"moonbridge/handler/pool/listen/listentest"
)

// mainEnd is what Config.MainEnded was called with.
type mainEnd struct {
	pool   int
	name   string
	failed bool
}

// startMain starts a pool with a main handler, which runs until there is a file, and waits until a loop knows who runs it.
func startMain(t *testing.T) (r *rig, file string, ended chan mainEnd) {
	t.Helper()
	file, ended = filepath.Join(t.TempDir(), "main"), make(chan mainEnd, 10)
	r = start(t, setup{
		options:   [][3]any{{2, "proto", "main"}, {2, "name", file}, {2, "connect", listentest.Func{}}, {0, "request_timeout", 0.02}},
		mainEnded: func(pool int, name string, failed bool) { ended <- mainEnd{pool, name, failed} },
	})
	eventually(t, "the handler runs", func() bool { return r.mainWorker() != nil })
	return r, file, ended
}

// mainWorker is the worker that runs a main handler.
func (r *rig) mainWorker() *Worker {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	for w := range r.p.workers() {
		if w.main.Load() {
			return w
		}
	}
	return nil
}

// The end of a main handler is reported once, with how it ended.
func TestMainEnded(t *testing.T) {
	for name, end := range map[string]func(r *rig, file string){
		"returns": func(r *rig, file string) { os.WriteFile(file, nil, 0o600) },
		"fails": func(r *rig, file string) { // in one step: an empty file would mean something else
			os.WriteFile(file+".new", []byte("x"), 0o600)
			os.Rename(file+".new", file)
		},
		"dies": func(r *rig, file string) { unix.Kill(int(r.mainWorker().pid.Load()), unix.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			r, file, ended := startMain(t)
			end(r, file)
			if got, want := <-ended, (mainEnd{0, file, name != "returns"}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			r.quiet()
			// On a busy machine, an exchange may exceed the limit, which is meant for the main handler.
			eventually(t, "the pool goes on", func() bool { return r.get("hello?x").out == "hello x" })
			if err := r.stop(testPatience); err != nil || len(ended) > 0 {
				t.Errorf("%v, %d further ends", err, len(ended))
			}
		})
	}
}

// A main handler that was told to end does not count, however it was told.
func TestMainToldToEnd(t *testing.T) {
	for name, tell := range map[string]func(r *rig){
		"EndMains": func(r *rig) { r.h.EndMains() },
		"Stop":     func(r *rig) { r.stop(testPatience) },
	} {
		t.Run(name, func(t *testing.T) {
			r, file, ended := startMain(t)
			tell(r)
			eventually(t, "the handler ends", func() bool { _, err := os.Stat(file); return err == nil })
			if err := r.stop(testPatience); err != nil || len(ended) > 0 {
				t.Errorf("%v, %d ends", err, len(ended))
			}
		})
	}
}

// The workers of a fork server that has died are replaced, but not the one that runs a main handler: it would have to end.
func TestMainOutlivesForkServer(t *testing.T) {
	r, file, ended := startMain(t)
	w := r.mainWorker()
	others := map[int]bool{}
	for _, pid := range r.h.pids() {
		others[pid] = pid != int(w.pid.Load())
	}
	n := len(r.forkServers())
	unix.Kill(r.h.server().cmd.Process.Pid, unix.SIGKILL)
	eventually(t, "the other workers are replaced", func() bool {
		for _, pid := range r.h.pids() {
			if others[pid] {
				return false
			}
		}
		return len(r.forkServers()) > n
	})
	if w.in.Quit.Load() != 0 || len(ended) > 0 {
		t.Error("the handler has been told to end")
	}
	os.WriteFile(file, nil, 0o600)
	if got := <-ended; got.failed {
		t.Errorf("%+v", got)
	}
}
