/* Layout of the memory that the server and its worker processes share, and of
 * the messages on the control sockets. Written once, here: handler/worker uses it
 * from C, handler/shm mirrors it in Go, and a test in handler/worker compares
 * every size and offset.
 *
 * Two segments belong to a pool:
 *
 *   in   written by the server only. Workers map it read-only, and where the
 *        system can enforce it (F_SEAL_FUTURE_WRITE) they have no way to
 *        write to it. Heads and bodies of requests, queue positions, flags.
 *   out  written by workers (and by the server where stated). Nothing in it is
 *        trusted: the server checks every number before it uses it.
 *
 * All counters are absolute byte or entry counts; the place in a ring is the
 * count modulo the ring's size, which is a power of two. There are no pointers
 * in shared memory, only offsets.
 */
#ifndef MB_LAYOUT_H
#define MB_LAYOUT_H

#include <stdint.h>

#define MB_MAGIC 0x3142424du /* "MBB1" */
#define MB_VERSION 1u

/* Offset 0 of the in segment. Immutable once the first worker is forked. */
typedef struct {
	uint32_t magic, version;
	uint32_t loops;      /* number of loops */
	uint32_t workers;    /* number of worker slots */
	uint32_t cells;      /* cells per loop */
	uint32_t queue_cap;  /* entries of a loop's queue, power of two */
	uint32_t in_window;  /* bytes of a cell's in-window, power of two */
	uint32_t out_window; /* bytes of a cell's out-window, power of two */
	uint64_t in_size, out_size; /* bytes of the two segments */
	/* Place of the arrays: element i is at offset + i*stride. */
	uint64_t in_loops, in_loop_stride;      /* mb_in_loop, by loop */
	uint64_t in_workers, in_worker_stride;  /* mb_in_worker, by slot */
	uint64_t in_cells, in_cell_stride;      /* mb_in_cell, by loop*cells+cell */
	uint64_t out_loops, out_loop_stride;    /* mb_out_loop, by loop */
	uint64_t out_workers, out_worker_stride;/* mb_out_worker, by slot */
	uint64_t out_cells, out_cell_stride;    /* mb_out_cell, by loop*cells+cell */
	uint64_t id_prefix; /* ids of requests that workers make begin with it: 40 bits */
} mb_in_header;

/* One per loop: the queue of exchanges that wait for a worker. */
typedef struct {
	uint64_t q_head;   /* positions published so far */
	uint8_t  pad[56];
	uint32_t q[];      /* q[position % queue_cap] = cell of this loop */
} mb_in_loop;

/* One per worker slot: what the server tells the worker. */
typedef struct {
	uint32_t home;     /* the loop whose queue this worker looks at first */
	uint32_t quit;     /* not 0: take no further exchange, run finish, end */
	uint32_t stopping; /* not 0: the server is to end, or the script is replaced; handlers that ask are told */
	uint8_t  pad[52];
} mb_in_worker;

/* mb_in_cell.flags */
#define MB_IN_END       1u  /* in_head is final: no more bytes will come */
#define MB_IN_ABORT     2u  /* the body broke off and will never be complete */
#define MB_IN_CANCEL    4u  /* the peer is gone: output is thrown away */
#define MB_IN_TOO_LARGE 8u  /* with ABORT: body above request_body_size_limit */
#define MB_IN_WANT_ROOM 16u /* the loop waits for room in the in-window */
#define MB_IN_PEER_END  32u /* the peer has sent its FIN: it may still read, or have gone */
#define MB_IN_RECEIVED  64u /* the server has the whole body: the connection goes on even if
                               the handler does not read it */

/* The server's half of a cell; the in-window follows it. */
typedef struct {
	uint64_t gen;      /* queue position of this use of the cell: its identity */
	uint64_t in_head;  /* bytes put into the in-window so far */
	uint64_t out_tail; /* bytes taken out of the out-window so far */
	uint32_t flags;    /* MB_IN_* */
	uint32_t pad0;
	uint64_t published; /* ns of CLOCK_MONOTONIC when it was put into the queue: workers
	                       compare exchanges of different loops by it */
	uint8_t  pad[24];
} mb_in_cell;

/* One per loop, in the out segment. */
typedef struct {
	uint64_t q_tail;   /* first position that may still be unclaimed (CAS) */
	uint8_t  pad0[56];
	uint32_t asleep;   /* 1: the loop blocks or is about to; ring its doorbell
	                      if you exchange it to 0 */
	uint8_t  pad1[60];
	uint64_t ready[];  /* bit per cell: "look at this cell" (fetch_or) */
} mb_out_loop;

/* One per worker slot, in the out segment. */
typedef struct {
	uint32_t asleep;   /* 1: the worker blocks or is about to; ring its doorbell
	                      if you exchange it to 0 */
	uint32_t pad0;
	uint64_t finished; /* exchanges completed: progress, for waking others */
	uint64_t at;       /* MB_AT of the exchange that it runs; 0: none. Cleared after its
	                      result is stored */
	uint8_t  pad[40];
} mb_out_worker;

#define MB_AT(loop, cell) ((uint64_t)(loop) << 32 | ((uint64_t)(cell) + 1))

/* mb_out_cell.owner: low 32 bits of gen << 32 | who */
#define MB_WHO_FREE   0u
#define MB_WHO_QUEUED 0xffffffffu /* published, not claimed */
                                  /* 1+slot: claimed by that worker */

/* Low half of mb_out_cell.result, stored last (release). The high half is the low
 * half of gen: a result that belongs to another exchange does not count */
#define MB_RESULT(gen, bits) ((uint64_t)(gen) << 32 | (bits))
#define MB_DONE   1u  /* the exchange is over */
#define MB_CLOSE  2u  /* close the connection when the output is sent */
#define MB_RESET  4u  /* reset the connection: the response broke off */
#define MB_RETIRE 8u  /* this worker takes no further exchange (handler returned false) */
#define MB_FAILED 16u /* the handler has raised an error, which was reported with the number of the exchange */
/* bits 16..31: with DONE and no output but interim responses: status that the server
 * answers itself */
#define MB_STATUS_SHIFT 16
#define MB_CLIENT_GONE 499u /* as status: the client has gone, no response can be sent */

/* mb_out_cell.flags */
#define MB_OUT_BODY_WANTED 1u /* the handler reads the body: answer Expect: 100-continue */
#define MB_OUT_PENDING     2u /* minimum_output_chunk_size or more is held back: ask for a
                                 flush ('F' on the control socket) after about 50 ms */
#define MB_OUT_DESCRIPTOR_WANTED 4u /* the worker waits for the connection's socket
                                 (MB_KIND_SOCKET) or the file of the body
                                 (MB_HEAD_BODY_FILE): send it ('D' on the control socket).
                                 Cleared when it has arrived */
#define MB_OUT_RESET 8u /* the handler has reset the connection, and still runs: no
                                 more output of this exchange is wanted */
#define MB_OUT_COMPLETE 16u /* all of the response is published: the client waits for nothing
                                 more, whatever the handler still does */
#define MB_OUT_CLOSE 32u /* with COMPLETE: close the connection after the response */
#define MB_OUT_FILE 64u /* what is published is only the head: the body is in MB_MSG_FILE, which
                           was sent before */

#define MB_OUT_STREAM 128u /* with COMPLETE: what is published is no response but a mb_subscription: the
                              server answers with the messages of channels */

#define MB_OUT_WEBSOCKET 256u /* with COMPLETE: what is published is no response but a mb_ws_accept: the
                                 connection becomes a WebSocket */

#define MB_OUT_WEBSOCKET_BLOCKING 512u /* what was published before it is a mb_ws_accept: the connection becomes a
                                 WebSocket of this exchange. What follows are verbs, and the
                                 in-window gets a mb_ws_record for whatever happens */

/* In mb_out_cell.out_start: what is published is no response but a message. Which one is said by STREAM,
 * WEBSOCKET or WEBSOCKET_BLOCKING, which may be seen later than the message: until then it waits */
#define MB_OUT_START_MESSAGE 0x80000000u

/* The worker's half of a cell; the out-window follows it. */
typedef struct {
	uint64_t owner;     /* server: free, queued; worker: claimed (CAS) */
	uint64_t in_tail;   /* bytes taken out of the in-window so far */
	uint64_t out_head;  /* bytes published in the out-window: counts from out_start */
	uint32_t out_start; /* where the first byte of the response is (< out_window), and
	                       MB_OUT_START_MESSAGE; fixed when the first byte is published */
	uint32_t flags;     /* MB_OUT_* */
	uint64_t result;    /* MB_RESULT(gen, MB_DONE …) */
	uint64_t claimed;   /* ns of CLOCK_MONOTONIC when the worker took the exchange, if its
	                       head has an id: for the access log */
	uint8_t  pad[16];
} mb_out_cell;

/* The in-window starts, at count 0, with this block; the body follows it at
 * `size`. If it is larger than the window it is streamed like a body. */
typedef struct {
	uint32_t name_off, name_len, value_off, value_len; /* from the start of raw */
} mb_field;

#define MB_KIND_HTTP     1u
#define MB_KIND_INTERVAL 2u /* raw is the timer's name; no response */
#define MB_KIND_SOCKET   3u /* a raw connection: raw is empty, no response. The worker asks
                               for the socket (MB_OUT_DESCRIPTOR_WANTED) and then owns it */

#define MB_KIND_MAIN     4u /* a handler that is called once; raw is the listener's name; no
                               response. The result has RESET if the handler has failed */
#define MB_KIND_WEBSOCKET 5u /* an event of a WebSocket: raw is a mb_ws_event, the body a message; what the worker
                                publishes is a mb_ws_verb each */

#define MB_TRACEPARENT_LEN 55u
#define MB_HEAD_IS_HEAD   1u  /* method HEAD: no response body */
#define MB_HEAD_HTTP10    2u  /* the client speaks HTTP/1.0 */
#define MB_HEAD_KEEPALIVE 4u  /* the server is willing to keep the connection */
#define MB_HEAD_EXPECT    8u  /* Expect: 100-continue is not answered yet */
#define MB_HEAD_ASTERISK  16u /* OPTIONS *: path and query are nil */
#define MB_HEAD_HAS_BODY  32u
#define MB_HEAD_LOGGED    64u /* MB_KIND_SOCKET: requests on the connection are logged or
                                 counted. MB_KIND_HTTP: the worker notes when it claims the exchange */
#define MB_HEAD_BODY_FILE 128u /* the body is in a file of content_length bytes: the worker asks
                                 for it (MB_OUT_DESCRIPTOR_WANTED) and reads it from the start */

#define MB_HEAD_SECURE    256u /* the client has asked for https */
#define MB_HEAD_TLS       512u /* what is known of the connection's TLS follows the id: lines, with a
                                 NUL at the end (backend.TLSState) */
#define MB_HEAD_HTTP2     1024u /* the client speaks HTTP/2 */

#define MB_LENGTH_UNKNOWN UINT64_MAX

/* One end of a TCP connection. An IPv4 address has family 4 on a dual-stack
 * socket too. */
typedef struct {
	uint16_t family; /* 0: none (Unix socket, timer), 4, 6 */
	uint16_t port;   /* in the machine's order */
	uint8_t  ip[16]; /* 4 bytes or 16, as on the wire; the rest 0 */
} mb_address;

typedef struct {
	uint32_t size;     /* bytes of this struct + fields + raw, rounded up to 8 */
	uint16_t kind;     /* MB_KIND_* */
	uint16_t listener; /* index of the listener in its listen{} call, from 0 */
	uint32_t flags;    /* MB_HEAD_* */
	uint32_t nfields;  /* mb_field follow this struct */
	uint64_t content_length; /* bytes of body; MB_LENGTH_UNKNOWN if chunked and not in a file */
	uint64_t exchange; /* number of the exchange, for logs */
	uint32_t raw_off, raw_len;       /* from the start of this struct */
	uint32_t method_off, method_len; /* these from the start of raw */
	uint32_t path_off, path_len;     /* without the leading slash */
	uint32_t query_off, query_len;   /* with the question mark */
	uint32_t id_off, id_len;         /* from the start of this struct: the request in logs;
	                                    empty unless there is an access log. Between raw and the id:
	                                    the traceparent (MB_TRACEPARENT_LEN bytes) and tracestate for
	                                    what the handler sends; nothing if the request is not traced */
	mb_address local, remote;
	mb_address client; /* as trusted proxies say; family 0: nothing is known */
} mb_head;

/* Control sockets: stream sockets; each message is this header and len bytes.
 * File descriptors, where a message has some, come with its first byte. */
typedef struct {
	uint32_t type;
	uint32_t len; /* of what follows, at most MB_MSG_MAX */
} mb_msg;
#define MB_MSG_MAX (1u << 20)

/* Fork server → server */
#define MB_MSG_LISTEN      1u /* a listen{} call (entries, see below); answered by
                                 LISTEN_OK or LISTEN_ERR */
#define MB_MSG_READY       2u /* the script has ended without an error. Text of a
                                 warning for the log, if there is one */
#define MB_MSG_FAILED      3u /* the script failed: text of the error; then exit */
#define MB_MSG_FORKED      4u /* mb_msg_forked */
#define MB_MSG_EXITED      5u /* mb_msg_exited: a worker was reaped */
/* Server → fork server */
#define MB_MSG_LISTEN_OK   6u
#define MB_MSG_LISTEN_ERR  7u /* text for the Lua error */
#define MB_MSG_FORK        8u /* mb_msg_fork; descriptors: in segment, out segment,
                                 worker's control socket, standard error, worker's
                                 doorbell, doorbell of loop 0, 1, … */
#define MB_MSG_KILL        9u /* mb_msg_kill; ignored unless the pid is that of a living child. A
                                 negative pid: its process group, too */
/* Worker → server, on the worker's control socket */
#define MB_MSG_WORKER_READY  10u /* prepare has returned */
#define MB_MSG_WORKER_FAILED 11u /* it cannot use the shared memory: text; then exit 1 */
/* Fork server or worker → server, if MB_ENV_DEVELOPMENT asks for it */
#define MB_MSG_FILES 12u /* files that were loaded: of the script before READY or FAILED, then
                            what a worker loads. Each one is text with a NUL after it: "M S I P",
                            time of change in ns, size, inode, and absolute path; three times 0
                            if there was no such file */
/* Worker → server, on the worker's control socket */
#define MB_MSG_REPORT 13u /* mb_msg_report: what is to be logged of an error */
#define MB_MSG_ACCESS 14u /* worker → server: mb_msg_access and its text: a request on a raw connection,
                             for the access log. Not sent while the socket is full */
#define MB_MSG_FILE 15u /* the body of a response, with the descriptor of a file: which exchange it is
                           for, ranges of the file, and text between them. Package shm makes and
                           reads it */
#define MB_MSG_PURGE 16u /* MB_PURGE_KEY or MB_PURGE_PREFIX, and the key or prefix of responses that are
                            to be removed from caches; answered by MB_CTL_PURGED */
/* Fork server → server, while the script runs */
#define MB_MSG_DICTIONARY 17u /* mb_msg_dictionary and the name: a shared dictionary is opened. The
                                 answer is the next one, or LISTEN_ERR */
/* Server → fork server */
#define MB_MSG_DICTIONARY_OK 18u /* mb_msg_dictionary_ok, with the descriptor of its memory */
/* Fork server → server, while the script runs */
#define MB_MSG_DECLARE 19u /* mb_msg_declare and a pattern: how channels are; answered by LISTEN_OK or LISTEN_ERR */
/* Worker → server */
#define MB_MSG_CHANNELS 20u /* with the descriptor of a socket, on which the worker asks about channels:
                               messages of the following types, each of which has one answer */
#define MB_ASK_PUBLISH  1u /* mb_ask, its texts, and the data of a message: answered by a uint64_t, the number
                              of subscribers */
#define MB_ASK_COUNT    2u /* mb_ask and a name: the same */
#define MB_ASK_PRESENCE 3u /* … answered by a mb_answer_key and a key each */
#define MB_ASK_HISTORY  4u /* … answered by a uint64_t, 1: complete, and a mb_answer_message and its texts each */
#define MB_ASK_POSITION 5u /* mb_ask without a name: answered by text */
#define MB_ASK_WS_SEND  6u /* mb_ask, the id of a WebSocket as name, and data; max is its opcode: answered by a
                              uint64_t, 1: it is open */
#define MB_ASK_WS_CLOSE 7u /* mb_ask, an id as name, and a reason as data; max is the code: the same */
#define MB_ANSWER       1u
#define MB_ANSWER_ERR   2u /* text of an error */
#define MB_ANSWER_MAX   1000000u /* bytes of an answer: the rest is left out */
/* Server → fork server */
#define MB_MSG_TEST 21u /* mb_msg_test, and the path of a file with tests, or none: then the pool's selftest is
                           called. Descriptors: control socket and standard error of the tester. Answered
                           by TESTER */
/* Fork server → server */
#define MB_MSG_TESTER 22u /* mb_msg_forked, of the process that runs the tests; EXITED follows when it has ended */
/* Tester → server and back, on the tester's control socket */
#define MB_MSG_ASK 23u      /* a list of strings, each with its length (uint32_t) before it: a question, and its answer.
                               The first word of a question says what is asked */
#define MB_MSG_ASK_PART 24u /* the beginning of a list that does not fit into one message */
#define MB_MSG_TESTED 25u   /* tester → server: it is over. A process that ends without it has not run all of its tests */
#define MB_ASK_LIST_MAX (32u << 20) /* bytes of such a list */
#define MB_DICTIONARY_NAME_MAX 128u /* bytes */
#define MB_DICTIONARY_MIN (64u << 10) /* bytes of a dictionary */
#define MB_DICTIONARY_MAX ((uint64_t)16 << 30)
#define MB_DICTIONARY_VERSION 1u /* of what is in its memory: another binary may take over */
#define MB_PURGE_KEY    'k'
#define MB_PURGE_PREFIX 'p'
#define MB_PURGE_MAX    4096u /* bytes of it: longer keys are not cached */
/* Server → worker: single bytes without a header */
#define MB_CTL_FLUSH 'F' /* publish what send_data holds back */
#define MB_CTL_TRACEBACK 'T' /* log what Lua is at: the worker is about to be killed */
#define MB_CTL_CLIENT_GONE 'G' /* end the handler whose client has gone (on_client_gone) */
#define MB_CTL_DESCRIPTOR 'D' /* with a descriptor: the one that was asked for */
#define MB_CTL_PURGED 'P' /* a MB_MSG_PURGE has been carried out */
#define MB_CTL_END_INPUT 'E' /* the server is stopping: end the input of the raw connection, if
                                nothing has happened on it since the last of these bytes */
/* End of file on either socket: the server is gone, exit. */

typedef struct { uint32_t pool, slot; } mb_msg_fork;     /* pool: number of the listen{} call, from 0 */
typedef struct { uint32_t pool, slot; int32_t pid, err; } mb_msg_forked; /* err: errno of a failed fork, else 0 */
typedef struct { int32_t pid, status; } mb_msg_exited;   /* status is that of waitpid */
typedef struct { int32_t pid, sig; } mb_msg_kill;
typedef struct { uint32_t pool, seconds; } mb_msg_test; /* seconds: then the tester is killed, if nothing else ends it */

typedef struct { uint64_t size; uint32_t keep, pad; } mb_msg_dictionary; /* size: in bytes */
typedef struct { uint64_t size, key[2]; } mb_msg_dictionary_ok; /* key: of the hash function */

typedef struct {
	uint32_t messages, presence; /* of a history; presence: 1, keys of subscribers are kept */
	uint64_t bytes, age_ms, slow_ms;
} mb_msg_declare;

/* The texts follow, in the order of their lengths, then data. */
typedef struct {
	uint32_t name_len, event_len, id_len, key_len;
	uint32_t max; /* of what is answered; 0: the server's default */
	uint32_t pad;
} mb_ask;
typedef struct { uint32_t count, len; } mb_answer_key;
typedef struct {
	int64_t time_ms; /* since 1970 */
	uint32_t id_len, event_len, key_len, data_len;
} mb_answer_message;

/* What a response is, with MB_OUT_STREAM. The texts follow, in the order of their lengths. */
typedef struct {
	uint32_t flags; /* MB_SUBSCRIBE_* */
	uint32_t retry_ms, keepalive_ms, timeout_ms; /* 0: not given */
	uint32_t fields_len; /* lines of the head, without the status line */
	uint32_t names_len;  /* of channels, each with a NUL after it */
	uint32_t after_len, key_len, first_len;
	uint32_t pad;
} mb_subscription;
#define MB_SUBSCRIBE_POLL      1u
#define MB_SUBSCRIBE_HEAD      2u /* the method is HEAD */
#define MB_SUBSCRIBE_HTTP10    4u
#define MB_SUBSCRIBE_KEEPALIVE 8u /* the connection may persist */
#define MB_SUBSCRIBE_FIRST     16u /* first is given */
#define MB_SUBSCRIBE_SILENT    32u /* no comments are sent */

/* What a response is, with MB_OUT_WEBSOCKET. The texts follow, in the order of their lengths. */
typedef struct {
	uint32_t flags; /* MB_WS_* */
	uint32_t message_max; /* bytes */
	uint32_t fields_len;  /* lines of the head, without the status line */
	uint32_t names_len;   /* of channels, each with a NUL after it */
	uint32_t after_len, member_len; /* for channels: the last id, the key for presence */
	uint32_t handler_len, state_len;
	uint32_t key_len, protocol_len, extensions_len; /* of the handshake */
	uint32_t burst;    /* messages at once, if there is an interval */
	uint64_t interval; /* ns between two messages of the client; 0: no limit */
} mb_ws_accept;
#define MB_WS_OPENS        1u /* the handler has open */
#define MB_WS_CLOSES       2u /* the handler has close */
#define MB_WS_STRICT       4u /* an error of the handler closes the connection */
#define MB_WS_COMPRESS     8u
#define MB_WS_TAKEOVER    16u /* with COMPRESS */

/* An event. The texts follow, in the order of their lengths. */
typedef struct {
	uint32_t event;  /* MB_WS_OPEN, MB_WS_MESSAGE, MB_WS_CLOSE, MB_WS_MESSAGES */
	uint32_t opcode; /* of a message */
	uint32_t code;   /* of a close frame; MB_WS_OPEN: 1 if messages of channels are lost, otherwise 0 */
	uint32_t handler_len, id_len, state_len, reason_len;
	uint32_t count;  /* of the messages of MB_WS_MESSAGES */
} mb_ws_event;
#define MB_WS_OPEN     1u
#define MB_WS_MESSAGE  2u
#define MB_WS_CLOSE    3u
#define MB_WS_MESSAGES 4u /* several: the body is a mb_ws_record for each. The worker reports the end of each with MB_WS_DONE. It
                             may stop after any of them; the server gives the others to a worker again */
#define MB_WS_STATE_MAX 4096u /* bytes of the state of a WebSocket */
#define MB_WS_NAME_MAX   255u /* bytes of the name of a handler */
#define MB_WS_MESSAGE_MAX (1u << 20) /* bytes of a message in either direction */
#define MB_WS_RATE_MAX 1000000u /* messages of a client per second, and at once */

/* What a handler wants. len bytes follow. */
typedef struct { uint32_t verb, len; } mb_ws_verb;
#define MB_WS_SEND_TEXT   1u
#define MB_WS_SEND_BINARY 2u
#define MB_WS_END         3u /* a uint32_t, the code, and the reason */
#define MB_WS_STATE       4u
#define MB_WS_SUBSCRIBE   5u /* names of channels, each with a NUL after it */
#define MB_WS_UNSUBSCRIBE 6u
#define MB_WS_UNKNOWN     7u /* there is no handler with this name */
#define MB_WS_RECEIVE     8u /* with WEBSOCKET_BLOCKING: the worker takes another message */
#define MB_WS_DONE        9u /* of MB_WS_MESSAGES: the handler has returned from a message; what it wanted comes before */

/* What has happened to a WebSocket of WEBSOCKET_BLOCKING. len bytes follow: a message, or the reason of a close frame. */
typedef struct {
	uint32_t event; /* MB_WS_OPEN, the first one; MB_WS_MESSAGE; MB_WS_CLOSE, the last one */
	uint32_t len;
	uint32_t code;  /* the opcode of a message, the code of a close frame */
	uint32_t pad;
} mb_ws_record;

#define MB_NOT_SERVED UINT64_MAX
typedef struct {
	int64_t time;            /* ns since 1970: when the request's head was complete */
	uint64_t service, total; /* ns; service: MB_NOT_SERVED if no handler was called */
	uint64_t bytes;          /* of the response's body, as sent */
	uint32_t status;
	uint32_t lost;           /* messages of this type that could not be sent before this one */
	uint16_t ends[5];        /* of method, target, referer, user agent, id: their places in the text */
	uint8_t minor, complete;
	mb_address remote;
} mb_msg_access;
/* The parts of a REPORT follow it, in the order of their lengths, without padding. Only message and
 * traceback may contain any bytes. */
typedef struct {
	uint32_t level;  /* MB_LEVEL_* */
	uint32_t status; /* not 0: the peer is at fault and is answered with it */
	uint32_t message_cut, traceback_cut; /* bytes that are missing at the end of each */
	uint32_t message_len, traceback_len; /* at most MB_REPORT_TEXT_MAX together */
	uint32_t in_len; /* what was running: request, interval, connection, prepare, finish … */
	uint32_t method_len, path_len, id_len, trace_len; /* of a request; trace: the id of its trace */
	uint32_t interval_len; /* name of an interval or a main handler */
	mb_address remote; /* of a request or a connection */
	uint64_t exchange; /* mb_head.exchange of the one that fails with this; 0: none does */
} mb_msg_report;
#define MB_REPORT_TEXT_MAX (64u << 10)
#define MB_LEVEL_INFO  1u
#define MB_LEVEL_WARN  2u
#define MB_LEVEL_ERROR 3u

/* LISTEN is a sequence of entries: mb_entry, key, value, without padding.
 * scope 0: the pool's options; scope i: listener i, counted from 1.
 * An empty listener table is an entry with an empty key and type MB_T_NONE.
 * The table static is an entry for each value: key "static", NUL, path of requests,
 * NUL, name of the option; the name is empty for the path of files. */
typedef struct { uint32_t scope, key_len, val_len, type; } mb_entry;
#define MB_T_NONE   0u
#define MB_T_BOOL   1u /* "0", "1" */
#define MB_T_NUMBER 2u /* decimal text, %.17g */
#define MB_T_STRING 3u
#define MB_T_FUNC   4u /* a Lua function; no value */
#define MB_T_HTTP   5u /* result of http.generate_handler; value: its options, one
                          "name=decimal number\n" each, those that the server needs,
                          then "\n" and the field lines of static_headers */
#define MB_T_OTHER  6u /* anything else; value: its Lua type name */

/* Environment variable that makes the constructor become a fork server; its
 * value is the number of the control socket's descriptor, and after a blank, if
 * there is one, what scripts see as _MOONBRIDGE_VERSION. argv of the fork
 * server: title, script, script arguments. */
#define MB_ENV "MOONBRIDGE_FORKSERVER"

/* Another environment variable, with letters for what only developers want: w: MB_MSG_FILES are sent;
 * p and the number of the script's generation: a Lua error in an HTTP handler is answered with a page that shows it. */
#define MB_ENV_DEVELOPMENT "MOONBRIDGE_DEVELOPMENT"

#endif
