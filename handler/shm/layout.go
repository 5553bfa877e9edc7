package shm

import "sync/atomic"

// The types of this file mirror those of layout.h, field by field. Words that both sides change or read at the same time
// have atomic types, which have the size and alignment of plain ones.

// Values of Header.Magic and Header.Version.
const (
	Magic   = 0x3142424d
	Version = 1
)

// Header is mb_in_header, at offset 0 of the in segment. Immutable once the first worker is forked.
type Header struct {
	Magic, Version uint32
	Loops          uint32 // number of loops
	Workers        uint32 // number of worker slots
	Cells          uint32 // cells of each loop
	QueueCap       uint32 // entries of a loop's queue, power of two
	InWindow       uint32 // bytes of a cell's in-window, power of two
	OutWindow      uint32 // bytes of a cell's out-window, power of two
	InSize         uint64 // bytes of the in segment
	OutSize        uint64 // bytes of the out segment

	// Places of arrays: element i is at offset + i*stride, in bytes.
	InLoops, InLoopStride       uint64
	InWorkers, InWorkerStride   uint64
	InCells, InCellStride       uint64
	OutLoops, OutLoopStride     uint64
	OutWorkers, OutWorkerStride uint64
	OutCells, OutCellStride     uint64

	IDPrefix uint64 // ids of requests that workers make begin with it: 40 bits
}

// InLoop is mb_in_loop without the queue's entries, which follow it.
type InLoop struct {
	QHead atomic.Uint64 // positions published so far
	_     [56]byte
}

// InWorker is mb_in_worker: what the server tells a worker.
type InWorker struct {
	Home atomic.Uint32 // the loop whose queue this worker looks at first
	Quit atomic.Uint32 // not 0: take no further exchange, run finish, end
	// Stopping is not 0 when the server is to end or the script is replaced. Exchanges are still taken; handlers that ask are told.
	Stopping atomic.Uint32
	_        [52]byte
}

// Flags of InCell.
const (
	InEnd      = 1 << iota // InHead is final
	InAbort                // the body broke off and will never be complete
	InCancel               // the peer is gone: output is thrown away
	InTooLarge             // with InAbort: the body is above its limit
	InWantRoom             // the loop waits for room in the in-window
	InPeerEnd              // the peer has sent its FIN: it may still read, or have gone
	InReceived             // the server has the whole body: the connection goes on even if the handler does not read it
)

// InCell is mb_in_cell: the server's half of a cell. The in-window follows it.
type InCell struct {
	Gen     atomic.Uint64 // queue position of this use of the cell: its identity
	InHead  atomic.Uint64 // bytes put into the in-window so far
	OutTail atomic.Uint64 // bytes taken out of the out-window so far
	Flags   atomic.Uint32 // In*
	_       uint32
	// Published is ns of CLOCK_MONOTONIC when the exchange was put into the queue: workers compare exchanges of different
	// loops by it.
	Published atomic.Int64
	_         [24]byte
}

// OutLoop is mb_out_loop without the ready bitmap, which follows it.
type OutLoop struct {
	QTail  atomic.Uint64 // first position that may still be unclaimed
	_      [56]byte
	Asleep atomic.Uint32 // 1: the loop blocks or is about to
	_      [60]byte
}

// OutWorker is mb_out_worker.
type OutWorker struct {
	Asleep   atomic.Uint32 // 1: the worker blocks or is about to
	_        uint32
	Finished atomic.Uint64 // exchanges completed
	At       atomic.Uint64 // At of the exchange that it runs; 0: none. Cleared after its result is stored
	_        [40]byte
}

// At is the place of an exchange, for OutWorker.At.
func At(loop, cell int) uint64 { return uint64(loop)<<32 | uint64(cell+1) }

// The low half of OutCell.Owner; the high half is the low half of the generation. Other values: 1+slot of the worker that
// has claimed the cell.
const (
	WhoFree   = 0
	WhoQueued = 0xffffffff
)

// Owner builds an owner word.
func Owner(gen uint64, who uint32) uint64 { return gen<<32 | uint64(who) }

// Result builds a result word. A result that belongs to another exchange does not count.
func Result(gen uint64, bits uint32) uint64 { return gen<<32 | uint64(bits) }

// ResultOf is the bits of a result word if it belongs to the exchange, otherwise 0.
func ResultOf(word, gen uint64) uint32 {
	if uint32(word>>32) != uint32(gen) {
		return 0
	}
	return uint32(word)
}

// NoResult is the result word of an exchange that has no result yet. A few flipped bits do not turn it into one.
func NoResult(gen uint64) uint64 { return Result(^gen, 0) }

// Bits of the low half of OutCell.Result. From ResultStatusShift on, with ResultDone and no output but interim responses: the
// status that the server answers itself.
const (
	ResultDone   = 1 << iota // the exchange is over
	ResultClose              // close the connection when the output is sent
	ResultReset              // reset the connection: the response broke off
	ResultRetire             // this worker takes no further exchange
	ResultFailed             // the handler has raised an error, which was reported with the number of the exchange

	ResultStatusShift = 16
)

// ClientGone is a status in a result: the client has gone, and no response can be sent.
const ClientGone = 499

// Flags of OutCell.
const (
	OutBodyWanted        = 1 << iota // the handler reads the body
	OutPending                       // output is held back and should be sent soon
	OutDescriptorWanted              // the worker waits for the connection's socket (KindSocket) or the file of the body (HeadBodyFile)
	OutReset                         // the handler has reset the connection, and still runs
	OutComplete                      // all of the response is published, whatever the handler still does
	OutClose                         // with OutComplete: close the connection after the response
	OutFile                          // what is published is only the head: the body is in MsgFile, which was sent before
	OutStream                        // with OutComplete: what is published is no response but a Subscription
	OutWebSocket                     // … but a WSAccept: the connection becomes a WebSocket
	OutWebSocketBlocking             // what was published before it is a WSAccept; verbs follow, and the worker gets WSRecords
)

// OutStartMessage is set in OutCell.OutStart if what is published is no response but a message. Which one is said by OutStream, OutWebSocket or
// OutWebSocketBlocking, which may be seen later than the message.
const OutStartMessage = 1 << 31

// OutCell is mb_out_cell: the worker's half of a cell. The out-window follows it.
type OutCell struct {
	Owner    atomic.Uint64 // Owner(gen, who)
	InTail   atomic.Uint64 // bytes taken out of the in-window so far
	OutHead  atomic.Uint64 // bytes published so far; byte i is at place (OutStart+i) modulo the window
	OutStart atomic.Uint32 // place of the first byte of the response, and OutStartMessage; fixed when that is published
	Flags    atomic.Uint32 // Out*
	Result   atomic.Uint64 // Result(gen, Result*), stored last
	Claimed  atomic.Uint64 // ns of CLOCK_MONOTONIC when the worker took the exchange, if its head has HeadLogged
	_        [16]byte
}

// Kinds of exchange, Head.Kind.
const (
	KindHTTP      = 1
	KindInterval  = 2 // raw is the timer's name; there is no response
	KindSocket    = 3 // a raw connection; raw is empty, there is no response
	KindMain      = 4 // a handler that is called once; raw is the listener's name, there is no response
	KindWebSocket = 5 // an event of a WebSocket: raw is a WSEvent, the body a message; what the worker publishes is a WSVerb each
)

// Flags of Head.
const (
	HeadIsHead    = 1 << iota // method HEAD: no response body
	HeadHTTP10                // the client speaks HTTP/1.0
	HeadKeepalive             // the server is willing to keep the connection
	HeadExpect                // Expect: 100-continue is not answered yet
	HeadAsterisk              // OPTIONS *: there is neither path nor query
	HeadHasBody
	HeadLogged   // KindSocket: requests on the connection are logged or counted. KindHTTP: the worker notes when it claims the exchange
	HeadBodyFile // the body is in a file of ContentLength bytes, which the worker asks for
	HeadSecure   // the client has asked for https
	HeadTLS      // what is known of the connection's TLS follows the id, with a NUL at the end
	HeadHTTP2    // the client speaks HTTP/2
)

// LengthUnknown is Head.ContentLength of a chunked body that is not in a file.
const LengthUnknown = ^uint64(0)

// Address is mb_address: one end of a TCP connection. An IPv4 address has family 4 on a dual-stack socket too.
type Address struct {
	Family uint16 // 0: none, 4, 6
	Port   uint16
	IP     [16]byte // 4 bytes or 16, as on the wire; the rest 0
}

// Head is mb_head. The in-window starts with it, followed by the field lines and raw. The body begins at Size.
type Head struct {
	Size                 uint32 // bytes of this struct, fields and raw, rounded up to 8
	Kind                 uint16
	Listener             uint16 // index of the listener in its listen{} call, from 0
	Flags                uint32 // Head*
	NFields              uint32 // as many Field follow
	ContentLength        uint64 // bytes of body
	Exchange             uint64 // number of the exchange, for logs
	RawOff, RawLen       uint32 // from the start of this struct
	MethodOff, MethodLen uint32 // these from the start of raw
	PathOff, PathLen     uint32
	QueryOff, QueryLen   uint32
	IDOff, IDLen         uint32 // from the start of this struct: the request in logs; empty without an access log. Between raw and it: httpparse.TraceText
	Local, Remote        Address
	Client               Address // as trusted proxies say; family 0: nothing is known
}

// Field is mb_field: places from the start of raw.
type Field struct{ NameOff, NameLen, ValueOff, ValueLen uint32 }

// Msg is mb_msg, the header of a message on a control socket.
type Msg struct {
	Type uint32
	Len  uint32 // bytes that follow, at most MsgMax
}

// MsgMax is how long the content of a message may be, in bytes.
const MsgMax = 1 << 20

// Types of messages.
const (
	MsgListen       = 1 + iota // fork server → server: a listen{} call
	MsgReady                   // … the script has ended without an error
	MsgFailed                  // … the script failed: text
	MsgForked                  // … Forked
	MsgExited                  // … Exited
	MsgListenOK                // server → fork server
	MsgListenErr               // … text for the Lua error
	MsgFork                    // … Fork, with descriptors
	MsgKill                    // … Kill
	MsgWorkerReady             // worker → server: prepare has returned
	MsgWorkerFailed            // … it cannot use the shared memory: text
	MsgFiles                   // fork server or worker → server: files that were loaded
	MsgReport                  // worker → server: Report
	MsgAccess                  // worker → server: MsgAccessBody and its text: a request on a raw connection
	MsgFile                    // worker → server: FileBody, with the descriptor of the file
	MsgPurge                   // … what is to be removed from caches: PurgeKey or PurgePrefix, and the key or prefix
	MsgDictionary              // fork server → server: Dictionary and a name: a shared dictionary is opened
	MsgDictionaryOK            // server → fork server: DictionaryOK, with the descriptor of its memory; or MsgListenErr
	MsgDeclare                 // fork server → server: MsgDeclareBody and a pattern: how channels are
	MsgChannels                // worker → server: the descriptor of a socket, on which the worker asks about channels
	MsgTest                    // server → fork server: MsgTestBody and the path of a file with tests, or none, with descriptors
	MsgTester                  // fork server → server: Forked, of the process that runs the tests
	MsgAsk                     // tester → server and back: a list of strings
	MsgAskPart                 // … the beginning of one
	MsgTested                  // tester → server: it is over
)

// Bytes on a worker's control socket.
const (
	CtlFlush      = 'F' // publish what is held back
	CtlTraceback  = 'T' // log what Lua is at: the worker is about to be killed
	CtlClientGone = 'G' // end the handler whose client has gone (on_client_gone)
	CtlDescriptor = 'D' // with a descriptor: the one that was asked for (OutDescriptorWanted)
	CtlPurged     = 'P' // a MsgPurge has been carried out
	CtlEndInput   = 'E' // end the input of the raw connection, if nothing has happened on it since the last of these bytes
)

// What the first byte of a MsgPurge says about the others, and how many those may be: longer keys are not cached.
const (
	PurgeKey    = 'k'
	PurgePrefix = 'p'
	PurgeMax    = 4096
)

// DictionaryNameMax is how long the name of a dictionary may be, in bytes.
const DictionaryNameMax = 128

// MsgDictionaryBody is mb_msg_dictionary. The name follows it.
type MsgDictionaryBody struct {
	Size uint64 // in bytes
	Keep uint32 // 1: a new script gets the dictionary of the last one
	_    uint32
}

// MsgDictionaryOKBody is mb_msg_dictionary_ok.
type MsgDictionaryOKBody struct {
	Size uint64
	Key  [2]uint64 // of the hash function
}

// MsgForkBody is mb_msg_fork.
type MsgForkBody struct{ Pool, Slot uint32 }

// MsgForkedBody is mb_msg_forked.
type MsgForkedBody struct {
	Pool, Slot uint32
	Pid, Err   int32 // Err: errno of a failed fork, else 0
}

// MsgExitedBody is mb_msg_exited. Status is that of waitpid.
type MsgExitedBody struct{ Pid, Status int32 }

// NotServed is MsgAccessBody.Service of a request that no handler was called for.
const NotServed = ^uint64(0)

// MsgAccessBody is mb_msg_access.
type MsgAccessBody struct {
	Time            int64  // ns since 1970: when the request's head was complete
	Service, Total  uint64 // ns
	Bytes           uint64 // of the response's body, as sent
	Status          uint32
	Lost            uint32    // messages of this type that could not be sent before this one
	Ends            [5]uint16 // of method, target, referer, user agent, id: their places in the text
	Minor, Complete uint8
	Remote          Address
}

// MsgKillBody is mb_msg_kill.
type MsgKillBody struct{ Pid, Sig int32 }

// MsgTestBody is mb_msg_test. The path of a file may follow it.
type MsgTestBody struct{ Pool, Seconds uint32 }

// AskListMax bounds the list of a MsgAsk, with all its parts, in bytes.
const AskListMax = 32 << 20

// MsgReportBody is mb_msg_report: what is to be logged of an error. The parts follow it, in the order of their lengths. Only
// message and traceback may contain any bytes.
type MsgReportBody struct {
	Level                     uint32 // Level*
	Status                    uint32 // not 0: the peer is at fault and is answered with it
	MessageCut, TracebackCut  uint32 // bytes that are missing at the end of each
	MessageLen, TracebackLen  uint32 // at most ReportTextMax together
	InLen                     uint32 // what was running: request, interval, connection, prepare, finish …
	MethodLen, PathLen, IDLen uint32 // of a request
	TraceLen                  uint32 // the id of its trace
	IntervalLen               uint32 // name of an interval
	Remote                    Address
	Exchange                  uint64 // Head.Exchange of the one that fails with this; 0: none does
}

// ReportTextMax bounds message and traceback of a report, in bytes.
const ReportTextMax = 64 << 10

// Levels of a report.
const (
	LevelInfo = 1 + iota
	LevelWarn
	LevelError
)

// Entry is mb_entry: key and value follow it without padding.
type Entry struct{ Scope, KeyLen, ValLen, Type uint32 }

// Types of entries.
const (
	TypeNone   = iota
	TypeBool   // "0", "1"
	TypeNumber // decimal text
	TypeString
	TypeFunc  // a Lua function; no value
	TypeHTTP  // result of http.generate_handler; value: its options
	TypeOther // anything else; value: its Lua type name
)

// Env is the environment variable that makes a program become a fork server; its value is the number of the control
// socket's descriptor, and after a blank, if there is one, what scripts see as _MOONBRIDGE_VERSION.
const Env = "MOONBRIDGE_FORKSERVER"

// EnvDevelopment is another environment variable, with letters for what only developers want: w: MsgFiles are sent; p and the
// number of the script's generation: a Lua error in an HTTP handler is answered with a page that shows it.
const EnvDevelopment = "MOONBRIDGE_DEVELOPMENT"
