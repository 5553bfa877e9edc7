/* Reads a request body that is still arriving, in every order of the server's steps and our own.
 *
 * The server writes bytes, then the count of them, and after the last ones MB_IN_END. Here it does each of its steps before
 * one of our loads of shared memory, whichever that is. The body must be whole each time. */
static void load(void);
#define __atomic_load_n(p, order) (load(), *(p))

#include "../core.c"
#include "../request_body.c"

#define WINDOW 64
#define HEAD   16
#define FIRST  8 /* bytes of the body that are there at the start */
#define LATEST 12

static const char text[] = "all of the body has this text";
#define LENGTH (sizeof text - 1)

static struct {
	mb_in_cell cell;
	uint8_t window[WINDOW];
} in;
static mb_out_cell out;
static int loads, bytes_at, end_at;

static void load(void)
{
	if (loads == bytes_at) {
		memcpy(in.window + HEAD + FIRST, text + FIRST, LENGTH - FIRST);
		in.cell.in_head = HEAD + LENGTH;
	}
	if (loads == end_at)
		in.cell.flags |= MB_IN_END;
	loads++;
}

static void wait_for(int (*ready)(void))
{
	while (!ready())
		;
}

static const mb_transport transport = {.wait = wait_for};

/* Ends the program: no order of steps is an error. */
int luaL_error(lua_State *L, const char *format, ...)
{
	(void)L;
	printf("bytes at %d, end at %d: error: %s\n", bytes_at, end_at, format);
	exit(1);
}

mb_response response;
void mb_response_lock_slow(void) {}
size_t mb_body_file_next(lua_State *L, const uint8_t **p) { return luaL_error(L, "%p", (const void *)p), 0; }
void mb_body_file_consume(size_t n) { (void)n; }
const uint8_t *mb_body_file_whole(lua_State *L, size_t *n) { return luaL_error(L, "%p", (void *)n), NULL; }

static void prepare(void)
{
	memset(&in, 0, sizeof in);
	memset(&exchange, 0, sizeof exchange);
	worker.header.in_window = WINDOW;
	exchange.active = 1;
	exchange.transport = &transport;
	exchange.in_cell = &in.cell;
	exchange.out_cell = &out;
	exchange.head_bytes = exchange.in_window = in.window;
	exchange.head.flags = MB_HEAD_HAS_BODY;
	exchange.head.size = HEAD;
	exchange.taken = HEAD;
	memcpy(in.window + HEAD, text, FIRST);
	in.cell.in_head = HEAD + FIRST;
	loads = 0;
}

int main(void)
{
	int wrong = 0;
	for (bytes_at = 0; bytes_at <= LATEST; bytes_at++)
		for (end_at = bytes_at; end_at <= LATEST; end_at++) {
			size_t n;
			prepare();
			const uint8_t *p = mb_body_whole(NULL, &n);
			if (n != LENGTH || memcmp(p, text, n)) {
				printf("bytes at %d, end at %d: got %zu bytes, want %zu\n", bytes_at, end_at, n, LENGTH);
				wrong = 1;
			}
		}
	return wrong;
}
