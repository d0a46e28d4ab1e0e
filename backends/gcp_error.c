/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/gcp_error.h"

#include "backends/members.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SECOND	  INT64_C(1000000000)
#define BODY_MAX  65536 /* of an error; what is longer is no answer of Google's */
#define ANY_ERROR 16	/* entries of details that are looked at */

/* ---- what it means ---- */

struct row {
	const char *word;
	int errnum;
	enum gcp_error_class class;
	enum gcp_error_kind kind;
};

/* google/rpc/code.proto */
static const struct row words[] = {
	{"NOT_FOUND", ENOENT, GCP_FINAL, GCP_ERR_NO_SECRET},
	{"FAILED_PRECONDITION", EKEYREVOKED, GCP_FINAL, GCP_ERR_STATE},
	{"INVALID_ARGUMENT", EINVAL, GCP_FINAL, GCP_ERR_ARGUMENT},
	{"OUT_OF_RANGE", EINVAL, GCP_FINAL, GCP_ERR_ARGUMENT},
	{"UNAUTHENTICATED", EKEYREJECTED, GCP_CREDENTIALS, GCP_ERR_TOKEN},
	{"PERMISSION_DENIED", EACCES, GCP_FINAL, GCP_ERR_DENIED_BARE},
	{"RESOURCE_EXHAUSTED", EBUSY, GCP_THROTTLE, GCP_ERR_THROTTLED},
	{"ABORTED", EREMOTEIO, GCP_TRANSIENT, GCP_ERR_SERVICE},
	{"CANCELLED", EREMOTEIO, GCP_TRANSIENT, GCP_ERR_SERVICE},
	{"UNKNOWN", EREMOTEIO, GCP_TRANSIENT, GCP_ERR_SERVICE},
	{"INTERNAL", EREMOTEIO, GCP_TRANSIENT, GCP_ERR_SERVICE},
	{"DATA_LOSS", EREMOTEIO, GCP_TRANSIENT, GCP_ERR_SERVICE},
	{"UNAVAILABLE", EREMOTEIO, GCP_TRANSIENT, GCP_ERR_SERVICE},
	{"DEADLINE_EXCEEDED", EREMOTEIO, GCP_TRANSIENT, GCP_ERR_SERVICE},
	{"UNIMPLEMENTED", EOPNOTSUPP, GCP_FINAL, GCP_ERR_NOT_SERVICE},
};

static struct row by_status(int status, bool google)
{
	switch (status) {
	case 400:
		return (struct row){NULL, google ? EINVAL : EPROTO, GCP_FINAL,
			google ? GCP_ERR_ARGUMENT : GCP_ERR_OTHER};
	case 401:
		return (struct row){NULL, EKEYREJECTED, GCP_CREDENTIALS, GCP_ERR_TOKEN};
	case 403:
		return (struct row){NULL, EACCES, GCP_FINAL, GCP_ERR_DENIED_BARE};
	case 404:
		return google ? words[0]
			      : (struct row){NULL, EOPNOTSUPP, GCP_FINAL, GCP_ERR_NOT_SERVICE};
	case 405:
	case 501:
		return (struct row){NULL, EOPNOTSUPP, GCP_FINAL, GCP_ERR_NOT_SERVICE};
	case 408:
	case 409:
	case 499:
		return (struct row){NULL, EREMOTEIO, GCP_TRANSIENT, GCP_ERR_SERVICE};
	case 429:
		return (struct row){NULL, EBUSY, GCP_THROTTLE, GCP_ERR_THROTTLED};
	default:
		return status >= 500 ? (struct row){NULL, EREMOTEIO, GCP_TRANSIENT, GCP_ERR_SERVICE}
				     : (struct row){NULL, EPROTO, GCP_FINAL, GCP_ERR_OTHER};
	}
}

/* Reasons that tell cases of one word apart (google/api/error_reason.proto, Secret Manager); one
 * that ends in _ is the beginning. */
static const struct {
	enum gcp_error_kind from;
	const char *reason;
	enum gcp_error_kind to;
	int errnum;
} reasons[] = {
	{GCP_ERR_DENIED_BARE, "IAM_PERMISSION_DENIED", GCP_ERR_DENIED, EACCES},
	{GCP_ERR_DENIED_BARE, "SERVICE_DISABLED", GCP_ERR_API_OFF, EACCES},
	{GCP_ERR_DENIED_BARE, "BILLING_DISABLED", GCP_ERR_BILLING, EACCES},
	{GCP_ERR_DENIED_BARE, "USER_PROJECT_DENIED", GCP_ERR_QUOTA_PROJECT, EACCES},
	{GCP_ERR_DENIED_BARE, "CONSUMER_INVALID", GCP_ERR_QUOTA_PROJECT, EACCES},
	{GCP_ERR_DENIED_BARE, "CONSUMER_SUSPENDED", GCP_ERR_QUOTA_PROJECT, EACCES},
	{GCP_ERR_DENIED_BARE, "RESOURCE_PROJECT_INVALID", GCP_ERR_QUOTA_PROJECT, EACCES},
	{GCP_ERR_DENIED_BARE, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", GCP_ERR_SCOPE, EACCES},
	{GCP_ERR_DENIED_BARE, "SECURITY_POLICY_VIOLATED", GCP_ERR_PERIMETER, EACCES},
	{GCP_ERR_DENIED_BARE, "RATE_LIMIT_EXCEEDED", GCP_ERR_THROTTLED, EBUSY},
	{GCP_ERR_DENIED_BARE, "LOCATION_", GCP_ERR_LOCATION, EACCES},
	{GCP_ERR_STATE, "LOCATION_", GCP_ERR_LOCATION, EACCES},
};

/* Texts, where there are no reasons; the first that fits. */
static const struct {
	enum gcp_error_kind from;
	const char *text;
	enum gcp_error_kind to;
	int errnum;
} texts[] = {
	{GCP_ERR_NO_SECRET, "Secret Version", GCP_ERR_NO_VERSION, ENOENT},
	{GCP_ERR_STATE, "is in DISABLED state", GCP_ERR_DISABLED, EKEYREVOKED},
	{GCP_ERR_STATE, "is in DESTROYED state", GCP_ERR_DESTROYED, EKEYREVOKED},
	{GCP_ERR_STATE, "ermission 'cloudkms.", GCP_ERR_KMS_DENIED, EACCES},
	{GCP_ERR_STATE, "ermission denied", GCP_ERR_KMS_DENIED, EACCES},
	{GCP_ERR_STATE, "cryptoKey", GCP_ERR_KMS_KEY, EKEYREVOKED},
	{GCP_ERR_STATE, "KMS key", GCP_ERR_KMS_KEY, EKEYREVOKED},
	{GCP_ERR_DENIED_BARE, "cryptoKey", GCP_ERR_KMS_DENIED, EACCES},
	{GCP_ERR_DENIED, "cryptoKey", GCP_ERR_KMS_DENIED, EACCES},
	{GCP_ERR_DENIED_BARE, "vpcServiceControlsUniqueIdentifier", GCP_ERR_PERIMETER, EACCES},
	{GCP_ERR_DENIED_BARE, "insufficient authentication scopes", GCP_ERR_SCOPE, EACCES},
};

static bool contains(const struct buf *b, const char *s)
{
	return b->len && memmem(b->data, b->len, s, strlen(s));
}

static bool is_reason(const char *reason, const char *row)
{
	size_t len = strlen(row);
	return row[len - 1] == '_' ? !strncmp(reason, row, len) : !strcmp(reason, row);
}

static struct row find(const struct gcp_error *e, bool google)
{
	for (size_t i = 0; *e->word && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i].word, e->word) == 0)
			return words[i];
	return by_status(e->status, google);
}

static void refine(struct gcp_error *e, const struct buf *message)
{
	enum gcp_error_kind kind = e->kind;
	for (size_t i = 0; *e->reason && i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].from == kind && is_reason(e->reason, reasons[i].reason)) {
			e->kind = reasons[i].to;
			e->errnum = reasons[i].errnum;
			e->class = e->kind == GCP_ERR_THROTTLED ? GCP_THROTTLE : e->class;
		}
	kind = e->kind;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && e->kind == kind; i++)
		if (texts[i].from == kind && contains(message, texts[i].text)) {
			e->kind = texts[i].to;
			e->errnum = texts[i].errnum;
		}
}

/* ---- the answer ---- */

int gcp_duration(const char *text, size_t len, int64_t *ret_ns)
{
	int64_t ns = 0, unit = SECOND;
	size_t i = 0;
	for (; i < len && text[i] >= '0' && text[i] <= '9'; i++)
		if (__builtin_mul_overflow(ns, 10, &ns) ||
			__builtin_add_overflow(ns, (text[i] - '0') * SECOND, &ns))
			ns = INT64_MAX / 2;
	if (i == 0)
		return -EINVAL;
	if (i < len && text[i] == '.') {
		size_t point = i++;
		for (; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
			unit /= 10;
			ns += (text[i] - '0') * unit;
		}
		if (i == point + 1)
			return -EINVAL;
	}
	if (i + 1 != len || text[i] != 's')
		return -EINVAL;
	*ret_ns = ns;
	return 0;
}

/* A word in capitals; anything else is left out. */
static void take_word(
	struct json *doc, const struct json_node *obj, const char *key, char ret[GCP_WORD_MAX])
{
	_cleanup_(buf_clear) struct buf b = BUF_SECRET_INIT(GCP_WORD_MAX - 1);
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	if (member_string(doc, obj, key, &b) == 0 && strspn(buf_text(&b), allowed) == b.len)
		snprintf(ret, GCP_WORD_MAX, "%s", buf_text(&b));
}

static bool is_type(struct json *doc, const struct json_node *detail, const char *type)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(256);
	if (member_string(doc, detail, "@type", &b) < 0)
		return false;
	const char *dot = strrchr(buf_text(&b), '.');
	return dot && !strcmp(dot + 1, type);
}

static void take_details(struct gcp_error *e, struct json *doc, const struct json_node *error)
{
	const struct json_node *n = member_array(doc, error, "details");
	n = n ? json_first(doc, n) : NULL;
	for (int i = 0; n && i < ANY_ERROR; n = json_next(doc, n), i++) {
		_cleanup_(buf_clear) struct buf delay = BUF_INIT(64);
		if (is_type(doc, n, "ErrorInfo") && !*e->reason)
			take_word(doc, n, "reason", e->reason);
		else if (is_type(doc, n, "RetryInfo") &&
			 member_string(doc, n, "retryDelay", &delay) == 0)
			gcp_duration(buf_text(&delay), delay.len, &e->delay);
	}
}

/* Whether it is an error as the service (or an emulator, which has just a text) sends it. */
static bool take_error(struct gcp_error *e, struct json *doc, struct buf *message)
{
	const struct json_node *root = json_root(doc);
	if (json_kind(root) == JSON_ARRAY) /* how a stream says it */
		root = json_first(doc, root);
	const struct json_node *error = member(doc, root, "error");
	if (!error)
		return false;
	if (json_kind(error) == JSON_STRING)
		return member_text_of(doc, error, message) == 0;
	if (json_kind(error) != JSON_OBJECT)
		return false;
	take_word(doc, error, "status", e->word);
	member_string(doc, error, "message", message);
	take_details(e, doc, error);
	return true;
}

void gcp_error_parse(int status, const void *body, size_t len, struct gcp_error *ret)
{
	_cleanup_(buf_clear) struct buf message = BUF_SECRET_INIT(BODY_MAX);
	_cleanup_(buf_clear) struct buf said = BUF_SECRET_INIT(4096);
	struct gcp_error e = {.status = status, .delay = -1};
	struct json *doc = NULL;
	bool google = false;
	if (len && len <= BODY_MAX && json_parse(body, len, JSON_LAST_WINS, &doc, NULL) == 0)
		google = take_error(&e, doc, &message);
	json_free(doc);
	struct row row = find(&e, google);
	e.errnum = row.errnum;
	e.class = row.class;
	e.kind = row.kind;
	refine(&e, &message);
	const char *lf = message.len ? memchr(message.data, '\n', message.len) : NULL;
	said_add(&said, buf_text(&message), lf ? (size_t)(lf - message.data) : message.len);
	said_text(&said, e.message, sizeof(e.message));
	*ret = e;
}

/* ---- sentences ---- */

static const char *const sentences[] = {
	[GCP_ERR_NO_SECRET] =
		"Secret Manager has no such secret here, or it has no version yet; one that was "
		"just made may take minutes to be seen",
	[GCP_ERR_NO_VERSION] = "the secret has no such version or alias",
	[GCP_ERR_DISABLED] =
		"the version is disabled; enable it, or add a new one (latest=enabled reads the "
		"newest one that is enabled)",
	[GCP_ERR_DESTROYED] = "the version was destroyed and cannot be had any more; add a new one "
			      "(latest=enabled reads the newest one that is enabled)",
	[GCP_ERR_KMS_KEY] = "the Cloud KMS key of the secret is disabled, destroyed or scheduled "
			    "for it; enable or restore the key",
	[GCP_ERR_KMS_DENIED] =
		"Secret Manager itself may not use the Cloud KMS key of the secret; give its "
		"service agent roles/cloudkms.cryptoKeyEncrypterDecrypter on the key",
	[GCP_ERR_LOCATION] =
		"an organisation policy does not allow secrets at this endpoint; name a location "
		"that it allows (gcp:PROJECT/LOCATION)",
	[GCP_ERR_STATE] = "the state of the secret, or a policy of its organisation, does not "
			  "allow that",
	[GCP_ERR_API_OFF] = "the Secret Manager API is not enabled in the project that the request "
			    "counts for; enable it, or name another project (quota_project=)",
	[GCP_ERR_BILLING] = "billing is disabled in the project; enable it",
	[GCP_ERR_QUOTA_PROJECT] =
		"the project that the request counts for is not usable; name one where the "
		"identity has serviceusage.services.use (quota_project= or "
		"GOOGLE_CLOUD_QUOTA_PROJECT)",
	[GCP_ERR_SCOPE] = "the access token has too little scope; give the instance (or whatever "
			  "made the token) the scope cloud-platform",
	[GCP_ERR_PERIMETER] =
		"VPC Service Controls do not let this network or identity in; the identifier in "
		"brackets finds the entry in the audit log",
	[GCP_ERR_THROTTLED] =
		"Secret Manager takes no more requests just now; raise ttl=, or lower rate= of "
		"this source, or ask for a higher quota",
	[GCP_ERR_SERVICE] = "Secret Manager has a fault; its state is on status.cloud.google.com",
	[GCP_ERR_NOT_SERVICE] =
		"what answers at the endpoint is not Secret Manager; look at endpoint=, universe= "
		"and the location",
	[GCP_ERR_OTHER] = "Secret Manager answered with an error that is not known here",
};

static void add_denied(const struct gcp_error *e, const struct gcp_asked *a, struct buf *b)
{
	if (e->kind == GCP_ERR_DENIED)
		buf_printf(b, "the permission %s is missing, or there is no such name: grant %s",
			a->permission, a->grant);
	else
		buf_printf(b,
			"refused without a reason: probably %s is missing, so grant %s; else look "
			"at what stands between here and Google",
			a->permission, a->grant);
}

static void add_argument(const struct gcp_asked *a, struct buf *b)
{
	if (a->lookup)
		buf_printf(b, "Secret Manager does not take that as a name%s",
			a->location ? " at this location" : "");
	else
		buf_str(b, "Secret Manager does not take an argument; look at filter=, the project "
			   "and the location");
}

static int errnum_of(const struct gcp_error *e, const struct gcp_asked *a)
{
	if (e->kind == GCP_ERR_ARGUMENT && a->lookup)
		return ENOENT;
	if (e->kind == GCP_ERR_TOKEN && !a->renewed && !strcmp(e->reason, "ACCESS_TOKEN_EXPIRED"))
		return EKEYEXPIRED;
	return e->errnum;
}

static void add_token(const struct gcp_error *e, const struct gcp_asked *a, struct buf *b)
{
	if (errnum_of(e, a) == EKEYEXPIRED)
		buf_str(b, "the access token has expired and there is no newer one; renew it");
	else
		buf_printf(b,
			"Google does not accept the access token%s; look at the credentials and "
			"whether their account is active",
			a->renewed ? ", nor a new one" : "");
}

int gcp_error_sentence(
	const struct gcp_error *e, const struct gcp_asked *asked, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(4 * SFS_ERR_MAX);
	int errnum = errnum_of(e, asked);
	bool keys = errnum == EACCES || e->class == GCP_CREDENTIALS;
	if (e->kind == GCP_ERR_DENIED || e->kind == GCP_ERR_DENIED_BARE)
		add_denied(e, asked, &b);
	else if (e->kind == GCP_ERR_ARGUMENT)
		add_argument(asked, &b);
	else if (e->kind == GCP_ERR_TOKEN)
		add_token(e, asked, &b);
	else
		buf_str(&b, sentences[e->kind]);
	if (keys && asked->credential)
		buf_printf(&b, " [credentials: %s]", asked->credential);
	const char *what = *e->reason ? e->reason : e->word;
	buf_printf(&b, " (%s%sHTTP %d%s%s)", what, *what ? ", " : "", e->status,
		*e->message ? ": " : "", e->message);
	return err_set(err, errnum, "%s", buf_text(&b));
}
