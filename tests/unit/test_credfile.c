/* SPDX-License-Identifier: Apache-2.0 */
/* Files that credentials come from (R55). */
#include "backends/credfile.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/thread.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[128];
static const struct path_env paths = {.covered_fd = -1};

static void begin(void)
{
	snprintf(dir, sizeof(dir), "/tmp/sfs-credfile-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/token", dir);
	clock_fake(1, 1);
}

static void end(void)
{
	char cmd[96];
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	cr_assert_eq(system(cmd), 0);
}

static void put(const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

static int token(struct buf *b, struct sfs_err *err)
{
	struct credfile_stamp stamp;
	return credfile_read_token(&paths, path, b, &stamp, err);
}

static void token_is(const char *text, const char *want)
{
	struct buf b = BUF_SECRET_INIT(1000);
	struct sfs_err err = {0};
	put(text, 0600);
	cr_assert_eq(token(&b, &err), 0, "%s", err.msg);
	cr_assert_str_eq(buf_text(&b), want);
	buf_clear(&b);
}

static void refused(int code, const char *words)
{
	struct buf b = BUF_SECRET_INIT(1000);
	struct sfs_err err = {0};
	buf_str(&b, "before");
	cr_assert_eq(token(&b, &err), -code, "%d %s", err.code, err.msg);
	cr_assert(strstr(err.msg, words), "%s", err.msg);
	cr_assert(strstr(err.msg, path), "%s", err.msg);
	cr_assert_null(strstr(err.msg, "CANARY"), "%s", err.msg);
	cr_assert_str_eq(buf_text(&b), "before");
	buf_clear(&b);
}

TestSuite(credfile, .init = begin, .fini = end);

Test(credfile, a_token_without_the_line_ends_behind_it)
{
	token_is("abc.def", "abc.def");
	token_is("abc.def\n", "abc.def");
	token_is("abc.def\r\n", "abc.def");
	token_is("abc.def \t\n\n", "abc.def");
}

/* row 95 of the matrix: nothing that could become a header of its own */
Test(credfile, a_token_with_a_line_break_inside_is_refused)
{
	put("CANARY\r\nX-Injected: 1", 0600);
	refused(EBADMSG, "a byte at offset 6 that no token has");
	put("CANARY\x80", 0600);
	refused(EBADMSG, "at offset 6");
}

Test(credfile, an_empty_token_is_refused)
{
	put("", 0600);
	refused(EBADMSG, "is empty");
	put("\n\n", 0600);
	refused(EBADMSG, "is empty");
}

Test(credfile, what_everybody_may_write_is_refused)
{
	put("CANARY", 0666);
	refused(EACCES, "everybody on this machine may write it");
}

Test(credfile, what_is_no_regular_file_is_refused)
{
	cr_assert_eq(mkfifo(path, 0600), 0);
	refused(EACCES, "a fifo");
	unlink(path);
	mkdir(path, 0700);
	refused(EISDIR, "directory");
	rmdir(path);
	refused(ENOENT, "No such file");
}

Test(credfile, what_is_too_large_is_refused_without_reading_it)
{
	put("CANARY", 0600);
	cr_assert_eq(truncate(path, (off_t)1 << 30), 0);
	refused(EFBIG, "larger than the 1000 bytes");
}

Test(credfile, a_file_of_a_stranger_is_refused)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
	put("CANARY", 0600);
	cr_assert_eq(chown(path, 4242, 4242), 0);
	refused(EACCES, "it belongs to user 4242");
	/* but one may own both it and where it lies: a home directory */
	cr_assert_eq(chown(dir, 4242, 4242), 0);
	struct buf b = BUF_SECRET_INIT(1000);
	cr_assert_eq(token(&b, NULL), 0);
	buf_clear(&b);
}

Test(credfile, who_may_read_it_is_warned_about_once_a_version)
{
	char text[4096] = "";
	int out[2], was = dup(STDERR_FILENO);
	struct credfile_stamp stamp = {0};
	struct buf b = BUF_SECRET_INIT(1000);
	cr_assert_eq(pipe2(out, O_NONBLOCK), 0);
	put("CANARY", 0644);
	dup2(out[1], STDERR_FILENO);
	for (int i = 0; i < 3; i++)
		credfile_read(&paths, path, CREDFILE_SECRET, &b, &stamp, NULL);
	dup2(was, STDERR_FILENO);
	cr_assert_gt(read(out[0], text, sizeof(text) - 1), 0);
	char *line = strstr(text, "others may read it");
	cr_assert_not_null(line, "%s", text);
	cr_assert_null(strstr(line + 1, "others may read it"));
	cr_assert_null(strstr(text, "CANARY"));
	buf_clear(&b);
}

Test(credfile, a_change_is_seen_however_it_is_made)
{
	struct credfile_stamp stamp;
	struct buf b = BUF_SECRET_INIT(1000);
	put("one", 0600);
	cr_assert_eq(credfile_read(&paths, path, 0, &b, &stamp, NULL), 0);
	cr_assert(stamp.there);
	cr_assert_not(credfile_changed(&paths, path, &stamp));
	put("three", 0600);
	cr_assert(credfile_changed(&paths, path, &stamp));
	credfile_look(&paths, path, &stamp);
	unlink(path);
	cr_assert(credfile_changed(&paths, path, &stamp));
	cr_assert_eq(credfile_read(&paths, path, 0, &b, &stamp, NULL), -ENOENT);
	cr_assert_not(stamp.there);
	cr_assert_not(credfile_changed(&paths, path, &stamp));
	put("one", 0600);
	cr_assert(credfile_changed(&paths, path, &stamp));
	buf_clear(&b);
}

static _Atomic int writing;

static void *writer(void *arg)
{
	(void)arg;
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	for (int i = 0; i < 2000 && writing; i++) {
		if (pwrite(fd, "aaaaaaaa", 8, 0) != 8 || pwrite(fd, "bbbbbbbb", 8, 0) != 8)
			break;
	}
	close(fd);
	return NULL;
}

/* row 49 of the matrix */
Test(credfile, a_file_that_is_being_written_is_not_seen_half)
{
	pthread_t t;
	put("aaaaaaaa", 0600);
	writing = 1;
	cr_assert_eq(thread_start(&t, 0, writer, NULL), 0);
	for (int i = 0; i < 200; i++) {
		struct buf b = BUF_SECRET_INIT(1000);
		struct sfs_err err = {0};
		int r = token(&b, &err);
		if (r == 0)
			cr_assert(strcmp(buf_text(&b), "aaaaaaaa") == 0 ||
					  strcmp(buf_text(&b), "bbbbbbbb") == 0,
				"torn");
		else
			cr_assert_eq(r, -EAGAIN, "%s", err.msg);
		buf_clear(&b);
	}
	writing = 0;
	pthread_join(t, NULL);
}
