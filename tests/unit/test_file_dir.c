/* SPDX-License-Identifier: Apache-2.0 */
/* file: sources that are a directory of files. */
#include "backend_kit.h"

#include <sys/socket.h>
#include <sys/un.h>

extern const struct backend_ops file_backend;
#define F (&file_backend)

static char *dir;

static void setup(void)
{
	dir = kit_dir();
}

static void teardown(void)
{
	kit_rm(dir);
}

TestSuite(tree, .init = setup, .fini = teardown);

static const char *at(const char *name)
{
	return kit_path(dir, name);
}

static void *must_open(const char *location)
{
	void *st = NULL;
	struct sfs_err err = {0};
	cr_assert_eq(kit_open(F, location, NULL, &st, &err), 0, "%s", err.msg);
	return st;
}

static void make_dir(const char *name)
{
	cr_assert_eq(mkdir(at(name), 0755), 0);
}

static void make_link(const char *target, const char *name)
{
	cr_assert_eq(symlink(target, at(name)), 0);
}

Test(tree, files_are_secrets_with_exactly_their_bytes)
{
	static const char bytes[] = "\0\xff\r\n \n";
	make_dir("prod");
	make_dir("prod/db");
	kit_write(at("top"), "line\n");
	kit_write_n(at("prod/db/password"), bytes, sizeof(bytes) - 1);
	kit_write(at("prod/.dockerconfigjson"), "{}");
	kit_write(at("empty"), "");
	void *st = must_open(dir);
	kit_list_is(F, st, "empty prod/.dockerconfigjson prod/db/password top ");
	kit_is(F, st, "top", "line\n");
	kit_is(F, st, "empty", "");
	kit_is(F, st, "prod/.dockerconfigjson", "{}");
	kit_part_is_n(F, st, "prod/db/password", NULL, bytes, sizeof(bytes) - 1);
	F->close(st);
}

Test(tree, a_slash_at_the_end_of_the_location_is_nothing)
{
	char with[100];
	kit_write(at("a"), "1");
	snprintf(with, sizeof(with), "%s///", dir);
	void *st = must_open(with);
	kit_is(F, st, "a", "1");
	F->close(st);
}

Test(tree, names_are_any_bytes)
{
	static const char *const names[] = {
		" ", "a b", "new\nline", "\xff\xfe", "\xe2\x80\xae", "*?[", "%2F", "\\"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		kit_write(at(names[i]), names[i]);
	void *st = must_open(dir);
	struct list_sink sink = {0};
	struct call call = kit_call();
	cr_assert_eq(F->list(st, &call, NULL, &sink, NULL), 0);
	cr_expect_eq(sink.n, sizeof(names) / sizeof(names[0]));
	for (size_t i = 0; i < sink.n; i++)
		kit_is(F, st, sink.lines[i], sink.lines[i]);
	sink_clear(&sink);
	F->close(st);
}

Test(tree, names_that_list_never_gives_do_not_exist)
{
	static const char *const names[] = {"nope", "sub", "sub/", "/etc/passwd", "../x",
		"sub/../top", ".", "..", "./top", "sub//a", "", "..data/key", "top/x",
		"sub/..hidden"};
	make_dir("sub");
	make_dir("..data");
	kit_write(at("top"), "1");
	kit_write(at("sub/a"), "1");
	kit_write(at("sub/..hidden"), "canary");
	kit_write(at("..data/key"), "canary");
	void *st = must_open(dir);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		kit_fails(F, st, names[i], ENOENT);
	F->close(st);
}

/* As the kubelet lays it out: KEY -> ..data/KEY, ..data -> ..2024_x, and a key with a directory in
 * its path. */
static void kube_version(const char *stamp, const char *value)
{
	char name[128];
	snprintf(name, sizeof(name), "..%s", stamp);
	make_dir(name);
	snprintf(name, sizeof(name), "..%s/key", stamp);
	kit_write(at(name), value);
	snprintf(name, sizeof(name), "..%s/sub", stamp);
	make_dir(name);
	snprintf(name, sizeof(name), "..%s/sub/deep", stamp);
	kit_write(at(name), value);
	snprintf(name, sizeof(name), "..%s", stamp);
	make_link(name, "..data_tmp");
	cr_assert_eq(rename(at("..data_tmp"), at("..data")), 0);
}

Test(tree, kubernetes_volume)
{
	kube_version("2024_01", "one");
	make_link("..data/key", "key");
	make_link("..data/sub", "sub");
	void *st = must_open(dir);
	kit_list_is(F, st, "key sub/deep ");
	kit_is(F, st, "key", "one");
	kit_is(F, st, "sub/deep", "one");
	kube_version("2024_02", "two");
	kit_is(F, st, "key", "two");
	kit_is(F, st, "sub/deep", "two");
	F->close(st);
}

Test(tree, links_to_files_lead_anywhere_and_to_directories_only_inside)
{
	make_dir("tree");
	make_dir("tree/in");
	make_dir("out");
	kit_write(at("out/file"), "outside");
	kit_write(at("tree/in/x"), "inside");
	make_link("../out/file", "tree/f");
	make_link("../out", "tree/d");
	make_link("in", "tree/same");
	make_link("nowhere", "tree/dangling");
	void *st = must_open(at("tree"));
	kit_list_is(F, st, "f in/x same/x ");
	kit_is(F, st, "f", "outside");
	kit_is(F, st, "same/x", "inside");
	kit_fails(F, st, "d/file", ENOENT);
	kit_fails(F, st, "dangling", ENOENT);
	F->close(st);
}

Test(tree, loops_of_links_end)
{
	make_dir("a");
	make_dir("b");
	kit_write(at("a/x"), "1");
	make_link("..", "a/up");
	make_link(".", "a/self");
	make_link("../b", "a/to_b");
	make_link("../a", "b/to_a");
	make_link("eat", "tail");
	make_link("tail", "eat");
	void *st = must_open(dir);
	kit_list_is(F, st, "a/x b/to_a/x ");
	kit_fails(F, st, "tail", ENOENT);
	F->close(st);
}

/* Row: links that multiply the paths. 2^24 paths must not be walked. */
Test(tree, links_that_multiply_end_with_a_sentence)
{
	struct list_sink sink = {0};
	struct sfs_err err = {0};
	struct call call = kit_call();
	char name[16], target[16];
	for (int i = 0; i < 24; i++) {
		sprintf(name, "d%d", i);
		make_dir(name);
		sprintf(target, "../d%d", i + 1);
		sprintf(name, "d%d/l", i);
		make_link(target, name);
		sprintf(name, "d%d/r", i);
		make_link(target, name);
	}
	make_dir("d24");
	void *st = must_open(dir);
	cr_expect_eq(F->list(st, &call, NULL, &sink, &err), -EFBIG);
	cr_expect(strstr(err.msg, "links to directories"), "%s", err.msg);
	sink_clear(&sink);
	F->close(st);
}

/* R55. */
Test(tree, what_is_no_regular_file_is_left_out)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", at("socket"));
	cr_assert_eq(bind(s, (struct sockaddr *)&un, sizeof(un)), 0);
	cr_assert_eq(mkfifo(at("fifo"), 0644), 0);
	make_link("/dev/zero", "device");
	kit_write(at("ok"), "1");
	void *st = must_open(dir);
	struct list_sink sink = {0};
	struct call call = kit_call();
	cr_assert_eq(F->list(st, &call, NULL, &sink, NULL), 0);
	for (size_t i = 0; i < sink.n; i++)
		cr_expect(strcmp(sink.lines[i], "socket") && strcmp(sink.lines[i], "fifo"), "%s",
			sink.lines[i]);
	sink_clear(&sink);
	kit_is(F, st, "ok", "1");
	kit_fails(F, st, "fifo", EACCES);
	kit_fails(F, st, "device", EACCES);
	F->close(st);
	close(s);
}

/* Row 93. */
Test(tree, values_over_the_limit_are_listed_and_refused)
{
	kit_write(at("max"), "x");
	kit_write(at("over"), "x");
	cr_assert_eq(truncate(at("max"), SFS_VALUE_MAX), 0);
	cr_assert_eq(truncate(at("over"), SFS_VALUE_MAX + 1), 0);
	void *st = must_open(dir);
	struct payload *p = NULL;
	kit_list_is(F, st, "max over ");
	cr_assert_eq(kit_get(F, st, "max", &p, NULL), 0);
	cr_expect_eq(payload_size(p), SFS_VALUE_MAX);
	payload_unref(p);
	kit_fails(F, st, "over", EFBIG);
	F->close(st);
}

Test(tree, a_file_that_may_not_be_read_is_listed_and_refused)
{
	if (geteuid() != 0)
		cr_skip_test("needs root to become another user");
	kit_write(at("mine"), "canary");
	kit_write(at("yours"), "1");
	cr_assert_eq(chmod(at("yours"), 0644), 0);
	make_dir("closed");
	cr_assert_eq(chmod(at("closed"), 0700), 0);
	kit_write(at("closed/x"), "canary");
	void *st = must_open(dir);
	cr_assert_eq(seteuid(65534), 0);
	kit_list_is(F, st, "mine yours ");
	kit_is(F, st, "yours", "1");
	kit_fails(F, st, "mine", EACCES);
	kit_fails(F, st, "closed/x", EACCES);
	cr_assert_eq(seteuid(0), 0);
	F->close(st);
}

Test(tree, a_removed_tree_has_no_secrets_and_may_come_back)
{
	make_dir("t");
	kit_write(at("t/a"), "1");
	void *st = must_open(at("t"));
	unlink(at("t/a"));
	rmdir(at("t"));
	kit_list_is(F, st, "");
	kit_problem_is(F, st, "was removed");
	kit_fails(F, st, "a", ENOENT);
	make_dir("t");
	kit_write(at("t/b"), "2");
	kit_list_is(F, st, "b ");
	kit_problem_is(F, st, NULL);
	kit_is(F, st, "b", "2");
	F->close(st);
}

Test(tree, walking_stops_when_cancelled_or_late)
{
	struct list_sink sink = {0};
	struct sfs_err err = {0};
	atomic_bool cancelled = true;
	struct call call = {.deadline = CLOCK_NEVER, .cancelled = &cancelled};
	kit_write(at("a"), "1");
	void *st = must_open(dir);
	cr_expect_eq(F->list(st, &call, NULL, &sink, &err), -ECANCELED);
	atomic_store(&cancelled, false);
	call.deadline = clock_boot() - 1;
	cr_expect_eq(F->list(st, &call, NULL, &sink, &err), -ETIMEDOUT);
	cr_expect_eq(sink.n, 0);
	F->close(st);
}

Test(tree, without_memory_a_listing_is_enomem)
{
	make_dir("d");
	kit_write(at("d/a"), "1");
	make_link("d", "l");
	make_link("d/a", "f");
	void *st = must_open(dir);
	for (unsigned long n = 1; n < 60; n++) {
		struct list_sink sink = {0};
		struct call call = kit_call();
		alloc_fail_at(n);
		int rc = F->list(st, &call, NULL, &sink, NULL);
		unsigned long seen = alloc_fail_at(0);
		cr_expect(rc == -ENOMEM || rc == 0, "allocation %lu: %d", n, rc);
		cr_expect(seen < n || rc == -ENOMEM || sink.n == 3, "allocation %lu: %zu names", n,
			sink.n);
		sink_clear(&sink);
	}
	F->close(st);
}

Test(tree, describe_names_the_file)
{
	struct buf b = BUF_INIT(1000);
	struct call call = kit_call();
	make_dir("d");
	kit_write(at("d/a\"b"), "canary");
	void *st = must_open(dir);
	cr_assert_eq(F->describe(st, &call, "d/a\"b", &b, NULL), 0);
	cr_expect(strstr(b.data, "/d/a\\\"b\"}"), "%s", b.data);
	cr_expect_eq(F->describe(st, &call, "nope", &b, NULL), -ENOENT);
	buf_clear(&b);
	F->close(st);
}
