package worker

/*
#include "dict.h"
#include <stdlib.h>

// What an operation gets and returns, without pointers to Go's memory.
typedef struct {
	int type, old_type, has_ttl;
	uint64_t number, old_number;
	int64_t ttl;
	double rate, burst, cost;

	int result_type;
	uint64_t result_number;
	int64_t left;
	double remaining;
	uint32_t count;
	int evicted;
	mb_buf out;
} dict_call;

typedef int (*dict_what)(mb_dict_at *);

static int dict_do(const mb_dict *d, int what, dict_call *c, const char *key, size_t key_len, const char *value,
	size_t value_len, const char *old, size_t old_len)
{
	static const dict_what operations[] = {
		mb_dict_get, mb_dict_set, mb_dict_add, mb_dict_replace, mb_dict_cas, mb_dict_incr, mb_dict_delete, mb_dict_expire,
		mb_dict_ttl, mb_dict_lpush, mb_dict_rpush, mb_dict_lpop, mb_dict_rpop, mb_dict_llen, mb_dict_limit};
	mb_dict_op op = {
		.key = key, .key_len = key_len, .value = {c->type, c->number, value, value_len},
		.old = {c->old_type, c->old_number, old, old_len}, .has_ttl = c->has_ttl, .ttl = c->ttl, .rate = c->rate,
		.burst = c->burst, .cost = c->cost, .out = &c->out};
	int r = mb_dict_run(d, &op, operations[what]);
	c->result_type = op.result.type;
	c->result_number = op.result.number;
	c->left = op.left;
	c->remaining = op.remaining;
	c->count = op.count;
	c->evicted = op.evicted;
	return r;
}
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"time"
	"unsafe"

	"moonbridge/handler/shm"
)

// Dict is a shared dictionary in this process: what scripts have as the result of shared() of the module moonbridge_shared.
// Values are strings, numbers (float64 or int64) and booleans. Its methods can be called by several goroutines at once, but
// none after Close. They may wait for a worker that is in the same part of the dictionary, so they do not belong on a loop.
type Dict struct {
	d    C.mb_dict
	size uint64
}

// Errors of Dict.
var (
	ErrDictNotFound  = errors.New(C.GoString(C.mb_dict_message(C.MB_DICT_NOT_FOUND)))
	ErrDictExists    = errors.New(C.GoString(C.mb_dict_message(C.MB_DICT_EXISTS)))
	ErrDictNotEqual  = errors.New(C.GoString(C.mb_dict_message(C.MB_DICT_NOT_EQUAL)))
	ErrDictNotNumber = errors.New(C.GoString(C.mb_dict_message(C.MB_DICT_NOT_NUMBER)))
	ErrDictNotList   = errors.New(C.GoString(C.mb_dict_message(C.MB_DICT_NOT_LIST)))
	ErrDictIsList    = errors.New(C.GoString(C.mb_dict_message(C.MB_DICT_IS_LIST)))
	ErrDictNotLimit  = errors.New(C.GoString(C.mb_dict_message(C.MB_DICT_NOT_LIMIT)))
	ErrDictNoMemory  = errors.New(C.GoString(C.mb_dict_message(C.MB_DICT_NO_MEMORY)))
	ErrDictTooLarge  = errors.New(C.GoString(C.mb_dict_message(C.MB_DICT_TOO_LARGE)))
	ErrDictBroken    = errors.New(C.GoString(C.mb_dict_message(C.MB_DICT_BROKEN)))
)

var dictErrors = []error{nil, ErrDictNotFound, ErrDictExists, ErrDictNotEqual, ErrDictNotNumber, ErrDictNotList, ErrDictIsList,
	ErrDictNotLimit, ErrDictNoMemory, ErrDictTooLarge, ErrDictBroken}

// dictOp numbers the operations as dict_do has them.
type dictOp int

const (
	dictGet dictOp = iota
	dictSet
	dictAdd
	dictReplace
	dictCAS
	dictIncr
	dictDelete
	dictExpire
	dictTTL
	dictLPush
	dictRPush
	dictLPop
	dictRPop
	dictLLen
	dictLimit
)

// OpenDict maps the memory of a dictionary.
func OpenDict(m *shm.Dictionary) (*Dict, error) { return openDict(m.File, m.Size, m.Key) }

func openDict(f *os.File, size uint64, hash [2]uint64) (*Dict, error) {
	d := &Dict{size: size}
	key := [2]C.uint64_t{C.uint64_t(hash[0]), C.uint64_t(hash[1])}
	if e := C.mb_dict_open(&d.d, C.int(f.Fd()), C.uint64_t(size), &key[0]); e != nil {
		return nil, fmt.Errorf("dictionary of %d bytes: %s", size, C.GoString(e))
	}
	return d, nil
}

// Close unmaps the memory. The dictionary lives on while others have it.
func (d *Dict) Close() { C.mb_dict_close(&d.d) }

// chars is the memory of a string, which must live as long as the call. No string is nil.
func chars(s string) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

// split returns a value as C has it.
func split(v any) (typ C.int, number C.uint64_t, text string, err error) {
	switch v := v.(type) {
	case nil:
		return C.MB_DICT_NIL, 0, "", nil
	case string:
		return C.MB_DICT_STRING, 0, v, nil
	case float64:
		return C.MB_DICT_NUMBER, C.uint64_t(math.Float64bits(v)), "", nil
	case int64:
		return C.MB_DICT_INTEGER, C.uint64_t(v), "", nil
	case bool:
		if v {
			number = 1
		}
		return C.MB_DICT_BOOLEAN, number, "", nil
	}
	return 0, 0, "", fmt.Errorf("a dictionary cannot hold a %T", v)
}

// do runs an operation. Its result is in c; text is a string of it.
func (d *Dict) do(what dictOp, key string, value, old any, c *C.dict_call) (result any, err error) {
	if len(key) == 0 || len(key) > C.MB_DICT_KEY_MAX {
		return nil, fmt.Errorf("a key of %d bytes: it has to have 1 to %d", len(key), C.MB_DICT_KEY_MAX)
	}
	var text, oldText string
	if c._type, c.number, text, err = split(value); err != nil {
		return nil, err
	}
	if c.old_type, c.old_number, oldText, err = split(old); err != nil {
		return nil, err
	}
	k, kn := chars(key)
	v, vn := chars(text)
	o, on := chars(oldText)
	r := C.dict_do(&d.d, C.int(what), c, k, kn, v, vn, o, on)
	defer C.mb_buf_free(&c.out)
	if r != C.MB_DICT_OK {
		return nil, dictErrors[r]
	}
	switch c.result_type {
	case C.MB_DICT_STRING:
		return C.GoStringN((*C.char)(unsafe.Pointer(c.out.p)), C.int(c.out.len)), nil
	case C.MB_DICT_NUMBER:
		return math.Float64frombits(uint64(c.result_number)), nil
	case C.MB_DICT_INTEGER:
		return int64(c.result_number), nil
	case C.MB_DICT_BOOLEAN:
		return c.result_number != 0, nil
	case C.MB_DICT_LIMIT:
		return true, nil
	}
	return nil, nil
}

func (d *Dict) store(what dictOp, key string, value any, ttl time.Duration) error {
	_, err := d.do(what, key, value, nil, &C.dict_call{ttl: C.int64_t(ttl), has_ttl: 1})
	return err
}

// Get returns a value, or ErrDictNotFound.
func (d *Dict) Get(key string) (any, error) { return d.do(dictGet, key, nil, nil, &C.dict_call{}) }

// Set stores a value for the time ttl; 0: for ever. nil removes the item.
func (d *Dict) Set(key string, value any, ttl time.Duration) error {
	return d.store(dictSet, key, value, ttl)
}

// Add is Set for a key that does not exist. Otherwise it returns ErrDictExists.
func (d *Dict) Add(key string, value any, ttl time.Duration) error {
	return d.store(dictAdd, key, value, ttl)
}

// Replace is Set for a key that exists. Otherwise it returns ErrDictNotFound.
func (d *Dict) Replace(key string, value any, ttl time.Duration) error {
	return d.store(dictReplace, key, value, ttl)
}

// CAS stores a value if the old one is as given; nil: if there is none. The item keeps its time to live.
func (d *Dict) CAS(key string, old, value any) error {
	_, err := d.do(dictCAS, key, value, old, &C.dict_call{})
	return err
}

// Incr adds to a number, and returns the sum. If the key does not exist, it begins with first, for the time ttl; nil:
// ErrDictNotFound.
func (d *Dict) Incr(key string, by, first any, ttl time.Duration) (any, error) {
	return d.do(dictIncr, key, by, first, &C.dict_call{ttl: C.int64_t(ttl), has_ttl: 1})
}

// Delete removes an item, or returns ErrDictNotFound.
func (d *Dict) Delete(key string) error {
	_, err := d.do(dictDelete, key, nil, nil, &C.dict_call{})
	return err
}

// Expire sets for how long an item remains; 0: for ever.
func (d *Dict) Expire(key string, ttl time.Duration) error {
	return d.store(dictExpire, key, nil, ttl)
}

// TTL returns for how long an item remains; 0: for ever.
func (d *Dict) TTL(key string) (time.Duration, error) {
	var c C.dict_call
	_, err := d.do(dictTTL, key, nil, nil, &c)
	return time.Duration(c.left), err
}

// push returns the length of the list.
func (d *Dict) push(what dictOp, key string, value any) (int, error) {
	var c C.dict_call
	_, err := d.do(what, key, value, nil, &c)
	return int(c.count), err
}

// LPush puts a value before the first one of a list, and returns its length. The list is made if there is none.
func (d *Dict) LPush(key string, value any) (int, error) { return d.push(dictLPush, key, value) }

// RPush is LPush for the other end.
func (d *Dict) RPush(key string, value any) (int, error) { return d.push(dictRPush, key, value) }

// LPop removes the first value of a list and returns it, or ErrDictNotFound.
func (d *Dict) LPop(key string) (any, error) {
	return d.do(dictLPop, key, nil, nil, &C.dict_call{})
}

// RPop is LPop for the other end.
func (d *Dict) RPop(key string) (any, error) {
	return d.do(dictRPop, key, nil, nil, &C.dict_call{})
}

// LLen returns the length of a list; 0: there is none.
func (d *Dict) LLen(key string) (int, error) { return d.push(dictLLen, key, nil) }

// Limit counts cost towards a limit of rate per second, of which burst may come at once. If it is not allowed, nothing is
// counted, and retry says when it will be. remaining is how many are left at once.
func (d *Dict) Limit(key string, rate, burst, cost float64) (allowed bool, retry time.Duration, remaining int, err error) {
	c := C.dict_call{rate: C.double(rate), burst: C.double(burst), cost: C.double(cost)}
	_, err = d.do(dictLimit, key, nil, nil, &c)
	return err == nil && c.result_number != 0, time.Duration(c.left), int(c.remaining), err
}

// Keys returns up to limit keys; 0: all.
func (d *Dict) Keys(limit int) []string {
	n := C.uint32_t(math.MaxUint32)
	if limit > 0 && limit < math.MaxUint32 {
		n = C.uint32_t(limit)
	}
	var out C.mb_buf
	defer C.mb_buf_free(&out)
	if C.mb_dict_keys(&d.d, n, &out) <= 0 {
		return nil
	}
	var keys []string
	for b := unsafe.Slice((*byte)(unsafe.Pointer(out.p)), int(out.len)); len(b) > 0; { // there may be more than a C.int can count
		k := 4 + binary.NativeEndian.Uint32(b)
		keys = append(keys, string(b[4:k]))
		b = b[k:]
	}
	return keys
}

// Flush removes everything, and gives the memory back to the system.
func (d *Dict) Flush() { C.mb_dict_flush(&d.d) }

// DictStats are figures of a dictionary.
type DictStats struct {
	Capacity, Free             uint64 // bytes of items
	Entries                    uint64
	Evicted, Expired, Repaired uint64 // items; times that a part was rebuilt after the death of a process in it
}

// Stats returns the figures.
func (d *Dict) Stats() DictStats {
	var s C.mb_dict_stats
	C.mb_dict_count(&d.d, &s)
	return DictStats{uint64(s.capacity), uint64(s.free), uint64(s.entries), uint64(s.evicted), uint64(s.expired), uint64(s.repaired)}
}

// skew moves the clock of this process for the dictionary, which stands still from the first call on: tests let time pass with
// it.
func (d *Dict) skew(by time.Duration) {
	if d.d.fixed == 0 {
		d.d.fixed = C.int64_t(365 * 24 * time.Hour)
	}
	d.d.fixed += C.int64_t(by)
}
