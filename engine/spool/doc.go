// Package spool keeps bytes in unnamed files while they wait for a slow peer: a request body until it is complete, or a
// response until the peer has taken it.
//
// A [Spool] is a directory and a bound on the total size of its files. A [File] is written at its end, read at any place, and
// can free the space of the bytes at its start. It never appears in the directory: it is gone when its last descriptor is
// closed, even if the process is killed.
//
// Ownership: a File belongs to one goroutine at a time, except that ReadAt and Open may be called by several. A Spool is safe
// for concurrent use.
//
// The calls block as files do. The package knows nothing of HTTP, connections or loops, and logs nothing.
package spool
