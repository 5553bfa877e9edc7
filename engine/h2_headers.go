package engine

import (
	"encoding/binary"
	"slices"

	"golang.org/x/net/http2/hpack"
)

// headersFrame begins a stream, or the trailer section of one (RFC 9113 §6.2).
func (s *h2Conn) headersFrame(f h2Frame, p []byte) {
	if f.stream == 0 || f.stream&1 == 0 {
		s.fail(h2ProtocolError, causeH2Stream)
		return
	}
	p, ok := f.unpad(p)
	if !ok {
		s.fail(h2ProtocolError, causeH2FrameSize)
		return
	}
	onItself := false
	if f.has(h2Prioritied) {
		if len(p) < 5 {
			s.fail(h2FrameSizeError, causeH2FrameSize)
			return
		}
		onItself = binary.BigEndian.Uint32(p)&h2LastStream == f.stream
		p = p[5:]
	}
	st := s.stream(f.stream)
	if st == nil && f.stream <= s.lastID && !s.wasReset(f.stream) {
		s.fail(h2StreamClosed, causeH2Stream)
		return
	}
	s.beginBlock(f, st)
	s.block.malformed = onItself
	s.takeFragment(f, p)
}

// beginBlock makes the block of a HEADERS frame. st is its stream if that is open.
func (s *h2Conn) beginBlock(f h2Frame, st *h2Stream) {
	b := s.l.newBlock()
	b.stream, b.end, b.length, b.order = f.stream, f.has(h2EndStream), -1, h2OrderDefault
	b.limit = s.service.latest().limits.head.HeadBytesMax()
	b.mayConnect = s.service.latest().limits.head.Connect
	b.trailer = st != nil
	b.late = st == nil && (f.stream <= s.lastID || s.leaving)
	s.seenID = max(s.seenID, f.stream)
	s.block = b
	if s.decoder == nil {
		s.decoder = hpack.NewDecoder(h2TableBytes, s.addField)
	}
	s.decoder.SetEmitEnabled(true)
	// Not less than what a string can decode to that takeFragment lets pass, as Huffman codes have 5 bits at least: the section then gets a response.
	s.decoder.SetMaxStringLength((b.limit + h2BlockOverhead) / 5 * 8)
}

// addField takes a field from the decoder.
func (s *h2Conn) addField(f hpack.HeaderField) {
	b := s.block
	b.add(f)
	if b.expansion() > s.budget.left {
		b.tooLarge = true // and most likely the end of the connection: see takeFragment
	}
	if b.tooLarge || b.late {
		s.decoder.SetEmitEnabled(false)
	}
}

// continuationFrame goes on with a field section.
func (s *h2Conn) continuationFrame(f h2Frame, p []byte) {
	b := s.block
	if b == nil {
		s.fail(h2ProtocolError, causeH2Order)
		return
	}
	if b.parts++; b.parts > h2ContinuationsMax {
		s.fail(h2EnhanceYourCalm, causeH2Flood)
		return
	}
	if s.spend(h2CostFrame) {
		s.takeFragment(f, p)
	}
}

// takeFragment decodes a part of a field section as soon as it is there, so that it need not be kept. Even if nothing becomes of the
// section it has to be decoded: what follows may refer to its fields.
func (s *h2Conn) takeFragment(f h2Frame, p []byte) {
	b := s.block
	if b.raw += len(p); b.raw > b.limit+h2BlockOverhead {
		s.fail(h2EnhanceYourCalm, causeH2FieldsLarge)
		return
	}
	if _, err := s.decoder.Write(p); err != nil {
		s.undecodable(err)
		return
	}
	if !f.has(h2EndHeaders) {
		return
	}
	if err := s.decoder.Close(); err != nil {
		s.undecodable(err)
		return
	}
	b.finish()
	if s.spend(b.expansion()) {
		s.blockDone(b)
	}
	if s.block == b { // it has not ended the connection
		s.block = nil
		s.l.releaseBlock(b)
	}
}

func (s *h2Conn) undecodable(err error) {
	if err == hpack.ErrStringLength {
		s.fail(h2EnhanceYourCalm, causeH2FieldsLarge)
	} else {
		s.fail(h2CompressionError, causeH2Fields)
	}
}

// blockDone: a field section is complete.
func (s *h2Conn) blockDone(b *h2Block) {
	switch {
	case b.trailer:
		if st := s.stream(b.stream); st != nil {
			st.trailerDone(b)
		}
	case b.late:
		s.spend(h2CostFrame)
	default:
		s.requestDone(b)
	}
}

// requestDone begins a stream.
func (s *h2Conn) requestDone(b *h2Block) {
	s.lastID = b.stream
	switch {
	case b.malformed && !b.tooLarge:
		s.mistakeOf(b.stream, h2ProtocolError)
	case len(s.streams)-s.answered >= h2StreamsMax: // others have ended for the peer, even if a handler still has something to do
		s.refuse(b.stream)
	default:
		s.beginStream(b)
	}
}

// mistakeOf resets a stream because of what the peer has sent for it (RFC 9113 §5.4.2).
func (s *h2Conn) mistakeOf(id uint32, code h2Code) {
	if st := s.stream(id); st != nil {
		st.mistake(code)
	} else if s.spend(h2CostMistake) {
		s.putReset(id, code)
	}
}

// wasReset reports whether we have reset the stream a short time ago.
func (s *h2Conn) wasReset(id uint32) bool {
	return slices.Contains(s.resets, id)
}

// noteReset remembers a stream that we reset, in place of the oldest one.
func (s *h2Conn) noteReset(id uint32) {
	if len(s.resets) < h2ResetsKnown {
		s.resets = append(s.resets, id)
		return
	}
	s.resets[s.resetsAt%h2ResetsKnown] = id
	s.resetsAt++
}
