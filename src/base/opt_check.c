/* SPDX-License-Identifier: Apache-2.0 */
#include "base/opt_check.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/text.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define ID_MAX	       (UINT32_MAX - 1) /* (uid_t)-1 means "no change" to chown(2) */
#define VARIABLE_MAX   64		/* bytes of a variable's name */
#define NSS_BUFFER     1024
#define NSS_BUFFER_MAX (1024 * 1024) /* a group with very many members */

/* The value is not repeated: it may be a secret that was given to the wrong option. */
static int refuse(
	const struct opt_row *row, const char *origin, const char *allowed, struct sfs_err *err)
{
	return err_set(err, EINVAL, "option %s (%s): %s", row->name, origin, allowed);
}

static int check_flag(const char *text, int64_t *ret)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) != 0)
			continue;
		*ret = i & 1;
		return 0;
	}
	return -EINVAL;
}

static int check_choice(
	const struct opt_row *row, const char *text, const char *origin, struct sfs_err *err)
{
	size_t len = strlen(text);
	const char *next = row->choices;
	while (next) {
		const char *end = strchrnul(next, '|');
		if ((size_t)(end - next) == len && !memcmp(next, text, len))
			return 0;
		next = *end ? end + 1 : NULL;
	}
	return err_set(
		err, EINVAL, "option %s (%s): must be one of %s", row->name, origin, row->choices);
}

/* No pattern is empty. */
static bool globs_ok(const char *text)
{
	for (size_t len = 0;; text++) {
		if (*text == ':' || !*text) {
			if (!len)
				return false;
			if (!*text)
				return true;
			len = 0;
			continue;
		}
		text += text[0] == '\\' && text[1];
		len++;
	}
}

static int check_globs(const struct opt_row *row, const char *text, const char *origin,
	int64_t *ret, struct sfs_err *err)
{
	if (!text || check_flag(text, ret) == 0)
		return 0;
	if (!globs_ok(text))
		return refuse(row, origin,
			"must be patterns with a colon between them, as prod/**:db/*; or yes or "
			"no, "
			"or stand without a value",
			err);
	*ret = OPT_GLOBS_SOME;
	return 0;
}

static int check_u64(int r, const uint64_t *n, int64_t *ret)
{
	if (r == 0 && *n > INT64_MAX)
		return -ERANGE;
	if (r == 0)
		*ret = (int64_t)*n;
	return r;
}

static int check_number(const struct opt_row *row, const char *text, const char *origin,
	int64_t *ret, struct sfs_err *err)
{
	const char *allowed = NULL;
	uint64_t n = 0;
	int r = 0;
	switch (row->type) {
	case OPT_FLAG:
		r = check_flag(text, ret);
		allowed = "must be yes or no, or stand without a value";
		break;
	case OPT_DURATION:
		r = parse_duration(text, ret);
		allowed = r == -ERANGE
				  ? "must be at most 2147483647 seconds; write never for no limit"
				  : "must be seconds, or a number with s, m, h or d, as 90s or 5m; "
				    "-1 or never for no limit";
		break;
	case OPT_SIZE:
		r = check_u64(parse_size(text, &n), &n, ret);
		allowed = r == -ERANGE ? "must be below 8 EiB"
				       : "must be bytes, or a number with k, m or g, as 64m";
		break;
	default:
		r = check_u64(parse_u64(text, INT32_MAX, &n), &n, ret);
		allowed = "must be a decimal number from 0 to 2147483647";
		break;
	}
	return r < 0 ? refuse(row, origin, allowed, err) : 0;
}

static int check_mode(const struct opt_row *row, const char *text, const char *origin, int64_t *ret,
	struct sfs_err *err)
{
	int64_t mode = 0;
	const char *p = text;
	for (; *p >= '0' && *p <= '7' && mode <= 07777; p++)
		mode = mode * 8 + (*p - '0');
	if (p == text || *p || mode > 0777)
		return refuse(
			row, origin, "must be octal permission bits up to 0555, as 0440", err);
	if (mode & 0222)
		return err_set(err, EINVAL,
			"option %s (%s): write bits are not possible, files are read-only; use "
			"0%03o",
			row->name, origin, (unsigned)(mode & 0555));
	*ret = mode;
	return 0;
}

/* One look-up in the user data base with a growing buffer. 0 with the id, -ENOENT, or the error of
 * the data base. */
static int look_up(bool group, const char *name, int64_t *ret)
{
	for (size_t size = NSS_BUFFER; size <= NSS_BUFFER_MAX; size *= 4) {
		_cleanup_free_ char *buffer = mem_realloc(NULL, size, 1);
		struct passwd pw, *pw_found = NULL;
		struct group gr, *gr_found = NULL;
		int r;
		if (!buffer)
			return -ENOMEM;
		if (group)
			r = getgrnam_r(name, &gr, buffer, size, &gr_found);
		else
			r = getpwnam_r(name, &pw, buffer, size, &pw_found);
		if (r == ERANGE)
			continue;
		if (gr_found || pw_found) {
			*ret = group ? (int64_t)gr.gr_gid : (int64_t)pw.pw_uid;
			return 0;
		}
		/* getpwnam(3): some name services report an unknown name as one of these */
		return r == 0 || r == ENOENT || r == ESRCH || r == EBADF || r == EPERM ? -ENOENT
										       : -r;
	}
	return -ENOENT;
}

static int check_id(const struct opt_row *row, const char *text, const char *origin, int64_t *ret,
	struct sfs_err *err)
{
	bool group = row->type == OPT_GROUP;
	const char *what = group ? "group" : "user";
	uint64_t id;
	int r = parse_u64(text, ID_MAX, &id);
	if (r == 0) {
		*ret = (int64_t)id;
		return 0;
	}
	if (r == -ERANGE)
		return err_set(err, EINVAL, "option %s (%s): a %s number is at most %u", row->name,
			origin, what, ID_MAX);
	r = *text ? look_up(group, text, ret) : -ENOENT;
	if (r == -ENOENT)
		return err_set(err, EINVAL,
			"option %s (%s): no such %s; give the name of a %s that exists, or a "
			"number",
			row->name, origin, what, what);
	if (r < 0)
		return err_errno(
			err, -r, "option %s (%s): cannot look up the %s", row->name, origin, what);
	return 0;
}

static int check_path(
	const struct opt_row *row, const char *text, const char *origin, struct sfs_err *err)
{
	if (text[0] != '/')
		return refuse(row, origin, "must be an absolute path, starting with /", err);
	if (strnlen(text, SFS_PATH_MAX) == SFS_PATH_MAX)
		return refuse(row, origin, "the path is longer than 4095 bytes", err);
	return 0;
}

/* The name of an environment variable, as the shell has it. */
static bool variable_name(const char *s)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
	return *s && !strchr("0123456789", *s) && s[strspn(s, letters)] == '\0';
}

static int check_secret(
	const struct opt_row *row, const char *text, const char *origin, struct sfs_err *err)
{
	uint64_t fd;
	if (!strncmp(text, "file:", 5))
		return text[5] == '/' && strnlen(text + 5, SFS_PATH_MAX) < SFS_PATH_MAX
			       ? 0
			       : refuse(row, origin,
					 "file: needs an absolute path, as "
					 "file:/etc/secretfs/token",
					 err);
	if (!strncmp(text, "env:", 4))
		return variable_name(text + 4) ? 0
					       : refuse(row, origin,
							 "env: needs the name of an environment "
							 "variable, as env:TOKEN",
							 err);
	if (!strncmp(text, "fd:", 3))
		return parse_u64(text + 3, INT32_MAX, &fd) == 0
			       ? 0
			       : refuse(row, origin,
					 "fd: needs the number of an open descriptor, as fd:3",
					 err);
	return refuse(row, origin,
		"a secret is not taken from an option, where ps, fstab and shell histories show "
		"it; "
		"give file:/PATH, env:NAME or fd:NUMBER",
		err);
}

/* The part of `name` for which the '*' of the row's stands. */
static const char *behind_prefix(const struct opt_row *row, const char *name)
{
	return name + strlen(row->name) - 1;
}

static int check_variable(const struct opt_row *row, const char *name, const char *text,
	const char *origin, struct sfs_err *err)
{
	const char *variable = behind_prefix(row, name);
	const struct opt_row as_given = {.name = name, .type = OPT_SECRET};
	if (!variable_name(variable) || strlen(variable) > VARIABLE_MAX)
		return refuse(row, origin,
			"the name of an environment variable goes there: letters, digits and _, "
			"not starting with a digit, at most 64 bytes",
			err);
	if (opt_variable_secret(variable))
		return check_secret(&as_given, text, origin, err);
	for (const char *s = text; *s; s++)
		if ((unsigned char)*s < 0x20 && *s != '\t')
			return refuse(&as_given, origin,
				"there is a control character in the value", err);
	return 0;
}

int opt_check(const struct opt_row *row, const char *name, const char *text, const char *origin,
	int64_t *ret_num, struct sfs_err *err)
{
	int64_t num = row->type == OPT_FLAG || row->type == OPT_GLOBS;
	int r = 0;
	if (!text && !opt_type_bare(row->type))
		return err_set(err, EINVAL, "option %s (%s): needs a value, as %s=%s", row->name,
			origin, row->name, row->arg ? row->arg : "VALUE");
	switch (row->type) {
	case OPT_STRING:
	case OPT_IGNORED:
		break;
	case OPT_FLAG:
		r = text ? check_number(row, text, origin, &num, err) : 0;
		break;
	case OPT_GLOBS:
		r = check_globs(row, text, origin, &num, err);
		break;
	case OPT_DURATION:
	case OPT_SIZE:
	case OPT_NUMBER:
		r = check_number(row, text, origin, &num, err);
		break;
	case OPT_CHOICE:
		r = check_choice(row, text, origin, err);
		break;
	case OPT_USER:
	case OPT_GROUP:
		r = check_id(row, text, origin, &num, err);
		break;
	case OPT_MODE:
		r = check_mode(row, text, origin, &num, err);
		break;
	case OPT_PATH:
		r = check_path(row, text, origin, err);
		break;
	case OPT_SECRET:
		r = check_secret(row, text, origin, err);
		break;
	case OPT_VARIABLE:
		r = check_variable(row, name, text, origin, err);
		break;
	}
	if (r == 0)
		*ret_num = num;
	return r;
}
