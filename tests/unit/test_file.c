/* SPDX-License-Identifier: Apache-2.0 */
/* file: sources that are one file: formats through the calls of the back end, and how an edit is
 * taken up. */
#include "backend_kit.h"

extern const struct backend_ops file_backend;
#define F (&file_backend)

static char *dir, path[512];

static void setup(void)
{
	dir = kit_dir();
	snprintf(path, sizeof(path), "%s/secrets.env", dir);
}

static void teardown(void)
{
	kit_rm(dir);
	cr_expect_eq(kit_blocks(), 0, "secret memory is left");
}

TestSuite(file, .init = setup, .fini = teardown);

/* kit_env() keeps its variables in secret memory for the whole program; here nothing of it is
 * wanted. */
static void *must_open(const char *location, const char *options)
{
	void *state = NULL;
	struct sfs_err err = {0};
	static const struct path_env paths = {.covered_fd = -1};
	static struct backend_env env = {.instance = "t", .paths = &paths};
	struct opt_values vals = {0};
	struct opt_table table = {.owner = "file", .rows = F->options};
	const struct opt_table *tables[] = {&table};
	if (options)
		cr_assert_eq(opt_parse(&vals, tables, 1, options, "-o", &err), 0, "%s", err.msg);
	int rc = F->open(&env, location, &vals, &state, &err);
	opt_clear(&vals);
	cr_assert_eq(rc, 0, "%s", err.msg);
	return state;
}

static void *open_text(const char *text, const char *options)
{
	kit_write(path, text);
	return must_open(path, options);
}

static void open_fails(const char *location, const char *options, int code, const char *part)
{
	void *state = NULL;
	struct sfs_err err = {0};
	static const struct path_env paths = {.covered_fd = -1};
	static const struct backend_env env = {.instance = "t", .paths = &paths};
	struct opt_values vals = {0};
	struct opt_table table = {.owner = "file", .rows = F->options};
	const struct opt_table *tables[] = {&table};
	if (options)
		cr_assert_eq(opt_parse(&vals, tables, 1, options, "-o", NULL), 0);
	cr_expect_eq(
		F->open(&env, location, &vals, &state, &err), -code, "%s: %s", location, err.msg);
	opt_clear(&vals);
	cr_expect_null(state, "untouched on failure");
	cr_expect(strstr(err.msg, part), "%s", err.msg);
	cr_expect(!strstr(err.msg, "canary"), "%s", err.msg);
}

Test(file, dotenv)
{
	void *st = open_text("# c\nexport A=1\nB='x y'\nA=2\nKEY=\"l1\nl2\n\"\n", NULL);
	kit_list_is(F, st, "A B KEY ");
	kit_is(F, st, "A", "2");
	kit_is(F, st, "B", "x y");
	kit_is(F, st, "KEY", "l1\nl2\n");
	kit_fails(F, st, "C", ENOENT);
	kit_fails(F, st, "a", ENOENT);
	F->close(st);
}

Test(file, json)
{
	void *st = open_text(
		" {\"s\":\"t\\u0000x\",\"n\":1e999,\"l\":[1, "
		"2],\"t\":true,\"o\":{\"b\":\"1\",\"a\":{\"x\": 0.10}},\"e\":{},\"s2\":\"\","
		"\"a/b\":\"c\"}",
		NULL);
	kit_list_is(F, st, "a/b e{} l n o{b,a} s s2 t ");
	kit_part_is_n(F, st, "s", NULL, "t\0x", 3);
	kit_is(F, st, "n", "1e999");
	kit_is(F, st, "l", "[1,2]");
	kit_is(F, st, "t", "true");
	kit_is(F, st, "s2", "");
	kit_is(F, st, "a/b", "c");
	kit_part_is_n(F, st, "o", "b", "1", 1);
	kit_part_is_n(F, st, "o", "a", "{\"x\":0.10}", 10);
	struct payload *p = NULL;
	cr_assert_eq(kit_get(F, st, "e", &p, NULL), 0);
	cr_expect_eq(p->nparts, 0, "an empty object is a secret without keys");
	payload_unref(p);
	F->close(st);
}

Test(file, json_last_of_equal_keys_wins)
{
	void *st = open_text("{\"a\":1,\"o\":{\"k\":1,\"k\":2},\"a\":\"x\"}", "format=json");
	kit_list_is(F, st, "a o{k} ");
	kit_is(F, st, "a", "x");
	kit_part_is_n(F, st, "o", "k", "2", 1);
	F->close(st);
}

/* R50: an impossible name costs only itself. */
Test(file, json_keys_that_no_file_can_have_are_left_out)
{
	void *st = open_text(
		"{\"\":1,\"n\\u0000\":2,\"ok\":3,\"o\":{\"\":1,\"x\\u0000\":2,\"k\":3}}", NULL);
	kit_list_is(F, st, "ok o{k} ");
	kit_part_is_n(F, st, "o", "k", "3", 1);
	F->close(st);
}

Test(file, mlrun_list)
{
	void *st = open_text(
		"#A=1\n B = x=y \nC\nD=$HOME\nD=2$HOME\n=x\nQ=\"q\"\n", "format=mlrun-list");
	kit_list_is(F, st, "#A B D Q ");
	kit_is(F, st, "#A", "1");
	kit_is(F, st, "B", "x=y");
	kit_is(F, st, "D", "2$HOME");
	kit_is(F, st, "Q", "\"q\"");
	F->close(st);
}

Test(file, format_is_guessed_by_name_then_by_content)
{
	open_fails((kit_write(kit_path(dir, "x.json"), "A=1\n"), kit_path(dir, "x.json")), NULL,
		EBADMSG, "x.json: JSON: line 1");
	kit_write(kit_path(dir, "x.txt"), "\n\t {\"A\":\"j\"}");
	void *st = must_open(kit_path(dir, "x.txt"), NULL);
	kit_is(F, st, "A", "j");
	F->close(st);
	open_fails(kit_path(dir, "x.txt"), "format=dotenv", EBADMSG, "x.txt:2:");
}

Test(file, an_empty_file_has_no_secrets)
{
	void *st = open_text("", NULL);
	kit_list_is(F, st, "");
	F->close(st);
}

Test(file, malformed_at_the_start_is_refused_with_file_and_line)
{
	kit_write(path, "A=1\nbad canary\n");
	open_fails(path, NULL, EBADMSG, "secrets.env:2: ");
	kit_write(path, "{\"a\": \"canary\",\n \"b\": canary}");
	open_fails(path, NULL, EBADMSG, "secrets.env: JSON: line 2 column 7: ");
	kit_write(path, "[1]");
	open_fails(path, "format=json", EBADMSG, "one object");
}

Test(file, locations_that_make_no_sense_are_refused)
{
	open_fails("", NULL, EINVAL, "file:/etc");
	open_fails("relative.env", NULL, EINVAL, "absolute");
	open_fails(kit_path(dir, "missing.env"), NULL, ENOENT, "missing.env");
	open_fails(dir, "format=json", EINVAL, "is a directory");
	kit_write(path, "A=1\n");
	open_fails(kit_path(dir, "secrets.env/x"), NULL, ENOTDIR, "secrets.env");
}

/* R55: only regular files and directories. */
Test(file, fifos_sockets_and_devices_are_refused)
{
	cr_assert_eq(mkfifo(path, 0600), 0);
	open_fails(path, NULL, EACCES, "fifo");
	open_fails("/dev/null", NULL, EACCES, "/dev/null");
}

/* Row 93. */
Test(file, values_up_to_the_limit)
{
	static const size_t sizes[] = {0, 1, 65536, SFS_VALUE_MAX, SFS_VALUE_MAX + 1};
	char *text = malloc(SFS_VALUE_MAX + 16), *value = malloc(SFS_VALUE_MAX + 2);
	for (size_t i = 0; i < 5; i++) {
		memset(value, 'v', sizes[i]);
		value[sizes[i]] = '\0';
		sprintf(text, "A=%s\n", value);
		void *st = open_text(text, NULL);
		kit_list_is(F, st, "A ");
		if (sizes[i] > SFS_VALUE_MAX)
			kit_fails(F, st, "A", EFBIG);
		else
			kit_is(F, st, "A", value);
		F->close(st);
	}
	free(text);
	free(value);
}

Test(file, a_file_over_the_limit_is_refused)
{
	kit_write(path, "A=1\n");
	cr_assert_eq(truncate(path, SFS_SOURCE_MAX), 0);
	open_fails(path, NULL, EFBIG, "secrets.env");
}

Test(file, created_is_the_time_of_the_file)
{
	struct timespec times[2] = {{1000, 0}, {1234567890, 5}};
	kit_write(path, "A=1\n");
	cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
	void *st = must_open(path, NULL);
	struct payload *p = NULL;
	struct list_sink sink = {0};
	struct call call = kit_call();
	cr_assert_eq(kit_get(F, st, "A", &p, NULL), 0);
	cr_expect_eq(p->created, 1234567890 * NSEC_PER_SEC + 5);
	cr_expect_null(p->version);
	cr_assert_eq(F->list(st, &call, NULL, &sink, NULL), 0);
	cr_expect_eq(sink.created, p->created);
	payload_unref(p);
	sink_clear(&sink);
	F->close(st);
}

Test(file, other_versions_do_not_exist)
{
	void *st = open_text("A=1\n", NULL);
	struct payload *p = NULL;
	struct call call = kit_call();
	struct get_request rq = {.name = "A", .version = "7"};
	cr_expect_eq(F->get(st, &call, &rq, &p, NULL), -ENOENT);
	cr_expect_null(p);
	F->close(st);
}

Test(file, a_replaced_file_is_read_at_the_next_get)
{
	void *st = open_text("A=1\nB=1\n", NULL);
	kit_is(F, st, "A", "1");
	kit_replace(path, "A=2\nC=3\n");
	kit_is(F, st, "A", "2");
	kit_list_is(F, st, "A C ");
	kit_fails(F, st, "B", ENOENT);
	F->close(st);
}

/* Writes of one length within one tick of the file's clock must not hide behind one another. */
Test(file, no_edit_is_missed)
{
	void *st = open_text("A=000\n", NULL);
	for (int i = 1; i < 30; i++) {
		char text[32], value[16];
		sprintf(value, "%03d", i);
		sprintf(text, "A=%s\n", value);
		if (i % 3)
			kit_replace(path, text);
		else
			kit_write(path, text);
		kit_is(F, st, "A", value);
	}
	F->close(st);
}

Test(file, a_malformed_edit_keeps_the_last_good_content)
{
	void *st = open_text("A=1\nB=2\n", NULL);
	kit_replace(path, "A=9\nnonsense canary\n");
	kit_is(F, st, "A", "1");
	kit_list_is(F, st, "A B ");
	kit_replace(path, "A=3\n");
	kit_is(F, st, "A", "3");
	kit_list_is(F, st, "A ");
	F->close(st);
}

static void describe(void *st, const char *name, struct buf *out)
{
	struct sfs_err err = {0};
	struct call call = kit_call();
	buf_reset(out);
	cr_assert_eq(F->describe(st, &call, name, out, &err), 0, "%s", err.msg);
}

Test(file, describe_says_where_and_what_is_wrong)
{
	void *st = open_text("A=1\n\nB=canary\n", NULL);
	struct buf b = BUF_INIT(10000);
	struct sfs_err err = {0};
	struct call call = kit_call();
	describe(st, "B", &b);
	cr_expect(strstr(b.data, "secrets.env\",\"format\":\"dotenv\",\"line\":3}"), "%s", b.data);
	kit_replace(path, "A canary\n");
	describe(st, "B", &b);
	cr_expect(strstr(b.data, "\"problem\":\"") && strstr(b.data, "secrets.env:1: "), "%s",
		b.data);
	cr_expect(!strstr(b.data, "canary"), "%s", b.data);
	buf_reset(&b);
	cr_expect_eq(F->describe(st, &call, "C", &b, &err), -ENOENT);
	cr_expect_eq(b.len, 0, "nothing is appended on failure");
	buf_clear(&b);
	F->close(st);
}

Test(file, a_listing_says_what_is_wrong_with_the_source)
{
	void *st = open_text("A=1\n", NULL);
	kit_problem_is(F, st, NULL);
	kit_replace(path, "A canary\n");
	kit_problem_is(F, st, "secrets.env:1: ");
	kit_replace(path, "A=2\n");
	kit_problem_is(F, st, NULL);
	unlink(path);
	kit_problem_is(F, st, "was removed");
	kit_write(path, "A=3\n");
	kit_problem_is(F, st, NULL);
	F->close(st);
}

Test(file, a_problem_is_over_when_the_old_file_comes_back)
{
	void *st = open_text("A=1\n", NULL);
	struct buf b = BUF_INIT(10000);
	cr_assert_eq(rename(path, kit_path(dir, "backup")), 0);
	kit_write(path, "broken\n");
	kit_is(F, st, "A", "1");
	cr_assert_eq(rename(kit_path(dir, "backup"), path), 0);
	kit_is(F, st, "A", "1");
	describe(st, "A", &b);
	cr_expect(!strstr(b.data, "problem"), "%s", b.data);
	buf_clear(&b);
	F->close(st);
}

Test(file, a_removed_file_takes_its_secrets_and_may_come_back)
{
	void *st = open_text("A=1\n", NULL);
	unlink(path);
	kit_fails(F, st, "A", ENOENT);
	kit_list_is(F, st, "");
	kit_write(path, "A=2\n");
	kit_is(F, st, "A", "2");
	F->close(st);
}

Test(file, a_file_that_becomes_a_directory_or_fifo_keeps_the_last_good_content)
{
	void *st = open_text("A=1\n", NULL);
	unlink(path);
	cr_assert_eq(mkdir(path, 0755), 0);
	kit_is(F, st, "A", "1");
	rmdir(path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	kit_is(F, st, "A", "1");
	F->close(st);
}

Test(file, a_link_is_followed_to_its_new_target)
{
	kit_write(kit_path(dir, "one"), "A=1\n");
	kit_write(kit_path(dir, "two"), "A=2\n");
	cr_assert_eq(symlink("one", path), 0);
	void *st = must_open(path, NULL);
	kit_is(F, st, "A", "1");
	cr_assert_eq(symlink("two", kit_path(dir, "next")), 0);
	cr_assert_eq(rename(kit_path(dir, "next"), path), 0);
	kit_is(F, st, "A", "2");
	F->close(st);
}

struct writer {
	pthread_t thread;
	atomic_bool stop;
};

/* Both values are one file's content at some moment, in each of them A and B are equal. */
static void *rewrite(void *arg)
{
	struct writer *w = arg;
	char text[64];
	for (int i = 0; !atomic_load(&w->stop); i++) {
		snprintf(text, sizeof(text), "A=%08d\nB=%08d\n", i, i);
		kit_replace(path, text);
	}
	return NULL;
}

Test(file, readers_during_replacements_see_whole_values)
{
	void *st = open_text("A=00000000\nB=00000000\n", NULL);
	struct writer w = {0};
	cr_assert_eq(pthread_create(&w.thread, NULL, rewrite, &w), 0);
	for (int i = 0; i < 2000; i++) {
		struct payload *p = NULL;
		struct sfs_err err = {0};
		cr_assert_eq(kit_get(F, st, i % 2 ? "A" : "B", &p, &err), 0, "%s", err.msg);
		cr_assert_eq(secret_len(payload_part(p, NULL)), 8);
		payload_unref(p);
	}
	atomic_store(&w.stop, true);
	pthread_join(w.thread, NULL);
	F->close(st);
}

Test(file, list_stops_when_nobody_wants_more)
{
	void *st = open_text("A=1\nB=2\nC=3\n", NULL);
	struct list_sink sink = {.stop_after = 2};
	struct call call = kit_call();
	cr_expect_eq(F->list(st, &call, NULL, &sink, NULL), -ECANCELED);
	cr_expect_eq(sink.n, 2);
	sink_clear(&sink);
	F->close(st);
}

Test(file, without_memory_an_edit_is_taken_up_later)
{
	void *st = open_text("A=1\n", NULL);
	for (unsigned long n = 1; n < 40; n++) {
		char text[32], value[8];
		struct payload *p = NULL;
		sprintf(value, "%lu", n);
		sprintf(text, "A=%s\n", value);
		kit_replace(path, text);
		alloc_fail_at(n);
		int rc = kit_get(F, st, "A", &p, NULL);
		alloc_fail_at(0);
		cr_expect(rc == 0 || rc == -ENOMEM, "allocation %lu: %d", n, rc);
		cr_expect_eq(rc == 0, p != NULL);
		payload_unref(p);
		kit_is(F, st, "A", value);
	}
	F->close(st);
}

Test(file, without_memory_opening_fails_cleanly)
{
	kit_write(path, "{\"A\":{\"b\":1,\"c\":2}}");
	for (unsigned long n = 1; n < 40; n++) {
		void *state = NULL;
		struct opt_values none = {0};
		static const struct path_env paths = {.covered_fd = -1};
		static const struct backend_env env = {.instance = "t", .paths = &paths};
		alloc_fail_at(n);
		int rc = F->open(&env, path, &none, &state, NULL);
		alloc_fail_at(0);
		cr_expect_eq(rc == 0, state != NULL, "allocation %lu", n);
		F->close(state);
	}
}

/* 100,000 secrets: the price of a look-up must not depend on their number. */
Test(file, a_hundred_thousand_secrets)
{
	size_t n = 100000;
	char *text = malloc(n * 32), *p = text, name[16], value[16];
	for (size_t i = 0; i < n; i++)
		p += sprintf(p, "N%zu=v%zu\n", (i * 7919) % n, (i * 7919) % n);
	void *st = open_text(text, NULL);
	for (size_t i = 0; i < n; i += 997) {
		sprintf(name, "N%zu", i);
		sprintf(value, "v%zu", i);
		kit_is(F, st, name, value);
	}
	struct list_sink sink = {0};
	struct call call = kit_call();
	cr_expect_eq(F->list(st, &call, NULL, &sink, NULL), 0);
	cr_expect_eq(sink.n, n);
	sink_clear(&sink);
	F->close(st);
	free(text);
}
