/* SipHash-1-3 (Aumasson and Bernstein): clients may choose keys, and must not be able to choose
 * such that collide. */
#include "dict.h"

#include <string.h>

static inline uint64_t rotate(uint64_t x, int n) { return x << n | x >> (64 - n); }

typedef struct {
	uint64_t a, b, c, d;
} lanes;

static inline void mix(lanes *v)
{
	v->a += v->b;
	v->c += v->d;
	v->b = rotate(v->b, 13) ^ v->a;
	v->d = rotate(v->d, 16) ^ v->c;
	v->a = rotate(v->a, 32) + v->d;
	v->c += v->b;
	v->d = rotate(v->d, 21) ^ v->a;
	v->b = rotate(v->b, 17) ^ v->c;
	v->c = rotate(v->c, 32);
}

static inline void absorb(lanes *v, uint64_t word)
{
	v->d ^= word;
	mix(v);
	v->a ^= word;
}

uint64_t mb_dict_hash(const uint64_t key[2], const void *p, size_t n)
{
	lanes v = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
	           key[1] ^ 0x7465646279746573u};
	const uint8_t *s = p;
	size_t left = n;
	for (; left >= 8; left -= 8, s += 8) {
		uint64_t word;
		memcpy(&word, s, 8);
		absorb(&v, word);
	}
	uint64_t last = (uint64_t)n << 56;
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)s[i] << 8 * i;
	absorb(&v, last);
	v.c ^= 0xff;
	mix(&v);
	mix(&v);
	mix(&v);
	return v.a ^ v.b ^ v.c ^ v.d;
}
