package accesslog

import (
	"net/netip"
	"time"

	"moonbridge/httpparse"
	"moonbridge/httpwrite"
)

// Record is what an entry will need from an exchange in progress. It can be used again: Start empties it and keeps its memory.
type Record struct {
	At       time.Time // when the request's head was complete
	Response httpwrite.Scan
	Status   int // of an exchange that ends without a response; 0: use the status of the response

	client netip.Addr // see httpparse.Head.Client

	b     []byte // the parts, one after the other
	ends  [Parts]uint16
	minor int
	http2 bool

	secure bool
}

// The parts of a record, in the order in which they are added.
const (
	PartMethod = iota
	PartTarget
	PartReferer
	PartAgent
	PartID
	Parts
)

// Start empties the record, for an exchange that starts at the given time.
func (r *Record) Start(at time.Time) { *r = Record{At: at, b: r.b[:0]} }

// Part returns a view of a part.
func (r *Record) Part(i int) []byte {
	start := uint16(0)
	if i > 0 {
		start = r.ends[i-1]
	}
	return r.b[start:r.ends[i]]
}

// add appends part i, cut at limit bytes.
func (r *Record) add(i int, p []byte, limit int) {
	r.b = append(r.b, p[:min(len(p), limit)]...)
	r.ends[i] = uint16(len(r.b))
}

// SetHead copies what the log needs of a request's head, whose views may end soon. ids makes an id if the peer's own
// cannot be used.
func (r *Record) SetHead(h *httpparse.Head, ids IDs) {
	r.b = r.b[:0] // a head whose body was awaited is parsed twice
	r.minor, r.http2 = int(h.Minor), h.HTTP2
	r.client, r.secure = h.Client, h.Secure
	r.add(PartMethod, h.Bytes(h.Method), MethodMax)
	r.add(PartTarget, h.Bytes(h.Target), TargetMax)
	var referer, agent, id []byte
	for _, f := range h.Fields {
		// The length comes first: most fields are none of the three.
		switch f.NameLen {
		case uint32(len("referer")):
			firstValue(&referer, h, f, "referer")
		case uint32(len("user-agent")):
			firstValue(&agent, h, f, "user-agent")
		case uint32(len("x-request-id")):
			firstValue(&id, h, f, "x-request-id")
		}
	}
	r.add(PartReferer, referer, RefererMax)
	r.add(PartAgent, agent, AgentMax)
	r.chooseID(id, ids)
}

// SetBrief is SetHead without copies: only the id is kept.
func (r *Record) SetBrief(h *httpparse.Head, ids IDs) {
	r.b = r.b[:0]
	var id []byte
	for _, f := range h.Fields {
		if f.NameLen == uint32(len("x-request-id")) {
			firstValue(&id, h, f, "x-request-id")
		}
	}
	r.chooseID(id, ids)
}

// chooseID gives the exchange the peer's id if it is valid, or else an id of the server's own.
func (r *Record) chooseID(id []byte, ids IDs) {
	if ValidID(id) {
		r.add(PartID, id, IDMax)
	} else {
		r.SetID(ids)
	}
}

// firstValue sets *value to the value of field f, if f has that name and is the first with it.
func firstValue(value *[]byte, h *httpparse.Head, f httpparse.Field, lowerName string) {
	if *value == nil && httpparse.EqualFold(h.Raw[f.NameOff:f.NameOff+f.NameLen], lowerName) {
		*value = h.Raw[f.ValueOff : f.ValueOff+f.ValueLen]
	}
}

// SetID gives the exchange an id of the server's own.
func (r *Record) SetID(ids IDs) {
	r.b = ids.AppendID(r.b)
	r.ends[PartID] = uint16(len(r.b))
}

// Fill sets everything that the record knows in an entry. Peer is changed if proxies have said who the client is. unsent is how many bytes of the response have not been sent, though
// they were written to the record.
func (r *Record) Fill(e *Entry, unsent int64) {
	e.Time, e.Minor, e.HTTP2, e.Secure = r.At, r.minor, r.http2, r.secure
	if r.client.IsValid() {
		e.Peer = netip.AddrPortFrom(r.client, 0)
	}
	e.Method, e.Target = r.Part(PartMethod), r.Part(PartTarget)
	e.Referer, e.UserAgent, e.ID = r.Part(PartReferer), r.Part(PartAgent), r.Part(PartID)
	e.Status, e.Bytes = r.Outcome(unsent)
}

// Outcome is what has become of the response. unsent is that of Fill.
func (r *Record) Outcome(unsent int64) (status int, bytes int64) {
	status = r.Status
	if status == 0 {
		status = r.Response.Final()
	}
	return status, max(0, r.Response.Body()-unsent)
}
