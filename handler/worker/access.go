package worker

// #include "worker.h"
import "C"

import (
	"fmt"
	"unsafe"

	"moonbridge/handler/accesslog"
	"moonbridge/handler/shm"
)

// Requests on raw connections are logged by the server, which is sent one message for each of them. A worker never waits for
// the server to read it.

// accessLost is how many messages could not be sent since the last one that was. It belongs to the main thread.
var accessLost uint32

// rawIDs makes the ids of requests on a raw connection. They look like those that workers make without an access log: what
// the ids of the pool begin with, its number, that of the exchange that brought the connection, and a number of the
// connection.
type rawIDs struct {
	exchange uint64
	last     int
}

func (r *rawIDs) AppendID(to []byte) []byte {
	r.last++
	return fmt.Appendf(to, "%010x-%d-%d.%d", uint64(C.worker.header.id_prefix), uint32(C.worker.pool), r.exchange, r.last)
}

// accessOf says how requests of the connection that raw describes are logged: not at all, unless the server has a log.
func accessOf(raw *shm.Head) (log func(*accesslog.Entry), ids accesslog.IDs) {
	if raw.Flags&shm.HeadLogged == 0 {
		return nil, nil
	}
	remote := raw.Remote
	return func(e *accesslog.Entry) { sendAccess(e, remote) }, &rawIDs{exchange: raw.Exchange}
}

// sendAccess sends an entry to the server.
func sendAccess(e *accesslog.Entry, remote shm.Address) {
	if e.Peer.IsValid() { // proxies have said who the client is
		remote = shm.AddressOf(e.Peer)
	}
	m := shm.MsgAccessBody{
		Time: e.Time.UnixNano(), Service: uint64(max(e.Service, 0)), Total: uint64(e.Total), Bytes: uint64(e.Bytes),
		Status: uint32(e.Status), Lost: accessLost, Minor: uint8(e.Minor), Remote: remote,
	}
	if e.Complete {
		m.Complete = 1
	}
	if e.Service < 0 {
		m.Service = shm.NotServed
	}
	b := shm.Bytes(&m)
	text := len(b)
	b = append(make([]byte, 0, text+accesslog.PartsMax), b...)
	for i, part := range [...][]byte{e.Method, e.Target, e.Referer, e.UserAgent, e.ID} {
		b = append(b, part...)
		m.Ends[i] = uint16(len(b) - text)
	}
	copy(b, shm.Bytes(&m))
	if C.mb_message_try(C.process.control, shm.MsgAccess, unsafe.Pointer(&b[0]), C.size_t(len(b))) != 0 {
		accessLost++
	} else {
		accessLost = 0
	}
}
