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
// into shared memory is checked before it is used; a worker that breaks the protocol is killed.
//
// # Reading order
//
//   - host.go: a script is started. host_ready.go waits for its workers, host_relaunch.go starts the fork server again,
//     host_stop.go ends everything, host_files.go reports the files of the script.
//   - forkserver.go, forkserver_messages.go: one fork server process. control.go: messages and pipes. stderr.go: log lines.
//   - pool.go: what a listen{} call makes. pool_stop.go, stats.go.
//   - supervise.go: the goroutine that keeps the number of workers; how many there should be is decided in pool/policy.
//     supervise_birth.go forks, supervise_news.go hears of workers and fork servers, supervise_end.go kills and frees slots.
//   - worker.go: the record of a worker. worker_state.go: its life. worker_control.go: its control socket.
//   - loop.go: the pool on one loop. loop_turn.go: the steps of a turn. loop_cells.go: free cells and those in use.
//     loop_roster.go: which workers serve. loop_wake.go: when another one is woken. loop_pair.go: which CPU it runs on.
//     loop_tick.go: limits of time.
//   - cell.go, cell_state.go: one exchange. The way to a worker: cell_start.go, cell_head.go, cell_body.go. The way back:
//     cell_complete.go, cell_response.go, cell_end.go. Limits of time: cell_tick.go, cell_overdue.go. A dead worker:
//     cell_reclaim.go. Raw connections: cell_socket.go. How long it took: cell_times.go.
//   - interval.go: timers of scripts, which are exchanges without a peer.
//
// Lifetimes: the views that Exchange.Output is given are of shared memory, and valid during the call. The memory of a pool
// goes when all its loops have let go of it after Stop.
//
// A raw connection's descriptor belongs to its cell from StartSocket on, until it was passed to a worker or closed.
//
// It does not open sockets, know HTTP beyond the parsed head, or contain Lua.
package pool
