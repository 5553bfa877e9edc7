/* The files that make up the script, each with its state before it was read. */
#include "core.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__
#define st_mtim st_mtimespec
#endif

static mb_buf notes; /* in the format of MB_MSG_FILES */
static unsigned count;

static int noted(const char *path)
{
	const char *p = (const char *)notes.p, *end = p + notes.len;
	for (; p < end; p += strlen(p) + 1) {
		const char *name = strchr(p, '/');
		if (name && !strcmp(name, path))
			return 1;
	}
	return 0;
}

/* The state of a file as a note has it. */
static int state_of(const char *path, char *to, size_t cap)
{
	struct stat s = {0};
	long long at = 0;
	if (stat(path, &s) == 0)
		at = (long long)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
	else
		s.st_size = 0, s.st_ino = 0;
	return snprintf(to, cap, "%lld %lld %llu ", at, (long long)s.st_size, (unsigned long long)s.st_ino);
}

void mb_files_note(const char *path)
{
	char whole[PATH_MAX], note[PATH_MAX + 80];
	size_t n = 0;
	if (*path != '/') {
		/* The script may change its directory later. Links are not resolved, because
		 * they may point elsewhere in a moment. */
		if (!getcwd(whole, sizeof whole - 1))
			return;
		n = strlen(whole);
		whole[n++] = '/';
	}
	if (strlen(path) >= sizeof whole - n)
		return;
	strcpy(whole + n, path);
	if (count == MB_FILES_MAX || noted(whole))
		return;
	int state = state_of(whole, note, sizeof note);
	int len = state + snprintf(note + state, sizeof note - (size_t)state, "%s", whole);
	if (notes.len + (size_t)len + 1 > MB_MSG_MAX || mb_buf_add(&notes, note, (size_t)len + 1))
		return;
	count++;
	if (mb_role == MB_ROLE_WORKER && mb_is_own())
		mb_message_send(process.control, MB_MSG_FILES, note, (size_t)len + 1);
}

void mb_files_report(void)
{
	if (notes.len)
		mb_message_send(process.control, MB_MSG_FILES, notes.p, notes.len);
}

static int same_file(const char *a, const char *b)
{
	struct stat of_a, of_b;
	return !stat(a, &of_a) && !stat(b, &of_b) && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

/* Lua replaces the beginning of a long name by "...". A name may be the end of several paths: it
 * is that of the file which it leads to, or else of the first one. */
const char *mb_files_find(const char *name)
{
	const char *p = (const char *)notes.p, *end = p + notes.len, *first = NULL;
	int cut = !strncmp(name, "...", 3);
	if (cut)
		name += 3;
	else
		while (!strncmp(name, "./", 2))
			name += 2;
	size_t n = strlen(name);
	for (; p < end; p += strlen(p) + 1) {
		const char *path = strchr(p, '/');
		size_t len = path ? strlen(path) : 0;
		if (n == 0 || len < n || strcmp(path + len - n, name))
			continue;
		if (!cut && len != n && path[len - n - 1] != '/')
			continue;
		if (cut || same_file(name, path))
			return path;
		if (!first)
			first = path;
	}
	return first;
}

/* path is what mb_files_find has returned. */
int mb_files_changed(const char *path)
{
	char now[80];
	const char *note = path;
	int n = state_of(path, now, sizeof now);
	while (note > (const char *)notes.p && note[-1])
		note--;
	return path - note != n || memcmp(note, now, (size_t)n);
}
