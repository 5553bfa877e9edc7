// Package bufio keeps the bytes of connections that are not parsed yet (Input) or not sent yet (Output), and the memory
// for them (Pool). It has nothing in common with the standard package of that name, and no type of the same name.
//
// Ownership: a Pool belongs to one loop, as do the Inputs and Outputs that use it; nothing here may be used from two
// goroutines at once. An Input or Output must always be used with the same Pool.
//
// Memory: a connection without unread and unsent bytes holds no buffer. Reads go to one scratch buffer that all Inputs of
// a loop share; only what is left unread at the end of a connection's turn is copied to a buffer of its own (Settle).
//
// Lifetimes: a slice returned by Input.Reserve or Input.Unread is a view. It is valid until the next Reserve, Settle or
// Release of that Input. Discard moves no bytes: views of discarded bytes stay valid until then. A slice returned by
// Output.Unsent is valid until the next call of any other method of that Output but Len.
//
// It does not: read, write, or limit how much is kept. The one who reserves and appends has the limits.
package bufio
