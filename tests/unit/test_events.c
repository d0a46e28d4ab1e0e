/* SPDX-License-Identifier: Apache-2.0 */
#include "core/events.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "net/json.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(events, .timeout = 60);

#define WALL (INT64_C(1795000000) * NSEC_PER_SEC + 204 * NSEC_PER_MSEC)

static struct events *ev;

static void setup(void)
{
	clock_fake(1, WALL);
	cr_assert_eq(events_new(&ev), 0);
}

static void teardown(void)
{
	events_free(ev);
	clock_real();
}

static void add(const char *what, const char *name)
{
	events_add(ev, &(struct event){.what = what, .name = name});
}

static void add_many(size_t n)
{
	for (size_t i = 0; i < n; i++)
		add("many", "name");
}

/* Reads at `off` and returns the text, in a buffer that the next call uses again. */
static const char *get(
	struct event_reader *r, int64_t off, size_t size, enum event_access how, size_t *ret_len)
{
	static struct buf out = BUF_INIT(8 * 1024 * 1024);
	buf_reset(&out);
	cr_assert_eq(events_read(ev, r, off, size, how, &out), 0);
	if (ret_len)
		*ret_len = out.len;
	return buf_text(&out);
}

static int64_t size_of(struct event_reader *r, enum event_access how)
{
	int64_t mtime;
	return events_size(ev, r, how, &mtime);
}

/* A member of the JSON object in the first line of `text`, as text. */
static const char *member(const char *text, const char *key)
{
	static char out[65536];
	struct json *doc;
	struct sfs_err err = {0};
	struct buf b = BUF_INIT(65536);
	size_t len = strcspn(text, "\n");
	cr_assert_eq(json_parse(text, len, JSON_STRICT, &doc, &err), 0, "%s: %.*s", err.msg,
		(int)len, text);
	const struct json_node *n = json_member(doc, json_root(doc), key, strlen(key));
	if (n)
		json_value(doc, n, &b);
	snprintf(out, sizeof(out), "%s", n ? buf_text(&b) : "(none)");
	buf_clear(&b);
	json_free(doc);
	return out;
}

static uint64_t number(const char *text, const char *key)
{
	return strtoull(member(text, key), NULL, 10);
}

/* --- a line --- */

Test(events, a_line_says_what_when_and_where, .init = setup, .fini = teardown)
{
	struct event_reader r;
	struct sfs_err err = {0};
	err_set(&err, EACCES, "aws: get prod/db: denied");
	events_add(ev, &(struct event){.what = "error",
			       .name = "prod/db",
			       .source = "aws",
			       .version = "v1",
			       .err = &err,
			       .numbers = {{"done", 3}, {"total", UINT64_MAX}}});
	events_begin(ev, &r);
	cr_assert_str_eq(get(&r, 0, 4096, EVENT_EXACT, NULL),
		"{\"seq\":1,\"time\":\"2026-11-18T11:06:40.204Z\",\"event\":\"error\",\"name\":"
		"\"prod/db\",\"source\":\"aws\",\"version\":\"v1\",\"done\":3,"
		"\"total\":18446744073709551615,\"errno\":\"EACCES\","
		"\"error\":\"aws: get prod/db: denied\"}\n");
}

Test(events, what_is_not_known_is_left_out, .init = setup, .fini = teardown)
{
	struct event_reader r;
	events_add(ev, &(struct event){.what = "mounted", .name = "", .version = ""});
	events_begin(ev, &r);
	cr_assert_str_eq(get(&r, 0, 4096, EVENT_EXACT, NULL),
		"{\"seq\":1,\"time\":\"2026-11-18T11:06:40.204Z\",\"event\":\"mounted\"}\n");
}

Test(events, each_has_its_own_time, .init = setup, .fini = teardown)
{
	static const int ms[] = {204, 209, 0, 999, 1000};
	for (int i = 0; i < 5; i++) {
		struct event_reader r;
		char want[64];
		clock_fake(1, WALL + (ms[i] - 204) * NSEC_PER_MSEC);
		add("tick", NULL);
		snprintf(want, sizeof(want), "\"2026-11-18T11:06:4%d.%03dZ\"", ms[i] / 1000,
			ms[i] % 1000);
		events_begin(ev, &r);
		cr_expect(strstr(get(&r, 0, 65536, EVENT_EXACT, NULL), want), "%s", want);
	}
}

Test(events, names_are_printable_and_come_back_as_they_were, .init = setup, .fini = teardown)
{
	static const char name[] = "a\"\\\x1b[31m\r\n\xe2\x80\xae/\xf0\x9f\x94\x91 \xc3\xa9";
	struct event_reader r;
	add("created", name);
	events_begin(ev, &r);
	const char *text = get(&r, 0, 4096, EVENT_EXACT, NULL);
	for (const char *p = text; *p; p++)
		cr_assert((*p >= 0x20 && *p < 0x7f) || (*p == '\n' && !p[1]), "byte %02x",
			(unsigned char)*p);
	cr_assert_str_eq(member(text, "name"), name);
}

Test(events, the_longest_name_fits_and_a_longer_one_leaves_the_event, .init = setup,
	.fini = teardown)
{
	static char name[SFS_EVENT_LINE_MAX + 2];
	struct event_reader r;
	events_begin(ev, &r);
	for (size_t i = 0; i < SFS_PATH_MAX; i += 2)
		memcpy(name + i, "\xc3\xa9", 3);
	add("created", name);
	cr_assert_str_eq(member(get(&r, 0, 1 << 20, EVENT_EXACT, NULL), "name"), name);
	memset(name, 'x', sizeof(name) - 1);
	add("deleted", name);
	const char *text = get(&r, r.next, 1 << 20, EVENT_EXACT, NULL);
	cr_assert_str_eq(member(text, "event"), "deleted");
	cr_assert_str_eq(member(text, "name"), "(none)");
	cr_assert_eq(number(text, "seq"), 2);
}

Test(events, adding_needs_no_memory, .init = setup, .fini = teardown)
{
	struct event_reader r;
	events_begin(ev, &r);
	alloc_fail_at(0);
	add_many(3 * SFS_EVENTS_MAX);
	cr_assert_eq(alloc_fail_at(0), 0);
}

Test(events, no_memory_for_the_ring, .init = setup, .fini = teardown)
{
	struct events *none = (struct events *)1;
	for (unsigned long i = 1; i <= 2; i++) {
		alloc_fail_at(i);
		cr_assert_eq(events_new(&none), -ENOMEM);
		cr_assert_eq(none, (struct events *)1);
	}
	alloc_fail_at(0);
}

Test(events, no_memory_for_a_read, .init = setup, .fini = teardown)
{
	struct event_reader r;
	struct buf out = BUF_INIT(4096);
	events_begin(ev, &r);
	add("a", NULL);
	alloc_fail_at(1);
	cr_assert_eq(events_read(ev, &r, 0, 4096, EVENT_EXACT, &out), -ENOMEM);
	alloc_fail_at(0);
	cr_assert_eq(out.len, 0);
	cr_assert_eq(
		number(get(&r, 0, 4096, EVENT_EXACT, NULL), "seq"), 1, "nothing is lost by it");
	buf_clear(&out);
}

/* --- following --- */

Test(events, every_reader_has_its_own_place, .init = setup, .fini = teardown)
{
	struct event_reader a, b;
	events_begin(ev, &a);
	add("one", NULL);
	add("two", NULL);
	events_begin(ev, &b);
	get(&a, 0, 4096, EVENT_EXACT, NULL);
	add("three", NULL);
	cr_assert_str_eq(member(get(&a, a.next, 4096, EVENT_EXACT, NULL), "event"), "three");
	cr_assert_str_eq(member(get(&b, 0, 4096, EVENT_EXACT, NULL), "event"), "one");
	cr_assert_not(events_ready(ev, &a, -1));
	cr_assert_not(events_ready(ev, &b, -1));
	add("four", NULL);
	cr_assert(events_ready(ev, &a, -1));
	cr_assert(events_ready(ev, &a, 0));
	cr_assert_not(events_ready(ev, &a, INT64_MAX));
}

Test(events, offset_0_is_the_oldest_event_when_the_reader_began, .init = setup, .fini = teardown)
{
	struct event_reader r;
	add_many(SFS_EVENTS_MAX + 10);
	events_begin(ev, &r);
	cr_assert_eq(number(get(&r, 0, 4096, EVENT_EXACT, NULL), "seq"), 11);
	cr_assert_eq(number(get(&r, 0, 4096, EVENT_EXACT, NULL), "seq"), 11, "again");
}

Test(events, size_and_time_grow, .init = setup, .fini = teardown)
{
	struct event_reader r;
	int64_t mtime, size, later;
	add("a", NULL);
	events_begin(ev, &r);
	size = events_size(ev, &r, EVENT_EXACT, &mtime);
	cr_assert_eq(mtime, WALL);
	clock_fake_advance(NSEC_PER_SEC);
	add("b", NULL);
	later = events_size(ev, &r, EVENT_EXACT, &mtime);
	cr_assert_eq(mtime, WALL + NSEC_PER_SEC);
	cr_assert_eq(later, 2 * size);
	cr_assert_eq(size, (int64_t)strcspn(get(&r, 0, 4096, EVENT_EXACT, NULL), "\n") + 1);
}

Test(events, a_read_ends_with_a_whole_line_if_it_can, .init = setup, .fini = teardown)
{
	struct event_reader r;
	size_t one, n;
	events_begin(ev, &r);
	add("a", NULL);
	one = (size_t)size_of(&r, EVENT_EXACT);
	add("b", NULL);
	get(&r, 0, 2 * one - 1, EVENT_EXACT, &n);
	cr_assert_eq(n, one);
	get(&r, 0, one - 1, EVENT_EXACT, &n);
	cr_assert_eq(n, one - 1, "one that is longer than the buffer comes in pieces");
	get(&r, (int64_t)n, 1, EVENT_EXACT, &n);
	cr_assert_eq(n, 1);
	get(&r, 0, 0, EVENT_EXACT, &n);
	cr_assert_eq(n, 0);
	get(&r, 2 * (int64_t)one, 10, EVENT_EXACT, &n);
	cr_assert_eq(n, 0, "at the end");
	get(&r, INT64_MAX, 10, EVENT_EXACT, &n);
	cr_assert_eq(n, 0, "beyond it");
	get(&r, -1, 10, EVENT_EXACT, &n);
	cr_assert_eq(n, 0, "before the beginning");
}

/* Reads to the end; every line is the successor of the one before. Returns the last seq. */
static uint64_t follow(struct event_reader *r, uint64_t seq, size_t size)
{
	size_t n;
	for (;;) {
		const char *text = get(r, r->next, size, EVENT_EXACT, &n);
		if (!n)
			return seq;
		for (const char *line = text; *line; line = strchr(line, '\n') + 1)
			cr_assert_eq(number(line, "seq"), ++seq);
	}
}

Test(events, around_the_ring_many_times, .init = setup, .fini = teardown)
{
	struct event_reader r;
	uint64_t seq = 0, total = 0;
	events_begin(ev, &r);
	for (size_t i = 0; i < 40; i++) { /* lines of many lengths, so that they straddle its end */
		char name[1500];
		memset(name, 'n', sizeof(name));
		for (size_t k = 0; k < 100; k++) {
			name[(i * 37 + k * 13) % 1499] = '\0';
			add("x", name);
			name[(i * 37 + k * 13) % 1499] = 'n';
			name[1499] = '\0';
		}
		total += 100;
		seq = follow(&r, seq, 5000 + i);
		cr_assert_eq(seq, total);
	}
}

Test(events, the_number_of_bytes_is_bounded_too, .init = setup, .fini = teardown)
{
	static char name[8001];
	struct event_reader r;
	memset(name, 'n', 8000);
	for (size_t i = 0; i < 300; i++)
		add("x", name);
	events_begin(ev, &r);
	cr_assert_leq(size_of(&r, EVENT_EXACT), SFS_EVENTS_BYTES);
	cr_assert_gt(size_of(&r, EVENT_EXACT), SFS_EVENTS_BYTES - 3 * 8200);
	follow(&r, r.since, 65536);
}

/* --- falling behind --- */

Test(events, who_falls_behind_gets_one_line_with_the_number, .init = setup, .fini = teardown)
{
	struct event_reader r;
	size_t n;
	events_begin(ev, &r);
	add("a", NULL);
	add("b", NULL);
	follow(&r, 0, 4096);
	add_many(SFS_EVENTS_MAX + 100); /* 3 .. 4198; 103 .. 4198 are held */
	const char *text = get(&r, r.next, 1 << 20, EVENT_EXACT, &n);
	cr_assert_str_eq(member(text, "event"), "lost");
	cr_assert_eq(number(text, "count"), 100);
	cr_assert_eq(number(text, "seq"), 102);
	text = strchr(text, '\n') + 1;
	cr_assert_eq(number(text, "seq"), 103);
	cr_assert_null(strstr(text, "\"lost\""));
	cr_assert_eq(follow(&r, 4198, 4096), 4198);
	add("more", NULL);
	cr_assert_eq(follow(&r, 4198, 4096), 4199);
}

Test(events, the_size_fits_what_is_read_after_a_loss, .init = setup, .fini = teardown)
{
	struct event_reader r, file;
	size_t n;
	add("a", NULL);
	events_begin(ev, &r);
	events_copy(ev, &file, &r);
	follow(&r, 0, 4096);
	add_many(2 * SFS_EVENTS_MAX);
	while (get(&r, r.next, 10000, EVENT_EXACT, &n), n)
		;
	events_follow(ev, &file, &r);
	cr_assert_eq(size_of(&file, EVENT_EXACT), r.next);
}

Test(events, a_line_of_which_half_was_read_is_lost_too, .init = setup, .fini = teardown)
{
	struct event_reader r;
	events_begin(ev, &r);
	add("a", NULL);
	add("b", NULL);
	get(&r, 0, 10, EVENT_EXACT, NULL);
	add_many(SFS_EVENTS_MAX);
	const char *text = get(&r, 10, 4096, EVENT_EXACT, NULL);
	cr_assert_eq(text[0], '\n', "the torn line ends");
	cr_assert_eq(number(text + 1, "count"), 2);
}

Test(events, a_lost_line_may_be_read_byte_by_byte, .init = setup, .fini = teardown)
{
	struct event_reader r;
	char line[EVENT_LOST + 1] = {0};
	size_t n, len = 0;
	events_begin(ev, &r);
	add_many(SFS_EVENTS_MAX + 7);
	do {
		line[len] = *get(&r, (int64_t)len, 1, EVENT_EXACT, &n);
		cr_assert_eq(n, 1);
	} while (line[len++] != '\n' && len < EVENT_LOST);
	cr_assert_eq(number(line, "count"), 7);
	cr_assert_eq(number(get(&r, (int64_t)len, 4096, EVENT_EXACT, NULL), "seq"), 8);
}

Test(events, going_back_to_what_is_gone_is_being_behind, .init = setup, .fini = teardown)
{
	struct event_reader r;
	events_begin(ev, &r);
	for (size_t i = 0; i < 3; i++) {
		add_many(SFS_EVENTS_MAX / 2);
		follow(&r, i * SFS_EVENTS_MAX / 2, 65536);
	}
	const char *text = get(&r, 0, 65536, EVENT_EXACT, NULL);
	cr_assert_str_eq(member(text, "event"), "lost");
	cr_assert_eq(number(text, "count"), SFS_EVENTS_MAX / 2);
	cr_assert_eq(number(strchr(text, '\n') + 1, "seq"), SFS_EVENTS_MAX / 2 + 1);
}

/* --- pages --- */

Test(events, pages_of_a_file_that_grows, .init = setup, .fini = teardown)
{
	struct event_reader r;
	size_t n;
	events_begin(ev, &r);
	add_many(100);
	int64_t size = size_of(&r, EVENT_PAGES);
	get(&r, 0, 4096, EVENT_PAGES, &n);
	cr_assert_eq(n, 4096, "pages are whole, lines or not");
	get(&r, 4096, 1 << 20, EVENT_PAGES, &n);
	cr_assert_eq((int64_t)n, size - 4096);
	get(&r, size, 4096, EVENT_PAGES, &n);
	cr_assert_eq(n, 0);
	add_many(1);
	const char *text = get(&r, size / 4096 * 4096, 4096, EVENT_PAGES, &n);
	cr_assert_eq((int64_t)n, size_of(&r, EVENT_PAGES) - size / 4096 * 4096);
	cr_assert_eq(number(text + size % 4096, "seq"), 101);
}

/* As the kernel does it: the size, then the pages from the one on that holds the reader's place. */
static const char *read_pages(struct event_reader *r, int64_t at)
{
	int64_t size = size_of(r, EVENT_PAGES), page = at / 4096 * 4096;
	size_t n;
	cr_assert_geq(size, at, "the file was cut off behind the reader");
	const char *text = get(r, page, (size_t)(size - page), EVENT_PAGES, &n);
	cr_assert_eq((int64_t)n, size - page);
	return text + (at - page);
}

Test(events, pages_a_reader_that_keeps_up_loses_nothing, .init = setup, .fini = teardown)
{
	struct event_reader r;
	uint64_t seq = 0;
	int64_t at = 0;
	events_begin(ev, &r);
	for (size_t i = 0; i < 60; i++) {
		add_many(SFS_EVENTS_MAX / 10 + i);
		const char *text = read_pages(&r, at);
		at += (int64_t)strlen(text);
		for (; *text; text = strchr(text, '\n') + 1)
			cr_assert_eq(number(text, "seq"), ++seq);
	}
}

Test(events, pages_a_reader_that_falls_behind_gets_one_line, .init = setup, .fini = teardown)
{
	struct event_reader r;
	events_begin(ev, &r);
	add_many(50);
	int64_t at = (int64_t)strlen(read_pages(&r, 0));
	for (size_t i = 0; i < 2; i++) {
		add_many(5 * SFS_EVENTS_MAX);
		const char *text = read_pages(&r, at);
		at += (int64_t)strlen(text);
		cr_assert_str_eq(member(text, "event"), "lost");
		cr_assert_eq(number(text, "count"), 4 * SFS_EVENTS_MAX);
		text = strchr(text, '\n') + 1;
		cr_assert_eq(
			number(text, "seq"), 50 + 4 * SFS_EVENTS_MAX + 1 + i * 5 * SFS_EVENTS_MAX);
		cr_assert_null(strstr(text, "\n\n"));
		cr_assert_null(strstr(text, "\"lost\""));
	}
}

/* It asked for the size, went to the end, and read nothing yet. */
Test(events, pages_a_reader_that_began_at_the_end_falls_behind, .init = setup, .fini = teardown)
{
	struct event_reader r;
	add_many(10);
	events_begin(ev, &r);
	int64_t at = size_of(&r, EVENT_PAGES);
	add_many(SFS_EVENTS_MAX + 5);
	const char *text = read_pages(&r, at);
	cr_assert_eq(number(text, "count"), 5);
	cr_assert_eq(number(strchr(text, '\n') + 1, "seq"), 16);
}

/* The lines of `text` from event `seq` on, with one gap of which a line "lost" tells; empty lines
 * do not count. */
static void check_gap(const char *text, uint64_t seq)
{
	size_t gaps = 0;
	for (; *text; text = strchr(text, '\n') + 1) {
		if (*text == '\n')
			continue;
		if (strcmp(member(text, "event"), "lost") == 0) {
			gaps++;
			cr_assert_eq(number(text, "seq"), seq + number(text, "count") - 1);
			seq += number(text, "count");
		} else {
			cr_assert_eq(number(text, "seq"), seq++);
		}
	}
	cr_assert_eq(gaps, 1);
}

/* The seq of the last line of `text` that has its end. */
static uint64_t last_whole(const char *text)
{
	uint64_t seq = 0;
	for (; strchr(text, '\n'); text = strchr(text, '\n') + 1)
		seq = number(text, "seq");
	return seq;
}

/* It knows the size but had not read that far: the gap is in the middle of what it knows. */
Test(events, pages_a_reader_that_was_overtaken_while_it_read, .init = setup, .fini = teardown)
{
	for (size_t gap = 1; gap < 200; gap += 9) {
		struct event_reader r;
		add_many(SFS_EVENTS_MAX);
		events_begin(ev, &r);
		int64_t size = size_of(&r, EVENT_PAGES);
		uint64_t seq = last_whole(get(&r, 0, 4096, EVENT_PAGES, NULL));
		add_many(seq - r.since + gap);
		check_gap(get(&r, 4096, (size_t)(size - 4096), EVENT_PAGES, NULL), seq + 1);
		const char *text = get(&r, r.next / 4096 * 4096, 1 << 20, EVENT_PAGES, NULL);
		cr_assert_null(strstr(text, "\"lost\""), "it is told once");
	}
}

Test(events, pages_a_second_slower_reader_of_the_node_gets_empty_lines, .init = setup,
	.fini = teardown)
{
	struct event_reader r;
	size_t n;
	events_begin(ev, &r);
	add_many(SFS_EVENTS_MAX);
	read_pages(&r, 0);
	add_many(100);
	read_pages(&r, 8192);
	const char *text = get(&r, 0, 4096, EVENT_PAGES, &n);
	cr_assert_eq(n, 4096);
	cr_assert_eq(strspn(text, "\n"), 4096, "no bytes of other offsets");
}

/* --- news and threads --- */

static _Atomic unsigned told;

static void on_grown(void *arg)
{
	(void)arg;
	told++;
}

Test(events, the_listener_is_told_until_it_goes, .init = setup, .fini = teardown)
{
	told = 0;
	events_listen(ev, on_grown, NULL);
	add_many(3);
	cr_assert_eq(told, 3);
	events_listen(ev, NULL, NULL);
	add("x", NULL);
	cr_assert_eq(told, 3);
}

#define WRITERS 3
#define READERS 3
#define EACH	5000

static void *writer(void *arg)
{
	(void)arg;
	add_many(EACH);
	return NULL;
}

/* Whatever was missed, what it saw adds up to all. */
static void *reader(void *arg)
{
	struct event_reader *r = arg;
	struct buf out = BUF_INIT(1 << 20);
	uint64_t seen = 0;
	while (seen < WRITERS * EACH) {
		buf_reset(&out);
		if (events_read(ev, r, r->next, 20000, EVENT_EXACT, &out) < 0)
			abort();
		for (const char *line = buf_text(&out); *line; line = strchr(line, '\n') + 1) {
			uint64_t seq = strtoull(line + strlen("{\"seq\":"), NULL, 10);
			const char *lost = strstr(line, "\"count\":");
			bool is_lost = lost && lost < strchr(line, '\n');
			uint64_t step =
				is_lost ? strtoull(lost + strlen("\"count\":"), NULL, 10) : 1;
			if (seq != seen + step)
				abort();
			seen = seq;
		}
	}
	buf_clear(&out);
	return NULL;
}

Test(events, writers_and_readers_at_once, .init = setup, .fini = teardown)
{
	struct event_reader r[READERS];
	pthread_t t[WRITERS + READERS];
	for (size_t i = 0; i < READERS; i++) {
		events_begin(ev, &r[i]);
		pthread_create(&t[i], NULL, reader, &r[i]);
	}
	for (size_t i = 0; i < WRITERS; i++)
		pthread_create(&t[READERS + i], NULL, writer, NULL);
	for (size_t i = 0; i < WRITERS + READERS; i++)
		pthread_join(t[i], NULL);
}
