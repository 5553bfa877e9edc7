/* Rate limits: GCRA, the generic cell rate algorithm of ITU-T I.371. All that it has to keep is the
 * time at which the bucket is full again, and that is when the entry expires: a single number,
 * stored at once. */
#include "dict.h"

#include <math.h>

int mb_dict_limit(mb_dict_at *a)
{
	mb_dict_op *op = a->op;
	uint32_t ref = mb_dict_living(a);
	mb_dict_entry *e = ref ? (mb_dict_entry *)mb_dict_block(a, ref) : NULL;
	if (e && MB_DICT_LOAD(e->type) != MB_DICT_LIMIT)
		return MB_DICT_NOT_LIMIT;
	int64_t now = mb_dict_now(a), full = e ? MB_DICT_LOAD(e->expires) : now;
	if (full < now)
		full = now;
	double each = 1e9 / op->rate, most = each * op->burst, owed = fmin((double)(full - now), most);
	double after = owed + each * op->cost;
	int allowed = after <= most + 1;
	op->result = (mb_dict_value){.type = MB_DICT_BOOLEAN, .number = (uint64_t)allowed};
	op->left = allowed ? 0 : (int64_t)ceil(after - most);
	op->remaining = fmax(0, floor((most - (allowed ? after : owed)) / each + 1e-9));
	if (e)
		mb_dict_touch(a, ref);
	if (!allowed || a->damaged || op->cost <= 0)
		return MB_DICT_OK;
	int64_t expires = now + (int64_t)ceil(after);
	if (e) {
		MB_DICT_STORE(e->expires, expires);
		return MB_DICT_OK;
	}
	int r = mb_dict_reserve(a, mb_dict_needs(op->key_len, MB_DICT_ENTRY_ROOM), 0);
	if (!r && !a->damaged)
		mb_dict_make(a, &(mb_dict_value){.type = MB_DICT_LIMIT}, expires);
	return r;
}
