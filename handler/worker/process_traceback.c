/* The message handler for all calls of the application's functions. It makes the traceback
 * of an error while the stack still exists. */
#include "process.h"

#include <string.h>

#define SHOWN_FIELDS 8

/* The text that was made last, and how long the message at its start is. */
static struct {
	const char *text;
	size_t message;
} made;

/* --- the message ---------------------------------------------------------- */

/* Appends the string or number on top to the text at index text, and pops it. Both may
 * contain any bytes. */
static void append(lua_State *L, int text)
{
	lua_pushvalue(L, text);
	lua_insert(L, -2);
	lua_concat(L, 2);
	lua_replace(L, text);
}

static void append_text(lua_State *L, int text, const char *s)
{
	lua_pushstring(L, s);
	append(L, text);
}

/* Appends the fields of the table at index 1, which tell what its author meant. None of its
 * functions is called. */
static void append_fields(lua_State *L, int text)
{
	int n = 0;
	for (lua_pushnil(L); n < SHOWN_FIELDS && lua_next(L, 1); lua_settop(L, text + 1)) {
		if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
			continue;
		append_text(L, text, n++ ? ", " : ": ");
		lua_pushvalue(L, -2);
		append(L, text);
		append_text(L, text, " = ");
		lua_pushvalue(L, -1);
		append(L, text);
	}
	lua_settop(L, text);
}

static int call_tostring(lua_State *L)
{
	if (!luaL_callmeta(L, 1, "__tostring"))
		lua_pushnil(L);
	return 1;
}

/* Pushes a text for the error object at index 1, which is not a string. */
static void push_object_text(lua_State *L)
{
	lua_pushcfunction(L, call_tostring);
	lua_pushvalue(L, 1);
	int failed = lua_pcall(L, 1, 1, 0), result = lua_gettop(L);
	if (!failed && lua_isstring(L, result))
		return;
	lua_pushfstring(L, "error object of type %s", luaL_typename(L, 1));
	int text = lua_gettop(L);
	if (lua_istable(L, 1))
		append_fields(L, text);
	if (failed && lua_isstring(L, result)) {
		append_text(L, text, "; its __tostring failed: ");
		lua_pushvalue(L, result);
		append(L, text);
	} else if (failed || !lua_isnil(L, result)) {
		lua_pushfstring(L, "; its __tostring %s a %s", failed ? "failed with" : "returned", luaL_typename(L, result));
		append(L, text);
	}
}

/* --- the traceback -------------------------------------------------------- */

/* Is this line of a traceback a C function without a name? Most of them are our own, and
 * their addresses are useless. */
static int is_nameless(const char *s, size_t n)
{
	static const char jit[] = "\t[C]: at 0x", puc[] = "\t[C]: in ?";
	return (n >= sizeof jit - 1 && !memcmp(s, jit, sizeof jit - 1)) ||
	       (n == sizeof puc - 1 && !memcmp(s, puc, sizeof puc - 1));
}

/* Replaces the traceback on top by one without those lines. */
static void drop_nameless(lua_State *L)
{
	size_t n;
	const char *s = lua_tolstring(L, -1, &n), *end = s + n;
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	for (const char *line = s; line < end;) {
		const char *eol = memchr(line, '\n', (size_t)(end - line));
		size_t len = (size_t)((eol ? eol : end) - line);
		if (!is_nameless(line, len)) {
			if (line != s)
				luaL_addchar(&b, '\n');
			luaL_addlstring(&b, line, len);
		}
		line += len + 1;
	}
	luaL_pushresult(&b);
	lua_remove(L, -2);
}

/* Pushes "\nstack traceback:…". 0: there was not enough memory. */
static int push_traceback(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushliteral(L, ""); /* not the message, of which it would drop all after a NUL */
	lua_pushinteger(L, 2);
	if (lua_pcall(L, 2, 1, 0) != 0 || lua_type(L, -1) != LUA_TSTRING)
		return 0;
	drop_nameless(L);
	return 1;
}

/* The error may be one of a stream handler, whose text is on top, raised again, or another one. Both tracebacks are shown. */
static void append_later_traceback(lua_State *L)
{
	static const char later[] = "\nraised again, or an equal error raised later:";
	if (!push_traceback(L))
		return;
	lua_pushstring(L, later);
	lua_pushstring(L, lua_tostring(L, -2) + sizeof "\nstack traceback:" - 1);
	lua_remove(L, -3);
	lua_concat(L, 3);
}

/* Turns any error value into a string and appends a traceback. Upvalue 1 is debug.traceback
 * as it was before the script ran. */
static int traceback(lua_State *L)
{
	if (mb_form_stream_traceback(L)) {
		if (!mb_form_stream_raises(L))
			append_later_traceback(L);
		return 1;
	}
	lua_settop(L, 1);
	if (!lua_isstring(L, 1)) {
		push_object_text(L);
		lua_replace(L, 1);
		lua_settop(L, 1);
	}
	size_t message;
	lua_tolstring(L, 1, &message);
	if (push_traceback(L))
		lua_concat(L, 2);
	else
		lua_settop(L, 1);
	made.text = lua_tostring(L, 1);
	made.message = message;
	return 1;
}

/* If the error is a lack of memory, that memory is still in use here. */
int mb_traceback(lua_State *L)
{
	int armed = memory.armed;
	memory.armed = 0;
	int n = traceback(L);
	memory.armed = armed;
	return n;
}

/* Returns how long the message is at the start of an error's text. The traceback follows it,
 * after a line break, if there is one. */
size_t mb_traceback_after(const char *s, size_t n)
{
	static const char mark[] = "\nstack traceback:";
	const size_t m = sizeof mark - 1;
	if (s == made.text && made.message + m <= n && !memcmp(s + made.message, mark, m))
		return made.message;
	/* It was made before others. A message may contain a traceback too, so the last one counts. */
	for (size_t i = n; i >= m; i--)
		if (!memcmp(s + i - m, mark, m))
			return i - m;
	return n;
}
