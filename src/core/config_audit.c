/* SPDX-License-Identifier: Apache-2.0 */
/* The options audit and audit_required. */
#include "core/config_priv.h"

#include <errno.h>
#include <string.h>

const char *config_audit(const struct config *c)
{
	const struct opt_value *v = opt_find(&c->mount, "audit");
	return v ? v->text : NULL;
}

bool config_audit_required(const struct config *c)
{
	return opt_flag(&c->mount, &config_mount_options, "audit_required");
}

int config_check_audit(const struct config *c, struct sfs_err *err)
{
	const struct opt_value *v = opt_find(&c->mount, "audit");
	if (v && v->text[0] != '/' && strcmp(v->text, "syslog") != 0)
		return err_set(err, EINVAL,
			"option audit (%s): must be syslog, or the absolute path of a file",
			v->origin);
	if (!v && config_audit_required(c))
		return err_set(err, EINVAL,
			"option audit_required (%s): there is no audit= whose lines it could "
			"require; give audit=syslog or audit=FILE",
			opt_find(&c->mount, "audit_required")->origin);
	return 0;
}

int config_check_audit_reload(
	const struct config *now, const struct config *next, struct sfs_err *err)
{
	const char *a = config_audit(now), *b = config_audit(next);
	if ((a && b ? !strcmp(a, b) : a == b) &&
		config_audit_required(now) == config_audit_required(next))
		return 0;
	return err_set(err, EINVAL,
		"options audit and audit_required cannot change while it is mounted, because the "
		"place of the lines is fixed at mount; mount it anew");
}
