// Package bufio holds the bytes of connections that are not parsed yet (Input) or not sent yet (Output), and the memory
// for them (Pool). It is unrelated to the standard package of the same name and has no type of the same name.
//
// Ownership: a Pool and the Inputs and Outputs that use it belong to one goroutine, such as that of a loop. Nothing
// here is safe for concurrent use. An Input or Output must always be used with the same Pool.
//
// Memory: a connection without unread or unsent bytes holds no buffer. Reads go to a scratch buffer that all Inputs of
// a loop share. Only bytes that are still unread at the end of a connection's turn are copied to a separate buffer
// (Settle).
//
// Lifetimes: a slice returned by Input.Reserve or Input.Unread is a view. It is valid until the next Reserve, Settle or
// Release of that Input. Discard moves no bytes: views of discarded bytes stay valid until then. A slice returned by
// Output.Unsent is valid until the next call of a method of that Output other than Len and Unsent.
//
// The package does not read, write, or limit the amount of buffered data. Its caller applies the limits.
package bufio
