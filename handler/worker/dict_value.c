/* Single values. */
#include "dict.h"

#include <string.h>

static mb_dict_entry *entry(mb_dict_at *a, uint32_t ref) { return (mb_dict_entry *)mb_dict_block(a, ref); }

int mb_dict_result(mb_dict_at *a, uint32_t ref, uint32_t room, int type, uint64_t number, size_t skip, size_t n)
{
	mb_dict_op *op = a->op;
	op->result = (mb_dict_value){.type = type, .number = number};
	if (type != MB_DICT_STRING)
		return MB_DICT_OK;
	if (n > (size_t)a->d->nblocks * MB_DICT_BLOCK) {
		a->damaged = 1;
		return MB_DICT_OK;
	}
	op->out->len = 0;
	if (mb_buf_room(op->out, n + 1))
		return MB_DICT_NO_MEMORY;
	mb_dict_cursor c = mb_dict_begin(a, ref, room);
	if (mb_dict_read(&c, NULL, skip) && mb_dict_read(&c, op->out->p, n)) {
		op->out->len = n;
		op->result.p = (const char *)op->out->p;
		op->result.n = n;
	}
	return MB_DICT_OK;
}

static int result_of(mb_dict_at *a, uint32_t ref)
{
	const mb_dict_entry *e = entry(a, ref);
	return mb_dict_result(a, ref, MB_DICT_ENTRY_ROOM, MB_DICT_LOAD(e->type), MB_DICT_LOAD(e->u.number),
		MB_DICT_LOAD(e->key_len), MB_DICT_LOAD(e->value_len));
}

int mb_dict_get(mb_dict_at *a)
{
	a->op->result = (mb_dict_value){0};
	uint32_t ref = mb_dict_living(a);
	if (!ref)
		return MB_DICT_NOT_FOUND;
	mb_dict_touch(a, ref);
	if (MB_DICT_LOAD(entry(a, ref)->type) == MB_DICT_LIST)
		return MB_DICT_IS_LIST;
	return result_of(a, ref);
}

/* The blocks of an entry, without the elements of a list. */
static uint64_t blocks_of(const mb_dict_entry *e)
{
	uint64_t value = MB_DICT_LOAD(e->type) == MB_DICT_LIST ? 0 : MB_DICT_LOAD(e->value_len);
	return mb_dict_needs(MB_DICT_LOAD(e->key_len) + value, MB_DICT_ENTRY_ROOM);
}

/* Puts a new entry in place of ref; 0: there is none. The old one exists until the new one does,
 * if there can be room for both. If there cannot, no other entry has to go for that. */
static int put(mb_dict_at *a, uint32_t ref, const mb_dict_value *v, int64_t expires)
{
	uint64_t blocks = mb_dict_needs(a->op->key_len + (uint64_t)v->n, MB_DICT_ENTRY_ROOM);
	if (ref && blocks <= a->d->nblocks && blocks + blocks_of(entry(a, ref)) > a->d->nblocks) {
		mb_dict_remove(a, ref);
		ref = 0;
	}
	int r = mb_dict_reserve(a, blocks, ref);
	if (r == MB_DICT_NO_MEMORY && ref) {
		mb_dict_remove(a, ref);
		ref = 0;
		r = mb_dict_reserve(a, blocks, 0);
	}
	if (r || a->damaged)
		return r;
	if (mb_dict_make(a, v, expires) && ref)
		mb_dict_remove(a, ref);
	return MB_DICT_OK;
}

/* Storing nil removes. */
static int store(mb_dict_at *a, uint32_t ref, int64_t expires)
{
	if (a->op->value.type != MB_DICT_NIL)
		return put(a, ref, &a->op->value, expires);
	if (ref)
		mb_dict_remove(a, ref);
	return MB_DICT_OK;
}

int mb_dict_set(mb_dict_at *a) { return store(a, mb_dict_living(a), mb_dict_expiry(a)); }

int mb_dict_add(mb_dict_at *a)
{
	if (mb_dict_living(a))
		return MB_DICT_EXISTS;
	return store(a, 0, mb_dict_expiry(a));
}

int mb_dict_replace(mb_dict_at *a)
{
	uint32_t ref = mb_dict_living(a);
	return ref ? store(a, ref, mb_dict_expiry(a)) : MB_DICT_NOT_FOUND;
}

static double as_double(int type, uint64_t number)
{
	double f;
	if (type == MB_DICT_INTEGER)
		return (double)(int64_t)number;
	memcpy(&f, &number, sizeof f);
	return f;
}

static int is_number(int type) { return type == MB_DICT_NUMBER || type == MB_DICT_INTEGER; }

static int equals(mb_dict_at *a, uint32_t ref, const mb_dict_value *v)
{
	const mb_dict_entry *e = entry(a, ref);
	int type = MB_DICT_LOAD(e->type);
	uint64_t number = MB_DICT_LOAD(e->u.number);
	if (type == MB_DICT_STRING && v->type == MB_DICT_STRING) {
		mb_dict_cursor c = mb_dict_begin(a, ref, MB_DICT_ENTRY_ROOM);
		return MB_DICT_LOAD(e->value_len) == v->n && mb_dict_read(&c, NULL, MB_DICT_LOAD(e->key_len)) &&
			mb_dict_equal(&c, v->p, v->n);
	}
	if (is_number(type) && is_number(v->type))
		return type == v->type && type == MB_DICT_INTEGER
			? number == v->number
			: as_double(type, number) == as_double(v->type, v->number);
	return type == MB_DICT_BOOLEAN && v->type == type && number == v->number;
}

/* Without a new time to live, the time of the old value remains. */
int mb_dict_cas(mb_dict_at *a)
{
	mb_dict_op *op = a->op;
	uint32_t ref = mb_dict_living(a);
	if (!ref && op->old.type != MB_DICT_NIL)
		return MB_DICT_NOT_FOUND;
	if (ref && op->old.type == MB_DICT_NIL)
		return MB_DICT_EXISTS;
	if (ref && !equals(a, ref, &op->old))
		return MB_DICT_NOT_EQUAL;
	int64_t expires = mb_dict_expiry(a);
	if (ref && !op->has_ttl)
		expires = MB_DICT_LOAD(entry(a, ref)->expires);
	return store(a, ref, expires);
}

static mb_dict_value sum(int type, uint64_t number, const mb_dict_value *v)
{
	mb_dict_value s = {.type = MB_DICT_INTEGER, .number = number + v->number};
	if (type == MB_DICT_INTEGER && v->type == MB_DICT_INTEGER)
		return s;
	double f = as_double(type, number) + as_double(v->type, v->number);
	s.type = MB_DICT_NUMBER;
	memcpy(&s.number, &f, sizeof f);
	return s;
}

int mb_dict_incr(mb_dict_at *a)
{
	mb_dict_op *op = a->op;
	uint32_t ref = mb_dict_living(a);
	if (!ref) {
		if (op->old.type == MB_DICT_NIL)
			return MB_DICT_NOT_FOUND;
		op->result = sum(op->old.type, op->old.number, &op->value);
		return put(a, 0, &op->result, mb_dict_expiry(a));
	}
	mb_dict_entry *e = entry(a, ref);
	int type = MB_DICT_LOAD(e->type);
	if (!is_number(type))
		return MB_DICT_NOT_NUMBER;
	mb_dict_touch(a, ref);
	if (a->damaged)
		return MB_DICT_OK;
	op->result = sum(type, MB_DICT_LOAD(e->u.number), &op->value);
	if (op->result.type != type)
		return put(a, ref, &op->result, MB_DICT_LOAD(e->expires));
	MB_DICT_STORE(e->u.number, op->result.number);
	return MB_DICT_OK;
}

int mb_dict_delete(mb_dict_at *a)
{
	uint32_t ref = mb_dict_living(a);
	if (!ref)
		return MB_DICT_NOT_FOUND;
	mb_dict_remove(a, ref);
	return MB_DICT_OK;
}

int mb_dict_expire(mb_dict_at *a)
{
	uint32_t ref = mb_dict_living(a);
	if (!ref)
		return MB_DICT_NOT_FOUND;
	MB_DICT_STORE(entry(a, ref)->expires, mb_dict_expiry(a));
	return MB_DICT_OK;
}

int mb_dict_ttl(mb_dict_at *a)
{
	uint32_t ref = mb_dict_living(a);
	if (!ref)
		return MB_DICT_NOT_FOUND;
	int64_t expires = MB_DICT_LOAD(entry(a, ref)->expires);
	a->op->left = expires ? expires - mb_dict_now(a) : 0;
	return MB_DICT_OK;
}
