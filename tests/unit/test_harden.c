/* SPDX-License-Identifier: Apache-2.0 */
#include "base/harden.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The line of /proc/self/status that starts with `key`. */
static const char *status(const char *key, char *line, size_t size)
{
	FILE *f = fopen("/proc/self/status", "re");
	cr_assert(f);
	while (fgets(line, (int)size, f))
		if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
			break;
	fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return line + strlen(key) + 1;
}

static unsigned long long caps(const char *key)
{
	char line[256];
	return strtoull(status(key, line, sizeof(line)), NULL, 16);
}

static void need_root(void)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
}

Test(harden, R6_no_core_and_not_dumpable)
{
	struct rlimit lim;
	cr_assert_eq(harden_no_dump(NULL), 0);
	cr_assert_eq(prctl(PR_GET_DUMPABLE), 0);
	cr_assert_eq(getrlimit(RLIMIT_CORE, &lim), 0);
	cr_assert(lim.rlim_cur == 0 && lim.rlim_max == 0);
}

Test(harden, R6_same_user_can_read_neither_memory_nor_environment)
{
	need_root();
	int go[2], ready[2];
	char c, path[64];
	cr_assert(pipe(go) == 0 && pipe(ready) == 0);
	pid_t victim = fork();
	if (victim == 0) {
		close(go[1]);
		if (harden_drop(65534, 65534, NULL) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(read(go[0], &c, 1) != 0);
	}
	cr_assert_eq(read(ready[0], &c, 1), 1);
	cr_assert_eq(setresgid(65534, 65534, 65534), 0);
	cr_assert_eq(setresuid(65534, 65534, 65534), 0);
	static const char *const files[] = {"mem", "environ", "maps"};
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)victim, files[i]);
		cr_assert(
			open(path, O_RDONLY | O_CLOEXEC) < 0 && (errno == EACCES || errno == EPERM),
			"%s", path);
	}
	close(go[1]);
	waitpid(victim, NULL, 0);
}

Test(harden, R18_hostile_variables_go_and_others_stay)
{
	static const char *const hostile[] = {"SSLKEYLOGFILE", "OPENSSL_CONF", "OPENSSL_MODULES",
		"CURL_CA_BUNDLE", "http_proxy", "HTTPS_PROXY", "all_Proxy", "NO_PROXY", "NETRC",
		"LD_PRELOAD", "LD_LIBRARY_PATH", "MALLOC_TRACE", "GLIBC_TUNABLES", "TMPDIR"};
	static const char *const fine[] = {
		"PATH", "TZ", "NETRCX", "proxy", "MY_LD_X", "OLD_TMPDIR", "AWS_REGION"};
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
		setenv(hostile[i], "hostile", 1);
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		setenv(fine[i], "fine", 1);
	harden_environment();
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
		cr_assert_null(getenv(hostile[i]), "%s", hostile[i]);
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		cr_assert_str_eq(getenv(fine[i]), "fine");
}

Test(harden, an_empty_environment_is_fine)
{
	environ = NULL;
	harden_environment();
	cr_assert_null(environ);
}

Test(harden, R12_drop_leaves_nothing)
{
	need_root();
	char line[256];
	struct sfs_err err = {0};
	const gid_t groups[] = {10, 20};
	setgroups(2, groups);
	cr_assert_eq(harden_drop(65534, 65533, &err), 0, "%s", err.msg);
	cr_assert_str_eq(status("Uid", line, sizeof(line)), "\t65534\t65534\t65534\t65534");
	cr_assert_str_eq(status("Gid", line, sizeof(line)), "\t65533\t65533\t65533\t65533");
	cr_assert_eq(getgroups(0, NULL), 0);
	cr_assert_eq(
		caps("CapInh") | caps("CapPrm") | caps("CapEff") | caps("CapBnd") | caps("CapAmb"),
		0);
	cr_assert_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	cr_assert_eq(prctl(PR_GET_DUMPABLE), 0);
	cr_assert_eq(setuid(0), -1);
}

Test(harden, R12_root_as_caller_keeps_uid_and_groups_but_no_capability)
{
	need_root();
	const gid_t groups[] = {10};
	setgroups(1, groups);
	cr_assert_eq(harden_drop(0, getgid(), NULL), 0);
	cr_assert_eq(geteuid(), 0);
	cr_assert_eq(getgroups(0, NULL), 1);
	cr_assert_eq(caps("CapPrm") | caps("CapEff") | caps("CapBnd"), 0);
	cr_assert_eq(syscall(SYS_setgroups, 0, NULL), -1); /* glibc's would ask all threads */
}

Test(harden, R12_capabilities_do_not_come_back_with_execve)
{
	need_root();
	pid_t pid = fork();
	if (pid == 0) {
		if (harden_drop(0, getgid(), NULL) < 0)
			_exit(9);
		execl("/bin/sh", "sh", "-c",
			"grep -q '^CapEff:.0000000000000000$' /proc/self/status", (char *)NULL);
		_exit(8);
	}
	int st = -1;
	waitpid(pid, &st, 0);
	cr_assert_eq(st, 0);
}

Test(harden, R12_limit_keeps_what_is_named_and_cannot_get_more)
{
	static const unsigned keep[] = {CAP_DAC_OVERRIDE};
	need_root();
	cr_assert_eq(harden_limit(keep, 1, NULL), 0);
	cr_assert_eq(caps("CapPrm"), 1ULL << CAP_DAC_OVERRIDE);
	cr_assert_eq(caps("CapEff"), 1ULL << CAP_DAC_OVERRIDE);
	cr_assert_eq(caps("CapInh") | caps("CapBnd") | caps("CapAmb"), 0);
	cr_assert_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	cr_assert_eq(prctl(PR_GET_DUMPABLE), 0);
	cr_assert_eq(harden_limit(NULL, 0, NULL), 0);
	cr_assert_eq(caps("CapPrm") | caps("CapEff"), 0);
	struct sfs_err err = {0};
	cr_assert_eq(harden_limit(keep, 1, &err), -EPERM, "what is not there cannot be kept");
	cr_assert(strstr(err.msg, "dac_override"), "%s", err.msg);
}

Test(harden, without_privilege_another_user_is_refused)
{
	struct sfs_err err = {0};
	if (geteuid() == 0)
		cr_assert_eq(setresuid(65534, 65534, 65534), 0);
	cr_assert_eq(harden_drop(1, 1, &err), -EPERM);
	cr_assert_eq(err.code, EPERM);
}

Test(harden, without_privilege_the_own_user_is_fine)
{
	if (geteuid() == 0) {
		cr_assert_eq(setresgid(65534, 65534, 65534), 0);
		cr_assert_eq(setresuid(65534, 65534, 65534), 0);
	}
	cr_assert_eq(harden_drop(getuid(), getgid(), NULL), 0);
	cr_assert_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
}

Test(harden, R8_only_named_descriptors_stay_open)
{
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);
		const int keep[] = {300, 7};
		dup2(null, 7);
		dup2(null, 8);
		dup2(null, 300);
		dup2(null, 301);
		harden_descriptors(keep, 2);
		bool right = fcntl(7, F_GETFD) >= 0 && fcntl(300, F_GETFD) >= 0 &&
			     fcntl(8, F_GETFD) < 0 && fcntl(301, F_GETFD) < 0 &&
			     fcntl(3, F_GETFD) < 0 && fcntl(0, F_GETFD) >= 0;
		harden_descriptors(NULL, 0);
		right = right && fcntl(7, F_GETFD) < 0 && fcntl(300, F_GETFD) < 0 &&
			fcntl(2, F_GETFD) >= 0;
		_exit(right ? 0 : 1);
	}
	int st = -1;
	waitpid(pid, &st, 0);
	cr_assert_eq(st, 0);
}
