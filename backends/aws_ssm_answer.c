/* SPDX-License-Identifier: Apache-2.0 */
/* Names, versions and answers of Parameter Store. */
#include "backends/aws_ssm.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

#define LETTERS	     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS	     "0123456789"
#define NAME_BYTES   LETTERS DIGITS "_.-/"
#define SECRET_BYTES "+=@!" /* what names of secrets have beside, below SECRETS */
#define SECRETS	     "/aws/reference/secretsmanager/"

/* --- names --- */

static size_t levels(const char *name)
{
	size_t n = 0;
	for (; *name; name++)
		n += *name == '/';
	return n;
}

/* "/a/b" with nothing empty between, or "a" without any slash. */
static bool has_shape(const char *name, size_t len)
{
	if (name[0] != '/')
		return !strchr(name, '/');
	return name[len - 1] != '/' && !strstr(name, "//") && levels(name) <= AWS_PARAMETER_LEVELS;
}

static bool arn_ok(const struct aws_arn *arn, size_t len)
{
	const size_t word = strlen("parameter");
	return len <= AWS_PARAMETER_ID_MAX && arn->resource.len > word + 1 &&
	       !strncmp(arn->resource.p, "parameter/", word + 1) &&
	       strspn(arn->resource.p, NAME_BYTES) == arn->resource.len;
}

bool aws_parameter_name_ok(const char *name)
{
	struct aws_arn arn;
	size_t len = strlen(name);
	if (aws_arn_parse(name, &arn))
		return arn_ok(&arn, len);
	if (!len || len > AWS_PARAMETER_NAME_MAX)
		return false;
	if (!strncmp(name, SECRETS, strlen(SECRETS)))
		return name[strlen(SECRETS)] && strspn(name, NAME_BYTES SECRET_BYTES) == len;
	return strspn(name, NAME_BYTES) == len && has_shape(name, len);
}

bool aws_parameter_path_ok(const char *path)
{
	size_t len = strlen(path);
	return path[0] == '/' && len > 1 && len <= AWS_PARAMETER_NAME_MAX &&
	       strspn(path, NAME_BYTES) == len && has_shape(path, len);
}

/* A number, or a label: it starts with no digit and not with aws or ssm. */
bool aws_parameter_version_ok(const char *version)
{
	size_t len = strlen(version);
	if (!len || len > AWS_LABEL_MAX)
		return false;
	if (strspn(version, DIGITS) == len)
		return version[0] != '0' && len <= 19;
	return strspn(version, LETTERS DIGITS ".-_") == len && !strchr(DIGITS, version[0]) &&
	       strncasecmp(version, "aws", 3) != 0 && strncasecmp(version, "ssm", 3) != 0;
}

int aws_parameter_full(const char *path, const char *name, struct buf *out)
{
	struct aws_arn arn;
	if (*path && !aws_arn_parse(name, &arn)) {
		buf_str(out, path);
		buf_char(out, '/');
	}
	return buf_str(out, name);
}

int aws_parameter_below(const char *path, const char *full, const char **ret_name)
{
	size_t len = strlen(path);
	if (len && (strncmp(full, path, len) != 0 || full[len] != '/' || !full[len + 1]))
		return -ENOENT;
	*ret_name = full + len + (len != 0);
	return 0;
}

/* --- answers --- */

void aws_parameter_version(struct json *doc, const struct json_node *parameter, struct buf *out)
{
	const struct json_node *n = member(doc, parameter, "Version");
	int64_t v;
	if (n && json_int64(doc, n, &v) == 0 && v > 0)
		buf_printf(out, "%lld", (long long)v);
}

int aws_parameter_line(struct json *doc, const struct json_node *entry, struct aws_line *ret)
{
	return aws_line(doc, entry, "LastModifiedDate", aws_parameter_version, ret);
}

static int describe(
	struct json *doc, const struct json_node *parameter, bool fixed, struct payload *p)
{
	_cleanup_(buf_clear) struct buf meta = BUF_INIT(SFS_META_MAX), version = BUF_INIT(32);
	int rc = aws_facts(doc, parameter, NULL, &meta);
	aws_parameter_version(doc, parameter, &version);
	p->created = aws_when(doc, parameter, "LastModifiedDate");
	p->immutable = fixed;
	if (version.len)
		p->version = buf_take(&version);
	if (rc == 0)
		p->meta = buf_take(&meta);
	return rc == -ENOMEM || (rc == 0 && !p->meta) ? -ENOMEM : 0;
}

int aws_parameter_payload(struct json *doc, const struct json_node *parameter, bool fixed,
	struct payload **ret, struct sfs_err *err)
{
	const struct json_node *value = member(doc, parameter, "Value");
	_cleanup_(buf_clear) struct buf bytes = BUF_SECRET_INIT(SFS_VALUE_MAX);
	if (!value || json_kind(value) != JSON_STRING)
		return err_set(
			err, EBADMSG, "the answer of Parameter Store holds no value that is text");
	int rc = json_string(doc, value, &bytes);
	struct payload *p = rc ? NULL : payload_new();
	struct secret *s = p ? secret_new(buf_text(&bytes), bytes.len) : NULL;
	if (!rc)
		rc = s ? payload_add(p, NULL, s) : -ENOMEM;
	if (!rc)
		rc = describe(doc, parameter, fixed, p);
	if (rc) {
		payload_unref(p);
		return rc == -EFBIG ? err_set(err, EFBIG, "the value has more than %d bytes",
					      SFS_VALUE_MAX)
				    : err_set(err, ENOMEM, "no memory for a value");
	}
	*ret = p;
	return 0;
}
