package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"unsafe"
)

// WSAcceptBody is mb_ws_accept. The texts follow it.
type WSAcceptBody struct {
	Flags, MessageMax                  uint32 // Flags: WSOpens and so on
	FieldsLen, NamesLen                uint32
	AfterLen, MemberLen                uint32
	HandlerLen, StateLen               uint32
	KeyLen, ProtocolLen, ExtensionsLen uint32
	Burst                              uint32 // messages at once, if there is an Interval
	Interval                           uint64 // ns between two messages of the client; 0: no limit
}

// Flags of WSAcceptBody.
const (
	WSOpens = 1 << iota
	WSCloses
	WSStrict
	WSCompress
	WSTakeover
)

// WSEventBody is mb_ws_event. The texts follow it.
type WSEventBody struct {
	Event, Opcode, Code                    uint32
	HandlerLen, IDLen, StateLen, ReasonLen uint32
	Count                                  uint32 // of the messages of WSMessages
}

// Events of a WebSocket.
const (
	WSOpen = 1 + iota
	WSMessage
	WSClose
	WSMessages // the body is a WSRecord for each; the worker reports the end of each with WSDone
)

// Bounds of a WebSocket.
const (
	WSStateMax    = 4096
	WSNameMax     = 255
	WSMessageMax  = 1 << 20
	WSRateMax     = 1_000_000            // messages a second, and at once
	WSIntervalMax = 1000 * 1_000_000_000 // ns
)

// WSVerbHead is mb_ws_verb. Len bytes follow it.
type WSVerbHead struct{ Verb, Len uint32 }

// Verbs of a handler.
const (
	WSSendText = 1 + iota
	WSSendBinary
	WSEnd
	WSState
	WSSubscribe
	WSUnsubscribe
	WSUnknown
	WSReceive // only of a WebSocket that a worker has to itself
	WSDone    // only of WSMessages
)

// WSRecord is mb_ws_record. Len bytes follow it.
type WSRecord struct{ Event, Len, Code, _ uint32 }

// AppendWSRecord appends a record.
func AppendWSRecord(dst []byte, event, code uint32, data []byte) []byte {
	return append(append(dst, Bytes(&WSRecord{Event: event, Len: uint32(len(data)), Code: code})...), data...)
}

// WSRecordHead is the size of a WSRecord without the bytes that follow it.
const WSRecordHead = int(unsafe.Sizeof(WSRecord{}))

// SkipWSRecords is what follows the first n of some records; nil if there are fewer.
func SkipWSRecords(p []byte, n int) []byte {
	for ; n > 0; n-- {
		size := WSRecordHead + len(WSRecordData(p, 0))
		if size > len(p) {
			return nil
		}
		p = p[size:]
	}
	return p
}

// WSRecordData is what belongs to the record with this index, as far as p has it.
func WSRecordData(p []byte, i int) []byte {
	var r WSRecord
	if p = SkipWSRecords(p, i); len(p) < WSRecordHead {
		return nil
	}
	copy(Bytes(&r), p)
	return p[WSRecordHead:][:min(uint64(r.Len), uint64(len(p)-WSRecordHead))]
}

// WSAccept is what a handler of a request says of the WebSocket that it accepts. The texts are copies.
type WSAccept struct {
	WSAcceptBody
	Fields, State             []byte
	Names                     []string
	After, Member, Handler    string
	Key, Protocol, Extensions string
}

var errWSAccept = errors.New("malformed acceptance of a WebSocket")

// ReadWSAccept reads what is published with OutWebSocket.
func ReadWSAccept(m []byte) (s WSAccept, err error) {
	b := &s.WSAcceptBody
	if len(m) < int(unsafe.Sizeof(*b)) {
		return s, errWSAccept
	}
	copy(Bytes(b), m)
	texts, rest, ok := split(m[unsafe.Sizeof(*b):], b.FieldsLen, b.NamesLen, b.AfterLen, b.MemberLen, b.HandlerLen, b.StateLen,
		b.KeyLen, b.ProtocolLen, b.ExtensionsLen)
	if !ok || len(rest) > 0 || b.StateLen > WSStateMax || b.HandlerLen > WSNameMax || b.MessageMax > WSMessageMax ||
		b.Interval > WSIntervalMax || b.Burst > WSRateMax || !isFields(texts[0]) {
		return s, errWSAccept
	}
	if s.Names, ok = SplitNames(texts[1]); !ok {
		return s, errWSAccept
	}
	s.Fields, s.State = bytes.Clone(texts[0]), bytes.Clone(texts[5])
	s.After, s.Member, s.Handler = string(texts[2]), string(texts[3]), string(texts[4])
	s.Key, s.Protocol, s.Extensions = string(texts[6]), string(texts[7]), string(texts[8])
	return s, nil
}

// SplitNames reads names, each with a NUL after it.
func SplitNames(p []byte) (names []string, ok bool) {
	if len(p) == 0 {
		return nil, true
	}
	text, ended := bytes.CutSuffix(p, []byte{0})
	if !ended || bytes.Count(text, []byte{0}) >= namesMax {
		return nil, false
	}
	return strings.Split(string(text), "\x00"), true
}

// AppendWSEvent appends an event.
func AppendWSEvent(dst []byte, e WSEventBody, handler, id string, state []byte, reason string) []byte {
	e.HandlerLen, e.IDLen, e.StateLen, e.ReasonLen = uint32(len(handler)), uint32(len(id)), uint32(len(state)), uint32(len(reason))
	dst = append(dst, Bytes(&e)...)
	return append(append(append(append(dst, handler...), id...), state...), reason...)
}

// WSVerbs reads verbs from what arrives in pieces.
type WSVerbs struct {
	rest []byte // of a verb that is not complete
}

// ErrWSVerb: what a worker has published is not a list of verbs.
var ErrWSVerb = errors.New("malformed verb of a WebSocket")

const wsVerbHead = int(unsafe.Sizeof(WSVerbHead{}))

// wsVerbMax is the most bytes of a verb: a message, or names of channels.
const wsVerbMax = WSMessageMax

// Add calls do for each verb that p completes. data is a view.
func (v *WSVerbs) Add(p []byte, do func(verb uint32, data []byte)) error {
	joined := len(v.rest) > 0
	if joined {
		v.rest = append(v.rest, p...)
		p = v.rest
	}
	for len(p) >= wsVerbHead {
		verb, n := binary.NativeEndian.Uint32(p), binary.NativeEndian.Uint32(p[4:])
		if verb < WSSendText || verb > WSDone || n > wsVerbMax {
			return ErrWSVerb
		}
		if len(p)-wsVerbHead < int(n) {
			break
		}
		do(verb, p[wsVerbHead:wsVerbHead+int(n)])
		p = p[wsVerbHead+int(n):]
	}
	switch {
	case len(p) == 0:
		v.rest = nil
	case !joined || len(p) < len(v.rest): // otherwise it is in place
		v.rest = append([]byte(nil), p...)
	}
	return nil
}

// Whole reports whether nothing is left.
func (v *WSVerbs) Whole() bool { return len(v.rest) == 0 }
