/* A tester: a process that is forked to run tests, from a file or as the option selftest of a pool.
 * The module moonbridge.test.run runs them. It gets one function from here, ask, which sends the
 * server a question and returns the answer: requests to the application, and what has become of a
 * test. Both are lists of strings.
 *
 * The process has the state of the script, as a worker has, but neither shared memory nor exchanges. */
#include "process.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Sends a list in as many messages as it needs. */
static int send_list(const char *p, size_t n)
{
	for (; n > MB_MSG_MAX; p += MB_MSG_MAX, n -= MB_MSG_MAX)
		if (mb_message_send(process.control, MB_MSG_ASK_PART, p, MB_MSG_MAX))
			return -1;
	return mb_message_send(process.control, MB_MSG_ASK, p, n);
}

/* Receives one message of a list. Returns its type, or 0 if the server is gone. */
static uint32_t receive_part(mb_buf *b)
{
	mb_msg m;
	uint8_t *payload = NULL;
	int fds[MB_FDS_MAX], nfds;
	if (mb_message_receive(process.control, &m, &payload, fds, &nfds) != 1)
		return 0;
	mb_close_all(fds, nfds);
	int full = mb_buf_add(b, payload, m.len);
	free(payload);
	return full ? 0 : m.type;
}

static int receive_list(mb_buf *b)
{
	uint32_t type;
	do
		type = receive_part(b);
	while (type == MB_MSG_ASK_PART && b->len < MB_ASK_LIST_MAX);
	return type == MB_MSG_ASK ? 0 : -1;
}

/* Pushes the strings of a list. Returns how many, or -1. */
static int push_list(lua_State *L, const mb_buf *b)
{
	int count = 0;
	for (size_t at = 0; at < b->len; count++) {
		uint32_t n;
		if (b->len - at < sizeof n)
			return -1;
		memcpy(&n, b->p + at, sizeof n);
		at += sizeof n;
		if (n > b->len - at || !lua_checkstack(L, 2))
			return -1;
		lua_pushlstring(L, (const char *)b->p + at, n);
		at += n;
	}
	return count;
}

static int add_string(mb_buf *b, const char *s, size_t n)
{
	uint32_t len = (uint32_t)n;
	return n > MB_ASK_LIST_MAX || b->len + n > MB_ASK_LIST_MAX || mb_buf_add(b, &len, sizeof len) || mb_buf_add(b, s, n);
}

/* ask(string…) → string…. The buffers are lost if Lua has no memory: then the process ends. */
static int ask(lua_State *L)
{
	mb_own_only();
	mb_buf b = {0};
	int n = lua_gettop(L), failed = 0;
	for (int i = 1; i <= n && !failed; i++) {
		size_t len;
		const char *s = luaL_checklstring(L, i, &len);
		failed = add_string(&b, s, len);
	}
	if (failed) {
		mb_buf_free(&b);
		return luaL_error(L, "more than %d bytes in a request of a test", (int)MB_ASK_LIST_MAX);
	}
	failed = send_list((const char *)b.p, b.len);
	b.len = 0;
	if (failed || receive_list(&b))
		_exit(1); /* the server is gone, or does not want to hear more */
	lua_settop(L, 0);
	n = push_list(L, &b);
	mb_buf_free(&b);
	return n < 0 ? luaL_error(L, "malformed answer") : n;
}

/* The text of an error in moonbridge.test.run itself is on top. */
static int broken(lua_State *L)
{
	size_t n;
	const char *s = mb_error_text(L, &n);
	mb_message_send(process.control, MB_MSG_FAILED, s, n > MB_TEXT_MAX ? MB_TEXT_MAX : n);
	return 1;
}

int mb_tester_run(const mb_pool *p, const char *file)
{
	lua_State *L = process.L;
	lua_settop(L, 0);
	mb_random_seed(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, process.traceback_ref);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "moonbridge.test.run");
	int failed = lua_pcall(L, 1, 1, 1);
	if (!failed) {
		lua_pushcfunction(L, ask);
		if (file)
			lua_pushstring(L, file);
		else
			lua_rawgeti(L, LUA_REGISTRYINDEX, p ? p->selftest : LUA_REFNIL);
		failed = lua_pcall(L, 2, 0, 1);
		mb_own_only_after(L, failed);
	}
	int code = failed ? broken(L) : 0;
	if (!failed)
		mb_message_send(process.control, MB_MSG_TESTED, NULL, 0);
	fflush(NULL);
	mb_files_report();
	return code;
}
