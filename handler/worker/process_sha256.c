/* SHA-256 (FIPS 180-4) and HMAC with it (RFC 2104), for signatures of cookies and the like. They
 * are needed while the script is loaded too, when there is no Go runtime yet. */
#include "process.h"

#include <string.h>

#define BLOCK 64u

typedef struct {
	uint32_t state[8];
	uint64_t length; /* bytes so far */
	uint8_t block[BLOCK];
} hash;

static const uint32_t rounds[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static uint32_t word(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void compress(hash *h, const uint8_t *block)
{
	uint32_t w[64], s[8];
	for (int i = 0; i < 16; i++)
		w[i] = word(block + 4 * i);
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];
		w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
		       (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
	}
	memcpy(s, h->state, sizeof s);
	for (int i = 0; i < 64; i++) {
		uint32_t e = s[4], a = s[0];
		uint32_t t = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & s[5]) ^ (~e & s[6])) +
		             rounds[i] + w[i];
		uint32_t u = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
		memmove(s + 1, s, 7 * sizeof *s);
		s[4] += t;
		s[0] = t + u;
	}
	for (int i = 0; i < 8; i++)
		h->state[i] += s[i];
}

static void begin(hash *h)
{
	static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	memcpy(h->state, start, sizeof start);
	h->length = 0;
}

static void add(hash *h, const void *data, size_t n)
{
	const uint8_t *p = data;
	while (n) {
		size_t at = h->length % BLOCK, k = BLOCK - at < n ? BLOCK - at : n;
		memcpy(h->block + at, p, k);
		h->length += k;
		p += k;
		n -= k;
		if (h->length % BLOCK == 0)
			compress(h, h->block);
	}
}

static void end(hash *h, uint8_t sum[MB_SHA256])
{
	static const uint8_t padding[BLOCK] = {0x80};
	uint8_t bits[8];
	for (int i = 0; i < 8; i++)
		bits[i] = (uint8_t)(h->length * 8 >> (56 - 8 * i));
	add(h, padding, 1 + (119 - h->length % BLOCK) % BLOCK);
	add(h, bits, sizeof bits);
	for (int i = 0; i < MB_SHA256; i++)
		sum[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

void mb_sha256(const void *data, size_t n, uint8_t sum[MB_SHA256])
{
	hash h;
	begin(&h);
	add(&h, data, n);
	end(&h, sum);
}

void mb_hmac_sha256(const void *key, size_t kn, const void *data, size_t n, uint8_t sum[MB_SHA256])
{
	uint8_t pad[BLOCK] = {0};
	hash h;
	if (kn > BLOCK)
		mb_sha256(key, kn, pad);
	else if (kn)
		memcpy(pad, key, kn);
	for (size_t i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36;
	begin(&h);
	add(&h, pad, BLOCK);
	add(&h, data, n);
	end(&h, sum);
	for (size_t i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	begin(&h);
	add(&h, pad, BLOCK);
	add(&h, sum, MB_SHA256);
	end(&h, sum);
}
