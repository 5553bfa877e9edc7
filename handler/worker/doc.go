// Package worker is the Lua runtime of fork servers and workers, and the only package with C in it. Importing it is enough:
// a C constructor, which runs before the Go runtime, does nothing unless shm.Env is set in the environment. If it is set,
// the process is a fork server and never reaches Go. A worker is a fork of it. It does reach Go, where this package's init
// takes over and never returns to the program's main.
//
// # What happens
//
// The fork server loads the script, sends its listen{} calls to the server, and forks when the server tells it to. A worker
// claims exchanges from the queues in shared memory and runs them one at a time. Lua sees an exchange as the request object,
// whose methods respond. The contract with the server is handler/shm/layout.h.
//
// A large request body is in a file, whose descriptor the worker asks for when the handler reads it. The socket of a raw
// connection comes over the control socket in the same way and becomes an object with two Lua file handles. A handler
// of generate_handler can be called on a raw connection too. Then the worker serves HTTP by itself: the exchanges have a
// cell in memory of the process, and package rawhttp does for them what the server does for all others. It reads, parses,
// keeps time and writes.
//
// # The C files
//
// The C files form ten layers. The name of a file begins with the name of its layer. Each layer has one header, which
// includes the headers of lower layers only. From bottom to top, and within a layer in reading order:
//
//	base      base.c base_lua.c base_message.c
//	dict      dict.c dict_hash.c dict_lock.c dict_block.c dict_entry.c dict_value.c dict_list.c dict_limit.c
//	dict      dict_all.c dict_repair.c
//	core      core.c core_fork.c core_origin.c core_files.c
//	exchange  exchange_segment.c exchange_descriptor.c exchange_response.c exchange_output.c
//	request   request.c request_fields.c request_pairs.c request_params.c request_body.c request_body_file.c
//	request   request_form.c request_form_stream.c request_send.c request_file.c request_later.c request_devpage.c
//	request   request_cache.c request_subscribe.c request_websocket.c request_websocket_blocking.c
//	socket    socket.c socket_file.c socket_readuntil.c socket_close.c socket_quiet.c socket_alive.c
//	socket    socket_background.c
//	io        io.c io_handle.c io_read.c io_write.c io_connect.c io_exec.c io_poll.c
//	shared    shared.c shared_open.c shared_value.c shared_list.c shared_all.c shared_limit.c
//	process   process_fork_server.c process_state.c process_compiler.c process_random.c process_traceback.c
//	process   process_watch.c process_listen.c process_http_options.c process_http_text.c
//	process   process_http_compress.c
//	process   process_http_cache.c process_purge.c process_sha256.c process_crypto.c process_hint.c
//	process   process_library.c process_error_page.c process_channel.c
//	process   process_websocket.c process_orphan.c process_tester.c
//	worker    worker.c worker_claim.c worker_exchange.c worker_rawhttp.c worker_report.c worker_memory.c
//	worker    worker_words.c worker_timeout.c worker_trace.c worker_gone.c worker_orders.c
//	worker    worker_websocket.c
//
// What each layer holds:
//
//   - base knows nothing of this server: buffers, text, log lines, Lua values, messages on control sockets.
//   - dict is the shared dictionaries: memory that any process may overwrite or leave at any moment. Go calls it, too.
//   - core holds the state of the process (the variables process, worker, exchange and memory) and the verbs that all
//     higher layers need: wait, notify, look at the exchange in progress, say what it is.
//   - exchange maps the shared memory, puts responses into it (the variable response), and asks the server for the descriptor
//     of an exchange.
//   - request is the request object: its fields, its body, forms, and the methods that send.
//   - socket is the socket object: Lua file handles, and how a raw connection ends, which decides what the peer sees.
//   - io is the module moonbridge_io: handles of connections and pipes, child processes, poll.
//   - shared is the module moonbridge_shared: dictionaries for Lua, and rate limits.
//   - process is the fork server: the Lua state, the run of the script, listen and generate_handler, the forks. The modules of
//     the folder library, which are written in Lua, are part of the program. A tester is a fork that runs tests of the script
//     instead of exchanges. It never reaches Go either.
//   - worker is the life of a worker: the exchanges it runs, and the time and memory limits that end it.
//
// To follow a request, start at the top: worker_claim.c claims it and worker_exchange.c runs it.
//
// Four uses run upward. The header of the lower layer declares what they call, and a test knows no others:
//
//	request.c → socket.c: mb_request_socket
//	socket.c → process_listen.c: mb_connect_of
//	process_state.c → worker_timeout.c: mb_timeout
//	process_http_options.c → worker_rawhttp.c: mb_rawhttp_serve
//
// The reasons:
//
//   - mb_request_socket: request.socket is a field of the request, but what it returns is a socket object, as on a raw
//     connection.
//   - mb_connect_of: listen keeps the connect handlers, and the socket layer looks up that of a raw connection.
//   - mb_timeout: the global timeout is set before the script runs, but it works in workers only.
//   - mb_rawhttp_serve: generate_handler makes a handler in the fork server. When a connect handler calls it, a worker has
//     to serve the connection.
//
// One more call runs upward, through a pointer: while worker_rawhttp.c serves an exchange, core waits and notifies through
// the mb_transport of that file.
//
// C calls Go where the bytes of a form are parsed while they arrive (mbPostParse), where package httpwrite has the text
// (mbDate, mbStatusText), and where package rawhttp does its work (mbConnNext and others). The headers declare these
// functions themselves, because the header that cgo generates would show every layer to each file.
//
// # Rules
//
// Ownership: the Lua state belongs to the main thread. The goroutine that reads the control socket touches nothing but the
// output of the running exchange, under a lock and only while that output lies in the window (exchange_output.c). The
// same holds for the goroutine of package rawhttp, which also has state of its own under another lock. Lua errors are
// longjmps or unwinding: they never pass a Go frame, because the Go functions that C calls cannot raise them.
//
// Lifetimes: everything of an exchange (views of the windows, the request's tables) ends when its result is stored. A
// request object that was kept longer raises an error.
//
// The package does not know what a valid listen{} table is, and it opens no sockets. It keeps time for rawhttp and for
// timeout() only: other time limits end a worker from outside.
package worker
