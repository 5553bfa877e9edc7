/* A signal comes while the exchanges of a raw connection change places. Its handler must see one of them, not a mixture. */
#include <signal.h>

/* The lock is taken and given back with these. */
#define __atomic_exchange_n(p, value, order) \
	({ raise(SIGALRM); __typeof__(*(p)) old = *(p); *(p) = (value); old; })
#define __atomic_store_n(p, value, order) (raise(SIGALRM), (void)(*(p) = (value)))

#include "../worker_rawhttp.c"

int mb_role;
mb_process process;
mb_worker worker;
mb_exchange exchange;
mb_memory memory;
mb_response response;
void mb_response_lock_slow(void) {}

static volatile sig_atomic_t seen, early;

static void on_alarm(int sig)
{
	(void)sig;
	seen++;
	if (response.lock)
		early = 1;
}

int main(void)
{
	signal(SIGALRM, on_alarm);
	rawhttp.other.nth = 7;
	change_places();
	if (exchange.nth != 7 || !seen || early) {
		printf("number %u, %d signals, one while the places change: %d\n", exchange.nth, (int)seen, (int)early);
		return 1;
	}
	return 0;
}
