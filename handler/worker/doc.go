// Package worker is the Lua runtime of fork servers and workers, and the only package with C in it. Importing it is all
// there is to do: a C constructor, which runs before the Go runtime, does nothing unless shm.Env is set in the
// environment; then the process is a fork server, and never reaches Go. A worker is a fork of it. It does reach Go, where
// this package's init takes over and never returns to the program's main.
//
// Nouns: the fork server loads the script, whose listen{} calls it sends to the server, and forks when told to
// (forkserver.c, listen.c, control.c). A worker claims exchanges from the queues in shared memory and runs them one at a
// time (worker.c, exchange.c). To Lua an exchange is the request object (request.c, fields.c, params.c, body.c, post.c) with the
// methods that respond (send.c, response.c, output.c). The contract with the server is handler/shm/layout.h.
//
// A raw connection's socket comes over the control socket (handover.c) and becomes an object with two Lua file handles
// (socket.c, stream.c, readuntil.c). How it ends, which decides what the peer sees, is in close.c and background.c.
//
// On a raw connection a handler of generate_handler can be called too (local.c): then the worker serves HTTP by
// itself. Its exchanges have a cell in memory of the process, and package rawhttp does for them what the server does for
// all others: reads, parses, keeps time, writes.
//
// Ownership: the Lua state belongs to the main thread. The goroutine that reads the control socket touches nothing but
// the output of the running exchange, under a lock and only while it lies in the window (output.c); so does the one of
// package rawhttp, besides what that has under a lock of its own. Lua errors are
// longjmps or unwinding: they never pass a Go frame, since Go functions that C calls cannot raise them.
//
// Lifetimes: everything of an exchange (views of the windows, the request's tables) ends when its result is stored; a
// request object that was kept longer raises an error.
//
// The package does not know what a valid listen{} table is, opens no sockets, and keeps no time but that of rawhttp and of
// timeout(): other limits of time end a worker from outside.
package worker
