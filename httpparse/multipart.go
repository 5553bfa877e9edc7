package httpparse

import "bytes"

const (
	// MultipartBoundaryBytesMax is the longest boundary that is taken. RFC 2046 §5.1.1 allows 70; some tools make longer
	// ones, and what we keep of a body is little more than this.
	MultipartBoundaryBytesMax = 200
	// MultipartHeadBytesMax bounds the head of one part, its line ends included: 431 beyond. Browsers send less than 1 kB;
	// the room is for long file names.
	MultipartHeadBytesMax = 16 << 10
	// MultipartHeadLinesMax bounds the number of its lines: 431 beyond. Browsers send 2.
	MultipartHeadLinesMax = 64
	// multipartPaddingMax bounds the blanks between a boundary and its line end: 400 beyond. They have to be kept, as they
	// are content if no line end follows. Nobody sends any since gateways to other mail systems have gone.
	multipartPaddingMax = 64

	multipartHeadRoom = 512 // first size of the buffer for heads: enough for those of browsers
)

// MultipartEvent is what Multipart.Next has found.
type MultipartEvent uint8

const (
	MultipartMore    MultipartEvent = iota // all of in was taken: more is needed
	MultipartPart                          // a part begins: see Multipart.Part
	MultipartData                          // data, never empty, is content of the part
	MultipartPartEnd                       // the part is complete
	MultipartDone                          // the closing boundary was seen
)

type multipartState uint8

const (
	multipartFresh    multipartState = iota // before Reset: Next fails
	multipartScan                           // in preamble or content, at or before a delimiter; then multipartTail
	multipartTail                           // after a boundary; then multipartScan, multipartHead, multipartClosing, multipartEpilogue
	multipartHead                           // in the head of a part; then multipartScan
	multipartClosing                        // between MultipartPartEnd and MultipartDone; then multipartEpilogue
	multipartEpilogue                       // after the closing boundary: all is ignored
	multipartFailed                         // after an error: it is returned again
)

// Multipart takes a multipart/form-data body (RFC 7578, RFC 2046 §5.1) apart, piece by piece as it arrives. Reset makes
// it ready, and ready again for another body. It keeps at most a delimiter and one part's head, whatever the body is.
//
// What is a delimiter: CR LF, "--", the boundary, and then either "--", which closes the body whatever follows, or blanks
// and CR LF. The first CR LF may be missing at the beginning of the body and right after the head of a part (a part
// without content, in the grammar of RFC 2046). A boundary before anything else is content: other boundaries may begin
// with ours. A bare LF is nowhere a line end: before a boundary it is content; after one, where some would see a
// delimiter and some would not, and in a head it is an error. Preamble and epilogue are ignored. Content comes out as it
// is, whatever its Content-Transfer-Encoding says (RFC 7578 §4.7), nested multipart included.
//
// It bounds neither the size of content nor the number of parts.
type Multipart struct {
	// Part is the part in progress, from MultipartPart to MultipartPartEnd, inclusively: views of what Next keeps.
	Part Part

	state multipartState
	open  bool  // in a part
	begun bool  // the body is not empty
	ghost uint8 // so many of the first bytes held were not in the body: 2 where the delimiter's CR LF may be missing
	delim int   // length of the delimiter, which hold begins with: CR LF, "--", boundary
	held  int   // bytes of hold that were taken, and may be a delimiter or content
	hold  [4 + MultipartBoundaryBytesMax + multipartPaddingMax + 2]byte
	head  partHead
	err   *Error
}

// Reset makes m ready for a body with this boundary, which is copied. The error is an *Error: the boundary is empty, too
// long, ends in a blank or has control characters. m keeps its buffer.
func (m *Multipart) Reset(boundary []byte) error {
	m.Part, m.err = Part{}, nil
	m.open, m.begun = false, false
	m.head.reset()
	if !isBoundary(boundary) {
		m.state, m.err = multipartFailed, errBoundary
		return m.err
	}
	m.delim = copy(m.hold[:], "\r\n--")
	m.delim += copy(m.hold[m.delim:], boundary)
	m.scanLine()
	return nil
}

// isBoundary says whether b can be a boundary. More than the grammar has (RFC 2046 §5.1.1) is taken; but a blank at the
// end could be padding, and CR is how the begin of a delimiter is known.
func isBoundary(b []byte) bool {
	return len(b) > 0 && len(b) <= MultipartBoundaryBytesMax && scanText(b, 0) == len(b) && !isBlank(b[len(b)-1])
}

// Next takes n bytes of in and says what it found. in may be cut anywhere. Call it again with what is left of in, be
// that empty, until the event is MultipartMore, for which all of in is taken; then with the bytes that follow.
//
// data comes with MultipartData only. It is a view of in, or of a few bytes that m kept, and valid until the next call.
// Parts come as MultipartPart, any number of MultipartData, MultipartPartEnd. After MultipartDone Next goes on to take
// bytes, and answers MultipartMore.
//
// An error is an *Error, and final.
func (m *Multipart) Next(in []byte) (ev MultipartEvent, data []byte, n int, err error) {
	m.begun = m.begun || len(in) > 0
	for {
		rest := in[n:]
		switch m.state {
		case multipartScan:
			data, k := m.scan(rest)
			n += k
			if len(data) > 0 && m.open {
				return MultipartData, data, n, nil
			}
		case multipartTail:
			ev, data, k := m.tail(rest)
			n += k
			if ev != MultipartMore {
				return ev, data, n, nil
			}
		case multipartHead:
			k := m.takeHead(rest)
			n += k
			if m.open {
				return MultipartPart, nil, n, nil
			}
		case multipartClosing:
			m.state = multipartEpilogue
			return MultipartDone, nil, n, nil
		case multipartEpilogue:
			return MultipartMore, nil, len(in), nil
		case multipartFresh:
			m.fail(errBoundary)
		}
		if m.state == multipartFailed {
			return MultipartMore, nil, n, m.err
		}
		if n == len(in) {
			return MultipartMore, nil, n, nil
		}
	}
}

// End says that the body is over. It is an error, an *Error, if the closing boundary has not come. The line end after it
// may be missing.
//
// A form without fields is a closing boundary and nothing else: that is what browsers send, and what the encoding of
// HTML says. No byte at all is accepted as well: it can only be meant the same way, and no part can be lost.
func (m *Multipart) End() error {
	switch {
	case m.state == multipartFresh:
		return errBoundary
	case m.err != nil:
		return m.err
	case m.begun && m.state != multipartEpilogue && m.state != multipartClosing:
		return errMultipartEnd
	}
	return nil
}

func (m *Multipart) fail(e *Error) { m.state, m.err = multipartFailed, e }

// scanLine begins to scan where a delimiter may stand without its CR LF.
func (m *Multipart) scanLine() { m.state, m.held, m.ghost = multipartScan, 2, 2 }

// release returns what was held as the content that it turned out to be.
func (m *Multipart) release() []byte {
	data := m.hold[m.ghost:m.held]
	m.state, m.held, m.ghost = multipartScan, 0, 0
	return data
}

// scan takes n bytes of b up to the end of a boundary. data is what is before the delimiter. If there is no data, it took
// all of b or has gone over to multipartTail.
func (m *Multipart) scan(b []byte) (data []byte, n int) {
	delim := m.hold[:m.delim]
	if m.held > 0 {
		n = commonLen(b, delim[m.held:])
		if n == len(b) || m.held+n == m.delim {
			m.hit(m.held + n)
			return nil, n
		}
		// The bytes in common are looked at again, which is right: without a CR they begin no other delimiter.
		if data = m.release(); len(data) > 0 {
			return data, 0
		}
	}
	if i := findDelimiter(b, delim); i >= 0 {
		m.hit(m.delim)
		return b[:i], i + m.delim
	}
	m.held = heldLen(b, delim)
	return b[:len(b)-m.held], len(b)
}

// hit notes how much of the delimiter is there.
func (m *Multipart) hit(held int) {
	if m.held = held; held == m.delim {
		m.state = multipartTail
	}
}

// findDelimiter returns the place of the first boundary in b that is, or could be, that of a delimiter, or -1. It searches for the first eight bytes of it:
// bytes.Index goes from CR to CR, and where those are dense it compares in registers at every place, which costs more the
// longer the needle is. Fewer than eight would be found too often in content made for that.
func findDelimiter(b, delim []byte) int {
	probe := delim[:min(len(delim), 8)]
	for i := 0; ; i += len(probe) {
		k := bytes.Index(b[i:], probe)
		if k < 0 {
			return -1
		}
		i += k
		if bytes.HasPrefix(b[i:], delim) && afterBoundary(b[i+len(delim):]) != tailContent {
			return i
		}
	}
}

// heldLen is the number of bytes at the end of b that a delimiter begins with. Only the last CR can begin one, as there
// is no other in a delimiter.
func heldLen(b, delim []byte) int {
	b = b[max(0, len(b)-len(delim)+1):]
	if i := bytes.LastIndexByte(b, '\r'); i >= 0 && bytes.HasPrefix(delim, b[i:]) {
		return len(b) - i
	}
	return 0
}

// commonLen is the number of bytes that a and b have in common at their begin.
func commonLen(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// tailVerdict is what follows a boundary.
type tailVerdict uint8

const (
	tailMore    tailVerdict = iota // too little to say
	tailContent                    // nothing that makes it a delimiter
	tailPart                       // padding and a line end
	tailClose                      // two hyphens
	tailLF                         // padding and a bare LF
	tailLong                       // too much padding
)

// afterBoundary says what b, which follows a boundary, makes of it.
func afterBoundary(b []byte) tailVerdict {
	padding := 0
	for padding < len(b) && isBlank(b[padding]) {
		if padding++; padding > multipartPaddingMax {
			return tailLong
		}
	}
	if padding == len(b) {
		return tailMore
	}
	second, verdict := byte('\n'), tailPart
	switch c := b[padding]; {
	case c == '\n':
		return tailLF
	case c == '-' && padding == 0:
		second, verdict = '-', tailClose
	case c != '\r':
		return tailContent
	}
	switch {
	case padding+1 == len(b):
		return tailMore
	case b[padding+1] == second:
		return verdict
	}
	return tailContent
}

// tail takes n bytes of b after a boundary. MultipartMore: it took all of b, failed, or has gone on to another state.
func (m *Multipart) tail(b []byte) (ev MultipartEvent, data []byte, n int) {
	for ; n < len(b); n++ {
		m.hold[m.held] = b[n]
		switch afterBoundary(m.hold[m.delim : m.held+1]) {
		case tailMore:
			m.held++
			continue
		case tailContent: // of which b[n], which may begin a delimiter, is not yet taken
			if data = m.release(); m.open {
				return MultipartData, data, n
			}
			return MultipartMore, nil, n
		case tailPart:
			m.state = multipartHead
			m.head.reset()
			return m.close(MultipartMore), nil, n + 1
		case tailClose:
			m.state = multipartEpilogue
			if m.open {
				m.state = multipartClosing
			}
			return m.close(MultipartDone), nil, n + 1
		case tailLF:
			m.fail(errBoundaryLineEnd)
		case tailLong:
			m.fail(errBoundaryPadding)
		}
		break
	}
	return MultipartMore, nil, n
}

// takeHead takes n bytes of b of the head of a part, and begins the part at its end.
func (m *Multipart) takeHead(b []byte) (n int) {
	done, n, e := m.head.take(b)
	if done {
		e = m.head.parse(&m.Part)
	}
	switch {
	case e != nil:
		m.fail(e)
	case done:
		m.open = true
		m.scanLine()
	}
	return n
}

// close ends the part, if there is one; otherwise the event is the given one.
func (m *Multipart) close(ev MultipartEvent) MultipartEvent {
	if !m.open {
		return ev
	}
	m.open = false
	return MultipartPartEnd
}
