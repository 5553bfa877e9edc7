// Package httpparse turns bytes into HTTP/1 requests and responses.
//
// Nouns: a [Parser] finds request heads in the bytes of a connection and fills a [Head]; [Limits] bounds them. Framing,
// that is, where a request ends and the next one begins, is decided in one place (framing.go). The decision is in the
// Head: ContentLength, Chunked, Persistent. A [Body] follows a body to its end and applies the size limit; [Chunked]
// decodes a chunked one. [Form], [Cookies] and [List] iterate over the contents of heads and bodies. [Multipart] parses
// multipart/form-data as it arrives. [ResponseHead] and [ResponseBody] are their counterparts for responses, as a backend or
// another server sends them. For clients, a [ResponseParser] also considers the method of the request, and a [Hop] finds the
// fields that a proxy does not pass on. An [Acceptance] is what Accept-Encoding says, [Conditions] are the fields of
// conditional requests, which are evaluated here, as [Ranges] are. An [Error] says why a peer's bytes are refused, and with
// which status.
//
// Results depend on the arguments alone: there is no I/O, no clock, no goroutine, and no global state except constant
// tables. The caller owns every buffer. The returned slices are views of the caller's bytes and are valid as long as
// those are. A request needs no allocation, except that Head.Fields, the scratch buffer of a form and the buffer for
// the head of a part grow as needed. All three are reused.
//
// The parser is strict. It refuses everything that could be framed in two ways, even where the RFC allows it. It is
// lenient only where framing cannot be affected, and a comment says so there. testdata holds the test cases, each with
// the section of the RFC. Package conformance loads them; server tests use it too. The cases of responses also say where
// the verdict differs from that of llhttp or nginx, and why.
//
// The package does not read or write, look at methods other than HEAD, OPTIONS and CONNECT, decode paths, or join
// field lines of the same name.
package httpparse
