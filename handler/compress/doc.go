// Package compress is a backend that encodes the responses of another backend with zstd, br or gzip, as the client accepts
// them (RFC 9110 §8.4, §12.5.3). It stands between the engine and the other backend, the inner one. A listener without
// compression does not have it.
//
// Nouns: a [Backend] wraps an inner backend by [Options]. An exchange has two sides: for the inner backend it is the
// connection, for the connection it is the running exchange. It parses the head of the response, decides (judge in head.go),
// writes another head, and frames the body in another way. [Shared] is what all Backends of a process have in common: the
// encoders and the goroutines, and the bounds on both.
//
// # Where the work is done
//
// Small pieces are encoded on the loop, larger ones on a bounded number of goroutines, which post their results. A body that
// is complete when its head comes gets a Content-Length, and needs an encoder only while it is being encoded. Any other body
// is a stream: it has an encoder of its own until its end, and is flushed whenever the inner backend has no more for now. The
// number of streams is bounded; further ones are sent as they are.
//
// # Ownership
//
// All of it belongs to the loop, except a job, which belongs to its goroutine until that has posted it back. A job knows its
// exchange only on the loop, so an exchange may end at any time while its job is running.
//
// # What it does not do
//
// It does not compress ranges of files (backend.FileSender): they go to the connection as they are. It keeps nothing for
// later requests; package cache does, in front of it.
package compress
