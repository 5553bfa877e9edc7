package httpwrite

import "bytes"

// Scan finds, in the bytes of a response as they go out, the status of the final head and where that head ends. Heads come
// from handlers in pieces of any size, with interim responses before the final one (RFC 9110 §15.2). The zero value is at
// the start of a response.
type Scan struct {
	status int   // of the head that is going out, or of the final one; 0: not yet known
	line   uint8 // bytes of the status line seen, up to statusEnd
	match  uint8 // bytes of headEnd seen last
	over   bool  // the final head is out: all else is body
	body   int64 // bytes of body
}

const (
	statusStart = len("HTTP/1.1 ")
	statusEnd   = statusStart + 3
)

// Write scans the next bytes.
func (s *Scan) Write(p []byte) {
	for len(p) > 0 && !s.over {
		if s.line == 0 && len(p) >= statusEnd {
			s.status, s.line = statusOf(p), uint8(statusEnd)
			p = p[statusEnd:]
		} else if int(s.line) < statusEnd {
			p = s.statusLine(p)
		} else {
			p = s.fields(p)
		}
	}
	s.body += int64(len(p))
}

// statusOf is the status of a status line. What is not a digit has a value, too: the same as in statusLine.
func statusOf(line []byte) int {
	d := line[statusStart:statusEnd]
	return (int(d[0]-'0')*10+int(d[1]-'0'))*10 + int(d[2]-'0')
}

// statusLine consumes bytes up to the end of the status.
func (s *Scan) statusLine(p []byte) (rest []byte) {
	n := min(len(p), statusEnd-int(s.line))
	for _, b := range p[:n] {
		if int(s.line) >= statusStart {
			s.status = s.status*10 + int(b-'0')
		}
		s.line++
	}
	return p[n:]
}

var headEnd = []byte("\r\n\r\n")

// fields consumes bytes up to the end of the head.
func (s *Scan) fields(p []byte) (rest []byte) {
	if s.match == 0 {
		if i := bytes.Index(p, headEnd); i >= 0 {
			s.headOver()
			return p[i+len(headEnd):]
		}
		p = p[max(0, len(p)-len(headEnd)+1):] // where the end may have started
	}
	for i, b := range p {
		switch {
		case b == headEnd[s.match]:
			s.match++
		case b == '\r':
			s.match = 1
		default:
			s.match = 0
		}
		if int(s.match) == len(headEnd) {
			s.headOver()
			return p[i+1:]
		}
	}
	return nil
}

// headOver ends a head. After an interim one another follows.
func (s *Scan) headOver() {
	if s.interim() {
		*s = Scan{}
	} else {
		s.over = true
	}
}

// interim reports whether the status is 1xx, except for 101, which is final.
func (s *Scan) interim() bool { return s.status < 200 && s.status != 101 }

// Skip counts n bytes of body that are sent without being scanned.
func (s *Scan) Skip(n int64) { s.body += n }

// Between reports whether the next byte starts a head: none has started, or the last one was interim and is complete. Another
// interim response may be sent there.
func (s *Scan) Between() bool { return s.line == 0 }

// Body returns how many bytes of the final response's body were scanned.
func (s *Scan) Body() int64 { return s.body }

// Final returns the status of the final response, 0 if its status line is not complete.
func (s *Scan) Final() int {
	if int(s.line) < statusEnd || s.interim() || s.status > 999 {
		return 0
	}
	return s.status
}
