package pool

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// groupWays are those that only this system has.
var groupWays = []groupWay{{"by number, before Linux 6.9", func(t *testing.T, _ *Worker) {
	before := pidfdGroup
	pidfdGroup = 1 << 20 // no flag that has a signal reach a group
	t.Cleanup(func() { pidfdGroup = before })
}}}

// A fork server that is stopped does not say that a worker has ended. The pool has no room for another worker then, so nothing is asked of
// the fork server.
func TestForkServerReportsNoEnd(t *testing.T) {
	defer func(before time.Duration) { forkTimeout = before }(forkTimeout)
	forkTimeout = 300 * time.Millisecond
	r := start(t, setup{options: [][3]any{{0, "min_fork", 1}, {0, "max_fork", 1}}})
	r.ready(1)
	unix.Kill(r.h.server().cmd.Process.Pid, unix.SIGSTOP)
	wantStatus(t, r.send(&request{method: "POST", target: "die"}).wait(), 502)
	r.log.await(t, "fork server hangs")
	r.log.await(t, "fork server restarted")
	wantOut(t, r.get("hello?x"), "hello x")
	r.stop(testPatience)
}
