/* Blocks: the free list, chains, and the bytes of an item. */
#include "dict.h"

#include <string.h>

uint64_t mb_dict_needs(uint64_t bytes, uint32_t room)
{
	return 1 + (bytes > room ? (bytes - room + MB_DICT_BLOCK - 1) / MB_DICT_BLOCK : 0);
}

/* A free block; 0: damaged. Its word is that of data in no chain. */
static uint32_t take_one(mb_dict_at *a)
{
	mb_dict_shard *s = a->s;
	uint32_t ref = MB_DICT_LOAD(s->free);
	if (ref) {
		if (!mb_dict_is(a, ref, MB_DICT_FREE))
			goto damaged;
		MB_DICT_STORE(s->free, MB_DICT_NEXT(MB_DICT_LOAD(a->links[ref - 1])));
	} else {
		ref = MB_DICT_LOAD(s->fresh) + 1;
		if (ref - 1 >= a->d->nblocks)
			goto damaged;
		MB_DICT_STORE(s->fresh, ref);
	}
	MB_DICT_STORE(s->free_count, MB_DICT_LOAD(s->free_count) - 1);
	MB_DICT_STORE(a->links[ref - 1], MB_DICT_LINK(MB_DICT_DATA, 0));
	return ref;
damaged:
	a->damaged = 1;
	return 0;
}

uint32_t mb_dict_take(mb_dict_at *a, uint64_t blocks)
{
	uint32_t head = take_one(a), last = head;
	while (last && --blocks > 0) {
		uint32_t ref = take_one(a);
		MB_DICT_STORE(a->links[last - 1], MB_DICT_LINK(MB_DICT_DATA, ref));
		last = ref;
	}
	return last ? head : 0;
}

static void give_one(mb_dict_at *a, uint32_t ref)
{
	mb_dict_shard *s = a->s;
	MB_DICT_STORE(a->links[ref - 1], MB_DICT_LINK(MB_DICT_FREE, MB_DICT_NEXT(MB_DICT_LOAD(s->free))));
	MB_DICT_STORE(s->free, ref);
	MB_DICT_STORE(s->free_count, MB_DICT_LOAD(s->free_count) + 1);
}

/* Walks end: what was freed is not data any more. */
void mb_dict_give(mb_dict_at *a, uint32_t ref)
{
	uint32_t next = MB_DICT_NEXT(MB_DICT_LOAD(a->links[ref - 1]));
	give_one(a, ref); /* from here on the item does not exist */
	for (uint32_t n = 0; next; n++) {
		if (!mb_dict_is(a, next, MB_DICT_DATA) || n >= a->d->nblocks) {
			a->damaged = 1;
			return;
		}
		ref = next;
		next = MB_DICT_NEXT(MB_DICT_LOAD(a->links[ref - 1]));
		give_one(a, ref);
	}
}

mb_dict_cursor mb_dict_begin(mb_dict_at *a, uint32_t ref, uint32_t room)
{
	return (mb_dict_cursor){a, ref, mb_dict_block(a, ref) + MB_DICT_BLOCK - room, room};
}

/* Moves on to the next block. 0: damaged. */
static int advance(mb_dict_cursor *c)
{
	uint32_t next = MB_DICT_NEXT(MB_DICT_LOAD(c->a->links[c->block - 1]));
	if (!mb_dict_is(c->a, next, MB_DICT_DATA)) {
		c->a->damaged = 1;
		return 0;
	}
	c->block = next;
	c->p = mb_dict_block(c->a, next);
	c->left = MB_DICT_BLOCK;
	return 1;
}

/* The next piece of at most n bytes; NULL: damaged. */
static uint8_t *piece(mb_dict_cursor *c, size_t n, size_t *k)
{
	if (!c->left && !advance(c))
		return NULL;
	*k = n < c->left ? n : c->left;
	uint8_t *p = c->p;
	c->p += *k;
	c->left -= *k;
	return p;
}

int mb_dict_read(mb_dict_cursor *c, uint8_t *to, size_t n)
{
	for (size_t k; n > 0; n -= k) {
		const uint8_t *p = piece(c, n, &k);
		if (!p)
			return 0;
		if (to) {
			memcpy(to, p, k);
			to += k;
		}
	}
	return 1;
}

int mb_dict_write(mb_dict_cursor *c, const void *from, size_t n)
{
	const uint8_t *s = from;
	for (size_t k; n > 0; n -= k, s += k) {
		uint8_t *p = piece(c, n, &k);
		if (!p)
			return 0;
		memcpy(p, s, k);
	}
	return 1;
}

int mb_dict_equal(mb_dict_cursor *c, const void *with, size_t n)
{
	const uint8_t *s = with;
	for (size_t k; n > 0; n -= k, s += k) {
		const uint8_t *p = piece(c, n, &k);
		if (!p || memcmp(p, s, k))
			return 0;
	}
	return 1;
}
