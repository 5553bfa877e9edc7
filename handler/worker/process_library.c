/* The modules in Lua that are part of this program: moonbridge.web, moonbridge.test, and those that they consist of.
 * Their text is in the program, so nothing has to be installed. */
#include "process.h"

#include <stdio.h>

#ifdef __APPLE__
#define SECTION ".const_data\n"
#define SYMBOL "_"
#else
#define SECTION ".section .rodata\n"
#define SYMBOL ""
#endif

/* The assembler reads the file. library.go makes the build notice when one changes. */
#define TEXT(name) \
	__asm__(SECTION SYMBOL "mb_text_" #name ":\n.incbin \"library/" #name ".lua\"\n" SYMBOL "mb_text_end_" #name ":\n.byte 0\n.text\n"); \
	extern const char text_##name[] __asm__(SYMBOL "mb_text_" #name), text_end_##name[] __asm__(SYMBOL "mb_text_end_" #name)

TEXT(test);
TEXT(test_client);
TEXT(test_run);
TEXT(test_value);
TEXT(web);
TEXT(web_accept);
TEXT(web_context);
TEXT(web_cookie);
TEXT(web_json);
TEXT(web_router);
TEXT(web_session);
TEXT(web_template);
TEXT(web_text);
TEXT(web_wsapi);

#define MODULE(name, file) {name, text_##file, text_end_##file}

static const struct {
	const char *name, *text, *end;
} modules[] = {
	MODULE("moonbridge.test", test),
	MODULE("moonbridge.test.client", test_client),
	MODULE("moonbridge.test.run", test_run),
	MODULE("moonbridge.test.value", test_value),
	MODULE("moonbridge.web", web),
	MODULE("moonbridge.web.accept", web_accept),
	MODULE("moonbridge.web.context", web_context),
	MODULE("moonbridge.web.cookie", web_cookie),
	MODULE("moonbridge.web.json", web_json),
	MODULE("moonbridge.web.router", web_router),
	MODULE("moonbridge.web.session", web_session),
	MODULE("moonbridge.web.template", web_template),
	MODULE("moonbridge.web.text", web_text),
	MODULE("moonbridge.web.wsapi", web_wsapi),
};

/* A message handler, which modules in Lua get: an error that they catch and raise again is reported
 * with the traceback of where it was first raised. */
static int keep_traceback(lua_State *L)
{
	return exchange.active ? mb_form_stream_failed(L) : 1;
}

/* Runs a module's text. Upvalue 1 is its number. */
static int load(lua_State *L)
{
	int i = (int)lua_tointeger(L, lua_upvalueindex(1));
	char chunk[64];
	snprintf(chunk, sizeof chunk, "=%s", modules[i].name);
	if (luaL_loadbuffer(L, modules[i].text, (size_t)(modules[i].end - modules[i].text), chunk))
		return lua_error(L);
	lua_pushstring(L, modules[i].name);
	lua_pushcfunction(L, keep_traceback);
	lua_call(L, 2, 1);
	return 1;
}

void mb_library_preload(lua_State *L)
{
	for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
		lua_pushinteger(L, (lua_Integer)i);
		lua_pushcclosure(L, load, 1);
		lua_setfield(L, -2, modules[i].name);
	}
}
