package worker

/*
#cgo CFLAGS: -I${SRCDIR}/../shm -Wall -Wextra -Werror=format -Wno-unused-parameter
#include "worker.h"
*/
import "C"

import (
	"os"
	"runtime"
	"runtime/debug"
)

// Version names the Lua implementation that this program is linked with, and its version. LuaJIT is the default; the build
// tag lua54 links Lua 5.4 of PUC-Rio instead.
func Version() string { return implementation }

// In a worker process the program ends here: its main is never called, nor are the init functions of packages that come
// after this one.
func init() {
	if C.mb_role == C.MB_ROLE_WORKER {
		os.Exit(runWorker())
	}
}

// runWorker runs Lua on the main thread until the server wants the worker to end, and returns the exit code.
func runWorker() int {
	runtime.LockOSThread()
	// One for Go code that Lua calls, one for the goroutine below. The heap is a few buffers of parsers: a small one, collected
	// often, keeps the worker's private memory small.
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(25)
	go watchControl(int(C.process.control))
	return int(C.mb_worker_run())
}

// watchControl takes orders from the server while Lua runs, whatever Lua does. At the end of the file the server is gone,
// and this worker has no purpose any more.
func watchControl(fd int) {
	C.mb_take_orders(C.int(fd))
	os.Exit(0)
}
