package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unsafe"
)

// Types of messages on the socket of MsgChannels.
const (
	AskPublish  = 1 + iota // Ask: answered by a uint64, the number of subscribers
	AskCount               // … the same
	AskPresence            // … answered by an AnswerKey and a key each
	AskHistory             // … answered by a uint64, 1: complete, and an AnswerMessage and its texts each
	AskPosition            // … answered by text
	AskWSSend              // Ask with the id of a WebSocket as Name, Max is the opcode: answered by a uint64, 1: it is open
	AskWSClose             // … Max is the code, Data the reason: the same
)

// Types of answers.
const (
	AnswerOK  = 1 + iota
	AnswerErr // text of an error
)

// AnswerMax bounds an answer, in bytes. The rest is left out.
const AnswerMax = 1_000_000

// MsgDeclareBody is mb_msg_declare. The pattern follows it.
type MsgDeclareBody struct {
	Messages, Presence   uint32
	Bytes, AgeMS, SlowMS uint64
}

// AskBody is mb_ask. The texts follow it.
type AskBody struct {
	NameLen, EventLen, IDLen, KeyLen uint32
	Max                              uint32
	_                                uint32
}

// AnswerKey is mb_answer_key.
type AnswerKey struct{ Count, Len uint32 }

// AnswerMessage is mb_answer_message.
type AnswerMessage struct {
	TimeMS                           int64
	IDLen, EventLen, KeyLen, DataLen uint32
}

// SubscriptionBody is mb_subscription. The texts follow it.
type SubscriptionBody struct {
	Flags                           uint32 // Subscribe*
	RetryMS, KeepaliveMS, TimeoutMS uint32
	FieldsLen, NamesLen             uint32
	AfterLen, KeyLen, FirstLen      uint32
	_                               uint32
}

// Flags of SubscriptionBody.
const (
	SubscribePoll = 1 << iota
	SubscribeHead
	SubscribeHTTP10
	SubscribeKeepalive
	SubscribeFirst
	SubscribeSilent
)

// Ask is what a worker asks about channels. The texts are views.
type Ask struct {
	Name, Event, ID, Key, Data []byte
	Max                        int
}

var (
	errAsk          = errors.New("malformed question about channels")
	errSubscription = errors.New("malformed subscription")
)

// split cuts texts of the given lengths from the front of p. ok: they are there.
func split(p []byte, lengths ...uint32) (texts [][]byte, rest []byte, ok bool) {
	for _, n := range lengths {
		if uint64(n) > uint64(len(p)) {
			return nil, nil, false
		}
		texts = append(texts, p[:n])
		p = p[n:]
	}
	return texts, p, true
}

// ReadAsk reads the content of a message.
func ReadAsk(m []byte) (a Ask, err error) {
	var b AskBody
	if len(m) < int(unsafe.Sizeof(b)) {
		return a, errAsk
	}
	copy(Bytes(&b), m)
	texts, rest, ok := split(m[unsafe.Sizeof(b):], b.NameLen, b.EventLen, b.IDLen, b.KeyLen)
	if !ok {
		return a, errAsk
	}
	return Ask{texts[0], texts[1], texts[2], texts[3], rest, int(min(b.Max, 1<<30))}, nil
}

// Subscription is what a worker wants of a request's response. The texts are copies.
type Subscription struct {
	SubscriptionBody
	Fields            []byte
	Names             []string
	After, Key, First string
}

// namesMax bounds the names of a Subscription.
const namesMax = 64

// ReadSubscription reads what is published with OutStream.
func ReadSubscription(m []byte) (s Subscription, err error) {
	b := &s.SubscriptionBody
	if len(m) < int(unsafe.Sizeof(*b)) {
		return s, errSubscription
	}
	copy(Bytes(b), m)
	texts, rest, ok := split(m[unsafe.Sizeof(*b):], b.FieldsLen, b.NamesLen, b.AfterLen, b.KeyLen, b.FirstLen)
	if !ok || len(rest) > 0 {
		return s, errSubscription
	}
	if s.Names, ok = SplitNames(texts[1]); !ok || len(s.Names) == 0 || !isFields(texts[0]) {
		return s, errSubscription
	}
	s.Fields = bytes.Clone(texts[0])
	s.After, s.Key, s.First = string(texts[2]), string(texts[3]), string(texts[4])
	return s, nil
}

// isFields reports whether p is lines of a head, without its end.
func isFields(p []byte) bool {
	for len(p) > 0 {
		i := bytes.Index(p, []byte("\r\n"))
		if i < 1 || bytes.IndexByte(p[:i], ':') < 1 {
			return false
		}
		p = p[i+2:]
	}
	return true
}

// AppendAnswerKey appends an AnswerKey and its key.
func AppendAnswerKey(dst []byte, count int, key string) []byte {
	dst = append(dst, Bytes(&AnswerKey{uint32(count), uint32(len(key))})...)
	return append(dst, key...)
}

// AppendAnswerMessage appends an AnswerMessage and its texts.
func AppendAnswerMessage(dst []byte, timeMS int64, id, event, key, data string) []byte {
	m := AnswerMessage{timeMS, uint32(len(id)), uint32(len(event)), uint32(len(key)), uint32(len(data))}
	dst = append(dst, Bytes(&m)...)
	return append(append(append(append(dst, id...), event...), key...), data...)
}

// AppendNumber appends a uint64 of an answer.
func AppendNumber(dst []byte, n uint64) []byte { return binary.NativeEndian.AppendUint64(dst, n) }
