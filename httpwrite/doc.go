// Package httpwrite builds what the server sends: status lines, dates, response heads, and error pages. It is the
// counterpart of package httpparse, which reads what a peer sends. The engine, the Go handlers, and the workers use it,
// so a response looks the same wherever it is built.
//
// All functions append to a slice and return it, as append does. None of them keeps a reference to its arguments, allocates
// when the slice has room, or reads a clock; only Date.At does, once a second.
//
// The package checks field names and values (CheckField). It does not decide how a body is framed: a handler's Response
// does, and states its decision in Head.Length.
package httpwrite
