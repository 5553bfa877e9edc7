package engine

import "moonbridge/reactor"

const (
	// spliceMin is the size of a read from which on the next one goes through a pipe. Below it a copy costs less than the second
	// system call.
	spliceMin = 16 << 10
	// pipesMax is how many pipes of a loop have bytes at a time. Each has two descriptors, and up to reactor.PipeBytes in the kernel.
	pipesMax = 64
	// pipesShare is the part of the open files that the process may have of which the pipes of all loops are at most one.
	pipesShare = 8
	// pipesKept is how many empty pipes a loop keeps.
	pipesKept = 16
)

// pipe is a pipe with bytes for a connection. Those bytes never come to this process. It is a backend.SentFile for connections that speak
// HTTP.
type pipe struct {
	reactor.Pipe
	of    *pipes
	n     int    // bytes in it
	taken []byte // the n bytes, if they had to be taken out of it; nil: they are in it
}

// Fd implements backend.SentFile.
func (p *pipe) Fd() int { return p.R }

// Release implements backend.SentFile.
func (p *pipe) Release() { p.of.release(p) }

// pipes are the pipes of a loop.
type pipes struct {
	max  int // immutable
	free []*pipe
	used int  // pipes with bytes in them
	none bool // the system does not want to splice
}

// pipesOf is how many pipes a loop may have, of a process that may have so many open files.
func pipesOf(files int64, loops int) int {
	return int(min(pipesMax, files/pipesShare/2/int64(max(loops, 1))))
}

// take returns an empty pipe, or nil if there is none.
func (p *pipes) take() *pipe {
	if p.none || p.used >= p.max {
		return nil
	}
	if n := len(p.free); n > 0 {
		taken := p.free[n-1]
		p.free = p.free[:n-1]
		p.used++
		return taken
	}
	opened, err := reactor.OpenPipe()
	if err != nil {
		return nil // out of descriptors: bytes are copied
	}
	p.used++
	return &pipe{Pipe: opened, of: p}
}

// release takes a pipe back. One with bytes in it is closed.
func (p *pipes) release(t *pipe) {
	p.used--
	t.taken = nil
	if t.n == 0 && len(p.free) < pipesKept {
		p.free = append(p.free, t)
	} else {
		t.Close()
	}
}

// close closes the free pipes, at the end of the loop.
func (p *pipes) close() {
	for _, t := range p.free {
		t.Close()
	}
	p.free = nil
}

// dropPipe gives up the bytes in the pipe.
func (c *rawConn) dropPipe() {
	if c.pipe != nil {
		c.l.raw.pipes.release(c.pipe)
		c.pipe = nil
	}
}

// pipeContents takes the bytes out of the pipe, into the memory of this process.
func (c *rawConn) pipeContents() []byte {
	if c.pipe == nil {
		return nil
	}
	contents := c.pipe.contents()
	c.pipe.n = 0
	c.dropPipe()
	return contents
}

// contents takes the bytes out of the pipe.
func (p *pipe) contents() []byte {
	contents := make([]byte, p.n)
	for got := 0; got < len(contents); {
		n, errno := reactor.ReadPipe(p.R, contents[got:])
		if errno != 0 || n == 0 {
			panic("engine: a pipe has lost bytes")
		}
		got += n
	}
	return contents
}
