package worker

// #include "mb.h"
import "C"

import (
	"errors"
	"math"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"moonbridge/handler/shm"
	"moonbridge/httpparse"
)

// local is the connection that this worker serves by itself. It belongs to the main thread, which has one at a time.
var local *conn

// mbConnOpen begins to serve a connection. It returns 0, and has taken over the descriptor, or an errno.
//
//export mbConnOpen
func mbConnOpen(l *C.mb_local) C.int {
	o, raw := l.opt, (*shm.Head)(unsafe.Pointer(l.raw))
	c, err := newConn(int(l.fd), connConfig{
		bell:   int(l.bell),
		socket: (*atomic.Int32)(unsafe.Pointer(l.socket)),
		in:     (*shm.InCell)(unsafe.Pointer(l.ic)),
		out:    (*shm.OutCell)(unsafe.Pointer(l.oc)),
		inWin:  windowBehind(unsafe.Pointer(l.ic), unsafe.Sizeof(*l.ic), l.in_window),
		outWin: windowBehind(unsafe.Pointer(l.oc), unsafe.Sizeof(*l.oc), l.out_window),
		quit:   (*atomic.Uint32)(unsafe.Pointer(l.quit)),
		asleep: (*atomic.Uint32)(unsafe.Pointer(l.asleep)),
		flush:  func() { C.mb_flush_now() },
		common: shm.HeadBlock{
			Kind: shm.KindHTTP, Listener: raw.Listener, Exchange: raw.Exchange, Local: raw.Local, Remote: raw.Remote,
		},
		lim: connLimits{
			head:      httpparse.Limits{HeadBytes: int(min(o.request_header_size_limit, math.MaxInt32))},
			headBlock: C.MB_REQUEST_HEAD_MAX,
			body:      httpparse.BodyLimits{Bytes: int64(o.request_body_size_limit), Await: bufferBody},
			idle:      seconds(o.idle_timeout),
			header:    seconds(o.request_header_timeout),
			stall:     seconds(o.stall_timeout),
			response:  seconds(o.response_timeout),
			drain:     seconds(o.drain_timeout),
		},
	}, unsafe.Slice((*byte)(l.early), int(l.early_len)))
	if err != nil {
		var errno syscall.Errno
		if !errors.As(err, &errno) {
			errno = syscall.EIO
		}
		return C.int(errno)
	}
	local = c
	return 0
}

// windowBehind is the window that follows a cell's half.
func windowBehind(cell unsafe.Pointer, size uintptr, n C.uint32_t) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(cell, size)), int(n))
}

// seconds is an option of generate_handler as a duration. It is at most 1e9 seconds, and 0 stays 0.
func seconds(s C.double) time.Duration {
	return time.Duration(math.Ceil(float64(s) * float64(time.Second)))
}

// mbConnNext waits for a request, and has put it into the cell when it returns 1; 0: the connection has ended.
//
//export mbConnNext
func mbConnNext() C.int { return truth(local.next()) }

// mbConnStep waits until something has moved; begin: a new wait begins.
//
//export mbConnStep
func mbConnStep(begin C.int) { local.step(begin != 0) }

// mbConnNotify looks at what the handler has put into the cell.
//
//export mbConnNotify
func mbConnNotify() { local.notify() }

// mbConnEnd ends an exchange with this result. 0: it was the last one.
//
//export mbConnEnd
func mbConnEnd(result C.uint32_t) C.int { return truth(local.end(uint32(result))) }

// mbConnClose ends the connection. 1: the peer is to see a reset when the last descriptor of the socket is closed.
//
//export mbConnClose
func mbConnClose(failed C.int) C.int { return truth(local.close(failed != 0)) }

func truth(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
