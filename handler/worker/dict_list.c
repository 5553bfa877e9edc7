/* Lists. Elements are items of their own, which name their list and their place in it. A list
 * without elements does not exist. */
#include "dict.h"

static mb_dict_entry *entry(mb_dict_at *a, uint32_t ref) { return (mb_dict_entry *)mb_dict_block(a, ref); }

static mb_dict_element *element_at(mb_dict_at *a, uint32_t ref)
{
	if (mb_dict_is(a, ref, MB_DICT_ELEMENT))
		return (mb_dict_element *)mb_dict_block(a, ref);
	a->damaged = 1;
	return NULL;
}

/* The list, which is made if there is none, with room for one more element; 0: *result says why
 * not. */
static uint32_t list_for(mb_dict_at *a, int *result)
{
	uint32_t ref = mb_dict_living(a);
	uint64_t blocks = mb_dict_needs(a->op->value.n, MB_DICT_ELEMENT_ROOM);
	if (ref && MB_DICT_LOAD(entry(a, ref)->type) != MB_DICT_LIST) {
		*result = MB_DICT_NOT_LIST;
		return 0;
	}
	if (!ref)
		blocks += mb_dict_needs(a->op->key_len, MB_DICT_ENTRY_ROOM);
	if ((*result = mb_dict_reserve(a, blocks, ref)) || a->damaged)
		return 0;
	if (ref)
		mb_dict_touch(a, ref);
	else
		ref = mb_dict_make(a, &(mb_dict_value){.type = MB_DICT_LIST}, 0);
	return a->damaged ? 0 : ref;
}

static void join(mb_dict_at *a, mb_dict_entry *e, uint32_t ref, int left)
{
	mb_dict_element *el = (mb_dict_element *)mb_dict_block(a, ref);
	uint32_t beside = left ? MB_DICT_LOAD(e->u.list.first) : MB_DICT_LOAD(e->u.list.last);
	mb_dict_element *other = beside ? element_at(a, beside) : NULL;
	if (a->damaged)
		return;
	el->prev = left ? 0 : beside;
	el->next = left ? beside : 0;
	el->order = other ? (int64_t)((uint64_t)MB_DICT_LOAD(other->order) + (left ? UINT64_MAX : 1)) : 0;
	MB_DICT_COMMIT(a->links[ref - 1], MB_DICT_LINK(MB_DICT_ELEMENT, MB_DICT_NEXT(MB_DICT_LOAD(a->links[ref - 1]))));
	if (other)
		MB_DICT_STORE(*(left ? &other->prev : &other->next), ref);
	if (left || !other)
		MB_DICT_STORE(e->u.list.first, ref);
	if (!left || !other)
		MB_DICT_STORE(e->u.list.last, ref);
	a->op->count = MB_DICT_LOAD(e->value_len) + 1;
	MB_DICT_STORE(e->value_len, a->op->count);
}

static int push(mb_dict_at *a, int left)
{
	int result = MB_DICT_OK;
	const mb_dict_value *v = &a->op->value;
	uint32_t list = list_for(a, &result), ref;
	if (!list || !(ref = mb_dict_take(a, mb_dict_needs(v->n, MB_DICT_ELEMENT_ROOM))))
		return result;
	mb_dict_entry *e = entry(a, list);
	mb_dict_element *el = (mb_dict_element *)mb_dict_block(a, ref);
	el->type = (uint8_t)v->type;
	el->number = v->number;
	el->value_len = (uint32_t)v->n;
	el->owner = list;
	el->seq = MB_DICT_LOAD(e->seq);
	mb_dict_cursor c = mb_dict_begin(a, ref, MB_DICT_ELEMENT_ROOM);
	if (mb_dict_write(&c, v->p, v->n))
		join(a, e, ref, left);
	return MB_DICT_OK;
}

int mb_dict_lpush(mb_dict_at *a) { return push(a, 1); }
int mb_dict_rpush(mb_dict_at *a) { return push(a, 0); }

/* Takes the first or the last element out. */
static void leave(mb_dict_at *a, uint32_t list, uint32_t ref, int left)
{
	mb_dict_entry *e = entry(a, list);
	mb_dict_element *el = (mb_dict_element *)mb_dict_block(a, ref);
	uint32_t beside = left ? MB_DICT_LOAD(el->next) : MB_DICT_LOAD(el->prev);
	mb_dict_element *other = beside ? element_at(a, beside) : NULL;
	if (a->damaged)
		return;
	if (!other) {
		mb_dict_remove(a, list);
		return;
	}
	mb_dict_give(a, ref);
	MB_DICT_STORE(*(left ? &other->prev : &other->next), 0);
	MB_DICT_STORE(*(left ? &e->u.list.first : &e->u.list.last), beside);
	MB_DICT_STORE(e->value_len, MB_DICT_LOAD(e->value_len) - 1);
}

static int pop(mb_dict_at *a, int left)
{
	a->op->result = (mb_dict_value){0};
	uint32_t list = mb_dict_living(a);
	if (!list)
		return MB_DICT_NOT_FOUND;
	mb_dict_entry *e = entry(a, list);
	if (MB_DICT_LOAD(e->type) != MB_DICT_LIST)
		return MB_DICT_NOT_LIST;
	mb_dict_touch(a, list);
	uint32_t ref = left ? MB_DICT_LOAD(e->u.list.first) : MB_DICT_LOAD(e->u.list.last);
	mb_dict_element *el = element_at(a, ref);
	if (!el)
		return MB_DICT_OK;
	int r = mb_dict_result(a, ref, MB_DICT_ELEMENT_ROOM, MB_DICT_LOAD(el->type), MB_DICT_LOAD(el->number), 0,
		MB_DICT_LOAD(el->value_len));
	if (!r && !a->damaged)
		leave(a, list, ref, left);
	return r;
}

int mb_dict_lpop(mb_dict_at *a) { return pop(a, 1); }
int mb_dict_rpop(mb_dict_at *a) { return pop(a, 0); }

int mb_dict_llen(mb_dict_at *a)
{
	a->op->count = 0;
	uint32_t list = mb_dict_living(a);
	if (!list)
		return MB_DICT_OK;
	mb_dict_entry *e = entry(a, list);
	if (MB_DICT_LOAD(e->type) != MB_DICT_LIST)
		return MB_DICT_NOT_LIST;
	a->op->count = MB_DICT_LOAD(e->value_len);
	return MB_DICT_OK;
}
