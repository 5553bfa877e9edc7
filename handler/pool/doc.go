// Package pool serves exchanges with worker processes.
//
// Nouns: a [Host] runs one script: it starts the fork server, which loads the script and forks workers on demand. Each
// listen{} call of the script makes a [Pool], which is a backend.Backend with worker processes and shared memory of its own.
// A [Worker] is our record of one worker process; it has a slot in the shared memory. On each loop of the engine a pool has
// a part (type loop) with a queue, and a cell for each exchange in progress.
//
// Who owns what: a loop and its cells belong to the loop's goroutine, and nothing on the way of an exchange takes a lock.
// Workers, slots and counts of processes belong to the pool's supervisor (supervise.go) and stand under Pool.mu; loops see
// them through atomic words, and speak to the supervisor by leaving a word in the Worker and kicking it. What workers write
// into shared memory is checked in complete.go before it is used; whoever breaks the protocol is killed.
//
// Where to look: listen.go what a script may ask for · forkserver.go, host.go start and end · state.go a worker's life ·
// policy.go, census.go how many workers there should be · supervise.go, birth.go how that comes about · dispatch.go, body.go
// the way to a worker · complete.go the way back · turn.go when to ring and when to sleep · tick.go limits of time ·
// reclaim.go death · interval.go timers · socket.go raw connections.
//
// Lifetimes: the views that Exchange.Output is given are of shared memory, and valid during the call. The memory of a pool
// goes when all its loops have let go of it after Stop.
//
// A raw connection's descriptor belongs to its cell from StartSocket on, until it was passed to a worker or closed.
//
// It does not open sockets, know HTTP beyond the parsed head, or contain Lua.
package pool
