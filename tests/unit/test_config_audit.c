/* SPDX-License-Identifier: Apache-2.0 */
/* The options audit and audit_required. */
#include "core/config.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct config *loaded(const char *options)
{
	const struct path_env paths = {.covered_fd = -1};
	struct sfs_err err = {0};
	struct config *c = NULL;
	cr_assert_eq(config_load("env:A", options, &paths, &c, &err), 0, "%s", err.msg);
	return c;
}

static void refused(const char *options, const char *want)
{
	const struct path_env paths = {.covered_fd = -1};
	struct sfs_err err = {0};
	struct config *c = NULL;
	cr_assert_eq(config_load("env:A", options, &paths, &c, &err), -EINVAL, "%s", options);
	cr_assert_null(c);
	cr_assert(strstr(err.msg, want), "%s", err.msg);
}

Test(config_audit, what_is_asked_for)
{
	struct config *c = loaded("audit=syslog,audit_required");
	cr_assert_str_eq(config_audit(c), "syslog");
	cr_assert(config_audit_required(c));
	config_free(c);
	c = loaded("audit=/var/log/x");
	cr_assert_str_eq(config_audit(c), "/var/log/x");
	cr_assert_not(config_audit_required(c));
	config_free(c);
	c = loaded("");
	cr_assert_null(config_audit(c));
	config_free(c);
}

Test(config_audit, refused)
{
	refused("audit=file", "absolute");
	refused("audit=", "absolute");
	refused("audit=stderr", "absolute");
	refused("audit_required", "audit=");
}

Test(config_audit, not_below_the_mount)
{
	struct sfs_err err = {0};
	struct config *c = loaded("audit=/run/secrets/audit");
	cr_assert_eq(config_check_mountpoint(c, "/run/secrets", &err), -EINVAL);
	cr_assert(strstr(err.msg, "option audit"), "%s", err.msg);
	cr_assert_eq(config_check_mountpoint(c, "/run/secret", &err), 0);
	config_free(c);
}

Test(config_audit, a_reload_changes_nothing_of_it)
{
	static const char *const options[] = {
		"", "audit=syslog", "audit=syslog,audit_required", "audit=/var/log/x"};
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < 4; k++) {
			struct sfs_err err = {0};
			struct config *now = loaded(options[i]), *next = loaded(options[k]);
			int r = config_check_reload(now, next, &err);
			cr_assert_eq(r, i == k ? 0 : -EINVAL, "%s to %s", options[i], options[k]);
			cr_assert(r == 0 || strstr(err.msg, "audit"), "%s", err.msg);
			config_free(now);
			config_free(next);
		}
}
