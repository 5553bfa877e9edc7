package engine

import "encoding/binary"

// settingsFrame takes the settings of the peer (RFC 9113 §6.5).
func (s *h2Conn) settingsFrame(f h2Frame, p []byte) {
	switch {
	case f.stream != 0:
		s.fail(h2ProtocolError, causeH2Stream)
		return
	case len(p)%h2SettingBytes != 0 || f.has(h2Ack) && len(p) > 0:
		s.fail(h2FrameSizeError, causeH2FrameSize)
		return
	case f.has(h2Ack):
		s.spend(h2CostFrame)
		return
	case s.settled && !s.spend(h2CostFrame), !s.spend(int32(len(p) / h2SettingBytes / h2SettingsFree)):
		return
	}
	s.settled = true
	for ; len(p) > 0; p = p[h2SettingBytes:] {
		if code := s.set(binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])); code != h2NoError {
			s.fail(code, causeH2Setting)
			return
		}
	}
	s.put(h2Frame{kind: h2Settings, flags: h2Ack}.append(nil))
}

// set takes one setting.
func (s *h2Conn) set(id uint16, value uint32) h2Code {
	switch id {
	case h2SettingTableSize:
		s.retable = s.retable || value < h2TableBytes
	case h2SettingPush:
		if value > 1 {
			return h2ProtocolError
		}
	case h2SettingWindow:
		return s.setInitial(value)
	case h2SettingFrameBytes:
		if value < h2FrameBytesMax || value > h2SettingFrameBytesMax {
			return h2ProtocolError
		}
	}
	return h2NoError
}

// setInitial changes the window of all streams (RFC 9113 §6.9.2).
func (s *h2Conn) setInitial(value uint32) h2Code {
	if value > h2WindowMax {
		return h2FlowControlError
	}
	more := int64(value) - s.initial
	s.initial = int64(value)
	for _, st := range s.streams {
		if st.sendWindow += more; st.sendWindow > h2WindowMax {
			return h2FlowControlError
		}
	}
	return h2NoError
}

// windowFrame lets us send more (RFC 9113 §6.9).
func (s *h2Conn) windowFrame(f h2Frame, p []byte) {
	if len(p) != 4 {
		s.fail(h2FrameSizeError, causeH2FrameSize)
		return
	}
	n := int64(binary.BigEndian.Uint32(p) & h2WindowMax)
	switch {
	case f.stream != 0 && s.idleStream(f.stream):
		s.fail(h2ProtocolError, causeH2Stream)
	case !s.budget.spendFree(h2CostWindow) && !s.spend(h2CostWindow):
	case f.stream == 0:
		s.widen(n)
	default:
		if st := s.stream(f.stream); st != nil {
			st.widen(n)
		}
	}
}

func (s *h2Conn) widen(n int64) {
	switch {
	case n == 0:
		s.fail(h2ProtocolError, causeH2Window)
	case s.sendWindow+n > h2WindowMax:
		s.fail(h2FlowControlError, causeH2Window)
	default:
		s.sendWindow += n
	}
}

func (st *h2Stream) widen(n int64) {
	switch {
	case n == 0:
		st.mistake(h2ProtocolError)
	case st.sendWindow+n > h2WindowMax:
		st.mistake(h2FlowControlError)
	default:
		st.sendWindow += n
	}
}
