// Package pool serves exchanges with worker processes.
//
// # Nouns
//
// A [Host] runs one script: it starts the fork server, which loads the script and forks workers on demand. Each listen{}
// call of the script makes a [Pool], which is a backend.Backend with worker processes and shared memory of its own. A
// [Worker] is the record of one worker process; it has a slot in the shared memory. On each loop of the engine a pool has a
// part (type loop) with a queue, and a cell for each exchange in progress.
//
// # Ownership
//
// A loop and its cells belong to the loop's goroutine; no exchange takes a lock. Workers, slots and counts of processes
// belong to the pool's supervisor (supervise.go) and are protected by Pool.mu. Loops see them through atomic words. They
// speak to the supervisor by setting a word of the Worker and kicking it. What workers write into shared memory is checked
// before it is used, and a worker that breaks the protocol is killed.
//
// Only a loop, the supervisor and those who bring news to it read the clock. Everything below them that depends on time has
// an argument now.
//
// The views that Exchange.Output is given are of shared memory, and are valid during the call. The memory of a pool is
// freed when all its loops have let go of it after Stop. The descriptor of a raw connection belongs to its cell from
// StartSocket on, until it has been passed to a worker or closed. The file of a request body belongs to its cell from StartFile
// on, until the cell is free.
//
// # The life of a worker
//
// Its states are those of package policy.
//
//	Booting   newWorker takes a slot, a forkRequest is sent, forked hears of the process, prepare runs
//	Idle      ready: prepare has returned. The loops ring it
//	Busy      setBusy: the supervisor has seen it at an exchange. setBusy also leads back to Idle
//	Draining  dismiss tells it to end: it finishes its exchange, then runs finish. Or the supervisor has killed it (killDue),
//	          because a loop asked for that (kill), or because it was late (exit)
//	Gone      end, called by workerGone: the process has ended. Each loop reclaims its cells, then freeSlots frees the slot
//
// A worker whose fork server has died goes on until it is replaced; its end is not reported, so it is known when its control
// socket is closed (workerHungUp). A worker that is stale is replaced: a successor is forked, and when that one is ready the
// old worker is dismissed.
//
// # Reading order
//
//   - host.go: a script is started. host_ready.go waits for its workers, host_relaunch.go starts the fork server again,
//     host_drain.go and host_stop.go end everything, host_files.go reports the files of the script.
//   - forkserver.go, forkserver_messages.go: one fork server process. control.go: messages and pipes. stderr.go: log lines.
//     stdout.go: what else comes through a pipe.
//   - pool.go: what a listen{} call makes. pool_seqs.go, pool_stop.go. What others see of it: stats.go, figures.go.
//   - supervise.go: the goroutine that keeps the number of workers. supervise_fork.go forks them, supervise_news.go hears of
//     them and of fork servers, supervise_end.go kills them and frees their slots.
//   - worker.go: the record of a worker. worker_state.go: the moves of its life. worker_control.go: its control socket. What
//     a worker says over that: worker_access.go, worker_purge.go, worker_report.go (with about.go). Why it has ended, for figures:
//     worker_cause.go. Parts of the record: worker_activity.go, worker_succession.go, worker_exit.go, worker_reclaim.go. What the system knows of
//     the process: worker_process_*.go, worker_running_*.go.
//   - loop.go: the pool on one loop. loop_turn.go: the steps of a turn. loop_cells.go: free cells and those in use.
//     loop_roster.go: which workers serve. loop_wake.go: when another one is woken. loop_pair.go, loop_cpu_*.go: which CPU
//     the home worker runs on. loop_tick.go: the slow tick, for time limits. loop_peers.go, loop_peers_*.go: which raw connections that wait
//     have lost their peers. loop_pressed.go: whether there are more exchanges than there may ever be workers for. loop_overlap.go: how many
//     pipelined requests are taken.
//   - cell.go, cell_state.go: one exchange. To the worker: cell_start.go, cell_request.go, cell_body.go. What the connection may
//     call: cell_running.go. From the worker: cell_complete.go, cell_response.go, cell_answered.go, cell_end.go. Limits of
//     time: cell_tick.go, cell_watch.go, cell_overdue.go. When its peer has gone: cell_peer.go. When its worker is gone:
//     cell_reclaim.go. What a worker gets over its control socket: cell_descriptor.go, for raw connections (cell_socket.go) and
//     for request bodies in files (cell_file.go). Files that a worker sends: cell_sendfile.go. Streams that take the place of a
//     cell: cell_stream.go. How long it took: cell_times.go. Which failures are counted and logged: cell_refused.go.
//   - crash.go: exchanges that fail, for those who want to know. crash_draft.go: what the cell has. crash_notes.go: what the worker says.
//   - websockets.go: the WebSockets of scripts. websocket_accept.go: a request becomes one. websocket_conn.go, websocket_event.go: a
//     connection, and its events as exchanges; websocket_batch.go: several messages as one event; websocket_wait.go: those that
//     wait for room. websocket_blocking.go: a connection that a worker has to itself.
//   - channels.go: what workers publish and ask. dictionaries.go: shared dictionaries. tester.go: a process that runs tests.
//   - interval.go: timers of scripts, which are exchanges without a peer (peerless.go); main_listener.go: main handlers.
//     intervals.go: which generation of the script runs a timer. intervals_handover.go: which process does.
//
// The package does not open sockets, know HTTP beyond the parsed head, or contain Lua. listen decodes what a listen{} call
// asks for, policy decides how many workers there are.
package pool
