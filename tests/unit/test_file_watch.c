/* SPDX-License-Identifier: Apache-2.0 */
/* How changes of file: sources are noticed. Reports are awaited, never slept for. */
#include "backend_kit.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

extern const struct backend_ops file_backend;
#define F (&file_backend)

static char *dir, path[512];
static void *st;
static struct kit_watch w;

static void setup(void)
{
	dir = kit_dir();
	snprintf(path, sizeof(path), "%s/secrets.env", dir);
}

static void teardown(void)
{
	kit_watch_stop(&w);
	F->close(st);
	kit_rm(dir);
}

TestSuite(watch, .init = setup, .fini = teardown, .timeout = 60);

static const char *at(const char *name)
{
	return kit_path(dir, name);
}

static void start(const char *location)
{
	struct sfs_err err = {0};
	cr_assert_eq(kit_open(F, location, NULL, &st, &err), 0, "%s", err.msg);
	kit_watch_start(&w, F, st);
}

static void start_file(void)
{
	kit_write(path, "A=1\n");
	start(path);
}

/* Does something and waits for a report that came after it. */
#define REPORTED(action)                                      \
	do {                                                  \
		unsigned before_ = kit_seen(&w, &w.sink.all); \
		action;                                       \
		kit_await(&w, &w.sink.all, before_ + 1);      \
	} while (0)

static void make_dir(const char *name)
{
	cr_assert_eq(mkdir(at(name), 0755), 0);
}

static void move(const char *from, const char *to)
{
	cr_assert_eq(rename(at(from), at(to)), 0, "%s", strerror(errno));
}

Test(watch, reports_once_when_set_up_and_ends_when_told)
{
	start_file();
	cr_expect_eq(kit_seen(&w, &w.sink.all), 1);
}

Test(watch, atomic_replacement)
{
	start_file();
	REPORTED(kit_replace(path, "A=2\n"));
	kit_is(F, st, "A", "2");
	REPORTED(kit_replace(path, "A=3\n"));
	kit_is(F, st, "A", "3");
}

Test(watch, write_in_place)
{
	start_file();
	REPORTED(kit_write(path, "A=2\n"));
	kit_is(F, st, "A", "2");
}

Test(watch, write_in_place_by_a_writer_that_keeps_it_open)
{
	start_file();
	int fd = open(path, O_WRONLY | O_APPEND);
	cr_assert_geq(fd, 0);
	REPORTED(cr_assert_eq(write(fd, "B=2\n", 4), 4));
	kit_is(F, st, "B", "2");
	REPORTED(cr_assert_eq(write(fd, "C=3\n", 4), 4));
	kit_is(F, st, "C", "3");
	close(fd);
}

Test(watch, mapped_memory_is_seen_when_the_file_is_touched)
{
	start_file();
	REPORTED(cr_assert_eq(utimensat(AT_FDCWD, path, NULL, 0), 0));
	kit_is(F, st, "A", "1");
}

Test(watch, deletion_and_recreation)
{
	start_file();
	REPORTED(unlink(path));
	kit_list_is(F, st, "");
	REPORTED(kit_write(path, "A=2\n"));
	kit_is(F, st, "A", "2");
}

Test(watch, directory_deleted_and_recreated)
{
	make_dir("d");
	kit_write(at("d/x.env"), "A=1\n");
	start(at("d/x.env"));
	REPORTED((unlink(at("d/x.env")), rmdir(at("d"))));
	kit_list_is(F, st, "");
	REPORTED((make_dir("d"), kit_write(at("d/x.env"), "A=2\n")));
	kit_is(F, st, "A", "2");
	REPORTED(kit_replace(at("d/x.env"), "A=3\n"));
	kit_is(F, st, "A", "3");
}

Test(watch, directory_renamed_away_and_another_put_there)
{
	make_dir("d");
	make_dir("e");
	kit_write(at("d/x.env"), "A=1\n");
	kit_write(at("e/x.env"), "A=2\n");
	start(at("d/x.env"));
	REPORTED((move("d", "old"), move("e", "d")));
	kit_is(F, st, "A", "2");
	REPORTED(kit_replace(at("d/x.env"), "A=3\n"));
	kit_is(F, st, "A", "3");
}

/* vim: backup by rename, new file, backup removed; emacs and others: temporary file renamed over.
 */
Test(watch, editors_dance_never_shows_a_gap)
{
	start_file();
	REPORTED({
		kit_write(at("4913"), "");
		unlink(at("4913"));
		cr_assert_eq(rename(path, at("secrets.env~")), 0);
		kit_write(path, "A=2\n");
		unlink(at("secrets.env~"));
	});
	kit_is(F, st, "A", "2");
	REPORTED(kit_replace(path, "A=3\n"));
	kit_is(F, st, "A", "3");
}

Test(watch, link_swapped)
{
	kit_write(at("one"), "A=1\n");
	kit_write(at("two"), "A=2\n");
	cr_assert_eq(symlink("one", path), 0);
	start(path);
	cr_assert_eq(symlink("two", at("next")), 0);
	REPORTED(cr_assert_eq(rename(at("next"), path), 0));
	kit_is(F, st, "A", "2");
	REPORTED(kit_replace(at("two"), "A=3\n"));
	kit_is(F, st, "A", "3");
}

static void kube_version(const char *stamp, const char *value)
{
	char name[128];
	snprintf(name, sizeof(name), "..%s", stamp);
	make_dir(name);
	cr_assert_eq(symlink(name, at("..data_tmp")), 0);
	snprintf(name, sizeof(name), "..%s/key", stamp);
	kit_write(at(name), value);
	move("..data_tmp", "..data");
}

Test(watch, kubernetes_swap_of_a_file_source)
{
	kube_version("1", "A=1\n");
	cr_assert_eq(symlink("..data/key", at("key")), 0);
	start(at("key"));
	REPORTED(kube_version("2", "A=2\n"));
	kit_is(F, st, "A", "2");
	REPORTED(kube_version("3", "A=3\n"));
	kit_is(F, st, "A", "3");
}

Test(watch, kubernetes_swap_of_a_tree)
{
	kube_version("1", "one");
	cr_assert_eq(symlink("..data/key", at("key")), 0);
	start(dir);
	REPORTED(kube_version("2", "two"));
	kit_is(F, st, "key", "two");
	REPORTED(kit_write(at("..2/key"), "three"));
	kit_is(F, st, "key", "three");
}

Test(watch, directory_link_on_the_way_swapped)
{
	make_dir("r1");
	make_dir("r2");
	kit_write(at("r1/x.env"), "A=1\n");
	kit_write(at("r2/x.env"), "A=2\n");
	cr_assert_eq(symlink("r1", at("current")), 0);
	cr_assert_eq(symlink("r2", at("next")), 0);
	start(at("current/x.env"));
	REPORTED(move("next", "current"));
	kit_is(F, st, "A", "2");
}

Test(watch, a_malformed_edit_is_reported_and_the_old_content_stays)
{
	start_file();
	REPORTED(kit_replace(path, "broken\n"));
	kit_is(F, st, "A", "1");
	REPORTED(kit_replace(path, "A=2\n"));
	kit_is(F, st, "A", "2");
}

Test(watch, files_of_a_tree_come_and_go)
{
	kit_write(at("a"), "1");
	start(dir);
	REPORTED(kit_write(at("b"), "2"));
	kit_list_is(F, st, "a b ");
	REPORTED(unlink(at("a")));
	kit_list_is(F, st, "b ");
	REPORTED(move("b", "c"));
	kit_list_is(F, st, "c ");
}

Test(watch, directories_of_a_tree_come_and_go)
{
	kit_write(at("a"), "1");
	start(dir);
	REPORTED((make_dir("d"), make_dir("d/e"), kit_write(at("d/e/x"), "1")));
	kit_list_is(F, st, "a d/e/x ");
	REPORTED(kit_write(at("d/e/y"), "1"));
	kit_list_is(F, st, "a d/e/x d/e/y ");
	REPORTED(move("d", "z"));
	kit_list_is(F, st, "a z/e/x z/e/y ");
	REPORTED(kit_write(at("z/e/w"), "1"));
	kit_list_is(F, st, "a z/e/w z/e/x z/e/y ");
}

Test(watch, a_changed_file_of_a_tree_is_reported_by_name)
{
	make_dir("d");
	kit_write(at("d/a"), "1");
	kit_write(at("b"), "1");
	start(dir);
	kit_write(at("d/a"), "2");
	kit_await(&w, &w.sink.named, 1);
	cr_expect_str_eq(w.sink.last, "d/a");
	kit_is(F, st, "d/a", "2");
	cr_expect_eq(kit_seen(&w, &w.sink.all), 1, "others are not asked again");
}

Test(watch, a_file_with_two_names_is_not_reported_by_one_of_them)
{
	kit_write(at("a"), "1");
	cr_assert_eq(link(at("a"), at("b")), 0);
	start(dir);
	REPORTED(kit_write(at("a"), "2"));
	kit_is(F, st, "b", "2");
}

Test(watch, the_root_of_a_tree_is_replaced)
{
	make_dir("t");
	make_dir("u");
	kit_write(at("t/a"), "1");
	kit_write(at("u/b"), "1");
	start(at("t"));
	REPORTED((move("t", "gone"), move("u", "t")));
	kit_list_is(F, st, "b ");
	REPORTED(kit_write(at("t/c"), "1"));
	kit_list_is(F, st, "b c ");
}

Test(watch, a_target_outside_of_the_tree_is_watched_too)
{
	make_dir("live");
	make_dir("archive");
	kit_write(at("archive/cert1"), "1");
	cr_assert_eq(symlink("../archive/cert1", at("live/cert")), 0);
	start(at("live"));
	REPORTED(kit_write(at("archive/cert1"), "2"));
	kit_is(F, st, "cert", "2");
}

Test(watch, neighbours_of_a_file_are_not_reported)
{
	start_file();
	kit_write(at("other"), "x");
	unlink(at("other"));
	REPORTED(kit_replace(path, "A=2\n"));
	cr_expect_eq(kit_seen(&w, &w.sink.all), 2);
}

/* From now on the system call fails in this process and its new threads. */
static void forbid(unsigned nr, unsigned code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = 4, .filter = filter};
	cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

/* The limit of watches is a reason to look from time to time, not to fail. */
Test(watch, at_the_limit_of_watches_a_file_is_looked_at)
{
	forbid(__NR_inotify_add_watch, ENOSPC);
	start_file();
	REPORTED(kit_replace(path, "A=2\n"));
	kit_is(F, st, "A", "2");
}

Test(watch, at_the_limit_of_instances_a_tree_is_looked_at)
{
	forbid(__NR_inotify_init1, EMFILE);
	kit_write(at("a"), "1");
	start(dir);
	REPORTED(kit_write(at("a"), "2"));
	kit_is(F, st, "a", "2");
	REPORTED(kit_write(at("b"), "2"));
	kit_list_is(F, st, "a b ");
}

/* A sandbox may forbid the thread a directory of its own. */
Test(watch, without_a_directory_of_its_own)
{
	forbid(__NR_unshare, EPERM);
	start_file();
	REPORTED(kit_replace(path, "A=2\n"));
	kit_is(F, st, "A", "2");
	REPORTED(unlink(path));
	kit_list_is(F, st, "");
	REPORTED(kit_write(path, "A=3\n"));
	kit_is(F, st, "A", "3");
}
