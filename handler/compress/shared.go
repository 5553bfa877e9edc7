package compress

import (
	"fmt"
	"runtime"
	"sync"
)

// Bounds of Shared.
const (
	// streamsMax is how many streams have an encoder at the same time. An encoder takes up to 5 MB, at the default level 2 MB.
	streamsMax = 128
	// queuedMax is how many bytes wait for a goroutine.
	queuedMax = 32 << 20
	// encodersIdle is how many encoders of a kind are kept for later.
	encodersIdle = 8
)

// Shared is what the Backends of a process have in common: encoders, and goroutines that use them. Any goroutine may call its
// methods.
type Shared struct {
	goroutines int

	mu      sync.Mutex
	idle    map[kind][]encoder
	streams int    // streams that have an encoder
	queue   []*job // jobs that wait for a goroutine
	queued  int    // bytes of them
	running int    // goroutines
}

// NewShared returns a Shared with as many goroutines as the process has processors. They exist only while there is work.
func NewShared() *Shared {
	return &Shared{goroutines: max(runtime.NumCPU(), 1), idle: make(map[kind][]encoder)}
}

// take returns an encoder that gives its output to nothing yet.
func (s *Shared) take(k kind) encoder {
	s.mu.Lock()
	idle := s.idle[k]
	if n := len(idle); n > 0 {
		e := idle[n-1]
		s.idle[k] = idle[:n-1]
		s.mu.Unlock()
		return e
	}
	s.mu.Unlock()
	return newEncoder(k)
}

// give takes back an encoder.
func (s *Shared) give(k kind, e encoder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if idle := s.idle[k]; len(idle) < encodersIdle {
		s.idle[k] = append(idle, e)
	}
}

// takeStream returns an encoder for a stream, or nil if there are too many streams.
func (s *Shared) takeStream(k kind) encoder {
	s.mu.Lock()
	full := s.streams >= streamsMax
	if !full {
		s.streams++
	}
	s.mu.Unlock()
	if full {
		return nil
	}
	return s.take(k)
}

// giveStream ends a stream. e is nil if its encoder has failed.
func (s *Shared) giveStream(k kind, e encoder) {
	s.mu.Lock()
	s.streams--
	s.mu.Unlock()
	if e != nil {
		s.give(k, e)
	}
}

// busy reports whether so many bytes wait that further ones are better sent as they are.
func (s *Shared) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queued >= queuedMax
}

// start runs a job on a goroutine, as soon as one is free.
func (s *Shared) start(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, j)
	s.queued += len(j.in)
	if s.running < s.goroutines {
		s.running++
		go s.work()
	}
}

// work runs jobs until there are none.
func (s *Shared) work() {
	for j := s.next(); j != nil; j = s.next() {
		j.run(s)
		j.loop.on.Post(j.over)
		// The loops have a processor of Go's own, but perhaps not one of the machine: they come first.
		runtime.Gosched()
	}
}

// next takes the job that has waited longest. Without one the goroutine ends.
func (s *Shared) next() *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.running--
		s.queue = nil
		return nil
	}
	j := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	s.queued -= len(j.in)
	return j
}

// job encodes a body, piece by piece.
type job struct {
	// Immutable.
	loop *loop
	kind kind

	// Owned by the loop.
	e       *exchange // that waits for the result; nil: none any more
	running bool      // a goroutine has it

	// Owned by the loop, or by the goroutine while running.
	enc    encoder // of a stream; nil: the job is a whole body, and takes an encoder only to run
	begun  bool    // the stream's encoder has been used
	in     []byte
	flush  bool // all of in is to be decodable
	finish bool // the body ends
	out    []byte
	err    error
}

// Write implements io.Writer for the encoder.
func (j *job) Write(p []byte) (int, error) {
	j.out = append(j.out, p...)
	return len(p), nil
}

// run does the work. A library that panics must not end the server: the response is cut off instead.
func (j *job) run(s *Shared) {
	defer func() {
		if p := recover(); p != nil {
			j.err = fmt.Errorf("panic: %v", p)
		}
	}()
	if j.enc != nil {
		if !j.begun {
			j.begun = true
			j.enc.Reset(j)
		}
		j.err = j.encode(j.enc)
		return
	}
	e := s.take(j.kind)
	e.Reset(j)
	if j.err = j.encode(e); j.err == nil {
		s.give(j.kind, e)
	}
}

// over is called on the loop when a goroutine has run the job.
func (j *job) over() {
	j.running = false
	if j.e != nil {
		j.e.encoded()
	} else {
		j.release()
	}
}

// release gives back what the job holds. It is not running.
func (j *job) release() {
	if j.enc != nil {
		enc := j.enc
		if j.err != nil {
			enc = nil
		}
		j.loop.b.shared.giveStream(j.kind, enc)
		j.enc = nil
	}
	j.loop.giveBuffer(j.in)
	j.loop.giveBuffer(j.out)
	j.in, j.out, j.e = nil, nil, nil
}

func (j *job) encode(e encoder) error {
	if len(j.in) > 0 {
		if _, err := e.Write(j.in); err != nil {
			return err
		}
	}
	switch {
	case j.finish:
		return e.Close()
	case j.flush:
		return e.Flush()
	}
	return nil
}
