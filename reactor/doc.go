// Package reactor runs event loops: they tell which descriptor is ready, which task was posted and which deadline has
// passed.
//
// Nouns: a Loop is a goroutine with a poller (epoll or kqueue, through gnet's netpoll) and a timing wheel. A turn is one
// pass of the loop: one batch of events, and everything that belongs to it. A Handler is told of the Readiness of one
// descriptor. A Listener is an address with one or more listening sockets, attached to the loops that accept.
//
// Ownership: everything of a Loop belongs to its goroutine: the one that is in Run, or another one, after work that may take long was
// given to Aside. It is called there or before Run, except for what is documented for any goroutine: Post, Stop, Clock, Index, Count,
// Relieve, Leading. A descriptor given to Add or AddRead belongs to
// the loop, which closes it after Close or Leave, or at the end of Run. One given to Watch stays with its owner. Connect and
// ConnectUnix open descriptors that belong to the caller.
//
// Readiness is edge-triggered: it is reported once, and the handler remembers it until a call returns EAGAIN or transfers
// less than it was asked to. It is a hint: a call may return EAGAIN all the same.
//
// Lifetimes: after Close or Unwatch of a descriptor its handler is not called again, not even for events that have already
// been fetched. The number of a closed descriptor is not reused while such events may be left.
//
// The system calls of the hot path (Read, Write, Writev) are raw calls on non-blocking sockets: Go's scheduler is not told
// of them, and they do not allocate.
//
// # Reading order
//
//   - loop.go: a Loop and its options. turn.go: what happens in a turn. descriptor.go: descriptors and their handlers. post.go: tasks of
//     other goroutines. clock.go: time and timers; alarm_linux.go, alarm_other.go: the next deadline. aside.go: work that may take long.
//     watch.go: how long turns take.
//   - poller.go, poller_linux.go, poller_bsd.go: waiting for events. yield.go, park_linux.go, park_other.go: what Go's scheduler is told
//     meanwhile. class_linux.go, class_other.go: what the system's scheduler is told.
//   - listener.go, listen_tcp.go, listen_unix.go: listening sockets. listen_beside.go, listen_beside_*.go: when the address changes and
//     the port stays. inherit.go: those of another process. endpoint.go, ends.go: addresses. accept.go, deal.go: new connections. spare.go:
//     descriptors in reserve, to refuse connections with.
//   - connect.go, connect_*.go: connections to others.
//   - socket_unix.go, socket_linux.go, socket_bsd.go: calls on sockets. peek.go. sendfile.go, sendfile_*.go, file_read.go,
//     file_memory_*.go: files. splice.go, splice_*.go: bytes that do not come to this process.
//
// The package does not buffer, parse, or limit the number of connections. It blocks only in the poller, and in OpenListener
// while a name is looked up.
package reactor
