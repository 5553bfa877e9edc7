package pool

import (
	"math"
	"time"
	"unsafe"

	"moonbridge/handler/accesslog"
	"moonbridge/handler/shm"
)

// logAccess passes on what a worker says of a request that it has served on a raw connection.
func (w *Worker) logAccess(body []byte) error {
	log := w.fs.h.cfg.RawAccess
	const size = int(unsafe.Sizeof(shm.MsgAccessBody{}))
	if log == nil || len(body) < size || len(body) > size+accesslog.PartsMax {
		return errMessage
	}
	m, err := as[shm.MsgAccessBody](body[:size])
	if err != nil {
		return err
	}
	parts, ok := splitParts(m.Ends, body[size:])
	if !ok || !accesslog.ValidID(parts[accesslog.PartID]) || m.Status > 999 || m.Remote.Family != 0 && m.Remote.Family != 4 && m.Remote.Family != 6 {
		return errMessage
	}
	e := accesslog.Entry{
		Peer: m.Remote.AddrPort(), Time: time.Unix(0, m.Time),
		Method: parts[accesslog.PartMethod], Target: parts[accesslog.PartTarget], Minor: int(m.Minor),
		Referer: parts[accesslog.PartReferer], UserAgent: parts[accesslog.PartAgent], ID: parts[accesslog.PartID],
		Status: int(m.Status), Bytes: int64(min(m.Bytes, math.MaxInt64)), Complete: m.Complete != 0,
		Service: duration(m.Service), Total: duration(m.Total),
	}
	if m.Service == shm.NotServed {
		e.Queue, e.Service = -1, -1
	}
	log(w.p.index, &e, int(m.Lost))
	return nil
}

// splitParts divides text at the places where its parts end. ok: they are in order, and the last one is the end of the text.
func splitParts(ends [accesslog.Parts]uint16, text []byte) (parts [accesslog.Parts][]byte, ok bool) {
	start := 0
	for i, end := range ends {
		if int(end) < start || int(end) > len(text) {
			return parts, false
		}
		parts[i], start = text[start:end], int(end)
	}
	return parts, start == len(text)
}

func duration(ns uint64) time.Duration { return time.Duration(min(ns, math.MaxInt64)) }
