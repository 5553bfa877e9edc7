/* Rebuilds a shard from the words of its blocks: after a process has died with the lock, and
 * where the memory contradicts itself. What it needs to remember is in the process's own memory,
 * so that it ends whatever others write meanwhile. If it is killed, too, the next one begins
 * again. */
#include "dict.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
	uint64_t key; /* what it is sorted by, then order */
	int64_t order;
	uint32_t ref;
} item;

typedef struct {
	mb_dict_at *a;
	uint32_t n; /* blocks to look at */
	uint8_t *used; /* by block: part of something that exists */
	item *entries, *elements;
	uint32_t nentries, nelements, cap_entries, cap_elements;
	uint64_t seq, last;
	int failed; /* no memory */
} repair;

static int by_key(const void *x, const void *y)
{
	const item *a = x, *b = y;
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	return a->ref < b->ref ? -1 : a->ref > b->ref;
}

static void add(repair *r, item **list, uint32_t *n, uint32_t *cap, item i)
{
	if (*n == *cap) {
		uint32_t more = *cap ? *cap * 2 : 256;
		item *p = realloc(*list, more * sizeof *p);
		if (!p) {
			r->failed = 1;
			return;
		}
		*list = p;
		*cap = more;
	}
	(*list)[(*n)++] = i;
}

/* Marks the blocks of an item. If its chain is not what it has to be, none is marked. */
static int mark(repair *r, uint32_t ref, uint64_t blocks)
{
	mb_dict_at *a = r->a;
	uint32_t at = ref;
	uint64_t n = 0;
	for (; n < blocks && at && at <= r->n && !r->used[at - 1]; n++) {
		uint32_t link = MB_DICT_LOAD(a->links[at - 1]);
		if (n > 0 && MB_DICT_KIND(link) != MB_DICT_DATA)
			break;
		r->used[at - 1] = 1;
		at = MB_DICT_NEXT(link);
	}
	if (n == blocks && at == 0)
		return 1;
	for (at = ref; n > 0 && at && at <= r->n; n--) {
		r->used[at - 1] = 0;
		at = MB_DICT_NEXT(MB_DICT_LOAD(a->links[at - 1]));
	}
	return 0;
}

static void unmark(repair *r, uint32_t ref)
{
	for (uint32_t n = 0; ref && ref <= r->n && n < r->n; n++) {
		r->used[ref - 1] = 0;
		ref = MB_DICT_NEXT(MB_DICT_LOAD(r->a->links[ref - 1]));
	}
}

static int is_list(const mb_dict_entry *e) { return MB_DICT_LOAD(e->type) == MB_DICT_LIST; }

static uint64_t blocks_of(const mb_dict_entry *e)
{
	uint64_t value = is_list(e) ? 0 : MB_DICT_LOAD(e->value_len);
	return mb_dict_needs(MB_DICT_LOAD(e->key_len) + value, MB_DICT_ENTRY_ROOM);
}

static void collect_entries(repair *r)
{
	mb_dict_at *a = r->a;
	for (uint32_t ref = 1; ref <= r->n; ref++) {
		if (!mb_dict_is(a, ref, MB_DICT_HEAD))
			continue;
		mb_dict_entry *e = (mb_dict_entry *)mb_dict_block(a, ref);
		uint8_t type = MB_DICT_LOAD(e->type);
		if (type == MB_DICT_NIL || type > MB_DICT_LIMIT || !mark(r, ref, blocks_of(e)))
			continue;
		uint64_t seq = MB_DICT_LOAD(e->seq), used = MB_DICT_LOAD(e->used);
		add(r, &r->entries, &r->nentries, &r->cap_entries, (item){used, 0, ref});
		r->seq = seq > r->seq ? seq : r->seq;
		r->last = used > r->last ? used : r->last;
	}
}

int mb_dict_same_key(mb_dict_at *a, uint32_t ref, uint32_t other)
{
	size_t left = MB_DICT_LOAD(((mb_dict_entry *)mb_dict_block(a, ref))->key_len);
	if (MB_DICT_LOAD(((mb_dict_entry *)mb_dict_block(a, other))->key_len) != left)
		return 0;
	mb_dict_cursor c = mb_dict_begin(a, ref, MB_DICT_ENTRY_ROOM), o = mb_dict_begin(a, other, MB_DICT_ENTRY_ROOM);
	uint8_t piece[256];
	for (size_t k; left > 0; left -= k) {
		k = left < sizeof piece ? left : sizeof piece;
		if (!mb_dict_read(&c, piece, k) || !mb_dict_equal(&o, piece, k))
			return 0;
	}
	return 1;
}

/* The other entry of a bucket with the same key. *full: the bucket has no room for one more. Otherwise a process that has given many
 * entries the same hash would make the repair of a large shard take hours. */
static uint32_t double_of(mb_dict_at *a, uint32_t bucket, uint32_t ref, uint32_t hash, int *full)
{
	uint32_t n = 0;
	for (uint32_t other = MB_DICT_LOAD(a->buckets[bucket]); other && n < MB_DICT_CHAIN_MAX; n++) {
		if (other - 1 >= a->d->nblocks)
			return 0;
		const mb_dict_entry *o = (mb_dict_entry *)mb_dict_block(a, other);
		if (MB_DICT_LOAD(o->hash) == hash && mb_dict_same_key(a, ref, other))
			return other;
		other = MB_DICT_LOAD(o->chain);
	}
	*full = n == MB_DICT_CHAIN_MAX;
	return 0;
}

/* An entry that another one replaces does not exist any more. */
static void drop(repair *r, uint32_t ref)
{
	unmark(r, ref);
	MB_DICT_STORE(r->a->links[ref - 1], MB_DICT_LINK(MB_DICT_FREE, 0));
}

/* Of two with the same key, the later one takes the place. */
static void put(repair *r, item *i)
{
	mb_dict_at *a = r->a;
	mb_dict_entry *e = (mb_dict_entry *)mb_dict_block(a, i->ref);
	uint32_t hash = MB_DICT_LOAD(e->hash), b = hash & (a->d->nbuckets - 1);
	int full = 0;
	uint32_t other = double_of(a, b, i->ref, hash, &full);
	if (full) {
		drop(r, i->ref);
		return;
	}
	if (other) {
		const mb_dict_entry *o = (mb_dict_entry *)mb_dict_block(a, other);
		uint32_t loser = MB_DICT_LOAD(o->seq) > MB_DICT_LOAD(e->seq) ? i->ref : other;
		if (loser == other) {
			/* Its place in the bucket is taken over with all that follows. */
			uint32_t *at = &a->buckets[b];
			for (uint32_t n = 0; MB_DICT_LOAD(*at) != other && n < MB_DICT_CHAIN_MAX; n++) {
				uint32_t next = MB_DICT_LOAD(*at);
				if (next - 1 >= a->d->nblocks)
					return;
				at = &((mb_dict_entry *)mb_dict_block(a, next))->chain;
			}
			MB_DICT_STORE(e->chain, MB_DICT_LOAD(o->chain));
			MB_DICT_STORE(*at, i->ref);
		}
		drop(r, loser);
		return;
	}
	MB_DICT_STORE(e->chain, MB_DICT_LOAD(a->buckets[b]));
	MB_DICT_STORE(a->buckets[b], i->ref);
}

/* Elements of lists that exist. What a list had in its entry is found again. */
static void collect_elements(repair *r)
{
	mb_dict_at *a = r->a;
	for (uint32_t ref = 1; ref <= r->n; ref++) {
		if (!mb_dict_is(a, ref, MB_DICT_ELEMENT))
			continue;
		mb_dict_element *el = (mb_dict_element *)mb_dict_block(a, ref);
		uint32_t owner = MB_DICT_LOAD(el->owner);
		if (owner - 1 >= r->n || !r->used[owner - 1] || !mb_dict_is(a, owner, MB_DICT_HEAD))
			continue;
		mb_dict_entry *e = (mb_dict_entry *)mb_dict_block(a, owner);
		if (!is_list(e) || MB_DICT_LOAD(e->seq) != MB_DICT_LOAD(el->seq) ||
		    !mark(r, ref, mb_dict_needs(MB_DICT_LOAD(el->value_len), MB_DICT_ELEMENT_ROOM)))
			continue;
		add(r, &r->elements, &r->nelements, &r->cap_elements, (item){owner, MB_DICT_LOAD(el->order), ref});
	}
}

static void join_elements(repair *r)
{
	mb_dict_at *a = r->a;
	mb_dict_element *before = NULL;
	for (uint32_t i = 0; i < r->nelements; i++) {
		item *at = &r->elements[i], *prev = i ? at - 1 : NULL;
		mb_dict_entry *e = (mb_dict_entry *)mb_dict_block(a, (uint32_t)at->key);
		mb_dict_element *el = (mb_dict_element *)mb_dict_block(a, at->ref);
		int first = !prev || prev->key != at->key;
		if (first) {
			MB_DICT_STORE(e->u.list.first, at->ref);
			MB_DICT_STORE(e->value_len, 0);
		} else {
			MB_DICT_STORE(before->next, at->ref);
		}
		MB_DICT_STORE(el->prev, first ? 0 : prev->ref);
		MB_DICT_STORE(el->next, 0);
		MB_DICT_STORE(e->u.list.last, at->ref);
		MB_DICT_STORE(e->value_len, MB_DICT_LOAD(e->value_len) + 1);
		before = el;
	}
}

static void clear_list(mb_dict_entry *e)
{
	MB_DICT_STORE(e->u.list.first, 0);
	MB_DICT_STORE(e->u.list.last, 0);
	MB_DICT_STORE(e->value_len, 0);
}

/* The entries that exist, with those that were used last at the end. */
static void fill_buckets(repair *r)
{
	mb_dict_at *a = r->a;
	memset(a->buckets, 0, a->d->nbuckets * sizeof *a->buckets);
	for (uint32_t i = 0; i < r->nentries; i++)
		put(r, &r->entries[i]);
	uint32_t n = 0;
	for (uint32_t i = 0; i < r->nentries; i++) {
		if (!r->used[r->entries[i].ref - 1])
			continue;
		r->entries[n++] = r->entries[i];
		mb_dict_entry *e = (mb_dict_entry *)mb_dict_block(a, r->entries[i].ref);
		if (is_list(e))
			clear_list(e);
	}
	r->nentries = n;
}

static void join_entries(repair *r)
{
	mb_dict_at *a = r->a;
	uint32_t newer = 0;
	MB_DICT_STORE(a->s->newest, 0);
	MB_DICT_STORE(a->s->oldest, r->nentries ? r->entries[0].ref : 0);
	for (uint32_t i = r->nentries; i-- > 0;) {
		mb_dict_entry *e = (mb_dict_entry *)mb_dict_block(a, r->entries[i].ref);
		MB_DICT_STORE(e->prev, newer);
		MB_DICT_STORE(e->next, i ? r->entries[i - 1].ref : 0);
		if (!newer)
			MB_DICT_STORE(a->s->newest, r->entries[i].ref);
		newer = r->entries[i].ref;
	}
	MB_DICT_STORE(a->s->entries, r->nentries);
}

static void free_rest(repair *r)
{
	mb_dict_at *a = r->a;
	uint32_t free = 0, count = a->d->nblocks - r->n;
	for (uint32_t ref = r->n; ref > 0; ref--) {
		if (r->used[ref - 1])
			continue;
		MB_DICT_STORE(a->links[ref - 1], MB_DICT_LINK(MB_DICT_FREE, free));
		free = ref;
		count++;
	}
	MB_DICT_STORE(a->s->free, free);
	MB_DICT_STORE(a->s->free_count, count);
	MB_DICT_STORE(a->s->fresh, r->n);
}

static void rebuild(repair *r)
{
	collect_entries(r);
	if (r->failed)
		return;
	if (r->nentries)
		qsort(r->entries, r->nentries, sizeof *r->entries, by_key);
	fill_buckets(r);
	collect_elements(r);
	if (r->failed)
		return;
	if (r->nelements)
		qsort(r->elements, r->nelements, sizeof *r->elements, by_key);
	join_elements(r);
	join_entries(r);
	free_rest(r);
	MB_DICT_STORE(r->a->s->seq, r->seq);
	MB_DICT_STORE(r->a->s->used, r->last);
}

/* A list without elements does not exist: one was being made. */
static void drop_empty_lists(repair *r)
{
	for (uint32_t i = 0; i < r->nentries; i++) {
		mb_dict_entry *e = (mb_dict_entry *)mb_dict_block(r->a, r->entries[i].ref);
		if (is_list(e) && MB_DICT_LOAD(e->u.list.first) == 0)
			mb_dict_remove(r->a, r->entries[i].ref);
	}
}

void mb_dict_repair(mb_dict_at *a)
{
	uint32_t fresh = MB_DICT_LOAD(a->s->fresh);
	repair r = {.a = a, .n = fresh < a->d->nblocks ? fresh : a->d->nblocks};
	MB_DICT_STORE(a->s->damaged, 1); /* until it is done */
	r.used = calloc(r.n + 1, 1);
	r.failed = !r.used;
	if (!r.failed)
		rebuild(&r);
	if (r.failed) {
		mb_dict_reset(a);
	} else {
		a->damaged = 0;
		drop_empty_lists(&r);
		MB_DICT_STORE(a->s->damaged, (uint32_t)a->damaged);
	}
	free(r.used);
	free(r.entries);
	free(r.elements);
	MB_DICT_STORE(a->s->repaired, MB_DICT_LOAD(a->s->repaired) + 1);
}

/* Gives whole pages back to the system; the rest becomes zero. */
static void clear(uint8_t *p, size_t n)
{
#ifdef MADV_REMOVE
	size_t page = (size_t)sysconf(_SC_PAGESIZE), skip = (page - (uintptr_t)p % page) % page;
	if (n > skip + page) {
		size_t whole = (n - skip) / page * page;
		if (madvise(p + skip, whole, MADV_REMOVE) == 0) {
			memset(p, 0, skip);
			memset(p + skip + whole, 0, n - skip - whole);
			return;
		}
	}
#endif
	memset(p, 0, n);
}

/* Empties a shard. If it is killed, the next one finds words without the items that they stand for,
 * and frees them. */
void mb_dict_reset(mb_dict_at *a)
{
	mb_dict_shard *s = a->s;
	MB_DICT_STORE(s->damaged, 1);
	clear((uint8_t *)a->links, a->d->blocks - a->d->links);
	memset(a->buckets, 0, a->d->nbuckets * sizeof *a->buckets);
	MB_DICT_STORE(s->free, 0);
	MB_DICT_STORE(s->fresh, 0);
	MB_DICT_STORE(s->free_count, a->d->nblocks);
	MB_DICT_STORE(s->entries, 0);
	MB_DICT_STORE(s->newest, 0);
	MB_DICT_STORE(s->oldest, 0);
	MB_DICT_STORE(s->damaged, 0);
	clear(a->blocks, (size_t)a->d->nblocks * MB_DICT_BLOCK);
}
