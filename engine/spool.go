package engine

import (
	"cmp"
	"os"
	"sync/atomic"
	"syscall"

	"moonbridge/engine/spool"
)

// spooling is the spool of an engine, shared by its loops.
type spooling struct {
	*spool.Spool
	filesMax int64 // bound on connections and spool files together

	refused atomic.Uint64 // request bodies
	waited  atomic.Uint64 // responses
}

func newSpooling(o Spool, filesMax int64) *spooling {
	o.Dir = cmp.Or(o.Dir, os.TempDir())
	return &spooling{Spool: spool.New(o.Dir, orDefault(o.Bytes, spoolBytesDefault, noLimit)), filesMax: filesMax}
}

// SpoolUse is what an engine's spool holds at one moment.
type SpoolUse struct {
	Bytes int64 // in files
	Files int64 // open

	Refused uint64 // request bodies refused since the start, because they did not fit or could not be written
	Waited  uint64 // responses that had to wait in their backends since the start, for the same reasons
}

// Spool returns the present use of the spool.
func (e *Engine) Spool() SpoolUse {
	s := e.spool
	return SpoolUse{Bytes: s.Bytes(), Files: s.Files(), Refused: s.refused.Load(), Waited: s.waited.Load()}
}

// CheckSpool reports whether a file can be created in the spool's directory.
func (e *Engine) CheckSpool() error { return e.spool.Check() }

// createFile opens a spool file, unless that would leave too few descriptors for the rest of the process.
func (e *Engine) createFile() (*spool.File, error) {
	if e.conns.Load()+e.dialed.Load()+e.spool.Files() >= e.spool.filesMax {
		return nil, syscall.EMFILE
	}
	return e.spool.Create()
}

// createOutput opens a file for a response, unless so little would fit that the response is better kept in memory.
func (e *Engine) createOutput() (*spool.File, error) {
	if e.spool.outputRoom() < outputBytesDefault {
		return nil, spool.ErrFull
	}
	return e.createFile()
}

// outputRoom returns how many more bytes of responses fit. All responses together get half of the spool, so that slow readers
// cannot fill it: uploads would have to be refused.
func (s *spooling) outputRoom() int64 { return s.Limit()/2 - s.Bytes() }

// spoolRoom is a buffer for bytes on their way to or from a file.
func (l *loop) spoolRoom() []byte {
	if l.spooled == nil {
		l.spooled = make([]byte, spoolPiece)
	}
	return l.spooled
}

const (
	// spoolPiece is how many bytes are read from a spool file at a time.
	spoolPiece = 64 << 10
	// spoolAhead is how many bytes of a spooled response are held in memory for a peer that takes no more now.
	spoolAhead = 16 << 10
	// spoolDrop is how many bytes of a file are sent before their space is freed.
	spoolDrop = 1 << 20
	// spoolWritesPerTurn bounds how many times a connection writes from a file before the others get their turn.
	spoolWritesPerTurn = 16
)
