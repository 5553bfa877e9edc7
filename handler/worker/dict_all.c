/* What concerns all shards. They are visited one after another: others change them meanwhile. */
#include "dict.h"

#include <string.h>

typedef struct {
	mb_dict_op op;
	mb_dict_stats *stats;
} counting;

static int count(mb_dict_at *a)
{
	mb_dict_stats *st = ((counting *)a->op)->stats;
	uint32_t fresh = MB_DICT_LOAD(a->s->fresh), free = fresh ? MB_DICT_LOAD(a->s->free_count) : a->d->nblocks;
	st->free += (uint64_t)free * MB_DICT_BLOCK;
	st->entries += MB_DICT_LOAD(a->s->entries);
	st->evicted += MB_DICT_LOAD(a->s->evicted);
	st->expired += MB_DICT_LOAD(a->s->expired);
	st->repaired += MB_DICT_LOAD(a->s->repaired);
	return MB_DICT_OK;
}

void mb_dict_count(const mb_dict *d, mb_dict_stats *st)
{
	*st = (mb_dict_stats){.capacity = (uint64_t)d->shards * d->nblocks * MB_DICT_BLOCK};
	counting c = {.stats = st};
	for (uint32_t i = 0; i < d->shards; i++)
		mb_dict_run_at(d, i, 0, &c.op, count);
}

static int flush(mb_dict_at *a)
{
	mb_dict_reset(a);
	return MB_DICT_OK;
}

void mb_dict_flush(const mb_dict *d)
{
	for (uint32_t i = 0; i < d->shards; i++)
		mb_dict_run_at(d, i, 0, NULL, flush);
}

typedef struct {
	mb_dict_op op;
	mb_buf *out;
	uint32_t found, max;
	size_t shard_at;      /* where the keys of this shard begin: it may be visited again */
	uint32_t shard_found;
	int failed;
} key_list;

static int add_key(mb_dict_at *a, key_list *k, uint32_t ref, const mb_dict_entry *e)
{
	uint32_t n = MB_DICT_LOAD(e->key_len);
	if (mb_buf_room(k->out, sizeof n + n)) {
		k->failed = 1;
		return 0;
	}
	memcpy(k->out->p + k->out->len, &n, sizeof n);
	mb_dict_cursor c = mb_dict_begin(a, ref, MB_DICT_ENTRY_ROOM);
	if (!mb_dict_read(&c, k->out->p + k->out->len + sizeof n, n))
		return 0;
	k->out->len += sizeof n + n;
	k->found++;
	return 1;
}

static int keys(mb_dict_at *a)
{
	key_list *k = (key_list *)a->op;
	k->out->len = k->shard_at;
	k->found = k->shard_found;
	uint32_t ref = MB_DICT_LOAD(a->s->newest);
	for (uint32_t n = 0; ref && k->found < k->max; n++) {
		mb_dict_entry *e = mb_dict_entry_at(a, ref);
		if (!e || n >= a->d->nblocks) {
			a->damaged = 1;
			return MB_DICT_OK;
		}
		int64_t expires = MB_DICT_LOAD(e->expires);
		if ((!expires || expires > mb_dict_now(a)) && !add_key(a, k, ref, e))
			return MB_DICT_OK;
		ref = MB_DICT_LOAD(e->next);
	}
	return MB_DICT_OK;
}

int64_t mb_dict_keys(const mb_dict *d, uint32_t max, mb_buf *out)
{
	key_list k = {.out = out, .max = max};
	for (uint32_t i = 0; i < d->shards && k.found < max && !k.failed; i++) {
		k.shard_at = out->len;
		k.shard_found = k.found;
		if (mb_dict_run_at(d, i, 0, &k.op, keys) != MB_DICT_OK) {
			out->len = k.shard_at;
			k.found = k.shard_found;
		}
	}
	return k.failed ? -1 : (int64_t)k.found;
}
