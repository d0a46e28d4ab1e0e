/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of an exchange: subject tokens, what is posted, what comes back. */
#include "backends/gcp_external.h"

#include "backends/gcp_cred_impl.h"
#include "backends/members.h"
#include "backends/redact.h"
#include "backends/times.h"
#include "base/cleanup.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>

#define URN   "urn:ietf:params:oauth:"
#define SHOWN 160

static void json_free_p(struct json **doc)
{
	json_free(*doc);
}

static int wrong(struct sfs_err *err, const char *what)
{
	return err_set(err, EBADMSG, "%s", what);
}

static int no_room(int r, struct sfs_err *err)
{
	return err_errno(err, -r, "credentials");
}

static int parse_object(const char *text, size_t len, struct json **ret, struct sfs_err *err)
{
	int r = json_parse(text, len, JSON_STRICT, ret, err);
	if (r < 0)
		return r;
	return json_kind(json_root(*ret)) == JSON_OBJECT ? 0 : wrong(err, "it is no JSON object");
}

/* A member that is a text and not empty. */
static int take_secret(struct json *doc, const char *key, struct secret **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	int r = member_string(doc, json_root(doc), key, &text);
	if (r == -ENOMEM || r == -EFBIG)
		return no_room(r, err);
	if (r < 0 || !text.len)
		return err_set(err, EBADMSG, "its member %s is %s", key,
			r == -ENODATA ? "missing" : "no text, or empty");
	struct secret *s = secret_new(text.data, text.len);
	if (!s)
		return no_room(-ENOMEM, err);
	*ret = s;
	return 0;
}

/* Whether it can stand in a header. */
static int check_token(const struct secret *token, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	if (gcp_secret_add(&text, token) < 0)
		return no_room(-ENOMEM, err);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < 0x21 || text.data[i] > 0x7e)
			return wrong(err, "its token holds a character that no token has");
	return text.len > GCP_TOKEN_MAX ? wrong(err, "its token is too long") : 0;
}

/* ---- subject tokens of files and URLs ---- */

static int whole_text(const char *text, size_t len, struct secret **ret, struct sfs_err *err)
{
	if (len && text[len - 1] == '\n')
		len--;
	if (len && text[len - 1] == '\r')
		len--;
	if (!len)
		return wrong(err, "it is empty");
	struct secret *s = secret_new(text, len);
	if (!s)
		return no_room(-ENOMEM, err);
	*ret = s;
	return 0;
}

int gcp_subject_parse(const struct gcp_source *s, const char *text, size_t len, struct secret **ret,
	struct sfs_err *err)
{
	_cleanup_(json_free_p) struct json *doc = NULL;
	if (!s->field)
		return whole_text(text, len, ret, err);
	int r = parse_object(text, len, &doc, err);
	return r < 0 ? r : take_secret(doc, s->field, ret, err);
}

/* ---- programs ---- */

static int check_version(struct json *doc, struct sfs_err *err)
{
	int64_t version;
	const struct json_node *n = member(doc, json_root(doc), "version");
	if (!n)
		return wrong(err, "its member version is missing");
	if (json_int64(doc, n, &version) < 0 || version > 1)
		return wrong(err, "its version is not 1, the only one that is known");
	return 0;
}

/* A member for people: escaped, redacted, cut; a number as it is written. */
static bool shown(struct json *doc, const struct json_node *obj, const char *key, char out[SHOWN])
{
	char escaped[SHOWN];
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	const struct json_node *n = member(doc, obj, key);
	*out = '\0';
	if (!n || json_value(doc, n, &text) < 0 || !text.len)
		return false;
	text_escaped(escaped, sizeof(escaped), buf_text(&text), text.len);
	redact(escaped, out, SHOWN);
	return true;
}

static int check_success(struct json *doc, struct sfs_err *err)
{
	char code[SHOWN], message[SHOWN];
	const struct json_node *n = member(doc, json_root(doc), "success");
	if (n && json_kind(n) == JSON_TRUE)
		return 0;
	if (!n || json_kind(n) != JSON_FALSE)
		return wrong(err, "its member success is neither true nor false");
	if (!shown(doc, json_root(doc), "code", code) ||
		!shown(doc, json_root(doc), "message", message))
		return wrong(err, "it says success: false without code and message");
	return err_set(err, ENOKEY, "it says: %s: %s", code, message);
}

static int check_expiry(struct json *doc, int64_t now, int64_t *ret, struct sfs_err *err)
{
	char text[CLOCK_TEXT];
	int64_t at = 0;
	_cleanup_(buf_clear) struct buf number = BUF_INIT(64);
	const struct json_node *n = member(doc, json_root(doc), "expiration_time");
	*ret = 0;
	if (!n)
		return 0;
	int r = json_kind(n) == JSON_NUMBER ? json_value(doc, n, &number) : -EINVAL;
	if (r == 0)
		r = times_epoch(buf_text(&number), number.len, &at);
	if (r == -ERANGE) /* after 2262: examples have 9999999999 */
		at = INT64_MAX;
	else if (r < 0)
		return r == -ENOMEM
			       ? no_room(r, err)
			       : wrong(err, "its expiration_time is no number of seconds since "
					    "1970");
	if (at <= now)
		return err_set(
			err, EKEYEXPIRED, "the token it gives expired at %s", clock_text(at, text));
	*ret = at;
	return 0;
}

static const char *token_member(struct json *doc)
{
	const struct json_node *root = json_root(doc);
	if (member_is(doc, root, "token_type", URN "token-type:jwt") ||
		member_is(doc, root, "token_type", URN "token-type:id_token"))
		return "id_token";
	return member_is(doc, root, "token_type", URN "token-type:saml2") ? "saml_response" : NULL;
}

int gcp_program_parse(const char *text, size_t len, int64_t now, struct secret **ret,
	int64_t *ret_expires, struct sfs_err *err)
{
	_cleanup_(json_free_p) struct json *doc = NULL;
	int64_t expires = 0;
	int r = parse_object(text, len, &doc, err);
	if (r == 0)
		r = check_version(doc, err);
	if (r == 0)
		r = check_success(doc, err);
	if (r == 0)
		r = check_expiry(doc, now, &expires, err);
	if (r < 0)
		return r;
	const char *key = token_member(doc);
	if (!key)
		return wrong(err, "its token_type is not that of a jwt, id_token or saml2");
	r = take_secret(doc, key, ret, err);
	if (r == 0)
		*ret_expires = expires;
	return r;
}

static void add_variable(struct buf *b, const char *name, const char *value)
{
	if (value)
		buf_printf(b, "\nGOOGLE_EXTERNAL_ACCOUNT_%s=%s", name, value);
}

char *gcp_program_line(const struct gcp_external *x, const char *output_file)
{
	struct buf b = BUF_INIT(SFS_OPTION_MAX);
	_cleanup_free_ char *email = NULL;
	if (x->impersonation_url && !(email = gcp_account_of(x->impersonation_url)))
		return NULL;
	buf_str(&b, x->source.command);
	add_variable(&b, "AUDIENCE", x->audience);
	add_variable(&b, "TOKEN_TYPE", x->token_type);
	add_variable(&b, "INTERACTIVE", "0");
	add_variable(&b, "IMPERSONATED_EMAIL", email);
	add_variable(&b, "OUTPUT_FILE", output_file);
	char *text = buf_take(&b);
	buf_clear(&b);
	return text;
}

/* ---- the exchange ---- */

static void add_text(struct buf *form, const char *key, const char *value)
{
	gcp_form_add(form, key, value, strlen(value));
}

/* {"userProject":"…"}: who pays for it, where no client says so. */
static void add_options(const struct gcp_external *x, struct buf *form)
{
	_cleanup_(buf_clear) struct buf json = BUF_INIT(SFS_OPTION_MAX);
	if (!x->user_project || x->client_id)
		return;
	buf_str(&json, "{\"userProject\":");
	text_json(&json, x->user_project, strlen(x->user_project));
	buf_char(&json, '}');
	if (json.failed && !form->failed)
		form->failed = json.failed;
	gcp_form_add(form, "options", buf_text(&json), json.len);
}

int gcp_exchange_form(const struct gcp_external *x, const char *scope, const struct secret *subject,
	struct buf *ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf token = BUF_SECRET_INIT(GCP_EXCHANGE_MAX);
	int r = gcp_secret_add(&token, subject);
	if (r < 0)
		return no_room(r, err);
	add_text(ret, "grant_type", URN "grant-type:token-exchange");
	add_text(ret, "audience", x->audience);
	add_text(ret, "scope", scope);
	add_text(ret, "requested_token_type", URN "token-type:access_token");
	add_text(ret, "subject_token_type", x->token_type);
	gcp_form_add(ret, "subject_token", buf_text(&token), token.len);
	add_options(x, ret);
	return ret->failed ? no_room(-ret->failed, err) : 0;
}

/* ---- generateAccessToken ---- */

static void add_list(struct buf *b, const char *key, char *const *list)
{
	buf_printf(b, "%s\"%s\":[", b->data[b->len - 1] == '{' ? "" : ",", key);
	for (size_t i = 0; list && list[i]; i++) {
		buf_str(b, i ? "," : "");
		text_json(b, list[i], strlen(list[i]));
	}
	buf_char(b, ']');
}

int gcp_generate_body(char *const *scopes, char *const *delegates, unsigned lifetime,
	struct buf *ret, struct sfs_err *err)
{
	if (buf_char(ret, '{') == 0)
		add_list(ret, "delegates", delegates);
	if (!ret->failed)
		add_list(ret, "scope", scopes);
	buf_printf(ret, ",\"lifetime\":\"%us\"}", lifetime);
	return ret->failed ? no_room(-ret->failed, err) : 0;
}

int gcp_generate_parse(const char *text, size_t len, struct secret **ret_token,
	int64_t *ret_expires, struct sfs_err *err)
{
	_cleanup_(json_free_p) struct json *doc = NULL;
	_cleanup_(buf_clear) struct buf when = BUF_INIT(64);
	struct secret *token = NULL;
	int64_t expires;
	int r = parse_object(text, len, &doc, err);
	if (r < 0)
		return r;
	if (member_string(doc, json_root(doc), "expireTime", &when) < 0 ||
		times_parse(buf_text(&when), when.len, &expires) < 0)
		return wrong(err, "its expireTime is missing or no time");
	r = take_secret(doc, "accessToken", &token, err);
	if (r == 0)
		r = check_token(token, err);
	if (r < 0) {
		secret_unref(token);
		return r;
	}
	*ret_token = token;
	*ret_expires = expires;
	return 0;
}

struct words {
	char message[SHOWN], reason[SHOWN];
};

static void read_words(const char *text, size_t len, struct words *w)
{
	_cleanup_(json_free_p) struct json *doc = NULL;
	*w = (struct words){0};
	if (parse_object(text, len, &doc, NULL) < 0)
		return;
	const struct json_node *e = member(doc, json_root(doc), "error");
	shown(doc, e, "message", w->message);
	const struct json_node *list = member_array(doc, e, "details");
	const struct json_node *n = list ? json_first(doc, list) : NULL;
	while (n && !shown(doc, n, "reason", w->reason))
		n = json_next(doc, n);
}

static int forbidden(const struct words *w, const char *email, struct sfs_err *err)
{
	if (strcmp(w->reason, "SERVICE_DISABLED") == 0)
		return err_set(err, EACCES,
			"the IAM Service Account Credentials API is not enabled: %s", w->message);
	if (*w->reason && strcmp(w->reason, "IAM_PERMISSION_DENIED") != 0)
		return err_set(err, EACCES, "no token of service account %s is given: %s: %s",
			email, w->reason, w->message);
	return err_set(err, EACCES,
		"permission iam.serviceAccounts.getAccessToken is missing on service account %s, "
		"or "
		"it does not exist: grant roles/iam.workloadIdentityUser (to a federated "
		"identity) or roles/iam.serviceAccountTokenCreator on it",
		email);
}

int gcp_generate_refused(
	int status, const char *text, size_t len, const char *email, struct sfs_err *err)
{
	struct words w;
	read_words(text, len, &w);
	const char *colon = *w.message ? ": " : "";
	switch (status) {
	case 400:
		return err_set(err, EINVAL,
			"the request for a token of service account %s is refused (is its lifetime "
			"longer than an hour?)%s%s",
			email, colon, w.message);
	case 401:
		return err_set(err, EKEYREJECTED,
			"the IAM Credentials API does not accept the token that is to act as "
			"%s%s%s",
			email, colon, w.message);
	case 403:
		return forbidden(&w, email, err);
	case 404:
		return err_set(err, EKEYREJECTED, "service account %s does not exist%s%s", email,
			colon, w.message);
	case 429:
		return err_set(err, EBUSY, "the IAM Credentials API is asked too often%s%s", colon,
			w.message);
	default:
		return err_set(err, status >= 500 ? EREMOTEIO : EKEYREJECTED,
			"the IAM Credentials API answered with status %d%s%s", status, colon,
			w.message);
	}
}
