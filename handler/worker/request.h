/* Layer 5: the request object of Lua, with its methods for reading and for responding. */
#ifndef MB_REQUEST_H
#define MB_REQUEST_H

#include "exchange.h"

#define MB_PARAMS_MAX (1u << 16) /* items of a form, a query, the cookies; empty ones do not count */

#pragma GCC visibility push(hidden)

/* --- request.c ---------------------------------------------------------- */

enum { /* keys of the cache table */
	MB_CACHE_OWN = 1, MB_CACHE_HEADERS, MB_CACHE_CSV_STRING, MB_CACHE_CSV_TABLE,
	MB_CACHE_FLAGS, MB_CACHE_VALUE, MB_CACHE_COOKIES, MB_CACHE_GET,
	MB_CACHE_GET_LIST, MB_CACHE_POST, MB_CACHE_POST_LIST, MB_CACHE_METADATA,
	MB_CACHE_METADATA_LIST, MB_CACHE_BODY, MB_CACHE_SOCKET, MB_CACHE_STREAMS, MB_CACHE_ERROR,
	MB_CACHE_TRACE, MB_CACHE_TLS
};
void mb_request_install(lua_State *L);
void mb_request_push(lua_State *L);
void mb_request_end(lua_State *L);
void mb_request_check(lua_State *L, int i);
int mb_tls_push(lua_State *L);    /* pushes a new table of what is known of the connection's TLS; 0: nothing, it has none */
int mb_request_tls(lua_State *L); /* the same: that of the request */
int mb_cache_get(lua_State *L, int key);  /* 1: pushed; 0: nothing there */
void mb_cache_set(lua_State *L, int key); /* stores the value on top, which stays there */

/* --- request_cache.c -------------------------------------------------------- */

int mb_cache_key(lua_State *L);

/* --- request_subscribe.c ---------------------------------------------------- */

int mb_subscribe(lua_State *L);
void mb_channel_check(lua_State *L, const char *verb, const char *s, size_t n);     /* raises an error unless it can be a name */
void mb_channel_check_key(lua_State *L, const char *verb, const char *s, size_t n); /* ... a key */
int mb_wait_for(lua_State *L);
/* How much of a last id counts, which comes from a client. No message has an id of that length, so a longer one is unknown like its beginning. */
#define MB_LAST_ID_MAX 256u

/* --- request_websocket.c ---------------------------------------------------- */

int mb_accept_websocket(lua_State *L);
int mb_websocket_begin(lua_State *L); /* of mb_websocket; 0: refused, and nil and a message are pushed */
void mb_websocket_handlers(lua_State *L);                         /* pushes the table of handlers, by name */
int mb_websocket_push(lua_State *L, const char *name, size_t n); /* pushes a handler, a table; 0: nothing, there is none */
#define MB_WS_REASON_MAX 123u /* bytes: RFC 6455 §5.5 */
/* The arguments of all methods send and close, from i on: a message and its kind, a code and a reason. name begins the errors. */
uint32_t mb_websocket_check_send(lua_State *L, const char *name, int i, size_t max, const char **p, size_t *n); /* MB_WS_SEND_* */
uint32_t mb_websocket_check_close(lua_State *L, const char *name, int i, const char **reason, size_t *n); /* the code */

/* --- request_websocket_blocking.c -------------------------------------------- */

int mb_websocket(lua_State *L);
void mb_websocket_blocking_install(lua_State *L);

/* --- request_fields.c ----------------------------------------------------- */

void mb_fields_install(lua_State *L);
void mb_fields_push(lua_State *L, int key); /* MB_CACHE_HEADERS … VALUE */
int mb_field_find(lua_State *L, const char *lower, const char **v, size_t *n);
int mb_field_next(lua_State *L, const char *lower, uint32_t *i, const char **v, size_t *n); /* the next line of the field, from *i on */

/* --- request_pairs.c ------------------------------------------------------ */

/* Goes through a query, an urlencoded form or a Cookie field. name and value point into it. */
typedef struct {
	const char *at, *end; /* what is left of it */
	const char *name, *value;
	size_t name_len, value_len;
} mb_pairs;
int mb_pairs_next(mb_pairs *p);        /* of a query or form; 0: there is none */
int mb_pairs_next_cookie(mb_pairs *p); /* 0: there is none */
/* At least the number of pairs. Raises an error if it exceeds MB_PARAMS_MAX. */
size_t mb_pairs_count(lua_State *L, int separator, const uint8_t *p, size_t n);
void mb_pairs_limit(lua_State *L, size_t items); /* raises that error */
void mb_pairs_push(lua_State *L, const char *s, size_t n); /* decodes a name or value of a query or form */

/* --- request_params.c ----------------------------------------------------- */

void mb_params_install(lua_State *L);
void mb_params_new(lua_State *L);            /* pushes two tables: first values, sequences */
void mb_params_add(lua_State *L, int first); /* adds name and value to the tables at first, first + 1 */
void mb_params_push_get(lua_State *L, int key);  /* builds MB_CACHE_GET or MB_CACHE_GET_LIST */
void mb_params_set_post(const uint8_t *p, size_t n); /* an urlencoded form, which stays there */
void mb_params_push_post(lua_State *L, int key); /* builds MB_CACHE_POST or MB_CACHE_POST_LIST of it */
void mb_params_push_cookies(lua_State *L);

/* --- request_body.c ------------------------------------------------------- */

int mb_body_push(lua_State *L);                       /* request.body */
int mb_body_form(lua_State *L, int cache_key);        /* post_params … post_metadata_list */
void mb_body_before_status(lua_State *L, const char *verb); /* the method that begins the response, for errors */
int mb_body_process(lua_State *L);
int mb_body_process_as(lua_State *L, const char *name); /* name: of the method, for errors */
int mb_body_stream(lua_State *L);
int mb_body_stream_now(lua_State *L);
void mb_body_exclude(lua_State *L, const char *what); /* an error if the body was read otherwise */
const uint8_t *mb_body_whole(lua_State *L, size_t *n); /* valid until the end of the exchange, or until mb_body_consume */
size_t mb_body_next(lua_State *L, const uint8_t **p); /* waits for bytes; 0: the end */
void mb_body_consume(lua_State *L, size_t n);
void mb_body_too_large(lua_State *L);
void mb_body_check_client(lua_State *L);              /* an error if the client has gone */

/* --- request_body_file.c ------------------------------------------------------ */

/* For a body in a file (mb_body_in_file). */
size_t mb_body_file_next(lua_State *L, const uint8_t **p);        /* like mb_body_next */
void mb_body_file_consume(size_t n);
const uint8_t *mb_body_file_whole(lua_State *L, size_t *n);       /* into exchange.scratch; at the start only */
void mb_body_file_close(void);                                    /* at the end of the exchange */

/* --- request_form.c -------------------------------------------------------- */

/* What Go finds in a piece of a form body: records, each with this head, followed by bytes. */
enum {
	MB_POST_PART,  /* a: length of the name, b: of file_name, c: of content_type */
	MB_POST_VIEW,  /* data: b bytes at a in the piece */
	MB_POST_BYTES, /* data: the a bytes that follow */
	MB_POST_END    /* of the part */
};
#define MB_POST_NONE 0xffffffffu /* as a length: the part has none */
typedef struct { uint32_t kind, a, b, c; } mb_post_record;

typedef struct {
	uint32_t taken, used; /* bytes of the piece, bytes of records */
	uint32_t more;        /* the records are full: call again */
	uint32_t status;      /* not 0: the bytes after the records are malformed; reason says why */
	char reason[120];
} mb_post_result;

void mb_form_empty(lua_State *L); /* a multipart form without a body */
void mb_form_process(lua_State *L, int multipart, const char *type, size_t n);

/* --- request_form_stream.c --------------------------------------------------- */

void mb_form_stream_install(lua_State *L);
void mb_form_stream_find(lua_State *L, int name);  /* pushes the handler for the field, or nil */
void mb_form_stream_call(lua_State *L, int nargs); /* mb_form_stream_failed must be below it */
int mb_form_stream_failed(lua_State *L);
int mb_form_stream_traceback(lua_State *L);        /* 1: pushed that of a handler's error, which is equal to the value at 1 */
int mb_form_stream_raises(lua_State *L);           /* called by a message handler: is it that error, for the first time? */
int mb_stream_post_param(lua_State *L);
int mb_stream_post_params(lua_State *L);

/* --- request_send.c ----------------------------------------------------------- */

int mb_send_status(lua_State *L);
int mb_send_header(lua_State *L);
int mb_send_data(lua_State *L);
int mb_flush(lua_State *L);
int mb_finish_headers(lua_State *L);
int mb_finish(lua_State *L);
int mb_send_misuse(lua_State *L, const char *verb); /* raises an error that says why it cannot be called now */
void mb_send_check_head(lua_State *L, const char *verb); /* raises an error if the head is finished */
void mb_send_begin(lua_State *L, const char *verb, const char *status); /* the status of a response that the verb begins */
void mb_close_after(lua_State *L, const char *verb); /* the connection ends with this response */
void mb_response_finish(lua_State *L);
void mb_response_error(lua_State *L, int status);
size_t mb_status_line(int status, char *to, size_t cap); /* "500 Internal Server Error": its length */

/* --- request_file.c ------------------------------------------------------------- */

typedef struct {
	const char *p; /* NULL: not given */
	size_t n;
} mb_text;

/* What Go needs to know in order to answer with a file, or to a conditional request. */
typedef struct {
	const uint8_t *raw; /* of the request */
	size_t raw_len;
	const mb_field *fields;
	size_t fields_len;
	mb_text method;
	mb_text head; /* of the response, as far as it has come */
	int conditional; /* its status is 200, so conditions and ranges count */
	mb_text name, type, etag, download;
	double max_age;      /* below 0: not given */
	double modified;     /* seconds since 1970, as the script says; below 0: not given */
	int fd;              /* of the file */
	int64_t size, mtime; /* mtime in ns */
	uint32_t loop, cell, generation;
} mb_file_query;

/* What Go answers. */
typedef struct {
	const char *error; /* NULL, or what is wrong with the query */
	int status;        /* 0: not_modified has nothing to say */
	int64_t length;    /* of the body; -1: the head does not tell it */
	mb_buf head;       /* of the response, without framing */
	mb_buf message;    /* MB_MSG_FILE, if bytes of the file are sent */
	mb_buf text;       /* otherwise: the body */
} mb_file_answer;

int mb_send_file(lua_State *L);
int mb_not_modified(lua_State *L);

/* --- request_later.c ------------------------------------------------------------ */

int mb_consume_input(lua_State *L);
int mb_monologue(lua_State *L);
int mb_close_after_finish(lua_State *L);
int mb_push_host(lua_State *L);
int mb_push_fresh(lua_State *L);
int mb_push_faulty(lua_State *L);

/* --- request_devpage.c ---------------------------------------------------------- */

void mb_devpage_install(lua_State *L); /* when the worker starts */
int mb_devpage_answer(lua_State *L); /* shows the error on top; -1: not possible */

/* --- upward: doc.go has the reasons ------------------------------------------------ */

int mb_request_socket(lua_State *L); /* socket.c: pushes request.socket */

#pragma GCC visibility pop

/* --- in Go ------------------------------------------------------------------------- */

void mbPostBegin(int multipart, void *type, size_t n, mb_post_result *r);
void mbFileAnswer(mb_file_query *q, mb_file_answer *a);
void mbConditionAnswer(mb_file_query *q, mb_file_answer *a);
int mbConnSendFile(int fd, void *message, size_t n);
size_t mbStatusText(int status, void *to, size_t room);
void mbPostParse(void *p, size_t n, int end, void *out, size_t room, mb_post_result *r);

#endif
