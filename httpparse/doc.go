// Package httpparse turns bytes into HTTP/1 requests.
//
// Nouns: a [Parser] finds request heads in the bytes of a connection and fills a [Head]; [Limits] bounds them. Framing,
// which is where a request ends and the next one begins, is decided in one place (framing.go) and stands in the Head:
// ContentLength, Chunked, Persistent. A [Body] follows the body from there to its end; [Chunked] decodes it if it is chunked. [Form], [Cookies] and [List] go
// through what heads and bodies contain; [Multipart] takes multipart/form-data apart as it arrives. An [Error] is why
// a peer's bytes are refused, with the status to answer.
//
// All of it is functions of their arguments: no I/O, no clock, no goroutine, no global state but constant tables. The
// caller owns every buffer. What is returned are views of the bytes that were given, and they live as long as those do;
// nothing is allocated for a request, but for the room of Head.Fields, a form's scratch and the head of a part, which are
// all used again.
//
// The parser is strict: whatever could be framed in two ways is refused, be it allowed or not. It is lenient only
// where that cannot matter to framing, and says so there. testdata has the cases, one by one with the clause of the RFC;
// package conformance loads them, also for the tests of a server.
//
// It does not: read or write; look at the method beyond HEAD, OPTIONS and CONNECT; decode
// paths; join field lines of equal names; parse responses.
package httpparse
