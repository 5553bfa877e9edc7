// Package spool keeps bytes in files without a name while they wait for a slow peer: a request body until it is complete, or
// a response until it has been taken.
//
// A [Spool] is a directory and a bound on what all its files hold together. A [File] is written at its end, read at any place,
// and may give back the room of the bytes at its start. Its bytes are never in a directory: the file is gone with its last
// descriptor, even if the process is killed.
//
// Ownership: a File belongs to one goroutine at a time, except that ReadAt and Open may be called by several. A Spool is safe
// for concurrent use.
//
// The calls block as files do. The package knows nothing of HTTP, connections or loops, and logs nothing.
package spool
