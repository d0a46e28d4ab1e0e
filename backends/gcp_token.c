/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/gcp_token.h"

#include "backends/members.h"
#include "backends/percent.h"
#include "backends/redact.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "net/json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LIFE_MAX (INT64_C(10) * 365 * 86400) /* s: whatever says more is no lifetime */

static int no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for an access token");
}

void gcp_token_clear(struct gcp_token *t)
{
	secret_unref(take(t->access));
	secret_unref(take(t->refresh));
}

/* ---- an access token ---- */

/* A member that can stand in a header or a form; absent is fine. */
static int get_secret(struct json *doc, const struct json_node *root, const char *key,
	struct secret **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(GCP_TOKEN_MAX);
	int r = member_string(doc, root, key, &text);
	if (r == -ENODATA || (r == 0 && !text.len))
		return 0;
	if (r == -ENOMEM)
		return no_memory(err);
	if (r < 0)
		return err_set(
			err, EBADMSG, "%s is no text of at most %d bytes", key, GCP_TOKEN_MAX);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < 0x21 || text.data[i] > 0x7e)
			return err_set(err, EBADMSG, "%s holds a byte that no token has", key);
	*ret = secret_new(text.data, text.len);
	return *ret ? 0 : no_memory(err);
}

/* expires_in as number or as text of one; a fraction is cut. Absent: a margin below the usual. */
static int get_life(
	struct json *doc, const struct json_node *root, int64_t *ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(32);
	const struct json_node *n = member(doc, root, "expires_in");
	uint64_t seconds;
	*ret = GCP_LIFETIME * NSEC_PER_SEC;
	if (!n)
		return 0;
	enum json_kind kind = json_kind(n);
	if ((kind != JSON_STRING && kind != JSON_NUMBER) || json_value(doc, n, &text) < 0)
		return err_set(err, EBADMSG, "expires_in is no number");
	char *dot = strchr(buf_text(&text), '.');
	if (dot && dot[1] && strspn(dot + 1, "0123456789") == strlen(dot + 1))
		*dot = '\0';
	if (strlen(buf_text(&text)) > text.len ||
		parse_u64(buf_text(&text), LIFE_MAX, &seconds) < 0)
		return err_set(err, EBADMSG, "expires_in is no number of seconds");
	*ret = (int64_t)seconds * NSEC_PER_SEC;
	return 0;
}

static int check_kind(struct json *doc, const struct json_node *root, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(64);
	int r = member_string(doc, root, "token_type", &text);
	if (r == -ENOMEM)
		return no_memory(err);
	if (r == -ENODATA || (r == 0 && strcasecmp(buf_text(&text), "bearer") == 0))
		return 0;
	return err_set(err, EBADMSG, "token_type is not Bearer");
}

static int read_token(struct json *doc, struct gcp_token *t, struct sfs_err *err)
{
	const struct json_node *root = json_root(doc);
	if (json_kind(root) != JSON_OBJECT)
		return err_set(err, EBADMSG, "it is no JSON object");
	int r = check_kind(doc, root, err);
	if (r == 0)
		r = get_life(doc, root, &t->life, err);
	if (r == 0)
		r = get_secret(doc, root, "access_token", &t->access, err);
	if (r == 0 && !t->access)
		r = err_set(err, EBADMSG, "it holds no access_token");
	return r < 0 ? r : get_secret(doc, root, "refresh_token", &t->refresh, err);
}

int gcp_token_parse(const char *text, size_t len, struct gcp_token *ret, struct sfs_err *err)
{
	struct gcp_token t = {0};
	struct json *doc = NULL;
	int r = json_parse(text, len, JSON_STRICT, &doc, err);
	if (r < 0)
		return r;
	r = read_token(doc, &t, err);
	json_free(doc);
	if (r < 0)
		gcp_token_clear(&t);
	else
		*ret = t;
	return r;
}

/* ---- a refusal ---- */

/* A word as OAuth has them; anything else is not told. */
static void get_word(
	struct json *doc, const struct json_node *root, const char *key, char *out, size_t size)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(4096);
	const char *s;
	if (member_string(doc, root, key, &text) < 0)
		return;
	s = buf_text(&text);
	if (strlen(s) < size && strspn(s, "abcdefghijklmnopqrstuvwxyz_-") == strlen(s))
		snprintf(out, size, "%s", s);
}

static void get_reason(struct json *doc, const struct json_node *root, char *out, size_t size)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(4096);
	char shown[256];
	if (member_string(doc, root, "error_description", &text) == 0)
		redact(text_escaped(shown, sizeof(shown), buf_text(&text), text.len), out, size);
}

static void read_words(const char *text, size_t len, struct gcp_refusal *r)
{
	struct json *doc = NULL;
	if (json_parse(text, len, JSON_STRICT, &doc, NULL) < 0)
		return;
	get_word(doc, json_root(doc), "error", r->error, sizeof(r->error));
	get_word(doc, json_root(doc), "error_subtype", r->subtype, sizeof(r->subtype));
	get_reason(doc, json_root(doc), r->reason, sizeof(r->reason));
	json_free(doc);
}

static bool is(const struct gcp_refusal *r, const char *error)
{
	return strcmp(r->error, error) == 0;
}

static bool says(const struct gcp_refusal *r, const char *words)
{
	return strcasestr(r->reason, words) != NULL;
}

static enum gcp_refusal_kind kind_of(const struct gcp_refusal *r)
{
	if (r->status == 429)
		return GCP_REFUSED_THROTTLE;
	if (r->status == 408 || r->status >= 500 || is(r, "internal_failure") ||
		is(r, "server_error") || is(r, "temporarily_unavailable"))
		return GCP_REFUSED_FAULT;
	if (strcmp(r->subtype, "invalid_rapt") == 0 || strcmp(r->subtype, "rapt_required") == 0)
		return GCP_REFUSED_REAUTH;
	if (!is(r, "invalid_grant"))
		return GCP_REFUSED;
	if (says(r, "reasonable timeframe"))
		return GCP_REFUSED_CLOCK;
	return says(r, "expired") || says(r, "revoked") || says(r, "stale") ? GCP_REFUSED_EXPIRED
									    : GCP_REFUSED;
}

void gcp_refusal_parse(int status, const char *text, size_t len, struct gcp_refusal *ret)
{
	*ret = (struct gcp_refusal){.status = status};
	read_words(text, len, ret);
	ret->kind = kind_of(ret);
}

int gcp_refusal_sentence(
	const struct gcp_refusal *r, const char *what, const char *credential, struct sfs_err *err)
{
	char why[400];
	if (*r->error)
		snprintf(why, sizeof(why), "%s%s%s%s%s", r->error, *r->subtype ? ", " : "",
			r->subtype, *r->reason ? ": " : "", r->reason);
	else
		snprintf(why, sizeof(why), "status %d", r->status);
	switch (r->kind) {
	case GCP_REFUSED_CLOCK:
		return err_set(err, EKEYREJECTED,
			"%s does not accept %s (%s): the clock of this machine is off, and "
			"correcting for it did not help",
			what, credential, why);
	case GCP_REFUSED_EXPIRED:
		return err_set(err, EKEYEXPIRED,
			"%s does not accept %s any more (%s): it must be made anew", what,
			credential, why);
	case GCP_REFUSED_REAUTH:
		return err_set(err, EKEYEXPIRED,
			"%s wants the person behind %s to log in again (%s): run gcloud auth "
			"application-default login",
			what, credential, why);
	case GCP_REFUSED_THROTTLE:
		return err_set(err, EBUSY, "%s is asked too often (%s)", what, why);
	case GCP_REFUSED_FAULT:
		return err_set(err, EREMOTEIO, "%s has a fault (%s)", what, why);
	case GCP_REFUSED:
		break;
	}
	return err_set(err, EKEYREJECTED, "%s does not accept %s (%s)", what, credential, why);
}

/* ---- forms ---- */

int gcp_form_add(struct buf *form, const char *key, const void *value, size_t len)
{
	if (form->len)
		buf_char(form, '&');
	buf_str(form, key);
	buf_char(form, '=');
	return percent_add(form, value, len);
}
