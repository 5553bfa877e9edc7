// Package reactor runs event loops: which descriptor is ready, which task was posted, which deadline passed.
//
// Nouns: a Loop is one goroutine with a poller (epoll or kqueue, through gnet's netpoll) and a timing wheel. A turn is one
// pass of it: one batch of events and what belongs to it. A Handler is told of the Readiness of one descriptor. A Listener
// is an address with one or more listening sockets, attached to loops that accept.
//
// Ownership: everything of a Loop belongs to its goroutine (the one that is in Run), and is called there or before Run,
// except what is documented for any goroutine: Post, Stop, Clock, Index, Count. A descriptor given to Add or AddRead
// belongs to the loop, which closes it after Close, or at the end of Run; one given to Watch stays its owner's.
//
// Readiness is edge-triggered: it is told once, and the handler remembers it until a call said Again or came back short.
// It is a hint: a call may say Again all the same.
//
// Lifetimes: after Close or Unwatch of a descriptor its handler is not called any more, not even for events that
// were fetched before. The number of a closed descriptor is not used again while such events may be left.
//
// The system calls of the hot way (Read, Write, Writev) are raw ones on non-blocking sockets: the scheduler does not hear
// of them, and they allocate nothing.
//
// It does not: buffer, parse, limit the number of connections, or block anywhere but in the poller.
package reactor
