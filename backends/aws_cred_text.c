/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_cred_impl.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- secrets as text ---- */

int aws_secret_add(struct buf *out, const struct secret *s)
{
	return buf_add(out, secret_bytes(s), secret_len(s));
}

int aws_key_check(const struct secret *s, const char *what, struct sfs_err *err)
{
	const unsigned char *p = secret_bytes(s);
	for (size_t i = 0; i < secret_len(s); i++)
		if (p[i] < 0x21 || p[i] > 0x7e)
			return err_set(err, EINVAL,
				"%s holds a blank, a line break or another character that no key "
				"has",
				what);
	return 0;
}

const char *aws_key_shown(const struct secret *id, char out[AWS_KEY_SHOWN])
{
	size_t len = id ? secret_len(id) : 0;
	if (len < 16) { /* too short to give four characters away */
		snprintf(out, AWS_KEY_SHOWN, "...");
		return out;
	}
	memcpy(out, "...", 3);
	memcpy(out + 3, secret_bytes(id) + len - 4, 4);
	out[7] = '\0';
	return out;
}

int aws_env_secret(
	const struct backend_env *env, const char *name, struct secret **ret, struct sfs_err *err)
{
	char what[96];
	struct secret *s = envstore_get(env->env, name);
	if (s && !secret_len(s))
		secret_unref(take(s));
	if (!s)
		return 0;
	snprintf(what, sizeof(what), "environment variable %s", name);
	int r = aws_key_check(s, what, err);
	if (r < 0)
		secret_unref(s);
	else
		*ret = s;
	return r;
}

int aws_value_secret(const struct aws_value *v, const char *profile, const char *key,
	struct secret **ret, struct sfs_err *err)
{
	char what[192];
	if (!v)
		return 0;
	struct secret *s = secret_new(v->text.p, v->text.len);
	if (!s)
		return aws_no_memory(err);
	snprintf(what, sizeof(what), "profile %.100s: %s", profile, key);
	int r = aws_key_check(s, what, err);
	if (r < 0)
		secret_unref(s);
	else
		*ret = s;
	return r;
}

int aws_found_about(
	struct aws_found *f, const char *principal, struct sfs_err *err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int r = cred_about(&f->source, &f->principal, principal, fmt, ap);
	va_end(ap);
	return r < 0 ? aws_no_memory(err) : 0;
}

int aws_status_errno(int status)
{
	if (status == 429)
		return EBUSY;
	if (status >= 500)
		return EREMOTEIO;
	return status == 401 ? EKEYREJECTED : EACCES;
}
