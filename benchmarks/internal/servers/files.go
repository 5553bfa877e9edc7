package servers

import (
	"fmt"
	"syscall"
)

// RaiseFiles raises the open file limit of this process, and so of the servers and of wrk, to at least want. It returns
// the new limit. Only root can exceed the hard limit.
func RaiseFiles(want int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	hard := limit.Max
	// The limit must be set even if it does not change: Go gives child processes the soft limit from before its start
	// unless the program has set one itself.
	limit.Cur = max(uint64(want), limit.Max)
	limit.Max = limit.Cur
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		limit.Cur, limit.Max = hard, hard
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return 0, err
		}
	}
	if limit.Cur < uint64(want) {
		return int(limit.Cur), fmt.Errorf("%d open files are needed, but only %d are allowed: raise ulimit -Hn", want, limit.Cur)
	}
	return int(limit.Cur), nil
}
