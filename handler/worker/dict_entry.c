/* Entries: buckets, the order of use, eviction. */
#include "dict.h"

#include <string.h>

/* Expired entries at the old end that a new one removes. */
#define EXPIRED_AT_ONCE 2

mb_dict_entry *mb_dict_entry_at(mb_dict_at *a, uint32_t ref)
{
	if (mb_dict_is(a, ref, MB_DICT_HEAD))
		return (mb_dict_entry *)mb_dict_block(a, ref);
	a->damaged = 1;
	return NULL;
}

static uint32_t *bucket_of(mb_dict_at *a, uint32_t hash) { return &a->buckets[hash & (a->d->nbuckets - 1)]; }

static int has_key(mb_dict_at *a, uint32_t ref, const mb_dict_entry *e)
{
	if (MB_DICT_LOAD(e->hash) != a->hash || MB_DICT_LOAD(e->key_len) != a->op->key_len)
		return 0;
	mb_dict_cursor c = mb_dict_begin(a, ref, MB_DICT_ENTRY_ROOM);
	return mb_dict_equal(&c, a->op->key, a->op->key_len);
}

uint32_t mb_dict_find(mb_dict_at *a)
{
	uint32_t ref = MB_DICT_LOAD(*bucket_of(a, a->hash));
	for (int n = 0; ref; n++) {
		mb_dict_entry *e = mb_dict_entry_at(a, ref);
		if (!e || n == MB_DICT_CHAIN_MAX) {
			a->damaged = 1;
			return 0;
		}
		if (has_key(a, ref, e))
			return ref;
		ref = MB_DICT_LOAD(e->chain);
	}
	return 0;
}

static int has_expired(mb_dict_at *a, const mb_dict_entry *e)
{
	int64_t expires = MB_DICT_LOAD(e->expires);
	return expires && expires <= mb_dict_now(a);
}

uint32_t mb_dict_living(mb_dict_at *a)
{
	uint32_t ref = mb_dict_find(a);
	if (ref && has_expired(a, (mb_dict_entry *)mb_dict_block(a, ref))) {
		mb_dict_remove(a, ref);
		MB_DICT_STORE(a->s->expired, MB_DICT_LOAD(a->s->expired) + 1);
		return 0;
	}
	return a->damaged ? 0 : ref;
}

static void leave_order(mb_dict_at *a, mb_dict_entry *e)
{
	uint32_t prev = MB_DICT_LOAD(e->prev), next = MB_DICT_LOAD(e->next);
	mb_dict_entry *p = prev ? mb_dict_entry_at(a, prev) : NULL, *n = next ? mb_dict_entry_at(a, next) : NULL;
	if (a->damaged)
		return;
	if (p)
		MB_DICT_STORE(p->next, next);
	else
		MB_DICT_STORE(a->s->newest, next);
	if (n)
		MB_DICT_STORE(n->prev, prev);
	else
		MB_DICT_STORE(a->s->oldest, prev);
}

static void enter_order(mb_dict_at *a, uint32_t ref, mb_dict_entry *e)
{
	uint32_t newest = MB_DICT_LOAD(a->s->newest);
	mb_dict_entry *n = newest ? mb_dict_entry_at(a, newest) : NULL;
	if (a->damaged)
		return;
	MB_DICT_STORE(e->prev, 0);
	MB_DICT_STORE(e->next, newest);
	if (n)
		MB_DICT_STORE(n->prev, ref);
	else
		MB_DICT_STORE(a->s->oldest, ref);
	MB_DICT_STORE(a->s->newest, ref);
}

static void stamp(mb_dict_at *a, mb_dict_entry *e)
{
	uint64_t used = MB_DICT_LOAD(a->s->used) + 1;
	MB_DICT_STORE(a->s->used, used);
	MB_DICT_STORE(e->used, used);
}

void mb_dict_touch(mb_dict_at *a, uint32_t ref)
{
	mb_dict_entry *e = mb_dict_entry_at(a, ref);
	if (!e || MB_DICT_LOAD(a->s->newest) == ref)
		return;
	leave_order(a, e);
	if (!a->damaged)
		enter_order(a, ref, e);
	stamp(a, e);
}

static void leave_bucket(mb_dict_at *a, uint32_t ref, const mb_dict_entry *e)
{
	uint32_t *at = bucket_of(a, MB_DICT_LOAD(e->hash));
	for (int n = 0; n < MB_DICT_CHAIN_MAX; n++) {
		uint32_t r = MB_DICT_LOAD(*at);
		mb_dict_entry *other = mb_dict_entry_at(a, r);
		if (!other)
			return;
		if (r == ref) {
			MB_DICT_STORE(*at, MB_DICT_LOAD(e->chain));
			return;
		}
		at = &other->chain;
	}
	a->damaged = 1;
}

/* Frees the elements of a list, from the first one on. */
static void give_elements(mb_dict_at *a, uint32_t ref)
{
	for (uint32_t n = 0; ref; n++) {
		if (!mb_dict_is(a, ref, MB_DICT_ELEMENT) || n >= a->d->nblocks) {
			a->damaged = 1;
			return;
		}
		uint32_t next = MB_DICT_LOAD(((mb_dict_element *)mb_dict_block(a, ref))->next);
		mb_dict_give(a, ref);
		ref = next;
	}
}

void mb_dict_remove(mb_dict_at *a, uint32_t ref)
{
	mb_dict_entry *e = mb_dict_entry_at(a, ref);
	if (!e)
		return;
	uint32_t elements = MB_DICT_LOAD(e->type) == MB_DICT_LIST ? MB_DICT_LOAD(e->u.list.first) : 0;
	leave_bucket(a, ref, e);
	leave_order(a, e);
	MB_DICT_STORE(a->s->entries, MB_DICT_LOAD(a->s->entries) - 1);
	mb_dict_give(a, ref);
	give_elements(a, elements);
}

/* A shard that was never used has no count yet. */
static uint64_t available(const mb_dict_at *a)
{
	if (MB_DICT_LOAD(a->s->fresh) == 0)
		MB_DICT_STORE(a->s->free_count, a->d->nblocks);
	return MB_DICT_LOAD(a->s->free_count);
}

static void drop_expired(mb_dict_at *a)
{
	for (int n = 0; n < EXPIRED_AT_ONCE; n++) {
		uint32_t ref = MB_DICT_LOAD(a->s->oldest);
		mb_dict_entry *e = ref ? mb_dict_entry_at(a, ref) : NULL;
		if (!e || !has_expired(a, e))
			return;
		mb_dict_remove(a, ref);
		MB_DICT_STORE(a->s->expired, MB_DICT_LOAD(a->s->expired) + 1);
	}
}

/* Removes the entry that was not used for the longest time, other than keep. 0: there is none. */
static int evict(mb_dict_at *a, uint32_t keep)
{
	uint32_t ref = MB_DICT_LOAD(a->s->oldest);
	mb_dict_entry *e = ref ? mb_dict_entry_at(a, ref) : NULL;
	if (e && ref == keep) {
		ref = MB_DICT_LOAD(e->prev);
		e = ref ? mb_dict_entry_at(a, ref) : NULL;
	}
	if (!e)
		return 0;
	if (has_expired(a, e)) {
		MB_DICT_STORE(a->s->expired, MB_DICT_LOAD(a->s->expired) + 1);
	} else {
		MB_DICT_STORE(a->s->evicted, MB_DICT_LOAD(a->s->evicted) + 1);
		a->op->evicted = 1;
	}
	mb_dict_remove(a, ref);
	return 1;
}

int mb_dict_reserve(mb_dict_at *a, uint64_t blocks, uint32_t keep)
{
	if (blocks > a->d->nblocks)
		return MB_DICT_TOO_LARGE;
	drop_expired(a);
	for (uint32_t n = 0; available(a) < blocks && !a->damaged; n++)
		if (n > a->d->nblocks || !evict(a, keep))
			return MB_DICT_NO_MEMORY;
	return MB_DICT_OK;
}

static void fill(mb_dict_at *a, uint32_t ref, const mb_dict_value *v, int64_t expires)
{
	mb_dict_entry *e = (mb_dict_entry *)mb_dict_block(a, ref);
	uint64_t seq = MB_DICT_LOAD(a->s->seq) + 1;
	MB_DICT_STORE(a->s->seq, seq);
	e->hash = a->hash;
	e->key_len = (uint16_t)a->op->key_len;
	e->type = (uint8_t)v->type;
	e->pad = 0;
	e->value_len = (uint32_t)v->n;
	e->seq = seq;
	e->expires = expires;
	e->u.number = v->number;
	stamp(a, e);
	mb_dict_cursor c = mb_dict_begin(a, ref, MB_DICT_ENTRY_ROOM);
	if (mb_dict_write(&c, a->op->key, a->op->key_len))
		mb_dict_write(&c, v->p, v->n);
}

/* There is room for it. It exists when it has been filled. */
uint32_t mb_dict_make(mb_dict_at *a, const mb_dict_value *v, int64_t expires)
{
	uint32_t ref = mb_dict_take(a, mb_dict_needs(a->op->key_len + v->n, MB_DICT_ENTRY_ROOM));
	if (!ref)
		return 0;
	fill(a, ref, v, expires);
	mb_dict_entry *e = (mb_dict_entry *)mb_dict_block(a, ref);
	uint32_t *bucket = bucket_of(a, a->hash);
	e->chain = MB_DICT_LOAD(*bucket);
	if (a->damaged)
		return 0;
	MB_DICT_COMMIT(a->links[ref - 1], MB_DICT_LINK(MB_DICT_HEAD, MB_DICT_NEXT(MB_DICT_LOAD(a->links[ref - 1]))));
	MB_DICT_STORE(*bucket, ref);
	enter_order(a, ref, e);
	MB_DICT_STORE(a->s->entries, MB_DICT_LOAD(a->s->entries) + 1);
	return a->damaged ? 0 : ref;
}

int64_t mb_dict_expiry(mb_dict_at *a) { return a->op->ttl ? mb_dict_now(a) + a->op->ttl : 0; }
