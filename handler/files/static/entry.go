package static

import (
	"sync/atomic"
	"time"

	"moonbridge/handler/files"
	"moonbridge/httpparse"
)

// what is what a lookup has found.
type what uint8

const (
	whatNothing  what = iota // no file for clients
	whatFile                 // a file, in one or more codings
	whatRedirect             // a directory, whose path ends in a slash
	whatListing              // a page with the names in a directory
	whatError                // an error, which has a status
)

// entry is the result of a lookup. Apart from the atomic fields it does not change.
type entry struct {
	key  string // normalized path
	rule *rule
	what what

	variants [4]*variant       // whatFile, by httpparse.Coding
	offered  httpparse.Codings // those that are there
	possible httpparse.Codings // those that the file can be compressed with, when a client asks for one
	passing  bool              // it is used only for the requests that waited for it

	page     []byte // whatListing
	location string // whatRedirect, without a query
	status   int    // whatError

	checkedNS atomic.Int64 // when the last lookup began, on the clock of the loops
	checking  atomic.Bool  // a lookup is in progress
	dead      atomic.Bool  // replaced or removed: it is not used any more
	used      atomic.Bool  // since the store looked last
}

// variant is a file in one coding.
type variant struct {
	file    *file  // nil: the contents are in memory
	content []byte // of a small file
	info    info
	known   files.File
	options files.Options
	fields  []byte // of the whole file as a response
	made    bool   // it was compressed here
	young   bool   // its entity tag is still weak, and its contents may change without a sign
}

// age is how old a lookup is at a time.
func (e *entry) age(now int64) time.Duration { return time.Duration(now - e.checkedNS.Load()) }

// size is how many bytes of contents an entry keeps in memory, and how many descriptors.
func (e *entry) size() (bytes, descriptors int) {
	for _, v := range e.variants {
		switch {
		case v == nil:
		case v.file != nil:
			descriptors++
		default:
			bytes += len(v.content)
		}
	}
	return bytes, descriptors
}

// acquire adds a user to the descriptors. It returns false if one of them is closed.
func (e *entry) acquire() bool {
	for i, v := range e.variants {
		if v == nil || v.file == nil || v.file.acquire() {
			continue
		}
		for _, v := range e.variants[:i] {
			if v != nil && v.file != nil {
				v.file.Release()
			}
		}
		return false
	}
	return true
}

// release gives up the descriptors.
func (e *entry) release() {
	for _, v := range e.variants {
		if v != nil && v.file != nil {
			v.file.Release()
		}
	}
}

// newVariant describes a file, for a request at the time now, in nanoseconds since 1970.
func newVariant(i info, o files.Options, now int64) *variant {
	v := &variant{info: i, known: files.File{Size: i.size, Modified: i.modified}, options: o}
	v.options.ETag = files.ETag(&v.known, now)
	v.young = v.options.ETag[0] == 'W'
	v.describe(now)
	return v
}

// describe makes the fields.
func (v *variant) describe(now int64) {
	var p files.Plan
	p.Make(&files.Request{Get: true, Now: now}, &v.known, &v.options)
	v.fields = p.Fields
}
