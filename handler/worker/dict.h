/* Layer 2: dictionaries in memory that processes share. It knows nothing of Lua and of this
 * server: handler/worker has a layer for Lua above it, and Go calls it too.
 *
 * A dictionary is divided into shards, each with a lock of its own. A shard has blocks of 128
 * bytes. An item is a head block with the first bytes of its key and value, and further
 * blocks for the rest. For each block there is a word in links: what the block is, and the
 * next block of its chain.
 *
 * An item exists from the moment that the word of its head block says so, until it does not:
 * both are single stores. Everything else, buckets, the order of use, the free list, can be
 * rebuilt from these words, and is if a process dies with the lock (dict_repair.c). The
 * words are apart from the blocks, so that no content of an item can look like a head.
 *
 * Any process may overwrite any of this memory at any time. So nothing in it is trusted: each
 * number is read once and checked before it is used, and every walk is bounded. Where the
 * memory contradicts itself, the shard is rebuilt. The geometry is in the process's own memory. */
#ifndef MB_DICT_H
#define MB_DICT_H

#include "base.h"

#define MB_DICT_KEY_MAX 65535u       /* bytes of a key */
#define MB_DICT_SHARDS_MAX 64u
#define MB_DICT_SHARD_BYTES (2u << 20) /* there is one more shard for each of these */

enum { MB_DICT_NIL, MB_DICT_STRING, MB_DICT_NUMBER, MB_DICT_INTEGER, MB_DICT_BOOLEAN, MB_DICT_LIST, MB_DICT_LIMIT };

/* Results. */
enum {
	MB_DICT_OK,
	MB_DICT_NOT_FOUND,
	MB_DICT_EXISTS,
	MB_DICT_NOT_EQUAL,
	MB_DICT_NOT_NUMBER,
	MB_DICT_NOT_LIST,
	MB_DICT_IS_LIST,
	MB_DICT_NOT_LIMIT,
	MB_DICT_NO_MEMORY,
	MB_DICT_TOO_LARGE,
	MB_DICT_BROKEN /* the memory is overwritten faster than it is repaired */
};

#pragma GCC visibility push(hidden)

/* --- the memory ----------------------------------------------------------- */

#define MB_DICT_BLOCK 128u

/* The word of a block: its kind, and the number + 1 of the next block of its chain, or of the
 * next free one; 0: none. Fresh memory is free. */
enum { MB_DICT_FREE, MB_DICT_DATA, MB_DICT_HEAD, MB_DICT_ELEMENT };
#define MB_DICT_LINK(kind, next) ((uint32_t)(kind) << 30 | (next))
#define MB_DICT_KIND(link) ((link) >> 30)
#define MB_DICT_NEXT(link) ((link) & 0x3fffffffu)

/* What a shard begins with. References to blocks are their numbers + 1. */
typedef struct {
	uint32_t lock;    /* as the kernel wants a robust futex: thread id, and two flags */
	uint32_t damaged; /* not 0: to be rebuilt by the next one that has the lock */
	uint8_t pad0[56];
	uint32_t free, free_count; /* list of free blocks; with those that were never used */
	uint32_t fresh;            /* blocks from this number were never used */
	uint32_t entries;
	uint32_t newest, oldest; /* order of use */
	uint64_t seq, used;      /* the last ones that were given to an entry */
	uint64_t evicted, expired, repaired;
	uint8_t pad1[256 - 64 - 24 - 40];
} mb_dict_shard;

#define MB_DICT_ENTRY_ROOM 72u
typedef struct {
	uint32_t hash;
	uint16_t key_len;
	uint8_t type, pad;
	uint32_t value_len; /* of a list: its length */
	uint32_t chain;     /* next one in the bucket */
	uint32_t prev, next; /* more and less recently used */
	uint64_t seq;       /* of two with the same key, the later one counts */
	int64_t expires;    /* ns; 0: never */
	uint64_t used;
	union {
		uint64_t number; /* of a double, an int64_t, or 0 and 1 */
		struct {
			uint32_t first, last;
		} list;
	} u;
	uint8_t bytes[MB_DICT_ENTRY_ROOM]; /* the key, then a string */
} mb_dict_entry;

/* With a keyed hash no bucket comes near that: a longer chain has been overwritten. */
#define MB_DICT_CHAIN_MAX 1024

#define MB_DICT_ELEMENT_ROOM 80u
typedef struct {
	uint32_t prev, next;
	uint32_t value_len;
	uint32_t owner; /* the list's entry */
	uint64_t seq;   /* that of the list */
	int64_t order;
	uint64_t number;
	uint8_t type, pad[7];
	uint8_t bytes[MB_DICT_ELEMENT_ROOM];
} mb_dict_element;

/* --- a dictionary, in a process ------------------------------------------- */

typedef struct {
	uint8_t *base;
	size_t size, shard_bytes, links, blocks; /* bytes; offsets in a shard */
	uint32_t shards, nblocks, nbuckets;      /* blocks and buckets of a shard */
	uint64_t key[2];                         /* of the hash function */
	int64_t fixed;                           /* for tests: the time; 0: that of the system */
} mb_dict;

typedef struct {
	int type;
	uint64_t number;
	const char *p; /* of a string */
	size_t n;
} mb_dict_value;

/* An operation. */
typedef struct {
	const char *key;
	size_t key_len;
	mb_dict_value value; /* to be stored */
	mb_dict_value old;   /* to be compared */
	int has_ttl;
	int64_t ttl; /* ns; 0: for ever */
	double rate, burst, cost;

	mb_buf *out;          /* room for strings of the result */
	mb_dict_value result; /* its string is in out */
	int64_t left;         /* ns: time to live, or until a limit allows it */
	double remaining;
	uint32_t count; /* of a list */
	int evicted;    /* others had to go */
} mb_dict_op;

/* What functions get that have the lock of a shard. */
typedef struct {
	const mb_dict *d;
	mb_dict_op *op;
	mb_dict_shard *s;
	uint32_t *buckets, *links;
	uint8_t *blocks;
	uint32_t hash;
	int damaged; /* the memory contradicts itself */
	int64_t now; /* 0: not read yet */
} mb_dict_at;

/* --- dict.c ----------------------------------------------------------------- */

const char *mb_dict_open(mb_dict *d, int fd, uint64_t size, const uint64_t key[2]); /* NULL, or what is wrong */
void mb_dict_close(mb_dict *d);
const char *mb_dict_message(int result);
int mb_dict_run(const mb_dict *d, mb_dict_op *op, int (*what)(mb_dict_at *));
int mb_dict_run_at(const mb_dict *d, uint32_t shard, uint32_t hash, mb_dict_op *op, int (*what)(mb_dict_at *));
int64_t mb_dict_now(mb_dict_at *a);

/* --- dict_hash.c -------------------------------------------------------------- */

uint64_t mb_dict_hash(const uint64_t key[2], const void *p, size_t n);

/* --- dict_lock.c -------------------------------------------------------------- */

int mb_dict_lock(mb_dict_shard *s); /* 1: it has to be rebuilt */
void mb_dict_unlock(mb_dict_shard *s);
void mb_dict_forked(void); /* in a new process, before it uses one */

/* --- dict_block.c --------------------------------------------------------------- */

#define MB_DICT_LOAD(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define MB_DICT_STORE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define MB_DICT_COMMIT(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)

/* A place in the bytes of an item. */
typedef struct {
	mb_dict_at *a;
	uint32_t block; /* reference */
	uint8_t *p;
	size_t left; /* in this block */
} mb_dict_cursor;

static inline uint8_t *mb_dict_block(const mb_dict_at *a, uint32_t ref) { return a->blocks + (size_t)(ref - 1) * MB_DICT_BLOCK; }
static inline int mb_dict_is(const mb_dict_at *a, uint32_t ref, uint32_t kind)
{
	return ref - 1 < a->d->nblocks && MB_DICT_KIND(MB_DICT_LOAD(a->links[ref - 1])) == kind;
}
uint64_t mb_dict_needs(uint64_t bytes, uint32_t room); /* blocks of an item */
uint32_t mb_dict_take(mb_dict_at *a, uint64_t blocks); /* a chain; 0: damaged */
void mb_dict_give(mb_dict_at *a, uint32_t ref);        /* frees a chain with its head */
mb_dict_cursor mb_dict_begin(mb_dict_at *a, uint32_t ref, uint32_t room);
int mb_dict_read(mb_dict_cursor *c, uint8_t *to, size_t n); /* 0: damaged. to: NULL to skip */
int mb_dict_write(mb_dict_cursor *c, const void *p, size_t n);
int mb_dict_equal(mb_dict_cursor *c, const void *p, size_t n);

/* --- dict_entry.c --------------------------------------------------------------- */

mb_dict_entry *mb_dict_entry_at(mb_dict_at *a, uint32_t ref); /* NULL: damaged */
uint32_t mb_dict_find(mb_dict_at *a);    /* by the key; 0: there is none, or damaged */
uint32_t mb_dict_living(mb_dict_at *a);  /* the same, and removes it if it has expired */
void mb_dict_touch(mb_dict_at *a, uint32_t ref);
void mb_dict_remove(mb_dict_at *a, uint32_t ref);
int mb_dict_reserve(mb_dict_at *a, uint64_t blocks, uint32_t keep);
uint32_t mb_dict_make(mb_dict_at *a, const mb_dict_value *v, int64_t expires); /* a new entry; 0: damaged */
int mb_dict_same_key(mb_dict_at *a, uint32_t ref, uint32_t other);
int64_t mb_dict_expiry(mb_dict_at *a); /* of the operation */

/* --- dict_repair.c -------------------------------------------------------------- */

void mb_dict_repair(mb_dict_at *a);
void mb_dict_reset(mb_dict_at *a);

/* --- dict_value.c, dict_list.c, dict_limit.c, dict_all.c: what mb_dict_run runs ---- */

int mb_dict_get(mb_dict_at *a);
int mb_dict_set(mb_dict_at *a);
int mb_dict_add(mb_dict_at *a);
int mb_dict_replace(mb_dict_at *a);
int mb_dict_cas(mb_dict_at *a);
int mb_dict_incr(mb_dict_at *a); /* old: the first value, if it is not nil */
int mb_dict_delete(mb_dict_at *a);
int mb_dict_expire(mb_dict_at *a);
int mb_dict_ttl(mb_dict_at *a);
int mb_dict_lpush(mb_dict_at *a);
int mb_dict_rpush(mb_dict_at *a);
int mb_dict_lpop(mb_dict_at *a);
int mb_dict_rpop(mb_dict_at *a);
int mb_dict_llen(mb_dict_at *a);
int mb_dict_limit(mb_dict_at *a);

typedef struct {
	uint64_t capacity, free, entries, evicted, expired, repaired; /* bytes; numbers */
} mb_dict_stats;

void mb_dict_count(const mb_dict *d, mb_dict_stats *st);
void mb_dict_flush(const mb_dict *d);
/* Appends up to max keys to out, each with its length in 32 bits. Returns how many, or -1: no memory. */
int64_t mb_dict_keys(const mb_dict *d, uint32_t max, mb_buf *out);

/* Reads the value of an entry or an element into the result. */
int mb_dict_result(mb_dict_at *a, uint32_t ref, uint32_t room, int type, uint64_t number, size_t skip, size_t n);

#pragma GCC visibility pop

#endif
