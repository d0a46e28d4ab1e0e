/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hold.h"
#include "base/path.h"
#include "base/secret.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/sfs-path.XXXXXX";
static struct path_env env = {.covered_fd = -1};

union events {
	char buf[1024];
	struct inotify_event first;
};

static const char *at(const char *name)
{
	static char path[4][4200];
	static int i;
	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "we");
	cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void enter(void)
{
	cr_assert(mkdtemp(dir));
	cr_assert_eq(chmod(dir, 0755), 0);
	mkdir(at("d"), 0755);
	mkdir(at("d/e"), 0755);
	put("d/file", "content");
	cr_assert_eq(symlink("d/file", at("link")), 0);
	cr_assert_eq(symlink("../file", at("d/e/up")), 0);
	cr_assert_eq(symlink("loop", at("loop")), 0);
	cr_assert_eq(symlink("d", at("dirlink")), 0);
	cr_assert_eq(mkfifo(at("fifo"), 0644), 0);
}

static void leave(void)
{
	char cmd[128];
	snprintf(cmd, sizeof(cmd), "rm -rf --one-file-system %s", dir);
	cr_assert_eq(system(cmd), 0);
}

TestSuite(path, .init = enter, .fini = leave);

/* Opens, checks text and canonical path. */
static void opens(const char *path, const char *text, const char *canonical)
{
	struct sfs_err err = {0};
	char *real = NULL, got[64] = "";
	int fd = -1;
	cr_assert_eq(path_open_file(&env, path, &real, &fd, &err), 0, "%s: %s", path, err.msg);
	cr_assert_geq(read(fd, got, sizeof(got) - 1), 0);
	cr_assert_str_eq(got, text);
	cr_assert_str_eq(real, canonical);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	mem_free(real);
}

static void refuses(const char *path, int code, const char *word)
{
	struct sfs_err err = {0};
	char *real = dir;
	int fd = 1234;
	int r = path_open_file(&env, path, &real, &fd, &err);
	cr_assert_eq(r, -code, "%s: %d %s", path, r, err.msg);
	cr_assert_eq(err.code, code);
	cr_assert(strstr(err.msg, word), "%s: %s", path, err.msg);
	cr_assert(fd == 1234 && real == dir, "outputs are untouched");
}

Test(path, a_file_by_many_spellings)
{
	char want[128];
	snprintf(want, sizeof(want), "%s", at("d/file"));
	opens(at("d/file"), "content", want);
	opens(at("d//./e/../file"), "content", want);
	opens(at("link"), "content", want);
	opens(at("d/e/up"), "content", want);
	opens(at("dirlink/file"), "content", want);
}

Test(path, an_absolute_link_starts_at_the_root)
{
	char want[128];
	snprintf(want, sizeof(want), "%s", at("d/file"));
	cr_assert_eq(symlink(want, at("abs")), 0);
	opens(at("abs"), "content", want);
}

Test(path, what_is_no_file_is_refused)
{
	refuses(at("d"), EISDIR, at("d"));
	refuses(at("fifo"), EACCES, "is a fifo");
	refuses("/dev/null", EACCES, "is a device");
	refuses("/", EISDIR, "open /");
}

Test(path, what_leads_nowhere_is_refused)
{
	static char endless[5000] = "/";
	memset(endless + 1, 'a', sizeof(endless) - 2);
	refuses(at("none"), ENOENT, at("none"));
	refuses(at("d/file/x"), ENOTDIR, "Not a directory");
	refuses(at("d/file/"), ENOTDIR, "Not a directory");
	refuses(at("d/file/."), ENOTDIR, "Not a directory");
	refuses(at("d/file/.."), ENOTDIR, "Not a directory");
	refuses(at("loop"), ELOOP, at("loop"));
	refuses("relative", EINVAL, "absolute");
	refuses("", EINVAL, "absolute");
	refuses(endless, ENAMETOOLONG, "longer");
	endless[300] = '\0';
	refuses(endless, ENAMETOOLONG, "too long");
}

Test(path, links_that_grow_without_end_are_refused)
{
	char target[3000];
	memset(target, '/', sizeof(target) - 1);
	target[sizeof(target) - 1] = '\0';
	memcpy(target, "bomb", 4);
	memcpy(target + sizeof(target) - 5, "bomb", 4);
	cr_assert_eq(symlink(target, at("bomb")), 0);
	refuses(at("bomb"), ENAMETOOLONG, at("bomb"));
}

Test(path, forty_links_pass_and_one_more_does_not)
{
	char name[32], target[32], want[128];
	snprintf(want, sizeof(want), "%s", at("d/file"));
	put("chain0", "content");
	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "chain%d", i);
		snprintf(target, sizeof(target), "chain%d", i - 1);
		cr_assert_eq(symlink(target, at(name)), 0);
	}
	snprintf(want, sizeof(want), "%s", at("chain0"));
	opens(at("chain40"), "content", want);
	refuses(at("chain41"), ELOOP, at("chain41"));
}

Test(path, directories_open_as_directories_only)
{
	struct sfs_err err = {0};
	char *real = NULL, want[128];
	int fd = -1;
	snprintf(want, sizeof(want), "%s", at("d"));
	cr_assert_eq(path_open_dir(&env, at("dirlink/"), &real, &fd, &err), 0, "%s", err.msg);
	cr_assert_str_eq(real, want);
	cr_assert_eq(faccessat(fd, "file", F_OK, 0), 0);
	close(fd);
	mem_free(real);
	fd = 1234;
	cr_assert_eq(path_open_dir(&env, at("d/file"), NULL, &fd, &err), -ENOTDIR);
	cr_assert_eq(path_open_dir(&env, "/", NULL, &fd, &err), 0);
	close(fd);
}

Test(path, a_watch_reports)
{
	union events ev;
	int fd = -1;
	cr_assert_eq(path_watch(&env, at("dirlink"), IN_CREATE, &fd, NULL), 0);
	cr_assert(read(fd, &ev, sizeof(ev)) < 0 && errno == EAGAIN, "it does not block");
	put("d/new", "");
	cr_assert_gt(read(fd, &ev, sizeof(ev)), 0);
	cr_assert(ev.first.mask & IN_CREATE);
	cr_assert_str_eq(ev.first.name, "new");
	close(fd);
	fd = 1234;
	cr_assert_eq(path_watch(&env, at("none"), IN_CREATE, &fd, NULL), -ENOENT);
	cr_assert_eq(path_watch(&env, at("d"), 0, &fd, NULL), -EINVAL);
	cr_assert_eq(fd, 1234);
}

Test(path, links_of_others_in_sticky_directories_are_not_followed)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
	mkdir(at("sticky"), 0700);
	cr_assert_eq(chmod(at("sticky"), 01777), 0);
	cr_assert_eq(symlink("../d/file", at("sticky/theirs")), 0);
	cr_assert_eq(symlink("../d/file", at("sticky/ours")), 0);
	cr_assert_eq(lchown(at("sticky/theirs"), 65534, 65534), 0);
	refuses(at("sticky/theirs"), EACCES, "another user");
	char want[128];
	snprintf(want, sizeof(want), "%s", at("d/file"));
	opens(at("sticky/ours"), "content", want);
}

Test(path, no_memory_is_an_error_and_leaves_no_descriptor)
{
	struct sfs_err err;
	int before = dup(0);
	close(before);
	alloc_fail_at(1);
	char *real = dir;
	int fd = 1234;
	cr_assert_eq(path_open_file(&env, at("d/file"), &real, &fd, &err), -ENOMEM);
	alloc_fail_at(0);
	cr_assert(real == dir && fd == 1234);
	int after = dup(0);
	cr_assert_eq(after, before);
}

Test(path, below_is_at_or_under_a_whole_component)
{
	cr_assert(path_below("/a/b", "/a"));
	cr_assert(path_below("/a", "/a"));
	cr_assert_not(path_below("/ab", "/a"));
	cr_assert_not(path_below("/", "/a"));
	cr_assert(path_below("/a", "/"));
	cr_assert(path_below("/", "/"));
}

/* R23: a tmpfs stands for our mount; any request below it would find its files. */

static void mount_ours(void)
{
	enter();
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		cr_skip_test("needs root");
	mkdir(at("m"), 0755);
	mkdir(at("m/sub"), 0755);
	put("m/file", "covered");
	put("m/sub/file", "covered sub");
	put("beside", "beside");
	cr_assert_eq(symlink("../../m/file", at("m/sub/back")), 0);
	env.covered_fd = open(at("m"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(mount("tmpfs", at("m"), "tmpfs", 0, NULL), 0);
	struct stat st;
	cr_assert_eq(stat(at("m"), &st), 0);
	env.mount_dev = st.st_dev;
	mkdir(at("m/sub"), 0755);
	put("m/file", "WRONG");
	put("m/sub/file", "WRONG");
}

static void umount_ours(void)
{
	umount2(at("m"), MNT_DETACH);
	umount2(at("bind"), MNT_DETACH);
	leave();
}

TestSuite(own_mount, .init = mount_ours, .fini = umount_ours);

Test(own_mount, R23_the_walk_goes_on_in_what_it_covers)
{
	char want[128];
	snprintf(want, sizeof(want), "%s", at("m/file"));
	opens(at("m/file"), "covered", want);
	opens(at("m/sub/../file"), "covered", want);
	opens(at("m/sub/back"), "covered", want);
	snprintf(want, sizeof(want), "%s", at("m/sub/file"));
	opens(at("m/sub/file"), "covered sub", want);
	snprintf(want, sizeof(want), "%s", at("beside"));
	opens(at("m/../beside"), "beside", want);
	opens(at("m/sub/../../beside"), "beside", want);
}

Test(own_mount, R23_directories_and_watches_too)
{
	union events ev;
	int dirfd = -1, fd = -1;
	cr_assert_eq(path_open_dir(&env, at("m/"), NULL, &dirfd, NULL), 0);
	cr_assert_eq(path_watch(&env, at("m"), IN_CREATE, &fd, NULL), 0);
	put("m/above", "");
	cr_assert(read(fd, &ev, sizeof(ev)) < 0, "what happens in the mount is not seen");
	close(openat(dirfd, "below", O_CREAT | O_WRONLY, 0600));
	cr_assert_gt(read(fd, &ev, sizeof(ev)), 0);
	cr_assert_str_eq(ev.first.name, "below");
}

Test(own_mount, R23_a_bind_of_the_whole_mount_counts)
{
	char want[128];
	mkdir(at("bind"), 0755);
	cr_assert_eq(mount(at("m"), at("bind"), NULL, MS_BIND, NULL), 0);
	snprintf(want, sizeof(want), "%s", at("m/file"));
	opens(at("bind/file"), "covered", want);
}

Test(own_mount, R23_a_bind_of_a_part_is_refused)
{
	mkdir(at("bind"), 0755);
	cr_assert_eq(mount(at("m/sub"), at("bind"), NULL, MS_BIND, NULL), 0);
	refuses(at("bind/file"), ELOOP, "into the secretfs mount itself");
	put("single", "");
	cr_assert_eq(mount(at("m/file"), at("single"), NULL, MS_BIND, NULL), 0);
	refuses(at("single"), ELOOP, "into the secretfs mount itself");
	umount2(at("single"), MNT_DETACH);
}

Test(own_mount, R23_without_the_covered_directory_it_is_refused)
{
	env.covered_fd = -1;
	refuses(at("m/file"), ELOOP, "into the secretfs mount itself");
	refuses(at("m"), ELOOP, "into the secretfs mount itself");
}

Test(own_mount, other_mounts_are_walked_as_ever)
{
	env.mount_dev = 0;
	opens(at("m/file"), "WRONG", at("m/file"));
}

/* the holder's help */

static int sv[2];

static void *holder(void *arg)
{
	const struct path_env as_root = {.covered_fd = -1};
	struct hold_msg m, reply;
	int got;
	(void)arg;
	while (hold_recv(sv[1], &m, &got) > 0) {
		int fd = -1;
		const char *text = strstr(m.text, "refused") ? "not for you" : "/canon";
		reply = (struct hold_msg){
			.type = HOLD_REPLY, .id = m.id, .len = (uint32_t)strlen(text)};
		memcpy(reply.text, text, reply.len);
		if (strstr(m.text, "locked"))
			fd = open("/etc/hostname", O_RDONLY);
		else if (m.type == HOLD_WATCH)
			path_watch(&as_root, "/", m.arg, &fd, NULL);
		else
			reply.code = EACCES;
		hold_send(sv[1], &reply, fd);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void *dispatch(void *c)
{
	hold_client_run(c, NULL, NULL);
	return NULL;
}

static pthread_t threads[2];

static void with_holder(void)
{
	enter();
	if (geteuid() != 0)
		cr_skip_test("needs root");
	put("locked", "x");
	put("refused", "x");
	mkdir(at("closed"), 0700);
	chmod(at("locked"), 0600);
	chmod(at("refused"), 0600);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	cr_assert_eq(hold_client_new(sv[0], &env.hold), 0);
	cr_assert_eq(setresuid(65534, 65534, 0), 0); /* and back, to clean up */
	pthread_create(&threads[0], NULL, holder, NULL);
	pthread_create(&threads[1], NULL, dispatch, env.hold);
}

static void without_holder(void)
{
	hold_client_stop(env.hold);
	pthread_join(threads[1], NULL);
	pthread_join(threads[0], NULL);
	hold_client_free(env.hold);
	cr_assert_eq(setresuid(0, 0, 0), 0);
	leave();
}

TestSuite(helped, .init = with_holder, .fini = without_holder);

Test(helped, what_we_may_not_open_the_holder_opens)
{
	struct sfs_err err = {0};
	char *real = NULL;
	int fd = -1;
	cr_assert_eq(path_open_file(&env, at("locked"), &real, &fd, &err), 0, "%s", err.msg);
	cr_assert_str_eq(real, "/canon");
	cr_assert_eq(err.code, 0, "the first refusal is forgotten");
	close(fd);
	mem_free(real);
	cr_assert_eq(path_watch(&env, at("closed"), IN_CREATE, &fd, &err), 0, "%s", err.msg);
	close(fd);
}

Test(helped, its_refusal_is_ours)
{
	refuses(at("refused"), EACCES, "not for you");
}

Test(helped, other_errors_are_not_asked_about)
{
	refuses(at("none-locked"), ENOENT, "No such file");
	refuses(at("fifo"), EACCES, "is a fifo");
}

Test(helped, a_holder_that_has_ended_leaves_the_first_refusal)
{
	hold_client_stop(env.hold);
	pthread_join(threads[1], NULL);
	pthread_create(&threads[1], NULL, dispatch, env.hold);
	refuses(at("locked"), EACCES, "Permission denied");
}

/* path_read() */

static int reads(const char *name, struct buf *b, struct sfs_err *err)
{
	int fd = open(at(name), O_RDONLY | O_CLOEXEC);
	int r = path_read(fd, at(name), b, err);
	close(fd);
	return r;
}

Test(path, read_appends_the_whole_file)
{
	struct buf b = BUF_SECRET_INIT(64);
	cr_assert_eq(buf_str(&b, "before "), 0);
	cr_assert_eq(reads("d/file", &b, NULL), 0);
	cr_assert_str_eq(buf_text(&b), "before content");
	buf_clear(&b);
}

Test(path, read_of_an_empty_file_and_of_one_without_size)
{
	struct buf b = BUF_INIT(1 << 20);
	put("empty", "");
	cr_assert_eq(reads("empty", &b, NULL), 0);
	cr_assert_eq(b.len, 0);
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	cr_assert_eq(path_read(fd, "status", &b, NULL), 0);
	cr_assert_gt(b.len, 100);
	close(fd);
	buf_clear(&b);
}

Test(path, read_takes_exactly_the_maximum_and_not_one_more)
{
	struct sfs_err err = {0};
	struct buf exact = BUF_INIT(7), small = BUF_INIT(6), later = BUF_INIT(8);
	cr_assert_eq(reads("d/file", &exact, NULL), 0);
	cr_assert_eq(exact.len, 7);
	cr_assert_eq(reads("d/file", &small, &err), -EFBIG);
	cr_assert_eq(small.len, 0);
	cr_assert(strstr(err.msg, "larger than the 6 bytes"), "%s", err.msg);
	buf_str(&later, "ab");
	cr_assert_eq(reads("d/file", &later, &err), -EFBIG);
	cr_assert_str_eq(buf_text(&later), "ab");
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	cr_assert_eq(path_read(fd, "status", &small, &err), -EFBIG,
		"also where the size is not known before");
	close(fd);
	buf_clear(&exact);
	buf_clear(&small);
	buf_clear(&later);
}

Test(path, read_uses_no_more_memory_than_the_file)
{
	struct secret_stats st;
	struct buf b = BUF_SECRET_INIT(2 << 20);
	cr_assert_eq(secret_init(1100 * 1024, SECRET_LOCK_TRY, NULL), 0);
	put("big", "x");
	cr_assert_eq(truncate(at("big"), 1 << 20), 0);
	cr_assert_eq(reads("big", &b, NULL), 0);
	secret_stats(&st);
	cr_assert_leq(st.used, (1 << 20) + 4096);
	buf_clear(&b);
}

Test(path, read_errors_leave_the_buffer)
{
	struct sfs_err err = {0};
	struct buf b = BUF_INIT(1 << 20);
	buf_str(&b, "x");
	cr_assert_eq(path_read(-1, "/x", &b, &err), -EBADF);
	cr_assert_eq(reads("d", &b, &err), -EISDIR);
	cr_assert_str_eq(buf_text(&b), "x");
	buf_clear(&b);
}

static _Atomic bool enough;

static void *keep_changing(void *arg)
{
	for (long i = 1; !atomic_load(&enough); i++) {
		struct timespec t[2] = {{.tv_sec = i}, {.tv_sec = i}};
		futimens(*(int *)arg, t);
	}
	return NULL;
}

Test(path, a_file_that_changes_while_it_is_read_is_not_taken)
{
	struct sfs_err err = {0};
	struct buf b = BUF_INIT(64 << 20);
	pthread_t t;
	clock_fake(1, 1); /* no pauses between the tries */
	put("busy", "x");
	cr_assert_eq(truncate(at("busy"), 32 << 20),
		0); /* milliseconds to read, microseconds to change */
	int fd = open(at("busy"), O_RDWR | O_CLOEXEC);
	cr_assert_eq(pthread_create(&t, NULL, keep_changing, &fd), 0);
	int r;
	do /* until the thread runs */
		buf_reset(&b);
	while ((r = path_read(fd, at("busy"), &b, &err)) == 0);
	atomic_store(&enough, true);
	pthread_join(t, NULL);
	cr_assert_eq(r, -EAGAIN);
	cr_assert(strstr(err.msg, "keeps changing"), "%s", err.msg);
	cr_assert_eq(b.len, 0);
	cr_assert_eq(path_read(fd, at("busy"), &b, &err), 0, "fine when it is quiet");
	cr_assert_eq(b.len, 32 << 20);
	buf_clear(&b);
}
