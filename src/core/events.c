/* SPDX-License-Identifier: Apache-2.0 */
#include "core/events.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct events {
	pthread_mutex_t lock; /* protects everything below and the readers */
	void (*grown)(void *arg);
	void *arg;
	int64_t begin, end;   /* of the lines held; byte p of the stream is ring[p % SIZE] */
	uint64_t first, next; /* seq of the line at `begin`, and of the next event */
	int64_t mtime;
	struct buf line; /* where a line is made; has room for the longest */
	int64_t stamped; /* the time in `stamp` */
	char stamp[CLOCK_TEXT];
	char ring[SFS_EVENTS_BYTES];
};

int events_new(struct events **ret)
{
	struct events *ev = mem_calloc(1, sizeof(*ev));
	if (!ev)
		return -ENOMEM;
	ev->line = (struct buf)BUF_INIT(SFS_EVENT_LINE_MAX);
	if (!buf_reserve(&ev->line, SFS_EVENT_LINE_MAX)) {
		events_free(ev);
		return -ENOMEM;
	}
	pthread_mutex_init(&ev->lock, NULL);
	ev->first = ev->next = 1;
	*ret = ev;
	return 0;
}

void events_free(struct events *ev)
{
	if (!ev)
		return;
	buf_clear(&ev->line);
	pthread_mutex_destroy(&ev->lock);
	mem_free(ev);
}

void events_listen(struct events *ev, void (*grown)(void *arg), void *arg)
{
	pthread_mutex_lock(&ev->lock);
	ev->grown = grown;
	ev->arg = arg;
	pthread_mutex_unlock(&ev->lock);
}

/* --- making a line --- */

/* RFC 3339 with milliseconds: a rotation and the fetch before it are often in one second. */
static const char *time_text(int64_t wall, char out[CLOCK_TEXT])
{
	char text[CLOCK_TEXT];
	unsigned ms =
		(unsigned)((wall % NSEC_PER_SEC + NSEC_PER_SEC) % NSEC_PER_SEC / NSEC_PER_MSEC);
	size_t len = strlen(clock_text(wall, text));
	if (len < 2)
		return memcpy(out, text, len + 1);
	snprintf(out, CLOCK_TEXT, "%.*s.%03uZ", (int)len - 1, text, ms);
	return out;
}

/* The same for the next event: in the same second only the last digits change. */
static const char *next_stamp(struct events *ev, int64_t wall)
{
	size_t len = strlen(ev->stamp);
	bool same = len > 4 && wall > 0 && ev->stamped > 0 &&
		    wall / NSEC_PER_SEC == ev->stamped / NSEC_PER_SEC;
	unsigned ms = (unsigned)(wall % NSEC_PER_SEC / NSEC_PER_MSEC);
	ev->stamped = wall;
	if (!same)
		return time_text(wall, ev->stamp);
	for (char *at = ev->stamp + len - 2; at > ev->stamp + len - 5; at--, ms /= 10)
		*at = (char)('0' + ms % 10);
	return ev->stamp;
}

static void add_text(struct buf *out, const char *key, const char *text)
{
	if (!text || !*text)
		return;
	buf_str(out, ",\"");
	buf_str(out, key);
	buf_str(out, "\":");
	text_json(out, text, strlen(text));
}

static void add_error(struct buf *out, const struct sfs_err *err)
{
	const char *name = strerrorname_np(err->code);
	if (name)
		add_text(out, "errno", name);
	else
		buf_printf(out, ",\"errno\":\"%d\"", err->code);
	add_text(out, "error", err->msg);
}

static void make_line(struct events *ev, int64_t wall, const struct event *e)
{
	struct buf *out = &ev->line;
	buf_reset(out);
	buf_printf(out, "{\"seq\":%" PRIu64, ev->next);
	buf_str(out, ",\"time\":\"");
	buf_str(out, next_stamp(ev, wall));
	buf_str(out, "\",\"event\":\"");
	buf_str(out, e->what);
	buf_str(out, "\"");
	add_text(out, "name", e->name);
	add_text(out, "source", e->source);
	add_text(out, "version", e->version);
	for (size_t i = 0; i < EVENT_NUMBERS && e->numbers[i].key; i++)
		buf_printf(out, ",\"%s\":%" PRIu64, e->numbers[i].key, e->numbers[i].n);
	if (e->err)
		add_error(out, e->err);
	buf_str(out, "}\n");
}

/* --- the ring --- */

static size_t place(int64_t pos)
{
	return (size_t)(pos % SFS_EVENTS_BYTES);
}

/* Bytes from `pos` that lie in one piece, at most `len`. */
static size_t piece(int64_t pos, size_t len)
{
	size_t left = SFS_EVENTS_BYTES - place(pos);
	return len < left ? len : left;
}

static void drop_oldest(struct events *ev)
{
	const char *nl = NULL;
	while (!nl) { /* every line has one, in at most two pieces */
		size_t n = piece(ev->begin, (size_t)(ev->end - ev->begin));
		const char *at = ev->ring + place(ev->begin);
		nl = memchr(at, '\n', n);
		ev->begin += nl ? nl - at + 1 : (int64_t)n;
	}
	ev->first++;
}

static void append(struct events *ev, const char *line, size_t len)
{
	while (ev->end - ev->begin + (int64_t)len > SFS_EVENTS_BYTES ||
		ev->next - ev->first >= SFS_EVENTS_MAX)
		drop_oldest(ev);
	while (len) {
		size_t n = piece(ev->end, len);
		memcpy(ev->ring + place(ev->end), line, n);
		ev->end += (int64_t)n;
		line += n;
		len -= n;
	}
	ev->next++;
}

void events_add(struct events *ev, const struct event *e)
{
	int64_t wall = clock_wall();
	void (*grown)(void *arg);
	void *arg;
	pthread_mutex_lock(&ev->lock);
	make_line(ev, wall, e);
	if (ev->line.failed) { /* a name longer than any path: the event counts, not its words */
		const struct event bare = {.what = e->what, .source = e->source};
		make_line(ev, wall, &bare);
	}
	if (!ev->line.failed)
		append(ev, ev->line.data, ev->line.len);
	ev->mtime = wall;
	grown = ev->grown;
	arg = ev->arg;
	pthread_mutex_unlock(&ev->lock);
	if (grown)
		grown(arg);
}

/* --- readers --- */

void events_begin(struct events *ev, struct event_reader *ret)
{
	pthread_mutex_lock(&ev->lock);
	*ret = (struct event_reader){
		.base = ev->begin, .seq = ev->first - 1, .since = ev->first - 1};
	pthread_mutex_unlock(&ev->lock);
}

void events_copy(struct events *ev, struct event_reader *ret, const struct event_reader *from)
{
	pthread_mutex_lock(&ev->lock);
	*ret = *from;
	pthread_mutex_unlock(&ev->lock);
}

static int64_t size_of(const struct events *ev, const struct event_reader *r)
{
	return ev->end - r->base;
}

static bool in_lost(const struct event_reader *r, int64_t off)
{
	return off >= r->lost_at && off < r->lost_at + (int64_t)r->lost_len;
}

/* The byte at `off` has left the ring. */
static bool is_gone(const struct events *ev, const struct event_reader *r, int64_t off)
{
	return off < size_of(ev, r) && !in_lost(r, off) && r->base + off < ev->begin;
}

/* The text of a line "lost": after event `known` the next one is the one after `last`. */
static size_t lost_text(char out[EVENT_LOST], bool torn, uint64_t known, uint64_t last)
{
	char time[CLOCK_TEXT];
	return (size_t)snprintf(out, EVENT_LOST,
		"%s{\"seq\":%" PRIu64 ",\"time\":\"%s\",\"event\":\"lost\",\"count\":%" PRIu64
		"}\n",
		torn ? "\n" : "", last, time_text(clock_wall(), time), last - known);
}

/* The line "lost" stands at `off`, and after it what is still held. */
static void say_lost(const struct events *ev, struct event_reader *r, int64_t off, uint64_t known)
{
	bool torn = off == r->next && r->torn;
	r->lost_len = lost_text(r->lost, torn, known, ev->first - 1);
	r->lost_at = off;
	r->base = ev->begin - (off + (int64_t)r->lost_len);
	r->seq = ev->first - 1;
}

/* read(2) asks for something that is gone. */
static void catch_up(const struct events *ev, struct event_reader *r, int64_t off)
{
	if (is_gone(ev, r, off))
		say_lost(ev, r, off, off >= r->next ? r->seq : r->since);
}

/* Everything the program can want is gone: it is not beyond the larger of the two places. One that
 * has read nothing went to the end. */
static void catch_up_pages(const struct events *ev, struct event_reader *r)
{
	int64_t place = r->next > r->shown ? r->next : r->shown;
	if (is_gone(ev, r, place))
		say_lost(ev, r, place, r->next ? r->seq : r->shown_seq);
}

/* The next bytes at `off`, at most `max` of them, in one piece; NULL stands for newlines. */
static const char *next_piece(const struct events *ev, const struct event_reader *r, int64_t off,
	size_t max, size_t *ret_len)
{
	int64_t pos = r->base + off;
	if (in_lost(r, off)) {
		size_t left = r->lost_len - (size_t)(off - r->lost_at);
		*ret_len = max < left ? max : left;
		return r->lost + (off - r->lost_at);
	}
	if (pos < ev->begin) {
		int64_t gone = off < r->lost_at ? r->lost_at - off : ev->begin - pos;
		*ret_len = (int64_t)max < gone ? max : (size_t)gone;
		return NULL;
	}
	*ret_len = piece(pos, max);
	return ev->ring + place(pos);
}

static void copy(
	const struct events *ev, const struct event_reader *r, int64_t off, char *to, size_t size)
{
	while (size) {
		size_t n;
		const char *from = next_piece(ev, r, off, size, &n);
		if (from)
			memcpy(to, from, n);
		else
			memset(to, '\n', n);
		to += n;
		off += (int64_t)n;
		size -= n;
	}
}

/* The end of the line that begins at `pos`. */
static int64_t line_end(const struct events *ev, int64_t pos)
{
	const char *nl = NULL;
	while (!nl && pos < ev->end) {
		const char *at = ev->ring + place(pos);
		size_t n = piece(pos, (size_t)(ev->end - pos));
		nl = memchr(at, '\n', n);
		pos += nl ? nl - at + 1 : (int64_t)n;
	}
	return pos;
}

/* Pages were read into `to` of which a part is gone that was never handed out: that gap ends with a
 * line "lost". Where it is too small for one, the next events are lost too. */
static void mark_gap(
	const struct events *ev, const struct event_reader *r, int64_t off, char *to, size_t size)
{
	int64_t from = off > r->next ? off : r->next, stop = ev->begin - r->base;
	uint64_t last = ev->first - 1, known = r->next ? r->seq : r->since;
	char text[EVENT_LOST];
	if (from < r->lost_at + (int64_t)r->lost_len || from >= stop)
		return;
	while (stop - from < EVENT_LOST && stop < size_of(ev, r)) {
		stop = line_end(ev, stop + r->base) - r->base;
		last++;
	}
	if (stop - from < EVENT_LOST || stop > off + (int64_t)size)
		return;
	int64_t len = (int64_t)lost_text(text, r->torn, known, last);
	memset(to + (from - off), '\n', (size_t)(stop - from));
	memcpy(to + (stop - off - len), text, (size_t)len);
}

static uint64_t lines_after(const struct events *ev, int64_t pos)
{
	uint64_t lines = 0;
	while (pos < ev->end) {
		size_t n = piece(pos, (size_t)(ev->end - pos));
		const char *at = ev->ring + place(pos), *stop = at + n;
		while (at < stop && (at = memchr(at, '\n', (size_t)(stop - at)))) {
			lines++;
			at++;
		}
		pos += (int64_t)n;
	}
	return lines;
}

/* `n` bytes at `off` were handed out, the last of them `last`. */
static void handed_out(
	const struct events *ev, struct event_reader *r, int64_t off, size_t n, char last)
{
	r->next = off + (int64_t)n;
	r->torn = last != '\n';
	if (r->base + r->next >= ev->begin)
		r->seq = ev->next - 1 - lines_after(ev, r->base + r->next);
}

static void copy_exact(
	const struct events *ev, struct event_reader *r, int64_t off, char *to, size_t *n)
{
	copy(ev, r, off, to, *n);
	const char *nl = memrchr(to, '\n', *n);
	*n = nl ? (size_t)(nl - to) + 1 : *n;
	handed_out(ev, r, off, *n, to[*n - 1]);
}

static void copy_pages(
	const struct events *ev, struct event_reader *r, int64_t off, char *to, size_t n)
{
	copy(ev, r, off, to, n);
	mark_gap(ev, r, off, to, n);
	if (off + (int64_t)n > r->next)
		handed_out(ev, r, off, n, to[n - 1]);
}

int events_read(struct events *ev, struct event_reader *r, int64_t off, size_t size,
	enum event_access how, struct buf *out)
{
	bool exact = how == EVENT_EXACT;
	pthread_mutex_lock(&ev->lock);
	if (exact)
		catch_up(ev, r, off);
	else
		catch_up_pages(ev, r);
	int64_t left = off < 0 || off >= size_of(ev, r) ? 0 : size_of(ev, r) - off;
	size_t n = (int64_t)size < left ? size : (size_t)left;
	char *to = n ? buf_reserve(out, n) : NULL;
	if (to && exact)
		copy_exact(ev, r, off, to, &n);
	else if (to)
		copy_pages(ev, r, off, to, n);
	else if (!n && exact && off >= 0)
		r->next = off; /* where it waits */
	if (to)
		buf_advance(out, n);
	pthread_mutex_unlock(&ev->lock);
	return n && !to ? -out->failed : 0;
}

int64_t events_size(
	struct events *ev, struct event_reader *r, enum event_access how, int64_t *ret_mtime)
{
	pthread_mutex_lock(&ev->lock);
	if (how == EVENT_PAGES)
		catch_up_pages(ev, r);
	int64_t size = size_of(ev, r);
	r->shown = size;
	r->shown_seq = ev->next - 1;
	*ret_mtime = ev->mtime;
	pthread_mutex_unlock(&ev->lock);
	return size;
}

void events_follow(struct events *ev, struct event_reader *file, const struct event_reader *reader)
{
	pthread_mutex_lock(&ev->lock);
	file->base = reader->base;
	pthread_mutex_unlock(&ev->lock);
}

bool events_ready(struct events *ev, const struct event_reader *r, int64_t off)
{
	pthread_mutex_lock(&ev->lock);
	bool ready = (off < 0 ? r->next : off) < size_of(ev, r);
	pthread_mutex_unlock(&ev->lock);
	return ready;
}
