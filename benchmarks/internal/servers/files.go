package servers

import (
	"fmt"
	"syscall"
)

// RaiseFiles raises the limit of open files of this process, and so of the servers and of wrk, to at least want, and
// returns what it is then. Only root can go beyond the hard limit.
func RaiseFiles(want int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	hard := limit.Max
	// Setting the limit, even to what it is, matters: Go gives its children the soft limit from before its start
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
		return int(limit.Cur), fmt.Errorf("at most %d open files are allowed, %d are needed: raise ulimit -Hn", limit.Cur, want)
	}
	return int(limit.Cur), nil
}
