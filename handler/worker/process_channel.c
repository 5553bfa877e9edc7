/* The module moonbridge_channel: workers publish to channels, and ask about them, on a socket
 * of its own. */
#include "process.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* Far longer than the server needs. A worker must not wait for one that hangs. */
#define ASK_SECONDS 2

#define TIME_MIN 0.001 /* seconds */
#define AGE_MAX  (7 * 86400.0)
#define SLOW_MAX 3600.0
#define CHANNEL_NAME_MAX 255 /* bytes; an event, an id and a key, too */
#define CHANNEL_DATA_MAX (256 << 10)

static int sock = -1;

static const char no_answer[] = "the server does not answer";

/* --- the socket ---------------------------------------------------------------------- */

static void hang_up(void)
{
	close(sock);
	sock = -1;
}

/* Gives the server one end of a pair. Returns NULL, or what is wrong. */
static const char *call_server(void)
{
	struct timeval t = {.tv_sec = ASK_SECONDS};
	int fds[2];
	if (sock >= 0)
		return NULL;
	if (!mb_message_room(process.control, ASK_SECONDS))
		return no_answer;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return strerror(errno);
	setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
	const char *why = mb_message_pass(process.control, MB_MSG_CHANNELS, NULL, 0, fds[1]) ? strerror(errno) : NULL;
	close(fds[1]);
	sock = fds[0]; /* the caller hangs up if that has failed */
	return why;
}

static int send_all(const void *p, size_t n)
{
	while (n) {
		ssize_t k = send(sock, p, n, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -1;
		p = (const char *)p + k;
		n -= (size_t)k;
	}
	return 0;
}

static int receive_all(void *p, size_t n)
{
	while (n) {
		ssize_t k = recv(sock, p, n, 0);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -1;
		p = (char *)p + k;
		n -= (size_t)k;
	}
	return 0;
}

/* --- questions -------------------------------------------------------------------------- */

typedef struct {
	const char *p;
	size_t n;
} text;

typedef struct {
	uint32_t type, max;
	text name, event, id, key, data;
} question;

static int send_text(const text *t) { return t->n ? send_all(t->p, t->n) : 0; }

static int send_question(const question *q)
{
	struct {
		mb_msg m;
		mb_ask a;
	} h = {{q->type, (uint32_t)(sizeof(mb_ask) + q->name.n + q->event.n + q->id.n + q->key.n + q->data.n)},
		{(uint32_t)q->name.n, (uint32_t)q->event.n, (uint32_t)q->id.n, (uint32_t)q->key.n, q->max, 0}};
	return send_all(&h, sizeof h) || send_text(&q->name) || send_text(&q->event) || send_text(&q->id) ||
	       send_text(&q->key) || send_text(&q->data);
}

/* Sends a question, and receives the answer into m and b. Returns NULL, or what is wrong. */
static const char *converse(const question *q, mb_msg *m, mb_buf *b)
{
	const char *why = call_server();
	if (why)
		return why;
	if (send_question(q) || receive_all(m, sizeof *m) || m->len > MB_MSG_MAX)
		return no_answer;
	if (mb_buf_room(b, m->len + 1))
		return "not enough memory";
	if (receive_all(b->p, m->len))
		return no_answer;
	b->len = m->len;
	return NULL;
}

static int fail(lua_State *L, const char *s, size_t n)
{
	lua_pushnil(L);
	lua_pushlstring(L, s, n);
	return 2;
}

static int fail_with(lua_State *L, const char *s) { return fail(L, s, strlen(s)); }

static int fail_and_hang_up(lua_State *L, const char *s)
{
	if (sock >= 0)
		hang_up(); /* what comes late would be taken for the next answer */
	return fail_with(L, s);
}

static int read_error(lua_State *L)
{
	const mb_buf *b = lua_touserdata(L, 1);
	return fail(L, (const char *)b->p, b->len);
}

/* Asks, and has read push what the answer says: it gets a mb_buf, and pushes nothing if the answer is malformed. Returns the
 * number of results; nil and a message if there is no answer. The answer is in memory of C: nothing of Lua runs before all of it has been
 * received, so that neither an error nor a finalizer that asks, too, leaves the rest on the socket. */
static int ask(lua_State *L, const question *q, lua_CFunction read)
{
	mb_msg m;
	mb_buf b = {0};
	int top = lua_gettop(L);
	mb_output_await_earlier();
	const char *why = converse(q, &m, &b);
	if (why) {
		mb_buf_free(&b);
		return fail_and_hang_up(L, why);
	}
	int failed = mb_call_kept(L, m.type == MB_ANSWER ? read : read_error, &b, LUA_MULTRET);
	mb_buf_free(&b);
	if (failed)
		return lua_error(L);
	int results = lua_gettop(L) - top;
	return results ? results : fail_and_hang_up(L, no_answer);
}

/* Copies the next n bytes of an answer. */
static int take(const uint8_t **p, size_t *left, void *to, size_t n)
{
	if (*left < n)
		return -1;
	memcpy(to, *p, n);
	*p += n;
	*left -= n;
	return 0;
}

static void check_role(lua_State *L, const char *name)
{
	mb_own_only();
	if (mb_role != MB_ROLE_WORKER)
		luaL_error(L, "moonbridge_channel.%s works in handlers, timers and prepare only", name);
}

static text check_text(lua_State *L, int i, const char *name)
{
	text t;
	if (lua_type(L, i) != LUA_TSTRING && lua_type(L, i) != LUA_TNUMBER)
		luaL_error(L, "moonbridge_channel.%s: bad argument #%d (string expected, got %s)", name, i, luaL_typename(L, i));
	t.p = lua_tolstring(L, i, &t.n);
	return t;
}

/* The same for a text that the application chooses: a longer one is a mistake of its author. */
static text check_short_text(lua_State *L, int i, const char *name, size_t max)
{
	text t = check_text(L, i, name);
	if (t.n > max)
		luaL_error(L, "moonbridge_channel.%s: argument #%d has more than %d bytes", name, i, (int)max);
	return t;
}

/* Asks about the channel q->name. Names, ids and keys may come from a client, so the server checks them. What is longer than the
 * server allows needs not be sent for that. */
static int ask_about(lua_State *L, const question *q, lua_CFunction read)
{
	if (q->name.n > CHANNEL_NAME_MAX)
		return fail_with(L, "the name of a channel has 1 to 255 bytes, without control characters and '*'");
	return ask(L, q, read);
}

/* --- functions ----------------------------------------------------------------------------- */

/* Reads the options of publish, which are at index 3. */
static void publish_options(lua_State *L, question *q)
{
	static const char *const names[] = {"id", "event", "key", NULL};
	text *const to[] = {&q->id, &q->event, &q->key};
	if (lua_isnoneornil(L, 3))
		return;
	luaL_checktype(L, 3, LUA_TTABLE);
	for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
		const char *s = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
		int i = mb_key_among(L, names);
		if (i < 0)
			luaL_error(L, "moonbridge_channel.publish: unknown option '%s' (there are id, event and key)", s);
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "moonbridge_channel.publish: option %s: string expected, got %s", s, luaL_typename(L, -1));
		to[i]->p = lua_tolstring(L, -1, &to[i]->n); /* the table keeps it */
	}
}

static int read_number(lua_State *L)
{
	const mb_buf *b = lua_touserdata(L, 1);
	uint64_t count;
	if (b->len < sizeof count)
		return 0;
	memcpy(&count, b->p, sizeof count);
	lua_pushinteger(L, (lua_Integer)count);
	return 1;
}

/* publish(name, data [, options]): the number of subscribers. */
static int publish(lua_State *L)
{
	question q = {.type = MB_ASK_PUBLISH};
	check_role(L, "publish");
	q.name = check_text(L, 1, "publish");
	q.data = check_short_text(L, 2, "publish", CHANNEL_DATA_MAX);
	publish_options(L, &q);
	if (q.event.n > CHANNEL_NAME_MAX || q.id.n > CHANNEL_NAME_MAX || q.key.n > CHANNEL_NAME_MAX)
		return fail_with(L, "an event, an id and a key have at most 255 bytes, without control characters");
	return ask_about(L, &q, read_number);
}

int mb_ask_number(lua_State *L, uint32_t type, uint32_t max, const char *name, size_t name_len, const char *data, size_t data_len)
{
	question q = {.type = type, .max = max, .name = {name, name_len}, .data = {data, data_len}};
	return ask(L, &q, read_number);
}

static int count(lua_State *L)
{
	question q = {.type = MB_ASK_COUNT};
	check_role(L, "count");
	q.name = check_text(L, 1, "count");
	return ask_about(L, &q, read_number);
}

/* The optional argument that bounds an answer. 0: it is not given. */
static uint32_t check_max(lua_State *L, int i, const char *name)
{
	if (lua_isnoneornil(L, i))
		return 0;
	lua_Number n = luaL_checknumber(L, i);
	if (!(n >= 1))
		luaL_error(L, "moonbridge_channel.%s: bad argument #%d (max must be at least 1)", name, i);
	return n < 1e9 ? (uint32_t)n : 1000000000u;
}

static int read_presence(lua_State *L)
{
	const mb_buf *b = lua_touserdata(L, 1);
	const uint8_t *p = b->p;
	size_t n = b->len;
	mb_answer_key k;
	lua_newtable(L);
	while (n) {
		if (take(&p, &n, &k, sizeof k) || k.len > n)
			return 0;
		lua_pushlstring(L, (const char *)p, k.len);
		lua_pushinteger(L, (lua_Integer)k.count);
		lua_rawset(L, -3);
		p += k.len;
		n -= k.len;
	}
	return 1;
}

/* presence(name [, max]): a table with the number of subscribers for each key. */
static int presence(lua_State *L)
{
	question q = {.type = MB_ASK_PRESENCE};
	check_role(L, "presence");
	q.name = check_text(L, 1, "presence");
	q.max = check_max(L, 2, "presence");
	return ask_about(L, &q, read_presence);
}

static int take_field(lua_State *L, const uint8_t **p, size_t *n, uint32_t len, const char *name, int always)
{
	if (len > *n)
		return -1;
	if (len || always) {
		lua_pushlstring(L, (const char *)*p, len);
		lua_setfield(L, -2, name);
	}
	*p += len;
	*n -= len;
	return 0;
}

/* Pushes a table for the next message of an answer. */
static int take_message(lua_State *L, const uint8_t **p, size_t *n)
{
	mb_answer_message m;
	if (take(p, n, &m, sizeof m))
		return -1;
	lua_createtable(L, 0, 5);
	lua_pushnumber(L, (lua_Number)m.time_ms / 1000);
	lua_setfield(L, -2, "time");
	return take_field(L, p, n, m.id_len, "id", 1) || take_field(L, p, n, m.event_len, "event", 0) ||
	       take_field(L, p, n, m.key_len, "key", 0) || take_field(L, p, n, m.data_len, "data", 1) ? -1 : 0;
}

static int read_history(lua_State *L)
{
	const mb_buf *b = lua_touserdata(L, 1);
	const uint8_t *p = b->p;
	size_t n = b->len;
	uint64_t complete;
	if (take(&p, &n, &complete, sizeof complete))
		return 0;
	lua_newtable(L);
	for (int i = 1; n; i++) {
		if (take_message(L, &p, &n))
			return 0;
		lua_rawseti(L, -2, i);
	}
	lua_pushboolean(L, complete != 0);
	return 2;
}

/* history(name [, last_id [, max]]): a list of messages, and whether none is missing before the first. */
static int history(lua_State *L)
{
	question q = {.type = MB_ASK_HISTORY};
	check_role(L, "history");
	q.name = check_text(L, 1, "history");
	if (!lua_isnoneornil(L, 2))
		q.id = check_text(L, 2, "history");
	if (q.id.n > MB_LAST_ID_MAX)
		q.id.n = MB_LAST_ID_MAX;
	q.max = check_max(L, 3, "history");
	return ask_about(L, &q, read_history);
}

static int read_position(lua_State *L)
{
	const mb_buf *b = lua_touserdata(L, 1);
	lua_pushlstring(L, (const char *)b->p, b->len);
	return 1;
}

/* last_id(): the id of the last message of all channels. */
static int last_id(lua_State *L)
{
	question q = {.type = MB_ASK_POSITION};
	check_role(L, "last_id");
	return ask(L, &q, read_position);
}

/* --- declare ---------------------------------------------------------------------------------- */

/* The number of a field of the table on top; 0: not given. */
static double number_field(lua_State *L, const char *name, double min, double max)
{
	double x = 0;
	lua_getfield(L, -1, name);
	if (!lua_isnil(L, -1)) {
		x = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
		if (!(x >= min && x <= max)) {
			char least[16];
			snprintf(least, sizeof least, "%g", min); /* Lua's own formats differ */
			luaL_error(L, "moonbridge_channel.declare: '%s' must be a number from %s to %d", name, least, (int)max);
		}
	}
	lua_pop(L, 1);
	return x;
}

/* Raises an error if the table on top has other fields. */
static void known_fields(lua_State *L, const char *const *known, const char *what)
{
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		if (mb_key_among(L, known) < 0)
			luaL_error(L, "moonbridge_channel.declare: unknown %s '%s'", what,
				lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "");
	}
}

static void declare_history(lua_State *L, mb_msg_declare *d)
{
	static const char *const known[] = {"messages", "bytes", "seconds", NULL};
	lua_getfield(L, 2, "history");
	if (!lua_isnil(L, -1)) {
		if (!lua_istable(L, -1))
			luaL_error(L, "moonbridge_channel.declare: 'history' must be a table");
		known_fields(L, known, "field of history");
		d->messages = (uint32_t)number_field(L, "messages", 1, 100000);
		d->bytes = (uint64_t)number_field(L, "bytes", 1, 64 << 20);
		d->age_ms = (uint64_t)(number_field(L, "seconds", TIME_MIN, AGE_MAX) * 1000);
		if (!d->messages)
			luaL_error(L, "moonbridge_channel.declare: a history needs 'messages'");
	}
	lua_pop(L, 1);
}

static void read_rule(lua_State *L, mb_msg_declare *d)
{
	static const char *const known[] = {"history", "presence", "slow", NULL};
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	known_fields(L, known, "option");
	declare_history(L, d);
	d->slow_ms = (uint64_t)(number_field(L, "slow", TIME_MIN, SLOW_MAX) * 1000);
	lua_getfield(L, 2, "presence");
	if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
		luaL_error(L, "moonbridge_channel.declare: 'presence' must be a boolean");
	d->presence = (uint32_t)lua_toboolean(L, -1);
	lua_pop(L, 1);
}

/* declare(pattern, options): while the script is loaded. */
static int declare(lua_State *L)
{
	mb_own_only();
	if (mb_role == MB_ROLE_WORKER || process.script_ended)
		return luaL_error(L, "moonbridge_channel.declare can only be called while the script is loaded");
	mb_msg_declare d = {0};
	uint8_t message[sizeof d + CHANNEL_NAME_MAX];
	text pattern = check_short_text(L, 1, "declare", CHANNEL_NAME_MAX);
	read_rule(L, &d);
	memcpy(message, &d, sizeof d);
	memcpy(message + sizeof d, pattern.p, pattern.n);
	if (!mb_ask_server(L, "moonbridge_channel.declare", MB_MSG_DECLARE, message, sizeof d + pattern.n, MB_MSG_LISTEN_OK, NULL, 0, NULL))
		return luaL_error(L, "moonbridge_channel.declare: %s", lua_tostring(L, -1));
	return 0;
}

int mb_channel_load(lua_State *L)
{
	static const luaL_Reg f[] = {{"declare", declare}, {"publish", publish}, {"count", count}, {"presence", presence},
		{"history", history}, {"last_id", last_id}, {NULL, NULL}};
	static const lua_CFunction kept[] = {read_error, read_number, read_presence, read_history, read_position};
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		mb_keep_function(L, kept[i]);
	return mb_push_functions(L, f);
}
