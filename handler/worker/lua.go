package worker

/*
#cgo CFLAGS: -I${SRCDIR}/../shm -Wall -Wextra -Wno-unused-parameter
#include "worker.h"
*/
import "C"

import (
	"encoding/binary"
	"os"
	"runtime"
	"runtime/debug"
	"unsafe"

	"moonbridge/httpparse"
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
	// One for Go code that Lua calls, one for the goroutine below. The heap is a few parsed forms: a small one, collected
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

// scratch is where forms are decoded. Lua runs on one thread, so that there is one call of mbParsePairs at a time.
var scratch []byte

// mbParsePairs takes n bytes at p apart and puts the pairs to dst, each as the lengths of name and value (two uint32 in
// the machine's order), the name, and the value. It returns how many bytes of dst it used; a pair that does not fit ends
// it, which does not happen with n + 8 × (separators + 1) bytes.
//
//export mbParsePairs
func mbParsePairs(kind C.int, p unsafe.Pointer, n C.size_t, dst unsafe.Pointer, room C.size_t) C.size_t {
	src, out := unsafe.Slice((*byte)(p), int(n)), unsafe.Slice((*byte)(dst), int(room))
	used := 0
	put := func(name, value []byte) bool {
		need := 8 + len(name) + len(value)
		if need > len(out)-used {
			return false
		}
		binary.NativeEndian.PutUint32(out[used:], uint32(len(name)))
		binary.NativeEndian.PutUint32(out[used+4:], uint32(len(value)))
		copy(out[used+8+copy(out[used+8:], name):], value)
		used += need
		return true
	}
	if kind == C.MB_PARSE_COOKIE {
		cookies := httpparse.NewCookies(src)
		for name, value, ok := cookies.Next(); ok && put(name, value); {
			name, value, ok = cookies.Next()
		}
		return C.size_t(used)
	}
	form := httpparse.NewForm(src, scratch)
	for name, value, ok := form.Next(); ok && put(name, value); {
		name, value, ok = form.Next()
	}
	if scratch = form.Scratch(); len(scratch) > 1<<20 {
		scratch = nil
	}
	return C.size_t(used)
}
