/* The last words of a worker that a signal handler ends. They are prepared before, because a
 * signal handler can do little. */
#include "worker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void mb_words_set(mb_last_words *w, const mb_origin *o, const char *text)
{
	char who[512];
	mb_report r = {.level = MB_LEVEL_ERROR, .message = text, .message_len = strlen(text)};
	w->report_len = mb_report_build(w->report, sizeof w->report, &r, o);
	mb_origin_line(o, who, sizeof who);
	int n = snprintf(w->line, sizeof w->line, "%s: %s\n", who, text);
	w->line_len = n < 0 ? 0 : (size_t)n < sizeof w->line ? (size_t)n : sizeof w->line - 1;
}

void mb_words_say(const mb_last_words *w)
{
	if (mb_message_send_now(process.control, w->report, w->report_len)) {
		ssize_t k = write(2, w->line, w->line_len);
		(void)k;
	}
}
