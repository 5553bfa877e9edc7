//go:build !linux

package pool

import "golang.org/x/sys/unix"

// process is a handle of a process. This system has none: signals go through the fork server, the only process that knows
// whether a number still means its child.
type process struct{}

func openProcess(int) process { return process{} }

func (process) signal(unix.Signal) bool { return false }

func (process) signalGroup(int, unix.Signal) bool { return false }

func (process) ended() bool { return false }

func (process) close() {}
