package httpparse

import "bytes"

const (
	// MultipartBoundaryBytesMax is the longest boundary that is accepted. RFC 2046 §5.1.1 allows 70 bytes; some tools
	// use longer ones. A Multipart buffers little more than this of a body.
	MultipartBoundaryBytesMax = 200
	// MultipartHeadBytesMax is the largest size of the head of a part, including line ends; a larger one is refused
	// with 431. Browsers send less than 1 kB; the rest leaves room for long file names.
	MultipartHeadBytesMax = 16 << 10
	// MultipartHeadLinesMax is the largest number of lines in the head of a part; one with more is refused with 431.
	// Browsers send 2.
	MultipartHeadLinesMax = 64
	// multipartPaddingMax is the largest number of blanks between a boundary and its line end; more are refused with
	// 400. They must be buffered, since they are content if no line end follows. They stem from old mail gateways;
	// clients do not send any today.
	multipartPaddingMax = 64

	multipartHeadRoom = 512 // initial size of the buffer for heads: enough for browsers
)

// MultipartEvent is what Multipart.Next found.
type MultipartEvent uint8

const (
	MultipartMore    MultipartEvent = iota // all of in was taken: more bytes are needed
	MultipartPart                          // a part starts: see Multipart.Part
	MultipartData                          // data, never empty, is part of its content
	MultipartPartEnd                       // the part is complete
	MultipartDone                          // the closing boundary was found
)

type multipartState uint8

const (
	multipartFresh    multipartState = iota // before Reset: Next fails
	multipartScan                           // in preamble or content, at or before a delimiter; then multipartTail
	multipartTail                           // after a boundary; then multipartScan, multipartHead, multipartClosing, multipartEpilogue
	multipartHead                           // in the head of a part; then multipartScan
	multipartClosing                        // between MultipartPartEnd and MultipartDone; then multipartEpilogue
	multipartEpilogue                       // after the closing boundary: the rest is ignored
	multipartFailed                         // after an error, which every further call returns
)

// Multipart parses a multipart/form-data body (RFC 7578, RFC 2046 §5.1), piece by piece as it arrives. Reset must be
// called before each body. A Multipart buffers at most one delimiter and the head of one part, whatever the body
// contains.
//
// A delimiter consists of CR LF, "--", the boundary, and either "--", which closes the body whatever follows, or blanks
// and CR LF. The first CR LF may be missing at the start of the body and right after the head of a part (a part without
// content, in the grammar of RFC 2046). A boundary followed by anything else is content: other boundaries may start
// with ours. A bare LF is never a line end. Before a boundary it is content; in a head it is an error, and so is one
// after a boundary, where implementations disagree about whether that is a delimiter. Preamble and epilogue are
// ignored. Content, including nested multipart, is returned as it is, whatever its Content-Transfer-Encoding says (RFC
// 7578 §4.7).
//
// Multipart does not limit the size of the content or the number of parts.
type Multipart struct {
	// Part is the current part, valid from MultipartPart up to and including MultipartPartEnd. Its slices are views of
	// buffers that belong to the Multipart.
	Part Part

	state multipartState
	open  bool  // in a part
	begun bool  // the body is not empty
	ghost uint8 // number of leading bytes of hold that were not in the body: 2 where the delimiter's CR LF may be missing
	delim int   // length of the delimiter at the start of hold: CR LF, "--", boundary
	held  int   // bytes of hold that are either a delimiter or content
	hold  [4 + MultipartBoundaryBytesMax + multipartPaddingMax + 2]byte
	head  partHead
	err   *Error
}

// Reset prepares m for a body with this boundary, which it copies. It returns an *Error if the boundary is empty, too
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

// isBoundary reports whether b can be a boundary. It accepts more than the grammar of RFC 2046 §5.1.1. A blank at the
// end is not allowed because it could be padding, and CR is not because it marks the start of a delimiter.
func isBoundary(b []byte) bool {
	return len(b) > 0 && len(b) <= MultipartBoundaryBytesMax && scanText(b, 0) == len(b) && !isBlank(b[len(b)-1])
}

// Next takes n bytes of in and returns what it found. The body may be split anywhere. Call Next again with the rest of
// in, even if that is empty, until the event is MultipartMore. All of in is then taken, and the next call gets the
// bytes that follow.
//
// data is set only with MultipartData. It is a view of in, or of a few bytes that m has buffered, and is valid until
// the next call. The events of a part are MultipartPart, any number of MultipartData, and MultipartPartEnd. After
// MultipartDone, Next continues to take bytes and returns MultipartMore.
//
// An error is an *Error and is final.
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

// End is called at the end of the body. It returns an *Error if the closing boundary is missing. The line end after
// that boundary may be missing.
//
// A form without fields consists of a closing boundary only: browsers send it this way, as the encoding algorithm of
// HTML says. An empty body is accepted too: it can only mean the same, and no part can be lost.
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

// scanLine starts a scan at a place where the delimiter's CR LF may be missing.
func (m *Multipart) scanLine() { m.state, m.held, m.ghost = multipartScan, 2, 2 }

// release returns the bytes held, which have turned out to be content.
func (m *Multipart) release() []byte {
	data := m.hold[m.ghost:m.held]
	m.state, m.held, m.ghost = multipartScan, 0, 0
	return data
}

// scan takes n bytes of b, up to the end of a boundary. data is the part before the delimiter. If there is no data,
// scan took all of b or has changed to multipartTail.
func (m *Multipart) scan(b []byte) (data []byte, n int) {
	delim := m.hold[:m.delim]
	if m.held > 0 {
		n = commonLen(b, delim[m.held:])
		if n == len(b) || m.held+n == m.delim {
			m.hit(m.held + n)
			return nil, n
		}
		// The common bytes are scanned again. That is correct: without a CR they cannot start another delimiter.
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

// hit records how many bytes of the delimiter have been found.
func (m *Multipart) hit(held int) {
	if m.held = held; held == m.delim {
		m.state = multipartTail
	}
}

// findDelimiter returns the index of the first delimiter in b, or of the first boundary that may still become one, or
// -1. It searches for the first eight bytes of the delimiter. bytes.Index jumps from CR to CR; where those are dense,
// it compares in registers at every position, which costs more the longer the needle is. Fewer than eight bytes would
// match too often in content crafted for that purpose.
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

// heldLen is the number of bytes at the end of b that may be the start of a delimiter. Only the last CR can start one,
// since a delimiter has no other CR.
func heldLen(b, delim []byte) int {
	b = b[max(0, len(b)-len(delim)+1):]
	if i := bytes.LastIndexByte(b, '\r'); i >= 0 && bytes.HasPrefix(delim, b[i:]) {
		return len(b) - i
	}
	return 0
}

// commonLen is the length of the common prefix of a and b.
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
	tailContent                    // not a delimiter
	tailPart                       // padding and a line end
	tailClose                      // two hyphens
	tailLF                         // padding and a bare LF
	tailLong                       // too much padding
)

// afterBoundary classifies b, the bytes that follow a boundary.
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

// tail takes n bytes of b after a boundary. MultipartMore means that it took all of b, failed, or has changed to
// another state.
func (m *Multipart) tail(b []byte) (ev MultipartEvent, data []byte, n int) {
	for ; n < len(b); n++ {
		m.hold[m.held] = b[n]
		switch afterBoundary(m.hold[m.delim : m.held+1]) {
		case tailMore:
			m.held++
			continue
		case tailContent: // without b[n], which may start a delimiter and is not taken yet
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

// takeHead takes n bytes of b for the head of a part. At the end of the head it starts the part.
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

// close ends the current part, if there is one, and returns MultipartPartEnd; otherwise it returns ev.
func (m *Multipart) close(ev MultipartEvent) MultipartEvent {
	if !m.open {
		return ev
	}
	m.open = false
	return MultipartPartEnd
}
