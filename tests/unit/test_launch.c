/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to mount to the holder's command line. */
#include "base/alloc.h"
#include "mount/cli.h"
#include "mount/launch.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct cli_command *const cli_commands[] = {NULL};

static char dir[] = "/tmp/test-launch.XXXXXX";
static char source[64];

static void make_dir(void)
{
	char file[48];
	cr_assert(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/s.env", dir);
	snprintf(source, sizeof(source), "file:%s", file);
	FILE *f = fopen(file, "w");
	cr_assert(f);
	fputs("A=1\n", f);
	fclose(f);
}

static void drop_dir(void)
{
	char file[48];
	snprintf(file, sizeof(file), "%s/s.env", dir);
	unlink(file);
	rmdir(dir);
}

TestSuite(launch, .init = make_dir, .fini = drop_dir);

static const char *flag(const struct argv *a, const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < a->n; i++)
		if (strncmp(a->v[i], name, len) == 0 && (a->v[i][len] == '=' || !a->v[i][len]))
			return a->v[i][len] ? a->v[i] + len + 1 : "";
	return NULL;
}

static size_t index_of(const struct argv *a, const char *word)
{
	size_t i = 0;
	while (i < a->n && strcmp(a->v[i], word) != 0)
		i++;
	return i;
}

static int make(const char *options, bool foreground, struct argv *ret, struct sfs_err *err)
{
	char point[] = "/run/x", text[256];
	snprintf(text, sizeof(text), "%s", options);
	const struct mount_request m = {
		.source = source, .mountpoint = point, .options = text, .foreground = foreground};
	return launch_argv(&m, ret, err);
}

Test(launch, the_holder_gets_the_request)
{
	struct argv a = {0};
	struct sfs_err err = {0};
	setenv("HOME", "/home/caller", 1);
	cr_assert_eq(make("ttl=5,user=65534,arena=1m,nonempty,memlock=require", false, &a, &err), 0,
		"%s", err.msg);
	cr_assert_str_eq(flag(&a, "--mountpoint"), "/run/x");
	cr_assert_str_eq(flag(&a, "--source"), source);
	cr_assert_eq(strncmp(flag(&a, "--user"), "65534:", 6), 0);
	cr_assert_str_eq(flag(&a, "--log"), "syslog");
	cr_assert_str_eq(flag(&a, "--nonempty"), "");
	cr_assert_eq(strtoull(flag(&a, "--memlock"), NULL, 10), 9 << 20);
	cr_assert_str_eq(flag(&a, "--allow"), dir);
	size_t i = index_of(&a, "--");
	cr_assert_eq(a.n, i + 11);
	cr_assert_eq(a.v[i + 1][0], '/');
	cr_assert_str_eq(a.v[i + 2], "worker");
	cr_assert_str_eq(a.v[i + 3], source);
	cr_assert_str_eq(a.v[i + 4], "/run/x");
	cr_assert_str_eq(a.v[i + 5], "ttl=5,user=65534,arena=1m,nonempty,memlock=require");
	cr_assert_str_eq(a.v[i + 6], "syslog");
	cr_assert_str_eq(a.v[i + 7], "1048576");
	cr_assert_str_eq(a.v[i + 8], "require");
	char owner[32];
	snprintf(owner, sizeof(owner), "%u:%u", getuid(), getgid());
	cr_assert_str_eq(a.v[i + 9], owner);
	cr_assert_str_eq(a.v[i + 10], "/home/caller");
	cr_assert_null(a.v[a.n]);
	argv_clear(&a);
}

Test(launch, the_foreground_logs_to_stderr)
{
	struct argv a = {0};
	cr_assert_eq(make("", true, &a, NULL), 0);
	cr_assert_str_eq(flag(&a, "--log"), "stderr");
	cr_assert_null(flag(&a, "--nonempty"));
	argv_clear(&a);
}

Test(launch, a_log_file_is_the_workers_stderr)
{
	struct argv a = {0};
	cr_assert_eq(make("log=/tmp/new.log", false, &a, NULL), 0);
	cr_assert_str_eq(flag(&a, "--log"), "/tmp/new.log");
	cr_assert_str_eq(a.v[index_of(&a, "--") + 6], "stderr");
	argv_clear(&a);
}

Test(launch, the_place_of_audit_lines_is_fixed_at_mount)
{
	struct argv a = {0};
	cr_assert_eq(make("audit=/var/log/s.audit,audit_required", false, &a, NULL), 0);
	cr_assert_str_eq(flag(&a, "--audit"), "/var/log/s.audit");
	argv_clear(&a);
	cr_assert_eq(make("", false, &a, NULL), 0);
	cr_assert_null(flag(&a, "--audit"));
	argv_clear(&a);
}

Test(launch, a_log_below_the_mount_point_is_refused)
{
	struct argv a = {0};
	struct sfs_err err = {0};
	char log[64], point[32];
	snprintf(point, sizeof(point), "%s", dir);
	snprintf(log, sizeof(log), "log=%s/../%s/x.log", dir, dir + strlen("/tmp/"));
	const struct mount_request m = {.source = source, .mountpoint = point, .options = log};
	cr_assert_eq(launch_argv(&m, &a, &err), -EINVAL);
	cr_assert(strstr(err.msg, "below the mount point"), "%s", err.msg);
	cr_assert_eq(a.n, 0);
}

Test(launch, an_unknown_option_names_the_nearest_and_nothing_is_made)
{
	struct argv a = {0};
	struct sfs_err err = {0};
	cr_assert_eq(make("tll=3", false, &a, &err), -EINVAL);
	cr_assert(strstr(err.msg, "ttl"), "%s", err.msg);
	cr_assert_eq(a.n, 0);
	cr_assert_null(a.v);
}

Test(launch, no_memory_at_any_point_is_an_error_and_leaks_nothing)
{
	struct argv a = {0};
	unsigned long n = 1;
	int r;
	do {
		struct sfs_err err = {0};
		alloc_fail_at(n++);
		r = make("ttl=5", false, &a, &err);
		cr_assert(r == 0 || (r < 0 && a.n == 0), "call %lu: %d %s", n - 1, r, err.msg);
		if (r == 0 && alloc_fail_at(0) >= n - 1)
			argv_clear(&a), r = -1; /* that failure was survived; go on */
	} while (r < 0 && n < 2000);
	cr_assert_lt(n, 2000);
	argv_clear(&a);
}

Test(launch, a_place_that_does_not_exist_yet)
{
	char path[64], want[64], *place = NULL;
	struct sfs_err err = {0};
	snprintf(want, sizeof(want), "%s/new", dir);
	snprintf(path, sizeof(path), "%s/./new//", dir);
	cr_assert_eq(launch_place(path, &place, &err), 0, "%s", err.msg);
	cr_assert_str_eq(place, want);
	mem_free(place);
	cr_assert_eq(launch_place("/surely-not-there", &place, &err), 0);
	cr_assert_str_eq(place, "/surely-not-there");
	mem_free(place);
	cr_assert_eq(chdir(dir), 0);
	cr_assert_eq(launch_place("new", &place, &err), 0);
	cr_assert_str_eq(place, want);
	mem_free(place);
}

Test(launch, parents_that_do_not_exist_yet)
{
	char *place = NULL;
	cr_assert_eq(launch_place("/surely/./not/there//", &place, NULL), 0);
	cr_assert_str_eq(place, "/surely/not/there");
	mem_free(place);
}

Test(launch, places_that_cannot_be)
{
	static const char *const bad[] = {"", "/surely-not/..", "/dev/null/x"};
	char untouched[] = "untouched", *place = untouched;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sfs_err err = {0};
		cr_assert_lt(launch_place(bad[i], &place, &err), 0, "%s", bad[i]);
		cr_assert_eq(place, untouched);
		cr_assert(err.msg[0]);
	}
}
