/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/ref.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct path_env outside = {.covered_fd = -1};
static char dir[] = "/tmp/test_ref.XXXXXX", file[PATH_MAX], ref[PATH_MAX + 8];
static struct envstore *env;

static void setup(void)
{
	static const char vars[] = "EMPTY=\0TOKEN=tok\n\0fd:7=from 7\0";
	cr_assert_not_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/token", dir);
	snprintf(ref, sizeof(ref), "file:%s", file);
	cr_assert_eq(envstore_parse(vars, sizeof(vars) - 1, &env, NULL), 0);
	clock_fake(1000, 1000);
}

static void teardown(void)
{
	struct secret_stats st;
	envstore_free(env);
	unlink(file);
	rmdir(file);
	rmdir(dir);
	secret_stats(&st);
	cr_assert_eq(st.blocks, 0);
}

TestSuite(ref, .init = setup, .fini = teardown);

static void put(const char *text, mode_t mode)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void gives(const char *r, size_t max, const char *want)
{
	struct secret *s = NULL;
	struct sfs_err err = {0};
	cr_assert_eq(ref_read(&outside, env, r, max, &s, &err), 0, "%s: %s", r, err.msg);
	cr_assert_eq(secret_len(s), strlen(want));
	cr_assert_eq(memcmp(secret_bytes(s), want, strlen(want)), 0);
	secret_unref(s);
}

static void refuses(const char *r, size_t max, int code, const char *why)
{
	struct secret *s = (struct secret *)(void *)dir;
	struct sfs_err err = {0};
	cr_assert_eq(ref_read(&outside, env, r, max, &s, &err), -code, "%s: %s", r, err.msg);
	cr_assert_eq(err.code, code);
	cr_assert_not_null(strstr(err.msg, why), "%s", err.msg);
	cr_assert_null(strstr(err.msg, "hunter"), "%s", err.msg);
	cr_assert_eq(s, (struct secret *)(void *)dir, "untouched");
	cr_assert_eq(ref_read(&outside, env, r, max, &s, NULL), -code, "without a place for it");
}

Test(ref, what_is_one)
{
	cr_assert(ref_is("file:/x"));
	cr_assert(ref_is("env:X"));
	cr_assert(ref_is("fd:3"));
	cr_assert_not(ref_is("hunter2"));
	cr_assert_not(ref_is(""));
	refuses("hunter2", 10, EINVAL, "file:/PATH");
}

Test(ref, a_file_is_read_each_time_without_its_line_end)
{
	put("hunter2\n", 0600);
	gives(ref, 100, "hunter2");
	put("hunter3\r\n", 0644);
	gives(ref, 100, "hunter3");
	put("hunter4\n\n", 0400);
	gives(ref, 100, "hunter4\n");
	put("hunter5", 0600);
	gives(ref, 7, "hunter5");
}

Test(ref, a_file_that_cannot_be_a_credential_is_refused)
{
	refuses(ref, 100, ENOKEY, file);
	put("", 0600);
	refuses(ref, 100, ENOKEY, "empty");
	put("\n", 0600);
	refuses(ref, 100, ENOKEY, "empty");
	put("hunter2", 0606);
	refuses(ref, 100, ENOKEY, "chmod");
	put("hunter2 hunter2", 0600);
	refuses(ref, 14, EFBIG, "larger");
	refuses(ref, 2, EFBIG, "larger");
	unlink(file);
	cr_assert_eq(mkdir(file, 0700), 0);
	refuses(ref, 100, ENOKEY, "directory");
	rmdir(file);
	cr_assert_eq(mkfifo(file, 0600), 0);
	refuses(ref, 100, EACCES, "fifo");
}

Test(ref, a_huge_file_is_not_read)
{
	put("", 0600);
	cr_assert_eq(truncate(file, 1L << 30), 0);
	refuses(ref, 65536, EFBIG, "larger");
}

Test(ref, variables_and_descriptors_come_from_what_was_kept_at_mount)
{
	gives("env:TOKEN", 100, "tok\n");
	gives("fd:7", 100, "from 7");
	refuses("env:TOKEN", 3, EFBIG, "TOKEN");
	refuses("env:EMPTY", 100, ENOKEY, "empty");
	refuses("env:OTHER", 100, ENOKEY, "OTHER");
	refuses("fd:8", 100, ENOKEY, "descriptor 8");
}
