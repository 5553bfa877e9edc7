package pool

import (
	"bytes"
	"io"

	"moonbridge/handler/logging"
)

// stdoutPiece is how much of a standard output is passed on at once.
const stdoutPiece = 32 << 10

// relay passes on the standard output of a fork server and its workers, unchanged, as it comes. Output that the other side
// does not take is lost, up to the end of a line.
type relay struct {
	to      stdout
	open    bool // the last line that was passed on is not complete
	skipped bool // a part of a line was lost; its rest is lost too
	cut     bool // the line that is not complete never will be
}

// stdout is the part of logging.Queue that a relay uses.
type stdout interface {
	Offer(p []byte) bool
	Lose(lines int)
}

// copy reads r to its end and closes it.
func (s *relay) copy(r io.ReadCloser) {
	defer r.Close()
	buf := make([]byte, stdoutPiece)
	for {
		n, err := r.Read(buf)
		s.pass(buf[:n])
		if err != nil {
			s.end()
			return
		}
	}
}

// end ends a line whose end was lost.
func (s *relay) end() {
	if s.cut {
		s.to.Offer([]byte{'\n'})
	}
}

func (s *relay) pass(p []byte) {
	if s.skipped {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return
		}
		p = p[i+1:]
		s.skipped = false
	}
	if len(p) == 0 {
		return
	}
	whole, lines := p[len(p)-1] == '\n', logging.Lines(p)
	if s.open && !s.cut && p[0] == '\n' {
		lines-- // nothing but the end of a line is lost if this is, and the next piece begins with one
	}
	if s.cut {
		p = append([]byte{'\n'}, p...)
	}
	if !s.to.Offer(p) {
		s.to.Lose(lines)
		s.cut, s.skipped = s.open, !whole
		return
	}
	s.open, s.cut = !whole, false
}
