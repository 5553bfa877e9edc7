package worker

// #include "worker.h"
import "C"

import (
	"math"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"moonbridge/bufio"
	"moonbridge/handler/forwarded"
	"moonbridge/handler/shm"
	"moonbridge/handler/worker/rawhttp"
	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// rawHTTP is the connection that this worker serves by itself. It belongs to the main thread, which has one at a time.
var rawHTTP *rawhttp.Conn

// inputPool is kept for the next connection. Most workers never need it.
var inputPool = sync.OnceValue(bufio.NewPool)

// mbConnOpen begins to serve a connection, whose descriptor it takes over.
//
//export mbConnOpen
func mbConnOpen(l *C.mb_rawhttp) {
	raw := (*shm.Head)(unsafe.Pointer(l.raw))
	log, ids := accessOf(raw)
	rawHTTP = rawhttp.New(int(l.fd), rawhttp.Config{
		Log: log, IDs: ids,
		Bell:      int(l.bell),
		Socket:    (*atomic.Int32)(unsafe.Pointer(l.socket)),
		Settled:   (*atomic.Uint32)(unsafe.Pointer(l.settled)),
		Pool:      inputPool(),
		In:        (*shm.InCell)(unsafe.Pointer(l.in_cell)),
		Out:       (*shm.OutCell)(unsafe.Pointer(l.out_cell)),
		InWindow:  windowAfter(unsafe.Pointer(l.in_cell), unsafe.Sizeof(*l.in_cell), l.in_window),
		OutWindow: windowAfter(unsafe.Pointer(l.out_cell), unsafe.Sizeof(*l.out_cell), l.out_window),
		Quit:      (*atomic.Uint32)(unsafe.Pointer(l.quit)),
		Asleep:    (*atomic.Uint32)(unsafe.Pointer(l.asleep)),
		Flush:     func() { C.mb_flush_now() },
		Refused:   reportRefused,
		End:       handlerEnd(l.options),
		Identify:  identifyBy(l.proxies),
		Block:     shm.HeadBlock{Listener: raw.Listener, Exchange: raw.Exchange, Local: raw.Local, Remote: raw.Remote, TLS: tlsOf(l)},
		Limits:    limitsOf(l.options),
	}, unsafe.Slice((*byte)(l.early), int(l.early_len)))
}

// tlsOf is what is known of the connection's TLS, or nil.
func tlsOf(l *C.mb_rawhttp) []byte {
	if l.tls == nil {
		return nil
	}
	return []byte(C.GoString(l.tls))
}

// reportRefused reports a request that the connection answers itself.
func reportRefused(status int, cause string, method, path []byte) {
	text := []byte(cause)
	C.mb_rawhttp_refused(C.uint32_t(status), pointer(text), C.size_t(len(text)),
		pointer(method), C.size_t(len(method)), pointer(path), C.size_t(len(path)))
}

// pointer is where a slice is, for C.
func pointer(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(b)) }

// identify is what identifyBy has returned: a worker has one pool.
var identify func(h *httpparse.Head, peer netip.Addr)

// identifyBy says who the clients of requests are that have come through these proxies; nil: there are none.
func identifyBy(proxies *C.char) func(h *httpparse.Head, peer netip.Addr) {
	if proxies == nil || identify != nil {
		return identify
	}
	t, err := forwarded.New(strings.Fields(C.GoString(proxies)))
	if err == nil { // the server has checked them
		identify = t.Identify
	}
	return identify
}

// handlerEnd says how a handler is ended whose client has gone; nil: it is not.
func handlerEnd(o *C.mb_http_options) *rawhttp.End {
	if o.on_client_gone == 0 {
		return nil
	}
	return &rawhttp.End{
		Tell:    func() { C.mb_gone_wanted() },
		Timeout: seconds(o.client_gone_timeout),
		Overdue: func() { C.mb_gone_overdue() },
	}
}

func limitsOf(o *C.mb_http_options) rawhttp.Limits {
	return rawhttp.Limits{
		Head:           httpparse.Limits{HeadBytes: int(min(o.request_header_size_limit, math.MaxInt32))},
		HeadBlockBytes: C.MB_REQUEST_HEAD_MAX,
		BodyBytes:      int64(o.request_body_size_limit),
		StreamBody:     o.stream_body != 0,
		BodyCodings:    bodyCodings(o),
		Idle:           seconds(o.idle_timeout),
		Header:         seconds(o.request_header_timeout),
		Stall:          seconds(o.stall_timeout),
		Response:       seconds(o.response_timeout),
		Drain:          seconds(o.drain_timeout),
		Fixed:          httpwrite.NewFixed(C.GoStringN(C.mb_static_text(o), C.int(o.static_len))),
	}
}

// bodyCodings are the content codings of request bodies on raw connections: they are not decoded there.
func bodyCodings(o *C.mb_http_options) httpparse.Codings {
	if o.encoded_body == C.MB_ENCODED_PASS {
		return 0
	}
	return httpparse.CodingsOf(httpparse.Identity)
}

// windowAfter is the window that follows one side of a cell.
func windowAfter(cell unsafe.Pointer, size uintptr, n C.uint32_t) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(cell, size)), int(n))
}

// seconds is an option of generate_handler as a duration. It is at most 1e9 seconds, and 0 stays 0.
func seconds(s C.double) time.Duration {
	return time.Duration(math.Ceil(float64(s) * float64(time.Second)))
}

// mbConnNext waits for a request, and has put it into the cell when it returns 1; 0: the connection has ended.
//
//export mbConnNext
func mbConnNext() C.int { return truth(rawHTTP.Next()) }

// mbConnStep waits until something has moved; first: a new wait starts.
//
//export mbConnStep
func mbConnStep(first C.int) { rawHTTP.Step(first != 0) }

// mbConnNotify looks at what the handler has put into the cell.
//
//export mbConnNotify
func mbConnNotify() { rawHTTP.Notify() }

// mbConnGone reports whether the client has gone.
//
//export mbConnGone
func mbConnGone() C.int { return truth(rawHTTP.Gone()) }

// mbConnEnd ends an exchange with this result. It returns 0 if it was the last one.
//
//export mbConnEnd
func mbConnEnd(result C.uint32_t) C.int { return truth(rawHTTP.End(uint32(result))) }

// mbConnClose ends the connection. It returns 1 if the peer is to see a reset when the last descriptor of the socket is
// closed.
//
//export mbConnClose
func mbConnClose(failed C.int) C.int { return truth(rawHTTP.Close(failed != 0)) }

func truth(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
