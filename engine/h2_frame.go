package engine

import "encoding/binary"

// The frames of HTTP/2 (RFC 9113 §4, §6): their headers are read and written here, where no byte is copied and nothing is
// allocated.

// h2Kind is the type of a frame.
type h2Kind uint8

const (
	h2Data           h2Kind = 0
	h2Headers        h2Kind = 1
	h2Priority       h2Kind = 2
	h2RSTStream      h2Kind = 3
	h2Settings       h2Kind = 4
	h2PushPromise    h2Kind = 5
	h2Ping           h2Kind = 6
	h2GoAway         h2Kind = 7
	h2WindowUpdate   h2Kind = 8
	h2Continuation   h2Kind = 9
	h2PriorityUpdate h2Kind = 16 // RFC 9218 §7.1
)

// Flags of frames.
const (
	h2EndStream  = 0x1 // DATA, HEADERS
	h2Ack        = 0x1 // SETTINGS, PING
	h2EndHeaders = 0x4 // HEADERS, CONTINUATION
	h2Padded     = 0x8 // DATA, HEADERS
	h2Prioritied = 0x20
)

// h2Code is an error code (RFC 9113 §7).
type h2Code uint32

const (
	h2NoError            h2Code = 0
	h2ProtocolError      h2Code = 1
	h2InternalError      h2Code = 2
	h2FlowControlError   h2Code = 3
	h2StreamClosed       h2Code = 5
	h2FrameSizeError     h2Code = 6
	h2RefusedStream      h2Code = 7
	h2Cancel             h2Code = 8
	h2CompressionError   h2Code = 9
	h2EnhanceYourCalm    h2Code = 11
	h2HeaderBytes               = 9
	h2FrameBytesMax             = 16 << 10 // of a payload: what every peer accepts, and what we do
	h2WindowMax                 = 1<<31 - 1
	h2WindowDefault             = 1<<16 - 1
	h2LastStream                = 1<<31 - 1
	h2SettingBytes              = 6
	h2PrefaceText               = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	h2PrefaceRequestLine        = "PRI * HTTP/2.0\r\n"
)

// Identifiers of settings (RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1).
const (
	h2SettingTableSize     = 1
	h2SettingPush          = 2
	h2SettingStreams       = 3
	h2SettingWindow        = 4
	h2SettingFrameBytes    = 5
	h2SettingHeaderBytes   = 6
	h2SettingConnect       = 8
	h2SettingNoPriorities  = 9
	h2SettingFrameBytesMax = 1<<24 - 1
)

// h2Frame is the header of a frame.
type h2Frame struct {
	length int
	kind   h2Kind
	flags  uint8
	stream uint32
}

func (f h2Frame) has(flag uint8) bool { return f.flags&flag != 0 }

// parseH2Frame parses the header that p begins with.
func parseH2Frame(p []byte) h2Frame {
	return h2Frame{
		length: int(p[0])<<16 | int(p[1])<<8 | int(p[2]),
		kind:   h2Kind(p[3]),
		flags:  p[4],
		stream: binary.BigEndian.Uint32(p[5:]) & h2LastStream,
	}
}

// append appends the header to p.
func (f h2Frame) append(p []byte) []byte {
	p = append(p, byte(f.length>>16), byte(f.length>>8), byte(f.length), byte(f.kind), f.flags)
	return binary.BigEndian.AppendUint32(p, f.stream)
}

// unpad takes the padding off the payload of a frame that may have some. false: there is more of it than the frame holds.
func (f h2Frame) unpad(p []byte) (content []byte, ok bool) {
	if !f.has(h2Padded) {
		return p, true
	}
	if len(p) == 0 || int(p[0]) >= len(p) {
		return nil, false
	}
	return p[1 : len(p)-int(p[0])], true
}
