package main

import (
	"cmp"
	"fmt"

	"moonbridge/handler/backend"
	"moonbridge/handler/compress"
	"moonbridge/handler/pool/listen"
)

// once is a backend that several chains end in. It is attached once to each loop, and all of them get that instance.
type once struct {
	backend.Backend
	parts []backend.LoopBackend // by loop; each is used on its loop only
}

func newOnce(b backend.Backend, loops int) *once {
	return &once{b, make([]backend.LoopBackend, loops)}
}

// Attach implements backend.Backend.
func (o *once) Attach(l backend.Loop) (backend.LoopBackend, error) {
	i := l.Index()
	if o.parts[i] != nil {
		return o.parts[i], nil
	}
	part, err := o.Backend.Attach(l)
	if err == nil {
		o.parts[i] = part
	}
	return part, err
}

// chain puts in front of a pool what the options of one of its listeners ask for, and the pool's routes and files. Without any, it
// returns the pool. What is cached is compressed, and files and routes need neither. A rate limit counts what the cache and the
// routes answer, but no files: a page may have many.
func (g *generation) chain(b backend.Backend, h *listen.HTTPOptions, f *front) (backend.Backend, error) {
	if h.EncodedBody == listen.EncodedDecode {
		b = compress.NewDecoder(b, h.RequestBodySizeLimit)
	}
	if h.Compress.On {
		c, err := compress.New(b, compressOptions(&h.Compress), g.s.compressor)
		if err != nil {
			return nil, fmt.Errorf("compress: %w", err)
		}
		b = c
	}
	b = g.cached(b, h)
	if f.limit != nil {
		b = f.limit.Wrap(b)
	}
	b, err := f.before(b, h.StaticHeaders)
	if err != nil || !g.s.o.dev {
		return b, err
	}
	return g.withDevPath(b)
}

func compressOptions(c *listen.Compress) compress.Options {
	o := compress.Options{Types: c.Types, MinBytes: c.MinBytes, Level: c.Level}
	o.MinBytes = cmp.Or(o.MinBytes, -1) // 0 is the default there
	return o
}
