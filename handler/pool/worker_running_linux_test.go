package pool

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// Whether a process computes or is blocked is seen, and after its end the file that says so is closed.
func TestWorkerRuns(t *testing.T) {
	var room [64]byte
	asleep := new(Worker)
	asleep.pid.Store(int32(sleeper(t)))
	asleep.openStat()
	eventually(t, "the sleeper is blocked", func() bool { return !asleep.runs(&room) })
	busy := exec.Command("sh", "-c", "while :; do :; done")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	w := new(Worker)
	w.pid.Store(int32(busy.Process.Pid))
	w.openStat()
	eventually(t, "the other one computes", func() bool { return w.runs(&room) })
	if n := testing.AllocsPerRun(100, func() { w.runs(&room) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	busy.Process.Kill()
	busy.Wait()
	if !w.runs(&room) {
		t.Error("a process that is gone counts as blocked")
	}
	name := "/proc/self/fd/" + strconv.Itoa(int(w.stat.Load().Fd()))
	w.closeStat()
	if _, err := os.Readlink(name); err == nil {
		t.Errorf("%s is still open", name)
	}
	if !w.runs(&room) || !new(Worker).runs(&room) {
		t.Error("without a file the worker counts as blocked")
	}
	asleep.closeStat()
	asleep.closeStat()
}
