/* request:send_file and request:not_modified. What is answered is decided in Go, as for all files
 * (package files). The descriptor goes to the server, which sends the file, so that the worker
 * is free. */
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mb_file_answer answer; /* its memory is used again */

/* --- options --------------------------------------------------------------------- */

enum { TYPE, DOWNLOAD, ETAG, LAST_MODIFIED, MAX_AGE, DELETE, OPTIONS };
static const struct {
	const char *name;
	int type;
} known[OPTIONS] = {
	[TYPE] = {"type", LUA_TSTRING}, [DOWNLOAD] = {"download", LUA_TSTRING}, [ETAG] = {"etag", LUA_TSTRING},
	[LAST_MODIFIED] = {"last_modified", LUA_TNUMBER}, [MAX_AGE] = {"max_age", LUA_TNUMBER},
	[DELETE] = {"delete", LUA_TBOOLEAN}};

typedef struct {
	mb_text text[OPTIONS];
	double number[OPTIONS]; /* below 0: not given */
	int delete;
} options;

static int find_option(const char *name)
{
	int i = 0;
	while (i < OPTIONS && strcmp(known[i].name, name))
		i++;
	return i;
}

/* Reads the option whose name and value are on top. used: a bit for each that the method has. */
static void read_option(lua_State *L, const char *verb, unsigned used, options *o)
{
	if (lua_type(L, -2) != LUA_TSTRING)
		luaL_error(L, "%s: the names of options are strings", verb);
	const char *name = lua_tostring(L, -2);
	int i = find_option(name), type = lua_type(L, -1);
	if (i == OPTIONS || !(used >> i & 1))
		luaL_error(L, "%s: there is no option '%s'", verb, name);
	if (type != known[i].type)
		luaL_error(L, "%s: the option '%s' must be a %s, not a %s", verb, name,
			lua_typename(L, known[i].type), lua_typename(L, type));
	if (type == LUA_TSTRING) {
		o->text[i].p = lua_tolstring(L, -1, &o->text[i].n); /* read_options keeps it */
	} else if (type == LUA_TBOOLEAN) {
		o->delete = lua_toboolean(L, -1);
	} else {
		double x = lua_tonumber(L, -1);
		if (!(x >= 0 && x <= 9e9))
			luaL_error(L, "%s: the option '%s' must be a number of seconds", verb, name);
		o->number[i] = x;
	}
}

/* The values stay on the stack, so that their text stays valid if code of the application takes them out of the table meanwhile. */
static void read_options(lua_State *L, int at, const char *verb, unsigned used, options *o)
{
	memset(o, 0, sizeof *o);
	o->number[LAST_MODIFIED] = o->number[MAX_AGE] = -1;
	if (lua_isnoneornil(L, at))
		return;
	if (!lua_istable(L, at))
		luaL_error(L, "%s: its options are a table, not a %s", verb, luaL_typename(L, at));
	lua_pushnil(L);
	while (lua_next(L, at)) {
		read_option(L, verb, used, o);
		lua_insert(L, -2); /* below the key, which lua_next takes */
	}
}

/* --- the file --------------------------------------------------------------------- */

typedef struct {
	int fd;
	int own; /* it was opened here */
	const char *path; /* NULL: it is that of a handle */
	struct stat st;
} source;

/* LuaJIT and Lua begin their handles with the same member. Lua marks a closed one in the next. */
static FILE *stdio_of(lua_State *L)
{
#if LUA_VERSION_NUM >= 502
	luaL_Stream *s = luaL_checkudata(L, 2, LUA_FILEHANDLE);
	FILE *f = s->closef ? s->f : NULL;
#else
	FILE *f = *(FILE **)luaL_checkudata(L, 2, LUA_FILEHANDLE);
#endif
	if (!f)
		luaL_error(L, "send_file: the file is closed");
	return f;
}

static void use_handle(lua_State *L, source *s)
{
	FILE *f = stdio_of(L);
	if (fflush(f) && errno != EBADF)
		luaL_error(L, "send_file: %s", strerror(errno));
	s->fd = fileno(f);
	int flags = s->fd < 0 ? -1 : fcntl(s->fd, F_GETFL);
	if (flags < 0)
		luaL_error(L, "send_file: %s", strerror(errno));
	if ((flags & O_ACCMODE) == O_WRONLY)
		luaL_error(L, "send_file: the file is open for writing only");
}

/* It does not wait for a writer of a FIFO. */
static void open_path(lua_State *L, source *s)
{
	size_t n;
	s->path = lua_tolstring(L, 2, &n);
	if (strlen(s->path) != n)
		luaL_error(L, "send_file: the path contains a NUL");
	do
		s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	while (s->fd < 0 && errno == EINTR);
	if (s->fd < 0)
		luaL_error(L, "send_file: %s: %s", s->path, strerror(errno));
	s->own = 1;
}

static void close_source(source *s)
{
	if (s->own)
		close(s->fd);
}

/* Raises an error about the file, and closes it. */
static void source_error(lua_State *L, source *s, const char *what)
{
	close_source(s);
	if (s->path)
		luaL_error(L, "send_file: %s: %s", s->path, what);
	luaL_error(L, "send_file: %s", what);
}

static void open_source(lua_State *L, const options *o, source *s)
{
	*s = (source){.fd = -1};
	if (lua_type(L, 2) == LUA_TSTRING)
		open_path(L, s);
	else if (lua_type(L, 2) != LUA_TUSERDATA)
		luaL_error(L, "send_file: expected a path or a file, got %s", lua_isnone(L, 2) ? "nothing" : luaL_typename(L, 2));
	else if (o->delete)
		luaL_error(L, "send_file: the option 'delete' needs a path");
	else
		use_handle(L, s);
	if (fstat(s->fd, &s->st))
		source_error(L, s, strerror(errno));
	if (!S_ISREG(s->st.st_mode))
		source_error(L, s, S_ISDIR(s->st.st_mode) ? "it is a directory" : "it is not a regular file");
}

/* --- the answer -------------------------------------------------------------------- */

static void set_request(lua_State *L, mb_file_query *q)
{
	const mb_head *h = &exchange.head;
	q->raw = mb_span(L, 0, h->raw_len);
	q->raw_len = h->raw_len;
	q->fields_len = h->nfields;
	q->fields = h->nfields ? mb_field_at(L, 0) : NULL;
	q->method = (mb_text){(const char *)mb_span(L, h->method_off, h->method_len), h->method_len};
	q->max_age = q->modified = -1;
}

/* Starts the head unless the script has done it. With a status of its own, conditions and ranges
 * have no meaning. Returns an error, or NULL. */
static const char *set_head(mb_file_query *q)
{
	const char *e = response.state == MB_RESPONSE_NONE ? mb_response_start("200 OK", 6) : NULL;
	q->head = (mb_text){(const char *)response.head.p, response.head.len};
	q->conditional = response.status == 200;
	return e;
}

/* Takes the head that Go has made. Nothing raises an error after this but a client that has gone. */
static const char *take_head(void)
{
	const char *e = answer.error;
	if (!e)
		e = mb_response_replace(answer.status, answer.head.p, answer.head.len, answer.length);
	if (e && response.state == MB_RESPONSE_NONE) {
		response.head.len = 0;
		response.has_length = 0;
	}
	return e;
}

static void check_state(lua_State *L, const char *verb)
{
	mb_request_check(L, 1);
	mb_send_check_head(L, verb);
	if (response.has_length)
		luaL_error(L, "%s sends the Content-Length itself", verb);
	if (response.state == MB_RESPONSE_STATUS && response.bodiless)
		luaL_error(L, "%s: a response with status %d has no body", verb, response.status);
}

/* Does what has to come before a status: a form is read to its end. */
static void before_status(lua_State *L, const char *verb)
{
	if (response.state == MB_RESPONSE_NONE)
		mb_body_before_status(L, verb);
	mb_own_only(); /* a stream handler may have forked */
}

/* Sends a body that is no file. */
static void finish_with_text(lua_State *L)
{
	response.state = MB_RESPONSE_BODY;
	if (answer.text.len)
		mb_output_data(L, (const char *)answer.text.p, answer.text.len);
	mb_output_finish(L, 0);
}

/* Sends the body from this worker, which has the connection to itself. */
static void finish_raw(lua_State *L, source *s)
{
	response.state = MB_RESPONSE_BODY;
	mb_output_flush(L); /* raises nothing: a connection that is broken takes everything */
	int failed = mbConnSendFile(s->fd, answer.message.p, answer.message.len);
	close_source(s);
	if (failed) {
		response.broken = 1;
		if (failed > 1)
			luaL_error(L, "send_file: the file is shorter than it was");
		mb_raise_cancelled(L);
	}
	response.sent = response.length;
	mb_output_finish(L, 0);
}

/* Passes the file to the server. */
static void finish_passed(lua_State *L, source *s)
{
	int failed = mb_message_pass(process.control, MB_MSG_FILE, answer.message.p, answer.message.len, s->fd);
	int cause = errno;
	close_source(s);
	if (failed) {
		response.broken = 1;
		luaL_error(L, "send_file: %s", strerror(cause));
	}
	response.state = MB_RESPONSE_BODY;
	response.sent = response.length;
	mb_output_in_file();
	mb_output_finish(L, 0);
}

/* Returns an error, or NULL. */
static const char *ask(mb_file_query *q, const options *o, const source *s)
{
	const char *e = set_head(q);
	if (e)
		return e;
	q->name = (mb_text){s->path, s->path ? strlen(s->path) : 0};
	q->type = o->text[TYPE];
	q->etag = o->text[ETAG];
	q->download = o->text[DOWNLOAD];
	q->max_age = o->number[MAX_AGE];
	q->modified = o->number[LAST_MODIFIED];
	q->fd = s->fd;
	q->size = s->st.st_size;
	q->mtime = (int64_t)s->st.st_mtim.tv_sec * 1000000000 + s->st.st_mtim.tv_nsec;
	q->loop = exchange.loop;
	q->cell = exchange.cell;
	q->generation = worker.generation;
	mbFileAnswer(q, &answer);
	return NULL;
}

int mb_send_file(lua_State *L)
{
	check_state(L, "send_file");
	before_status(L, "send_file");
	options o;
	read_options(L, 3, "send_file", (1u << OPTIONS) - 1, &o);
	mb_file_query q = {0};
	set_request(L, &q);
	source s;
	open_source(L, &o, &s);
	const char *e = ask(&q, &o, &s);
	if (!e && !answer.error)
		e = mb_response_fits(answer.head.len); /* before anything has changed */
	if (!e && !answer.error && o.delete && unlink(s.path))
		e = strerror(errno);
	if (!e)
		e = take_head();
	if (e)
		source_error(L, &s, e);
	if (answer.message.len && exchange.transport) {
		finish_raw(L, &s);
	} else if (answer.message.len) {
		finish_passed(L, &s);
	} else {
		close_source(&s);
		finish_with_text(L);
	}
	return 0;
}

/* Is there something to be answered? */
static int condition(lua_State *L, const options *o)
{
	mb_file_query q = {.etag = o->text[ETAG]};
	set_request(L, &q);
	const char *e = set_head(&q);
	if (e)
		luaL_error(L, "not_modified: %s", e);
	q.modified = o->number[LAST_MODIFIED];
	mbConditionAnswer(&q, &answer);
	if (response.state == MB_RESPONSE_NONE)
		response.status = 0; /* the response has not begun */
	if (answer.error)
		luaL_error(L, "not_modified: %s", answer.error);
	return answer.status != 0;
}

/* The argument is a table with etag and last_modified of what the request is for. */
int mb_not_modified(lua_State *L)
{
	check_state(L, "not_modified");
	options o;
	read_options(L, 2, "not_modified", 1u << ETAG | 1u << LAST_MODIFIED, &o);
	if (!o.text[ETAG].p && o.number[LAST_MODIFIED] < 0)
		luaL_error(L, "not_modified: it needs 'etag' or 'last_modified'");
	if (!condition(L, &o)) {
		lua_pushboolean(L, 0);
		return 1;
	}
	before_status(L, "not_modified"); /* it may run code of the application */
	condition(L, &o);
	const char *e = take_head();
	if (e)
		luaL_error(L, "not_modified: %s", e);
	finish_with_text(L);
	lua_pushboolean(L, 1);
	return 1;
}
