/* Maps the two segments and checks once that everything that their header describes is
 * inside them. */
#include "exchange.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int power_of_two(uint64_t n) { return n && !(n & (n - 1)); }

/* Do n elements of at least `need` bytes, `stride` apart, starting at `off`, fit into size
 * bytes? */
static int fits(uint64_t off, uint64_t stride, uint64_t n, uint64_t need, uint64_t size)
{
	if (off % 8 || stride % 8 || stride < need || off > size)
		return 0;
	return n && (size - off) / n >= stride;
}

static const char *check_header(const mb_in_header *h, uint64_t in, uint64_t out)
{
	if (h->magic != MB_MAGIC || h->version != MB_VERSION)
		return "segment: wrong magic or version";
	if (h->in_size > in || h->out_size > out)
		return "segment: shorter than its header says";
	if (!power_of_two(h->queue_cap) || !power_of_two(h->in_window) ||
	    !power_of_two(h->out_window) || h->in_window < sizeof(mb_head) ||
	    h->out_window < 64)
		return "segment: a ring has a bad size";
	if (!h->loops || h->loops > MB_FDS_MAX - 5 || !h->cells || h->cells > 1u << 24 ||
	    !h->workers || h->workers > 1u << 24)
		return "segment: bad counts";
	uint64_t cells = (uint64_t)h->loops * h->cells;
	uint64_t bits = ((uint64_t)h->cells + 63) / 64 * 8;
	if (!fits(h->in_loops, h->in_loop_stride, h->loops,
	          sizeof(mb_in_loop) + 4ull * h->queue_cap, in) ||
	    !fits(h->in_workers, h->in_worker_stride, h->workers, sizeof(mb_in_worker), in) ||
	    !fits(h->in_cells, h->in_cell_stride, cells, sizeof(mb_in_cell) + h->in_window, in) ||
	    !fits(h->out_loops, h->out_loop_stride, h->loops, sizeof(mb_out_loop) + bits, out) ||
	    !fits(h->out_workers, h->out_worker_stride, h->workers, sizeof(mb_out_worker), out) ||
	    !fits(h->out_cells, h->out_cell_stride, cells, sizeof(mb_out_cell) + h->out_window, out))
		return "segment: an array lies outside";
	return NULL;
}

const char *mb_segment_map(int in, int out)
{
	struct stat si, so;
	if (fstat(in, &si) || fstat(out, &so))
		return strerror(errno);
	if (si.st_size < (off_t)sizeof(mb_in_header) || so.st_size < 1)
		return "segment: too short";
	void *a = mmap(NULL, (size_t)si.st_size, PROT_READ, MAP_SHARED, in, 0);
	if (a == MAP_FAILED)
		return strerror(errno);
	void *b = mmap(NULL, (size_t)so.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
	if (b == MAP_FAILED)
		return strerror(errno);
#ifdef MADV_DONTFORK
	/* A process that a handler forks does not get the memory at all. */
	madvise(a, (size_t)si.st_size, MADV_DONTFORK);
	madvise(b, (size_t)so.st_size, MADV_DONTFORK);
#endif
	memcpy(&worker.header, a, sizeof worker.header);
	const char *e = check_header(&worker.header, (uint64_t)si.st_size, (uint64_t)so.st_size);
	if (e)
		return e;
	if (worker.slot >= worker.header.workers)
		return "segment: no such worker slot";
	worker.in_segment = a;
	worker.out_segment = b;
	uint64_t in_slot = worker.header.in_workers + worker.slot * worker.header.in_worker_stride;
	uint64_t out_slot = worker.header.out_workers + worker.slot * worker.header.out_worker_stride;
	worker.in_slot = (const mb_in_worker *)(worker.in_segment + in_slot);
	worker.out_slot = (mb_out_worker *)(worker.out_segment + out_slot);
	return NULL;
}
