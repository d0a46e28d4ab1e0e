/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_sts.h"

#include "backends/aws_xml.h"
#include "backends/percent.h"
#include "backends/times.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VERSION "&Version=2011-06-15"

/* ---- requests ---- */

static bool only(const char *s, const char *also)
{
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr(also, *s))
			return false;
	return true;
}

static bool length_is(const char *s, size_t min, size_t max)
{
	size_t n = strlen(s);
	return n >= min && n <= max;
}

static int check_role(const struct aws_role *r, struct sfs_err *err)
{
	char shown[120];
	if (!length_is(r->arn, 20, 2048) || strncmp(r->arn, "arn:", 4) != 0)
		return err_set(err, EINVAL,
			"role_arn \"%s\" is no ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)",
			text_escaped(shown, sizeof(shown), r->arn, strlen(r->arn)));
	if (!length_is(r->session, 2, 64) || !only(r->session, "_+=,.@-"))
		return err_set(err, EINVAL,
			"role_session_name must have 2 to 64 letters, digits or _ + = , . @ -");
	if (r->external_id &&
		(!length_is(r->external_id, 2, 1224) || !only(r->external_id, "_+=,.@:/-")))
		return err_set(err, EINVAL,
			"external_id must have 2 to 1224 letters, digits or _ + = , . @ : / -");
	if (r->source_identity &&
		(!length_is(r->source_identity, 2, 64) || !only(r->source_identity, "_+=,.@-")))
		return err_set(err, EINVAL,
			"source_identity must have 2 to 64 letters, digits or _ + = , . @ -");
	if (r->duration && (r->duration < 900 || r->duration > 43200))
		return err_set(err, EINVAL,
			"the duration of a role must be 900 to 43200 seconds (15 minutes to 12 "
			"hours)");
	return 0;
}

static void add_parameter(struct buf *b, const char *name, const void *value, size_t len)
{
	buf_char(b, '&');
	buf_str(b, name);
	buf_char(b, '=');
	percent_add(b, value, len);
}

static void add_role(struct buf *b, const char *action, const struct aws_role *r)
{
	char number[16];
	buf_str(b, "Action=");
	buf_str(b, action);
	buf_str(b, VERSION);
	add_parameter(b, "RoleArn", r->arn, strlen(r->arn));
	add_parameter(b, "RoleSessionName", r->session, strlen(r->session));
	if (!r->duration)
		return;
	snprintf(number, sizeof(number), "%u", r->duration);
	add_parameter(b, "DurationSeconds", number, strlen(number));
}

static int done(const struct buf *b, struct sfs_err *err)
{
	return b->failed ? err_errno(err, b->failed, "request to STS") : 0;
}

int aws_sts_assume_role_body(const struct aws_role *role, struct buf *ret, struct sfs_err *err)
{
	int rc = check_role(role, err);
	if (rc < 0)
		return rc;
	add_role(ret, "AssumeRole", role);
	if (role->external_id)
		add_parameter(ret, "ExternalId", role->external_id, strlen(role->external_id));
	if (role->source_identity)
		add_parameter(ret, "SourceIdentity", role->source_identity,
			strlen(role->source_identity));
	return done(ret, err);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int aws_sts_web_identity_body(const struct aws_role *role, const void *token, size_t len,
	struct buf *ret, struct sfs_err *err)
{
	const char *p = token;
	int rc = check_role(role, err);
	if (rc < 0)
		return rc;
	while (len && is_space(p[len - 1]))
		len--;
	for (; len && is_space(*p); p++)
		len--;
	if (len < 4 || len > 20000)
		return err_set(err, EINVAL,
			"the web identity token has %zu bytes, where STS takes 4 to 20000; look at "
			"its "
			"file",
			len);
	add_role(ret, "AssumeRoleWithWebIdentity", role);
	add_parameter(ret, "WebIdentityToken", p, len);
	return done(ret, err);
}

int aws_sts_identity_body(struct buf *ret)
{
	return buf_str(ret, "Action=GetCallerIdentity" VERSION);
}

/* ---- answers ---- */

/* What could not be read, by the last part of its path. */
static int unusable(const char *path, int rc, struct sfs_err *err)
{
	const char *name = strrchr(path, '/');
	if (rc != -EBADMSG)
		return err_errno(err, -rc, "answer of STS");
	return err_set(err, EBADMSG,
		"the answer of STS has no usable %s; is the endpoint really STS, or is a proxy in "
		"between?",
		name ? name + 1 : path);
}

/* Appends the text of an element; one that is empty counts as missing. */
static int element(struct aws_text xml, const char *path, unsigned flags, struct buf *ret)
{
	struct aws_text raw;
	size_t before = ret->len;
	int rc = aws_xml_find(xml.p, xml.len, path, &raw);
	if (rc == 0)
		rc = aws_xml_decode(raw, flags, ret);
	return rc == 0 && ret->len == before ? -EBADMSG : rc;
}

static int secret_element(
	struct aws_text xml, const char *path, struct secret **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf b = BUF_SECRET_INIT(AWS_STS_REPLY_MAX);
	int rc = element(xml, path, AWS_XML_NO_BLANKS, &b);
	if (rc < 0)
		return unusable(path, rc, err);
	*ret = secret_new(b.data, b.len);
	return *ret ? 0 : unusable(path, -ENOMEM, err);
}

static int expiration(struct aws_text xml, int64_t *ret, struct sfs_err *err)
{
	static const char path[] = "*/*/Credentials/Expiration";
	_cleanup_(buf_clear) struct buf b = BUF_INIT(64);
	int rc = element(xml, path, 0, &b);
	if (rc == 0 && times_parse(b.data, b.len, ret) < 0)
		rc = -EBADMSG;
	return rc < 0 ? unusable(path, rc == -EFBIG ? -EBADMSG : rc, err) : 0;
}

/* Not told by all that speak this protocol, so a missing one is no error. */
static int role_arn(struct aws_text xml, char **ret, struct sfs_err *err)
{
	static const char path[] = "*/*/AssumedRoleUser/Arn";
	_cleanup_(buf_clear) struct buf b = BUF_INIT(4096), shown = BUF_INIT(4 * 4096);
	int rc = element(xml, path, 0, &b);
	if (rc == -ENOMEM)
		return unusable(path, rc, err);
	if (rc < 0)
		return 0;
	if (text_escape(&shown, b.data, b.len) < 0 || !(*ret = buf_take(&shown)))
		return unusable(path, -ENOMEM, err);
	return 0;
}

void aws_temp_clear(struct aws_temp *t)
{
	secret_unref(t->id);
	secret_unref(t->key);
	secret_unref(t->token);
	mem_free(t->arn);
	*t = (struct aws_temp){0};
}

static int read_credentials(struct aws_text xml, struct aws_temp *t, struct sfs_err *err)
{
	int rc;
	if ((rc = secret_element(xml, "*/*/Credentials/AccessKeyId", &t->id, err)) < 0 ||
		(rc = secret_element(xml, "*/*/Credentials/SecretAccessKey", &t->key, err)) < 0 ||
		(rc = secret_element(xml, "*/*/Credentials/SessionToken", &t->token, err)) < 0 ||
		(rc = expiration(xml, &t->expires, err)) < 0)
		return rc;
	return role_arn(xml, &t->arn, err);
}

int aws_sts_credentials(const char *xml, size_t len, struct aws_temp *ret, struct sfs_err *err)
{
	struct aws_temp t = {0};
	int rc = read_credentials((struct aws_text){xml, len}, &t, err);
	if (rc < 0)
		aws_temp_clear(&t);
	else
		*ret = t;
	return rc;
}

int aws_sts_identity(const char *xml, size_t len, struct buf *ret_account, struct buf *ret_arn,
	struct sfs_err *err)
{
	static const char account[] = "GetCallerIdentityResponse/GetCallerIdentityResult/Account";
	static const char arn[] = "GetCallerIdentityResponse/GetCallerIdentityResult/Arn";
	_cleanup_(buf_clear) struct buf a = BUF_INIT(4096), b = BUF_INIT(4096);
	struct aws_text text = {xml, len};
	int rc;
	if ((rc = element(text, account, 0, &a)) < 0)
		return unusable(account, rc, err);
	if ((rc = element(text, arn, 0, &b)) < 0)
		return unusable(arn, rc, err);
	if (buf_add(ret_account, a.data, a.len) < 0 || buf_add(ret_arn, b.data, b.len) < 0)
		return unusable(
			arn, -(ret_arn->failed ? ret_arn->failed : ret_account->failed), err);
	return 0;
}

/* The second form is that of EC2 and of emulators. */
int aws_xml_error(const char *xml, size_t len, struct buf *ret_code, struct buf *ret_message)
{
	static const char *const codes[] = {"ErrorResponse/Error/Code",
		"ErrorResponse/Errors/Error/Code", "Response/Errors/Error/Code"};
	static const char *const messages[] = {"ErrorResponse/Error/Message",
		"ErrorResponse/Errors/Error/Message", "Response/Errors/Error/Message"};
	struct aws_text text = {xml, len};
	size_t i = 0;
	int rc = element(text, codes[0], 0, ret_code);
	while (rc == -EBADMSG && ++i < sizeof(codes) / sizeof(codes[0]))
		rc = element(text, codes[i], 0, ret_code);
	if (rc < 0)
		return rc;
	rc = element(text, messages[i], 0, ret_message);
	return rc == -EBADMSG ? 0 : rc;
}
