/* SPDX-License-Identifier: Apache-2.0 */
#include "base/harden.h"
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int harden_no_dump(struct sfs_err *err)
{
	struct rlimit none = {0, 0};
	/* The limit alone is ignored when core_pattern is a pipe, and says nothing about ptrace. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_errno(err, errno, "forbid core dumps");
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return err_errno(err, errno, "set the core file limit to 0");
	return 0;
}

static bool is_hostile(const char *var)
{
	static const char *const names[] = {"SSLKEYLOGFILE", "NETRC", "TMPDIR", "GLIBC_TUNABLES"};
	static const char *const prefixes[] = {"OPENSSL_", "CURL_", "LD_", "MALLOC_"};
	size_t len = strcspn(var, "=");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && strncmp(var, names[i], len) == 0)
			return true;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(var, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return len >= 6 && strncasecmp(var + len - 6, "_proxy", 6) == 0;
}

void harden_environment(void)
{
	char **to = environ;
	if (!environ)
		return;
	for (char **from = environ; *from; from++)
		if (!is_hostile(*from))
			*to++ = *from;
	*to = NULL;
}

/* While CAP_SETPCAP is still there. A bounding set that cannot be emptied (a process without
 * privileges) is harmless under no_new_privs: nothing can be gained from it. */
static void drop_bounding(void)
{
	for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static int become(uid_t uid, gid_t gid, struct sfs_err *err)
{
	bool same =
		uid == getuid() && uid == geteuid(); /* the caller of mount: his groups stay his */
	if (!same && setgroups(0, NULL) < 0)
		return err_errno(err, errno, "give up the supplementary groups");
	if ((gid != getgid() || gid != getegid()) && setresgid(gid, gid, gid) < 0)
		return err_errno(err, errno, "become group %u", (unsigned)gid);
	if (!same && setresuid(uid, uid, uid) < 0)
		return err_errno(err, errno, "become user %u", (unsigned)uid);
	return 0;
}

static int drop_capabilities(struct sfs_err *err)
{
	capng_clear(CAPNG_SELECT_CAPS);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return err_set(err, EPERM, "give up the capabilities: the kernel refused");
	if (capng_get_caps_process() != 0 ||
		capng_have_capabilities(CAPNG_SELECT_CAPS) > CAPNG_NONE)
		return err_set(err, EPERM, "capabilities are left after giving them up");
	return 0;
}

int harden_drop(uid_t uid, gid_t gid, struct sfs_err *err)
{
	drop_bounding();
	int r = become(uid, gid, err);
	if (r < 0)
		return r;
	r = drop_capabilities(err);
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, errno, "set no_new_privs");
	if (getuid() != uid || geteuid() != uid)
		return err_set(err, EPERM, "the process still runs as another user than %u",
			(unsigned)uid);
	/* The change of user made the process undumpable or not, as fs.suid_dumpable says: decide
	 * ourselves. */
	return harden_no_dump(err);
}

int harden_limit(const unsigned *caps, size_t n, struct sfs_err *err)
{
	drop_bounding();
	capng_clear(CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < n; i++)
		if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, caps[i]) != 0)
			return err_set(err, EINVAL, "capability %u is unknown here", caps[i]);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return err_set(err, EPERM,
			"keep %s: this process does not have it, or the kernel refused",
			n ? capng_capability_to_name(caps[0]) : "no capability");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, errno, "set no_new_privs");
	return harden_no_dump(err);
}

static bool in(const int *fds, size_t n, int fd)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] == fd)
			return true;
	return false;
}

void harden_stdio(int flags)
{
	int fd;
	do
		fd = open("/dev/null", flags | O_CLOEXEC);
	while (fd >= 0 && fd <= 2 && fcntl(fd, F_SETFD, 0) == 0);
	if (fd > 2)
		close(fd);
}

void harden_descriptors(const int *keep, size_t n)
{
	int max = 2;
	for (size_t i = 0; i < n; i++)
		if (keep[i] > max)
			max = keep[i];
	for (int fd = 3; fd < max; fd++)
		if (!in(keep, n, fd))
			close(fd);
	if (close_range((unsigned)max + 1, UINT_MAX, 0) == 0)
		return;
	long end = sysconf(_SC_OPEN_MAX); /* a sandbox that does not know the call */
	for (int fd = max + 1; fd < (end > 0 && end < 65536 ? end : 65536); fd++)
		close(fd);
}

void harden_signals(void)
{
	sigset_t none;
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
