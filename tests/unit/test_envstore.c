/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/envstore.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char *const environment[] = {(char[]){"DB_USER=me"}, (char[]){"OTHER=1"},
	(char[]){"DB_PASSWORD=a=b c"}, (char[]){"nonsense"}, (char[]){"=x"},
	(char[]){"DB_USER=second"}, (char[]){"DB_EMPTY="}, (char[]){"ONE=1"}, NULL};
static const char *const patterns[] = {"DB_*", "ONE"};

static bool is(const struct envstore *s, const char *name, const char *value)
{
	struct secret *v = envstore_get(s, name);
	bool same = v && secret_len(v) == strlen(value) &&
		    memcmp(secret_bytes(v), value, strlen(value)) == 0;
	secret_unref(v);
	return same;
}

static size_t blocks(void)
{
	struct secret_stats st;
	secret_stats(&st);
	return st.blocks;
}

Test(envstore, a_pattern_is_a_name_or_a_prefix)
{
	cr_assert(env_matches("HOME", "HOME"));
	cr_assert_not(env_matches("HOME", "HOMER"));
	cr_assert_not(env_matches("HOME", "HOM"));
	cr_assert(env_matches("DB_*", "DB_"));
	cr_assert(env_matches("DB_*", "DB_X"));
	cr_assert_not(env_matches("DB_*", "DB"));
	cr_assert(env_matches("*", "ANY"));
	cr_assert_not(env_matches("", "X"));
	cr_assert_not(env_matches("A*B", "AXB"), "a star counts only at the end");
}

Test(envstore, takes_what_matches_and_the_first_of_equal_names)
{
	struct envstore *s = NULL;
	cr_assert_eq(envstore_take(environment, patterns, 2, &s, NULL), 0);
	cr_assert_eq(envstore_count(s), 4);
	cr_assert(is(s, "DB_USER", "me"));
	cr_assert(is(s, "DB_PASSWORD", "a=b c"));
	cr_assert(is(s, "DB_EMPTY", ""));
	cr_assert(is(s, "ONE", "1"));
	cr_assert_null(envstore_get(s, "OTHER"));
	cr_assert_null(envstore_get(s, ""));
	for (size_t i = 1; i < 4; i++)
		cr_assert_lt(strcmp(envstore_name(s, i - 1), envstore_name(s, i)), 0);
	envstore_free(s);
	cr_assert_eq(blocks(), 0);
}

Test(envstore, knows_what_was_asked_for_also_in_the_worker)
{
	struct envstore *s = NULL, *t = NULL;
	char text[256];
	int fd = -1;
	cr_assert_eq(envstore_take(environment, patterns, 2, &s, NULL), 0);
	cr_assert_eq(envstore_memfd(s, &fd, NULL), 0);
	ssize_t n = read(fd, text, sizeof(text));
	cr_assert_eq(envstore_parse(text, (size_t)n, &t, NULL), 0);
	cr_assert_eq(envstore_count(t), 4, "patterns are no variables");
	cr_assert(envstore_covers(t, "ONE"));
	cr_assert(envstore_covers(t, "DB_*"));
	cr_assert(envstore_covers(t, "DB_X"));
	cr_assert(envstore_covers(t, "DB_X_*"));
	cr_assert_not(envstore_covers(t, "DB"));
	cr_assert_not(envstore_covers(t, "D*"));
	cr_assert_not(envstore_covers(t, "ONE*"));
	cr_assert_not(envstore_covers(t, "TWO"));
	close(fd);
	envstore_free(s);
	envstore_free(t);
}

static int from_pipe(
	struct envstore *s, int number, const void *data, size_t len, struct sfs_err *err)
{
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
	cr_assert_eq(write(ends[1], data, len), (ssize_t)len);
	close(ends[1]);
	int r = envstore_add_fd(s, number, ends[0], err);
	close(ends[0]);
	return r;
}

Test(envstore, a_descriptor_is_kept_beside_the_variables)
{
	char *const spoof[] = {(char[]){"fd:3=spoof"}, (char[]){"X=1"}, NULL};
	static const char *const all[] = {"*", "fd:*", "fd:3"};
	struct envstore *s = NULL;
	cr_assert_eq(envstore_take(spoof, all, 3, &s, NULL), 0);
	cr_assert_eq(envstore_count(s), 1, "a variable of such a name is not taken");
	cr_assert_eq(from_pipe(s, 3, "tok\r\n", 5, NULL), 0);
	cr_assert_eq(from_pipe(s, 10, "a\n\n", 3, NULL), 0);
	cr_assert(is(s, "fd:3", "tok"));
	cr_assert(is(s, "fd:10", "a\n"));
	cr_assert(is(s, "X", "1"));
	cr_assert_not(env_matches("*", "fd:3"));
	cr_assert_not(env_matches("fd:3", "fd:3"));
	envstore_free(s);
	cr_assert_eq(blocks(), 0);
}

Test(envstore, descriptors_that_give_no_credential)
{
	static char big[SFS_REF_MAX + 1];
	struct sfs_err err = {0};
	struct envstore *s = NULL;
	memset(big, 'x', sizeof(big));
	cr_assert_eq(envstore_take(NULL, NULL, 0, &s, NULL), 0);
	cr_assert_eq(from_pipe(s, 3, "", 0, &err), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "descriptor 3 gives nothing"));
	cr_assert_eq(from_pipe(s, 3, "\n", 1, &err), -EINVAL);
	cr_assert_eq(from_pipe(s, 3, "a\0b", 3, &err), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "NUL"));
	cr_assert_eq(from_pipe(s, 3, big, SFS_REF_MAX + 1, &err), -EFBIG);
	cr_assert_eq(envstore_add_fd(s, 3, -1, &err), -EBADF);
	cr_assert_eq(envstore_count(s), 0);
	cr_assert_eq(from_pipe(s, 3, big, SFS_REF_MAX, &err), 0, "%s", err.msg);
	envstore_free(s);
	cr_assert_eq(blocks(), 0);
}

Test(envstore, variables_of_a_program_can_be_put)
{
	struct envstore *s = NULL;
	struct secret *v = secret_new("v", 1);
	cr_assert_eq(envstore_take(NULL, NULL, 0, &s, NULL), 0);
	cr_assert_eq(envstore_put(s, "B", v, NULL), 0);
	cr_assert_eq(envstore_put(s, "A", v, NULL), 0);
	cr_assert(is(s, "A", "v") && is(s, "B", "v"));
	secret_unref(v);
	envstore_free(s);
	cr_assert_eq(blocks(), 0);
}

Test(envstore, nothing_asked_nothing_taken)
{
	struct envstore *s = NULL;
	cr_assert_eq(envstore_take(environment, NULL, 0, &s, NULL), 0);
	cr_assert_eq(envstore_count(s), 0);
	cr_assert_null(envstore_get(s, "ONE"));
	envstore_free(s);
	envstore_free(NULL);
}

Test(envstore, the_list_goes_through_a_sealed_memory_file)
{
	struct envstore *s = NULL, *t = NULL;
	char text[256];
	int fd = -1;
	cr_assert_eq(envstore_take(environment, patterns, 2, &s, NULL), 0);
	cr_assert_eq(envstore_memfd(s, &fd, NULL), 0);
	ssize_t n = read(fd, text, sizeof(text));
	static const char want[] = "=DB_*\0=ONE\0DB_EMPTY=\0DB_PASSWORD=a=b c\0DB_USER=me\0ONE=1";
	cr_assert_eq(n, (ssize_t)sizeof(want));
	cr_assert_arr_eq(text, want, sizeof(want));
	cr_assert_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE);
	cr_assert_eq(ftruncate(fd, 1), -1);
	close(fd);
	cr_assert_eq(envstore_parse(text, (size_t)n, &t, NULL), 0);
	cr_assert_eq(envstore_count(t), 4);
	cr_assert(is(t, "DB_PASSWORD", "a=b c"));
	envstore_free(s);
	envstore_free(t);
}

Test(envstore, malformed_lists_are_refused_without_their_text)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = {{"CANARYVALUE", 12}, {"A=CANARYVALUE", 13}, {"=CANARYVALUE", 12}, {"A=1\0\0", 5},
		{"\0", 1}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct envstore *s = (struct envstore *)&i;
		struct sfs_err err = {0};
		cr_assert_eq(envstore_parse(bad[i].text, bad[i].len, &s, &err), -EINVAL, "%zu", i);
		cr_assert_eq((void *)s, (void *)&i);
		cr_assert_eq(err.code, EINVAL);
		cr_assert_not(strstr(err.msg, "CANARY"));
	}
	cr_assert_eq(blocks(), 0);
}

Test(envstore, no_memory_is_an_error_and_nothing_stays)
{
	int failures = 0;
	for (unsigned long at = 1;; at++, failures++) {
		struct envstore *s = (struct envstore *)&at;
		struct sfs_err err = {0};
		alloc_fail_at(at);
		int r = envstore_take(environment, patterns, 2, &s, &err);
		alloc_fail_at(0);
		if (r == 0) {
			envstore_free(s);
			break;
		}
		cr_assert_eq(r, -ENOMEM);
		cr_assert_eq((void *)s, (void *)&at);
		cr_assert_eq(blocks(), 0);
	}
	cr_assert_gt(failures, 4);
}

Test(envstore, a_full_arena_names_the_variable_not_the_value)
{
	static char big[70000];
	struct envstore *s = NULL;
	struct sfs_err err = {0};
	memset(big, 'x', sizeof(big) - 1);
	memcpy(big, "ONE=", 4);
	char *const vars[] = {big, NULL};
	cr_assert_eq(secret_init(65536, SECRET_LOCK_TRY, NULL), 0);
	cr_assert_eq(envstore_take(vars, patterns, 2, &s, &err), -ENOMEM);
	cr_assert(strstr(err.msg, "ONE"));
	cr_assert_not(strstr(err.msg, "xxx"));
	cr_assert_null(s);
}

static size_t initial_environment(char *out, size_t size)
{
	size_t len = 0, letters = 0;
	ssize_t n;
	int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	while (len < size && (n = read(fd, out + len, size - len)) > 0)
		len += (size_t)n;
	close(fd);
	for (size_t i = 0; i < len; i++)
		letters += out[i] != '\0';
	return letters;
}

Test(envstore, R11_wiping_empties_what_proc_shows)
{
	static char text[1 << 20];
	static const char *const keep[] = {"PATH", "NOT_SET_ANYWHERE"};
	char *path = strdup(getenv("PATH") ? getenv("PATH") : "");
	setenv("PATH", path, 1);
	setenv("SFS_CANARY", "value", 1);
	cr_assert_gt(initial_environment(text, sizeof(text)), 0, "the test needs an environment");
	env_wipe(keep, 2);
	cr_assert_eq(initial_environment(text, sizeof(text)), 0);
	cr_assert_str_eq(getenv("PATH"), path);
	cr_assert_null(getenv("SFS_CANARY"));
	cr_assert_null(getenv("HOME"));
	cr_assert_null(environ[1], "only PATH is left");
	free(path);
}
