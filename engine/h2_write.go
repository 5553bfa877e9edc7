package engine

import (
	"bytes"
	"strconv"
	"syscall"
	"unsafe"

	"moonbridge/httpparse"

	"golang.org/x/net/http2/hpack"
)

// write is that of a system: it makes frames of a response of HTTP/1.1, as far as the windows and the connection allow.
func (m *h2Loop) write(fd int, a, b []byte) (n int, errno syscall.Errno) {
	st := m.stream(fd)
	if st == nil || st.gone || st.s.failed {
		return 0, syscall.EPIPE
	}
	if n = st.send(a); n == len(a) && len(b) > 0 {
		n += st.send(b)
	}
	switch {
	case st.torn:
		return 0, syscall.EPIPE
	case n == 0:
		return 0, syscall.EAGAIN
	}
	return n, 0
}

// send takes bytes of the response.
func (st *h2Stream) send(p []byte) (taken int) {
	for taken < len(p) && !st.torn {
		n := st.sendNext(p[taken:])
		if n == 0 {
			st.wait()
			break
		}
		taken += n
	}
	return taken
}

// sendNext takes some bytes, or none if they have to wait.
func (st *h2Stream) sendNext(p []byte) int {
	switch st.phase {
	case h2Head:
		if !st.s.mayOutput(st) {
			return 0
		}
		return st.sendHead(p)
	case h2Length, h2ToClose:
		room := st.room(len(p))
		if room == 0 {
			return 0
		}
		if st.phase == h2ToClose {
			st.putData(p[:room], false)
			return room
		}
		n := int(min(int64(room), st.body))
		st.body -= int64(n)
		st.putData(p[:n], st.body == 0)
		return n
	case h2Chunks:
		return st.sendChunks(p)
	}
	return len(p) // more than the response has: there is no room for it in HTTP/2
}

// h2HeadPiece is how many bytes are looked at together for the end of a head. Most heads are shorter.
const h2HeadPiece = 4 << 10

// sendHead takes a head, or a part of one. p may be memory that a worker writes to meanwhile. So what is parsed is a copy: otherwise the head
// that is kept need not be the one that was encoded, and others that send the same one would be sent with that.
func (st *h2Stream) sendHead(p []byte) int {
	if n := st.sendKnown(p); n > 0 {
		return n
	}
	m := st.s.l
	p = p[:min(len(p), h2HeadPiece)]
	whole, had := st.part, len(st.part)
	if had == 0 {
		whole = m.text[:0]
	}
	whole = append(whole, p...)
	if had > 0 {
		st.part = whole
	} else {
		m.text = whole
	}
	n, err := st.parser.Parse(&m.response, whole, st.to, nil)
	switch {
	case err != nil || n > 0 && m.response.Status == 101 && !st.connect:
		st.tear() // HTTP/2 has no upgrade (RFC 9113 §8.6)
		return 0
	case n == 0:
		if had == 0 {
			st.part = append(st.part, whole...)
		}
		return len(p)
	}
	if st.connect && !st.mayPass(&m.response) {
		return 0
	}
	plain := !st.s.retable
	st.putHead(&m.response)
	if plain {
		m.heads.keep(whole[:n], m.encoded.Bytes(), st)
	}
	st.part = nil
	return n - had
}

// tear: the response is not valid, or breaks off.
func (st *h2Stream) tear() {
	if !st.torn && !st.gone {
		st.torn = true
		code := h2InternalError
		if st.raw != nil {
			code = h2Cancel // RFC 8441 §5
		}
		st.s.putReset(st.id, code)
		st.gone = true
	}
}

// begun decides what follows a head. It reports whether that is the end.
func (st *h2Stream) begun(r *httpparse.Response) (over bool) {
	if r.Interim() {
		return false
	}
	switch r.Body {
	case httpparse.BodyLength:
		st.phase, st.body = h2Length, r.ContentLength
	case httpparse.BodyChunked:
		st.phase = h2Chunks
		st.chunks.Reset()
	case httpparse.BodyUntilClose, httpparse.BodyTunnel:
		st.phase = h2ToClose
	default:
		st.phase = h2Over
		return true
	}
	return false
}

// putHead sends the fields of a response.
func (st *h2Stream) putHead(r *httpparse.Response) {
	m := st.s.l
	st.s.beginFields()
	switched := r.Status == 101
	if switched {
		m.encodeStatus(200) // RFC 8441 §5
	} else {
		m.encodeStatus(r.Status)
	}
	tunnel := r.Body == httpparse.BodyTunnel // RFC 9110 §9.3.6: it has no length, and a client would ignore that
	named := m.hop.Reset(r.Raw, r.Fields) == nil
	for _, f := range r.Fields {
		name := m.lower(r.Name(f))
		if !h2Connection(name) && !(tunnel && h2OfTunnel(name)) && !(named && !bytes.HasPrefix(name, h2Proxy) && string(name) != "te" && m.hop.Drop(name)) {
			m.encode(name, r.Value(f))
		}
	}
	over := st.begun(r)
	st.s.putFields(st.id, m.encoded.Bytes(), over)
	if over {
		st.complete()
	}
}

// beginFields begins to encode a field section.
func (s *h2Conn) beginFields() {
	s.l.encoded.Reset()
	if s.retable {
		s.retable = false
		s.l.encoded.WriteByte(0x20) // a size of 0 (RFC 7541 §6.3)
	}
}

// h2OfTunnel reports whether a field has no meaning in the response that opens a tunnel.
func h2OfTunnel(name []byte) bool {
	return string(name) == h2Accept || string(name) == "content-length"
}

var h2Proxy = []byte("proxy-auth")

// h2Connection reports whether a field is about the connection, which has none of them in HTTP/2 (RFC 9113 §8.2.2).
func h2Connection(name []byte) bool {
	switch string(name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// encodeStatus encodes the pseudo-header of a response. Some are in the static table (RFC 7541, appendix A).
func (m *h2Loop) encodeStatus(status int) {
	for i, known := range [...]int{200, 204, 206, 304, 400, 404, 500} {
		if status == known {
			m.encoded.WriteByte(0x80 | byte(8+i))
			return
		}
	}
	var room [8]byte
	m.encoded.Write(append([]byte{0x08, 3}, strconv.AppendInt(room[:0], int64(status), 10)...))
}

// encode encodes a field. The encoder has no table, so it keeps nothing of what it gets.
func (m *h2Loop) encode(name, value []byte) {
	m.encoder.WriteField(hpack.HeaderField{Name: viewString(name), Value: viewString(value)})
}

func viewString(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// lower returns a name in lower case, as HTTP/2 has it.
func (m *h2Loop) lower(name []byte) []byte {
	m.name = append(m.name[:0], name...)
	for i, c := range m.name {
		if c-'A' < 26 {
			m.name[i] = c | 0x20
		}
	}
	return m.name
}

// putFields sends a field section, in several frames if it is large.
func (s *h2Conn) putFields(id uint32, block []byte, end bool) {
	kind, flags := h2Headers, uint8(0)
	if end {
		flags = h2EndStream
	}
	for {
		part := block[:min(len(block), h2FrameBytesMax)]
		block = block[len(part):]
		if len(block) == 0 {
			flags |= h2EndHeaders
		}
		s.head = h2Frame{length: len(part), kind: kind, flags: flags, stream: id}.append(s.head[:0])
		s.put(s.head)
		s.put(part)
		if len(block) == 0 {
			s.budget.sentData(0)
			return
		}
		kind, flags = h2Continuation, 0
	}
}

// sendChunks takes a part of a chunked body. What is not data needs no window.
func (st *h2Stream) sendChunks(p []byte) int {
	room := st.room(len(p))
	if room == 0 {
		if !st.s.mayOutput(st) {
			return 0
		}
		before := st.chunks.TrailerLen()
		_, n, done, err := st.chunks.Decode(nil, nil, p)
		return st.chunkPart(nil, p, n, before, done, err)
	}
	before := st.chunks.TrailerLen()
	data, n, done, err := st.chunks.Next(p[:room])
	return st.chunkPart(data, p, n, before, done, err)
}

// chunkPart acts on what was found in the first n bytes of p.
func (st *h2Stream) chunkPart(data, p []byte, n, trailerBefore int, done bool, err error) int {
	if len(data) > 0 {
		st.putData(data, false)
	}
	if added := st.chunks.TrailerLen() - trailerBefore; added > 0 && (len(st.trailer) > 0 || p[n-added] != '\r') {
		st.trailer = append(st.trailer, p[n-added:n]...)
	}
	switch {
	case err != nil:
		st.tear()
	case done:
		st.endResponse()
	}
	return n
}

// endResponse ends a response whose end was not known when its last byte was sent.
func (st *h2Stream) endResponse() {
	s := st.s
	st.phase = h2Over
	switch {
	case len(st.trailer) > 0:
		st.putTrailer()
	case s.lastOf == st && s.lastData >= 0:
		s.out.Unsent()[s.lastData+4] |= h2EndStream
	default:
		s.put(h2Frame{kind: h2Data, flags: h2EndStream, stream: st.id}.append(nil))
	}
	st.complete()
}

// putTrailer sends the trailer section.
func (st *h2Stream) putTrailer() {
	m := st.s.l
	st.s.beginFields()
	for name, value := range httpparse.TrailerFields(st.trailer) {
		m.encode(m.lower(name), value)
	}
	st.trailer = nil
	st.s.putFields(st.id, m.encoded.Bytes(), true)
}

// putData sends a part of the body.
func (st *h2Stream) putData(p []byte, end bool) {
	s := st.s
	for first := true; first || len(p) > 0; first = false {
		part := p[:min(len(p), h2FrameBytesMax)]
		p = p[len(part):]
		f := h2Frame{length: len(part), kind: h2Data, stream: st.id}
		if end && len(p) == 0 {
			f.flags = h2EndStream
		}
		s.head = f.append(s.head[:0])
		at := s.out.Len()
		s.put(s.head)
		s.put(part)
		s.lastData, s.lastOf = at, st
		st.sendWindow -= int64(len(part))
		s.sendWindow -= int64(len(part))
		if s.turnOf == st { // and not one that the Stream of that one writes to
			s.share -= int64(len(part))
		}
		s.budget.sentData(len(part))
		s.sentAt = s.raw.written + int64(s.raw.Held()+s.out.Len())
		st.sentAt = s.sentAt
	}
	if end {
		st.phase = h2Over
		st.complete()
	}
	if s.out.Len() >= h2SendAhead {
		s.flush()
	}
}

// complete: the whole response was sent, or is on its way. When its exchange is over too, the conn reads, and finds that nothing follows.
func (st *h2Stream) complete() {
	if st.raw != nil {
		return // the peer may still send
	}
	if !st.answered {
		st.answered = true
		st.s.answered++
	}
	if st.c != nil {
		st.c.socket.readable = true
	}
	st.s.again()
}

// shutdownWrite is that of a system: nothing follows of the response.
func (m *h2Loop) shutdownWrite(fd int) error {
	st := m.stream(fd)
	if st == nil || st.gone || st.answered {
		return nil
	}
	if st.phase == h2ToClose {
		st.endResponse()
	} else {
		st.tear()
	}
	return nil
}

// resetOnClose is that of a system: the response breaks off.
func (m *h2Loop) resetOnClose(fd int) error {
	if st := m.stream(fd); st != nil && !st.answered {
		st.tear()
	}
	return nil
}

// sendFile is that of a system: it reads a part of the file.
func (m *h2Loop) sendFile(fd, file int, offset, n int64) (sent int64, errno syscall.Errno) {
	st := m.stream(fd)
	if st == nil || st.gone || st.s.failed {
		return 0, syscall.EPIPE
	}
	room := st.room(int(min(n, h2SendAhead)))
	if room == 0 {
		st.wait()
		return 0, syscall.EAGAIN
	}
	if m.window == nil {
		m.window = make([]byte, h2SendAhead)
	}
	k, err := pread(file, m.window[:room], offset)
	if k <= 0 {
		return 0, err
	}
	written, errno := m.write(fd, m.window[:k], nil)
	return int64(written), errno
}
