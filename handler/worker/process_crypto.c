/* The module moonbridge_crypto: hashes, signatures, random bytes, and secrets that live as long
 * as the server. */
#include "process.h"

#include <string.h>
#include <sys/random.h>

#define RANDOM_MAX (1u << 20)
#define SECRET_BYTES 32u
#define SECRETS "moonbridge secrets" /* the dictionary that the server keeps over reloads */

static void draw(lua_State *L, uint8_t *to, size_t n)
{
	for (size_t k; n; to += k, n -= k) {
		k = n > 256 ? 256 : n; /* what getentropy gives at once */
		if (getentropy(to, k))
			luaL_error(L, "random: the system has no random bytes");
	}
}

static int sha256(lua_State *L)
{
	size_t n;
	uint8_t sum[MB_SHA256];
	const char *s = mb_check_text(L, 1, &n);
	mb_sha256(s, n, sum);
	lua_pushlstring(L, (const char *)sum, sizeof sum);
	return 1;
}

static int hmac_sha256(lua_State *L)
{
	size_t kn, n;
	uint8_t sum[MB_SHA256];
	const char *key = mb_check_text(L, 1, &kn), *s = mb_check_text(L, 2, &n);
	mb_hmac_sha256(key, kn, s, n, sum);
	lua_pushlstring(L, (const char *)sum, sizeof sum);
	return 1;
}

/* How long it takes depends on the lengths only. */
static int equal(lua_State *L)
{
	size_t an, bn;
	const char *a = mb_check_text(L, 1, &an), *b = mb_check_text(L, 2, &bn);
	volatile uint8_t differ = an != bn;
	for (size_t i = 0; i < an && i < bn; i++)
		differ |= (uint8_t)(a[i] ^ b[i]);
	lua_pushboolean(L, !differ);
	return 1;
}

static int random_bytes(lua_State *L)
{
	lua_Number n = luaL_checknumber(L, 1);
	if (!(n >= 1 && n <= RANDOM_MAX))
		return luaL_error(L, "bad argument #1 to 'random' (a number from 1 to %d expected)", (int)RANDOM_MAX);
	uint8_t *b = lua_newuserdata(L, (size_t)n);
	draw(L, b, (size_t)n);
	lua_pushlstring(L, (const char *)b, (size_t)n);
	return 1;
}

/* Whichever process is first stores the secret; all others find it. */
static int secret(lua_State *L)
{
	const mb_dict *d = mb_shared_named(SECRETS);
	uint8_t fresh[SECRET_BYTES];
	mb_buf out = {0};
	mb_dict_op op = {.out = &out};
	mb_own_only();
	op.key = mb_check_text(L, 1, &op.key_len);
	if (!op.key_len || op.key_len > MB_DICTIONARY_NAME_MAX)
		return luaL_error(L, "bad argument #1 to 'secret' (a name of 1 to %d bytes expected)",
			(int)MB_DICTIONARY_NAME_MAX);
	if (!d)
		return luaL_error(L, "secret: moonbridge_crypto has to be loaded while the script is loaded");
	draw(L, fresh, sizeof fresh);
	op.value = (mb_dict_value){.type = MB_DICT_STRING, .p = (const char *)fresh, .n = sizeof fresh};
	int r = mb_dict_run(d, &op, mb_dict_add);
	if (r == MB_DICT_EXISTS)
		r = mb_dict_run(d, &op, mb_dict_get);
	else if (r == MB_DICT_OK)
		op.result = op.value;
	int whole = r == MB_DICT_OK && op.result.type == MB_DICT_STRING && op.result.n == sizeof fresh;
	if (whole)
		memmove(fresh, op.result.p, sizeof fresh);
	mb_buf_free(&out); /* before Lua may have no memory */
	if (!whole)
		return luaL_error(L, "secret: %s", r == MB_DICT_OK ? "it was overwritten" : mb_dict_message(r));
	lua_pushlstring(L, (const char *)fresh, sizeof fresh);
	return 1;
}

int mb_crypto_load(lua_State *L)
{
	static const luaL_Reg f[] = {{"sha256", sha256}, {"hmac_sha256", hmac_sha256}, {"equal", equal},
		{"random", random_bytes}, {"secret", secret}, {NULL, NULL}};
	mb_own_only();
	if (mb_role != MB_ROLE_WORKER && !process.script_ended)
		mb_shared_open_as(L, SECRETS, MB_DICTIONARY_MIN, 1);
	return mb_push_functions(L, f);
}
