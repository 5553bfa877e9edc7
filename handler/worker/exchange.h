/* Layer 4: the mapping of shared memory, and the response of an exchange on its way into it. */
#ifndef MB_EXCHANGE_H
#define MB_EXCHANGE_H

#include "core.h"

#define MB_RESPONSE_HEAD_MAX (256u << 10) /* status line and header fields */

#pragma GCC visibility push(hidden)

/* How far a response has come. */
enum {
	MB_RESPONSE_IDLE,   /* no exchange → NONE */
	MB_RESPONSE_NONE,   /* no status yet → STATUS */
	MB_RESPONSE_STATUS, /* header fields may follow → BODY; after a 1xx → NONE */
	MB_RESPONSE_BODY,   /* data may follow → DONE */
	MB_RESPONSE_DONE    /* finished → IDLE */
};

typedef struct {
	uint8_t lock;        /* guards this struct against mb_flush_now while ring is 0 */
	uint8_t ring;        /* 0: window mode: the body is collected in the window from body_off;
	                        1: ring mode: bytes go through the ring */
	int state;           /* MB_RESPONSE_* */
	int status, interim; /* interim: the status in progress is a 1xx */
	int bodiless;        /* 204, 205, 304 */
	int has_date, has_length, close, chunked, close_delimited;
	int head_written;    /* the final head is in the ring */
	int published;       /* the server may have seen a byte of the final response */
	int pending;         /* MB_OUT_PENDING is set */
	int broken;          /* all that is left is a reset */
	uint64_t length;     /* Content-Length as sent by the application */
	uint64_t sent;       /* body bytes that the application has sent */
	uint32_t min_chunk;
	uint32_t out_start;
	uint32_t body_off, body_len; /* body_off 0: no place has been chosen yet */
	uint64_t written;    /* bytes in the ring, counted from out_start */
	uint64_t earlier;    /* as many of them are verbs of earlier messages of the same event */
	int closing;         /* of an event of a WebSocket: this or another one is to be closed */
	mb_buf head, held;   /* head: being built; held, in ring mode: fewer bytes than min_chunk */
} mb_response;
extern mb_response response;

void mb_response_lock_slow(void);

static inline void mb_response_lock(void)
{
	if (__atomic_exchange_n(&response.lock, 1, __ATOMIC_ACQUIRE))
		mb_response_lock_slow();
}

static inline void mb_response_unlock(void)
{
	__atomic_store_n(&response.lock, 0, __ATOMIC_RELEASE);
}

/* --- exchange_response.c -------------------------------------------------- */

void mb_response_begin(void);
void mb_response_complete(int length_known);
const char *mb_response_start(const char *s, size_t n);
const char *mb_response_field(const char *k, size_t kn, const char *v, size_t vn);
const char *mb_response_fits(size_t n);
/* Takes another head, which has no framing yet; length: of the body, -1: there is none to be told. */
const char *mb_response_replace(int status, const uint8_t *head, size_t n, int64_t length);
const char *mb_field_error(const char *k, size_t kn, const char *v, size_t vn);

/* --- exchange_output.c ---------------------------------------------------- */

void mb_output_store(void); /* publishes without notifying the loop */
/* Several messages of a WebSocket: the handler has returned from one. used: verbs of it came before. */
void mb_output_message_done(lua_State *L, int used);
/* Waits until the server has done what earlier messages of the same event wanted. */
void mb_output_await_earlier(void);
void mb_output_publish(void);
void mb_output_data(lua_State *L, const char *p, size_t n);
void mb_output_head(lua_State *L);
void mb_output_flush(lua_State *L);
void mb_output_finish(lua_State *L, int returned); /* returned: by the handler, not by finish() */
void mb_output_interim(lua_State *L);
void mb_output_in_file(void); /* the server has got the body: only the head is to follow */
/* The server answers, as p says: n bytes, not more than the out-window has. Nothing may have been output. flag: what it is,
 * MB_OUT_STREAM or MB_OUT_WEBSOCKET. */
void mb_output_instead(uint32_t flag, const void *p, size_t n);
void mb_output_begin_verbs(void); /* of an event of a WebSocket */
/* The connection becomes a WebSocket, as p says: n bytes, not more than the out-window has. Nothing may have been output. From then
 * on the output is verbs, and the input records. */
void mb_output_begin_websocket(const void *p, size_t n);
void mb_output_pending(void); /* publishes the verbs that are held back */
void mb_output_verb(lua_State *L, uint32_t verb, const void *a, size_t an, const void *b, size_t bn);
void mb_flush_now(void);    /* from another thread: MB_CTL_FLUSH */

/* --- exchange_descriptor.c ------------------------------------------------ */

void mb_descriptor_open(void);    /* when the worker starts */
/* Asks for the descriptor of the exchange. -1: cancelled, if that ends the wait. */
int mb_descriptor_receive(int cancellable);
void mb_descriptor_offer(int fd); /* called on the thread that reads the control socket */

/* --- exchange_segment.c --------------------------------------------------- */

const char *mb_segment_map(int in, int out); /* NULL, or what is wrong */

#pragma GCC visibility pop

/* --- in Go ------------------------------------------------------------------------- */

void mbDate(long long now, void *to);

#endif
