// Package engine is the HTTP server that can be embedded: listeners, connections, limits, shutdown.
//
// Its nouns: an Engine owns loops (package reactor). A Listener is an open listening address. Engine.Serve connects a
// listener with a backend.Backend that answers its requests, and with Limits. On each loop that is a service, which a later
// call of Serve replaces. A conn is a peer's connection: it belongs to one loop from accept to close, and only that loop
// touches it. An exchange is one request and its response: conn implements backend.Exchange, and holds the backend.Running
// that the backend returned for it. A follower is an exchange that is in progress while the responses before its own are not
// sent.
//
// engine.go, options.go, limits_default.go, listener.go and serve_tcp.go are what a program that embeds the engine begins with, shutdown.go
// and shutdown_signal.go end it, and stats.go shows it. service.go switches a listener from one backend to another, and ended.go waits for what it ended. onloop.go says which methods a
// loop must not call, stalled.go tells of loops that are held up. loop.go is what connections of one loop share, addrs.go which
// addresses they have.
//
// A request passes through the parts of conn.go in this order: conn_read.go (bytes arrive), conn_dispatch.go (the head is
// parsed, limits are applied, the backend gets the exchange), conn_body.go (bytes of the body go to the backend), conn_write.go
// (bytes of the response go to the peer), conn_finish.go (the next request, or the end), conn_linger.go and conn_close.go.
// Responses of the engine itself are in conn_answer.go. Data that waits for a slow peer, a body until it is complete or a
// response, goes through conn_spool.go or conn_spool_output.go into a file of package spool (spool.go). conn_peer_end.go tells
// the backend that the peer has finished sending. conn_state.go names the states, conn_deadline.go says when a connection in
// each state acts by itself. The other parts of a conn are in conn_socket.go, conn_input.go, conn_exchange.go, conn_output.go
// and conn_access.go (for the log: access.go, access_record.go); conn_remainder.go has what is left of exchanges whose handlers
// outlive their responses. conn_stream.go is for backends that keep a response going, conn_trailer.go for trailer fields,
// conn_report.go for Options.ConnState, trace.go for ids of traces. status.go and refused.go have what the engine refuses
// itself: how it is answered, counted and logged. system.go lists what connections use of the outside world, traffic.go counts
// it, and resumption.go goes on with a connection after the other events of a turn.
//
// Followers are started by conn_pipeline.go. Each has an exchange object of its own (pipelined.go, pipelined_late.go), which
// the backend outputs to. conn_cork.go sends the responses of several exchanges with one call, conn_access_later.go logs them.
//
// A new connection goes through preface.go (the header of the PROXY protocol) and conn_limit.go with open_limit.go and
// flood_penalty.go, which admit or reset it. sockets.go hands it over to a backend that takes raw connections.
//
// What a response has besides bytes of the backend: conn_file.go, conn_file_send.go and conn_file_read.go send ranges of files,
// conn_splice.go moves bytes from another connection, conn_interim.go finds interim responses, conn_always.go adds fields.
// conn_fast_peer.go decides whether a large response waits in its backend or is spooled, conn_discard.go reads the rest of a
// body that no handler wants.
//
// TLS is in the tls_*.go files: tls.go has its options. tls_handshake.go runs handshakes on goroutines or on the loop
// (tls_fiber.go), within the bounds of tls_handshakes.go. tls_handshake_end.go ends them. tls_split.go divides their first
// record, which saves memory afterwards. What comes out is an ordinary conn or rawConn, on a second loop object whose system
// encrypts and decrypts (tls_system.go, tls_conn.go, tls_raw.go). tls_records.go ends a connection whose records bring no data.
// tls_cork.go joins the end of a response with the end of the connection, tls_state.go shows what was agreed, tls_dial.go is the
// client's side.
//
// HTTP/2 is in the h2_*.go files. It is translated: h2_serve.go takes the connection, h2_conn.go and h2_stream.go are a
// connection and its streams, each of which an ordinary conn serves, on one more loop object (h2_loop.go). h2_frame.go reads and
// writes the headers of frames. h2_headers.go, h2_block.go and h2_read.go make requests of HTTP/1.1 of frames, h2_write.go and
// h2_head.go make frames of the response, h2_settings.go follows the peer's settings, h2_schedule.go and h2_priority.go say
// whose turn it is, h2_limits.go has the limits against attacks, h2_deadline.go those of time. h2_drain.go ends a connection.
// h2_connect.go and h2_tunnel.go are for streams that leave HTTP.
//
// A rawConn is a connection of a backend.Protocol, which speaks something other than HTTP. It has files of its own, raw_*.go,
// and shares only the socket with conn: raw_conn.go and raw_loop.go have its parts, raw_read.go and raw_write.go move bytes,
// raw_splice.go moves them between two connections (through raw_pipe.go), raw_deadline.go has the limits of time, raw_close.go
// the ends, raw_dial.go opens connections to other servers, raw_expendable.go has those of them that give up their places, raw_serve.go accepts them. conn_hijack.go makes a conn a rawConn, or
// a net.Conn for goroutines (hijacked.go, detached.go; raw_detach.go does so with a rawConn). adopted.go and pump.go take
// connections from elsewhere.
//
// mistakes.go has the checks of what the program gives to the engine.
//
// Lifetimes: bytes that a conn hands to the backend are views of the loop's read buffer, valid during the call only. An idle
// conn holds no buffer.
//
// The engine knows nothing of processes and Lua. It opens no files but those of the spool. It does not look up names
// or wait for anything, except in Open, and except that a write to a file of the spool may block. What has to be read from a
// disk is read by goroutines (file_readers.go).
package engine
