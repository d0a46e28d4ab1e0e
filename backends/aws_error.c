/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_error.h"

#include "backends/aws_sts.h"
#include "backends/said.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "net/json.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND	 INT64_C(1000000000)
#define SKEW_MIN (240 * SECOND) /* services allow 300 s */
#define BODY_MAX 65536		/* of an error; what is longer is no answer of AWS */

/* ---- what a code means ---- */

struct row {
	const char *code;
	int errnum;
	enum aws_error_class class;
	enum aws_error_kind kind;
};

static const struct row rows[] = {
	{"ResourceNotFoundException", ENOENT, AWS_FINAL, AWS_ERR_NO_SECRET},
	{"ParameterNotFound", ENOENT, AWS_FINAL, AWS_ERR_NO_SECRET},
	{"ParameterVersionNotFound", ENOENT, AWS_FINAL, AWS_ERR_NO_VERSION},
	{"InvalidRequestException", EINVAL, AWS_FINAL, AWS_ERR_REQUEST},
	{"InvalidParameterException", EINVAL, AWS_FINAL, AWS_ERR_ARGUMENT},
	{"ValidationException", EINVAL, AWS_FINAL, AWS_ERR_ARGUMENT},
	{"ValidationError", EINVAL, AWS_FINAL, AWS_ERR_ARGUMENT},
	{"SerializationException", EINVAL, AWS_FINAL, AWS_ERR_ARGUMENT},
	{"InvalidFilterKey", EINVAL, AWS_FINAL, AWS_ERR_ARGUMENT},
	{"InvalidFilterOption", EINVAL, AWS_FINAL, AWS_ERR_ARGUMENT},
	{"InvalidFilterValue", EINVAL, AWS_FINAL, AWS_ERR_ARGUMENT},
	{"InvalidNextTokenException", EREMOTEIO, AWS_FINAL, AWS_ERR_PAGE},
	{"InvalidNextToken", EREMOTEIO, AWS_FINAL, AWS_ERR_PAGE},
	{"AccessDeniedException", EACCES, AWS_FINAL, AWS_ERR_DENIED},
	{"AccessDenied", EACCES, AWS_FINAL, AWS_ERR_DENIED},
	{"IDPRejectedClaim", EACCES, AWS_FINAL, AWS_ERR_IDENTITY},
	{"DecryptionFailure", EKEYREVOKED, AWS_FINAL, AWS_ERR_KMS_KEY},
	{"InvalidKeyId", EKEYREVOKED, AWS_FINAL, AWS_ERR_KMS_KEY},
	{"DisabledException", EKEYREVOKED, AWS_FINAL, AWS_ERR_KMS_KEY},
	{"KMSDisabledException", EKEYREVOKED, AWS_FINAL, AWS_ERR_KMS_KEY},
	{"KMSInvalidStateException", EKEYREVOKED, AWS_FINAL, AWS_ERR_KMS_KEY},
	{"KMSNotFoundException", EKEYREVOKED, AWS_FINAL, AWS_ERR_KMS_KEY},
	{"ThrottlingException", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"Throttling", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"ThrottledException", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"RequestThrottled", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"RequestThrottledException", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"TooManyRequestsException", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"RequestLimitExceeded", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"LimitExceededException", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"SlowDown", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"PriorRequestNotComplete", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"BandwidthLimitExceeded", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"ProvisionedThroughputExceededException", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"TransactionInProgressException", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"EC2ThrottledException", EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED},
	{"InternalServiceError", EREMOTEIO, AWS_TRANSIENT, AWS_ERR_SERVICE},
	{"InternalServerError", EREMOTEIO, AWS_TRANSIENT, AWS_ERR_SERVICE},
	{"InternalFailure", EREMOTEIO, AWS_TRANSIENT, AWS_ERR_SERVICE},
	{"ServiceUnavailable", EREMOTEIO, AWS_TRANSIENT, AWS_ERR_SERVICE},
	{"ServiceUnavailableException", EREMOTEIO, AWS_TRANSIENT, AWS_ERR_SERVICE},
	{"RequestTimeout", EREMOTEIO, AWS_TRANSIENT, AWS_ERR_SERVICE},
	{"RequestTimeoutException", EREMOTEIO, AWS_TRANSIENT, AWS_ERR_SERVICE},
	{"IDPCommunicationError", EREMOTEIO, AWS_TRANSIENT, AWS_ERR_SERVICE},
	{"ExpiredTokenException", EKEYEXPIRED, AWS_CREDENTIALS, AWS_ERR_EXPIRED},
	{"ExpiredToken", EKEYEXPIRED, AWS_CREDENTIALS, AWS_ERR_EXPIRED},
	{"UnrecognizedClientException", EKEYREJECTED, AWS_CREDENTIALS, AWS_ERR_UNKNOWN_KEY},
	{"InvalidClientTokenId", EKEYREJECTED, AWS_CREDENTIALS, AWS_ERR_UNKNOWN_KEY},
	{"InvalidIdentityToken", EKEYREJECTED, AWS_CREDENTIALS, AWS_ERR_IDENTITY},
	{"InvalidIdentityTokenException", EKEYREJECTED, AWS_CREDENTIALS, AWS_ERR_IDENTITY},
	{"InvalidSignatureException", EKEYREJECTED, AWS_SKEW, AWS_ERR_SIGNATURE},
	{"SignatureDoesNotMatch", EKEYREJECTED, AWS_SKEW, AWS_ERR_SIGNATURE},
	{"RequestExpired", EKEYREJECTED, AWS_SKEW, AWS_ERR_SIGNATURE},
	{"RequestTimeTooSkewed", EKEYREJECTED, AWS_SKEW, AWS_ERR_SIGNATURE},
	{"RequestInTheFuture", EKEYREJECTED, AWS_SKEW, AWS_ERR_SIGNATURE},
	{"AuthFailure", EKEYREJECTED, AWS_SKEW, AWS_ERR_SIGNATURE},
	{"IncompleteSignature", EPROTO, AWS_FINAL, AWS_ERR_INCOMPLETE},
	{"IncompleteSignatureException", EPROTO, AWS_FINAL, AWS_ERR_INCOMPLETE},
	{"MissingAuthenticationToken", EPROTO, AWS_FINAL, AWS_ERR_INCOMPLETE},
	{"MissingAuthenticationTokenException", EPROTO, AWS_FINAL, AWS_ERR_INCOMPLETE},
	{"OptInRequired", EACCES, AWS_FINAL, AWS_ERR_ACCOUNT},
	{"SubscriptionRequired", EACCES, AWS_FINAL, AWS_ERR_ACCOUNT},
	{"NotAuthorized", EACCES, AWS_FINAL, AWS_ERR_ACCOUNT},
	{"RegionDisabledException", EACCES, AWS_FINAL, AWS_ERR_ACCOUNT},
	{"UnknownOperationException", EOPNOTSUPP, AWS_FINAL, AWS_ERR_NOT_SERVICE},
	{"InvalidAction", EOPNOTSUPP, AWS_FINAL, AWS_ERR_NOT_SERVICE},
	{"MalformedPolicyDocument", EINVAL, AWS_FINAL, AWS_ERR_POLICY},
	{"PackedPolicyTooLarge", EINVAL, AWS_FINAL, AWS_ERR_POLICY},
};

/* Texts that tell cases of one code apart, as services and emulators write them. */
static const struct {
	enum aws_error_kind from;
	const char *text;
	enum aws_error_kind to;
	int errnum;
} refinements[] = {
	{AWS_ERR_NO_SECRET, "specified secret value", AWS_ERR_NO_VERSION, ENOENT},
	{AWS_ERR_REQUEST, "marked for deletion", AWS_ERR_DELETED, EKEYREVOKED},
	{AWS_ERR_REQUEST, "marked deleted", AWS_ERR_DELETED, EKEYREVOKED},
	{AWS_ERR_DENIED, "Access to KMS is not allowed", AWS_ERR_KMS_DENIED, EACCES},
	{AWS_ERR_DENIED, "ciphertext refers to a customer master key", AWS_ERR_KMS_DENIED, EACCES},
	{AWS_ERR_DENIED, "kms:Decrypt", AWS_ERR_KMS_DENIED, EACCES},
};

static bool contains(struct aws_text t, const char *s)
{
	return t.p && memmem(t.p, t.len, s, strlen(s));
}

static bool is_transient(int status)
{
	return status == 500 || status == 502 || status == 503 || status == 504;
}

/* For codes that nobody told, or that are not in the table. */
static struct row by_status(int status)
{
	if (status == 429)
		return (struct row){NULL, EBUSY, AWS_THROTTLE, AWS_ERR_THROTTLED};
	if (is_transient(status))
		return (struct row){NULL, EREMOTEIO, AWS_TRANSIENT, AWS_ERR_SERVICE};
	if (status >= 500)
		return (struct row){NULL, EREMOTEIO, AWS_FINAL, AWS_ERR_SERVICE};
	if (status == 401 || status == 403)
		return (struct row){NULL, EACCES, AWS_FINAL, AWS_ERR_OTHER};
	return (struct row){NULL, EPROTO, AWS_FINAL, AWS_ERR_OTHER};
}

static struct row find(const struct aws_error *e)
{
	struct row unknown = by_status(e->status);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].code, e->code) == 0)
			return e->status == 429 ? unknown : rows[i];
	return unknown;
}

static bool speaks_of_time(const struct aws_error *e, struct aws_text message)
{
	static const char *const codes[] = {
		"RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i], e->code) == 0)
			return true;
	return e->kind == AWS_ERR_SIGNATURE &&
	       (contains(message, "Signature expired") || contains(message, "not yet current"));
}

/* ---- code and message ---- */

static bool is_code_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

/* "com.amazonaws.secretsmanager#ResourceNotFoundException:http://..." */
static void normalise(struct aws_text code, char ret[AWS_CODE_MAX])
{
	size_t n = 0;
	ret[0] = '\0';
	if (!code.p)
		return;
	const char *hash = memchr(code.p, '#', code.len);
	if (hash)
		code = (struct aws_text){hash + 1, (size_t)(code.p + code.len - hash - 1)};
	while (code.len && (code.p[0] == ' ' || code.p[0] == '\t')) {
		code.p++;
		code.len--;
	}
	for (; n < code.len && n < AWS_CODE_MAX - 1 && is_code_char(code.p[n]); n++)
		ret[n] = code.p[n];
	ret[n] = '\0';
}

static struct aws_text from(struct aws_text t, const char *s)
{
	const char *at = t.p ? memmem(t.p, t.len, s, strlen(s)) : NULL;
	return at ? (struct aws_text){at, (size_t)(t.p + t.len - at)} : (struct aws_text){NULL, 0};
}

static const char not_authorized[] = " is not authorized to perform: ";

static void missing_action(struct aws_text message, char ret[AWS_ACTION_MAX])
{
	struct aws_text t = from(message, not_authorized);
	size_t skip = sizeof(not_authorized) - 1, n = 0;
	bool colon = false;
	ret[0] = '\0';
	while (skip + n < t.len && (is_code_char(t.p[skip + n]) || t.p[skip + n] == ':')) {
		colon |= t.p[skip + n] == ':';
		n++;
	}
	if (!colon || n >= AWS_ACTION_MAX || t.p[skip + n - 1] == '.')
		return;
	memcpy(ret, t.p + skip, n);
	ret[n] = '\0';
}

/* The first paragraph; a refusal without action and resource, which the reader knows, so that there
 * is room for the reason. What is about a signature repeats parts of the request: only times are
 * worth more than our own words. */
static void write_message(struct aws_error *e, struct aws_text m)
{
	_cleanup_(buf_clear) struct buf b = BUF_SECRET_INIT(4096);
	struct aws_text action = from(m, not_authorized), because = from(m, " because ");
	const char *lf = m.len ? memchr(m.p, '\n', m.len) : NULL;
	if (e->kind == AWS_ERR_INCOMPLETE || (e->kind == AWS_ERR_SIGNATURE && !e->clock))
		return;
	if (lf)
		m.len = (size_t)(lf - m.p);
	if (action.p && because.p > action.p && !lf) {
		said_add(&b, m.p, (size_t)(action.p - m.p));
		buf_str(&b, " is not authorized");
		m = because;
	}
	said_add(&b, m.p, m.len);
	said_text(&b, e->message, sizeof(e->message));
}

void aws_error_classify(
	int status, struct aws_text code, struct aws_text message, struct aws_error *ret)
{
	struct aws_error e = {.status = status};
	normalise(code, e.code);
	struct row row = find(&e);
	e.errnum = row.errnum;
	e.class = row.class;
	e.kind = row.kind;
	for (size_t i = 0; i < sizeof(refinements) / sizeof(refinements[0]); i++) {
		if (refinements[i].from == e.kind && contains(message, refinements[i].text)) {
			e.kind = refinements[i].to;
			e.errnum = refinements[i].errnum;
		}
	}
	e.clock = speaks_of_time(&e, message);
	missing_action(message, e.action);
	write_message(&e, message);
	*ret = e;
}

/* ---- answers ---- */

static bool member(struct json *doc, const char *key, struct buf *ret)
{
	const struct json_node *n = json_member(doc, json_root(doc), key, strlen(key));
	return n && json_string(doc, n, ret) == 0;
}

static struct aws_text text_of(const struct buf *b)
{
	return (struct aws_text){b->data, b->len};
}

void aws_error_json(
	int status, const char *type, const void *body, size_t len, struct aws_error *ret)
{
	_cleanup_(buf_clear) struct buf code = BUF_SECRET_INIT(BODY_MAX);
	_cleanup_(buf_clear) struct buf message = BUF_SECRET_INIT(BODY_MAX);
	struct json *doc = NULL;
	if (len && len <= BODY_MAX && json_parse(body, len, JSON_LAST_WINS, &doc, NULL) == 0) {
		if (!member(doc, "__type", &code))
			member(doc, "code", &code);
		if (!member(doc, "message", &message))
			member(doc, "Message", &message);
	}
	json_free(doc);
	if (!code.len && type)
		buf_str(&code, type);
	aws_error_classify(status, text_of(&code), text_of(&message), ret);
}

void aws_error_xml(int status, const void *body, size_t len, struct aws_error *ret)
{
	_cleanup_(buf_clear) struct buf code = BUF_SECRET_INIT(BODY_MAX);
	_cleanup_(buf_clear) struct buf message = BUF_SECRET_INIT(BODY_MAX);
	if (len && len <= BODY_MAX)
		aws_xml_error(body, len, &code, &message);
	aws_error_classify(status, text_of(&code), text_of(&message), ret);
}

/* ---- sentences ---- */

/* What happened and what to do; %s stands for the service. */
static const char *const sentences[] = {
	[AWS_ERR_NO_SECRET] = "%s has no such name in this account and region",
	[AWS_ERR_NO_VERSION] = "it is there, but %s has no such version of it, or no value at all; "
			       "look at its versions and their stages",
	[AWS_ERR_DELETED] =
		"it is marked for deletion; restore it in %s, or take it out of what is "
		"read here",
	[AWS_ERR_REQUEST] =
		"%s cannot do that in the state the secret is in (version and stage that "
		"contradict each other, or another account's secret under the default "
		"KMS key)",
	[AWS_ERR_ARGUMENT] = "%s does not take that as a name or argument",
	[AWS_ERR_PAGE] = "%s forgot where the listing had stopped; it begins again at the next try",
	[AWS_ERR_KMS_KEY] =
		"the KMS key of the secret is disabled, deleted or waiting for deletion, so "
		"%s cannot decrypt it; enable the key",
	[AWS_ERR_THROTTLED] =
		"%s takes no more requests just now; raise ttl=, or lower rate= of this "
		"source, or ask AWS for a higher quota",
	[AWS_ERR_SERVICE] = "%s has a fault; its status is on health.aws.amazon.com",
	[AWS_ERR_EXPIRED] = "%s says the session token has expired; renew the credentials",
	[AWS_ERR_UNKNOWN_KEY] =
		"%s does not know the access key or its session token: it was deleted or "
		"disabled, is of another partition, or id and token are not of one set",
	[AWS_ERR_INCOMPLETE] =
		"%s misses the signature or parts of it; something on the way (proxy=, "
		"endpoint=) takes headers out",
	[AWS_ERR_ACCOUNT] =
		"the account is not enabled for %s in this region; enable the region or use "
		"another one",
	[AWS_ERR_NOT_SERVICE] = "what answers at the endpoint is not %s; look at endpoint= and "
				"AWS_ENDPOINT_URL",
	[AWS_ERR_IDENTITY] =
		"%s does not accept the web identity token; look at the identity provider, "
		"the audience and the trust policy of the role",
	[AWS_ERR_POLICY] =
		"%s does not accept the policy of the session; make it smaller or correct it",
};

static int add_denied(const struct aws_error *e, const struct aws_asked *a, struct buf *b)
{
	const char *action = *e->action ? e->action : a->action;
	buf_printf(b, "%s refused %s; allow %s in an IAM policy of the identity", a->service,
		action, action);
	if (strncmp(action, "sts:", 4) == 0)
		return buf_str(b, ", and the identity in the trust policy of the role");
	if (strncmp(action, "secretsmanager:", 15) == 0 && !strstr(action, "List"))
		return buf_str(b, " or in the resource policy of the secret");
	return 0;
}

static int add_signature(const struct aws_error *e, const struct aws_asked *a, struct buf *b)
{
	if (e->clock)
		return buf_printf(b,
			"%s does not accept the time of the request; set the clock of this machine "
			"(it may be 5 minutes off)",
			a->service);
	return buf_printf(b,
		"%s does not accept the signature: the secret access key does not belong to the "
		"access "
		"key id, or something on the way (proxy=, endpoint=) changes the request",
		a->service);
}

static void add_sentence(const struct aws_error *e, const struct aws_asked *a, struct buf *b)
{
	switch (e->kind) {
	case AWS_ERR_DENIED:
		add_denied(e, a, b);
		break;
	case AWS_ERR_KMS_DENIED:
		buf_printf(b,
			"%s may not decrypt it for this identity; allow kms:Decrypt on the KMS key "
			"of the "
			"secret, in the key policy or an IAM policy",
			a->service);
		break;
	case AWS_ERR_SIGNATURE:
		add_signature(e, a, b);
		break;
	case AWS_ERR_OTHER:
		buf_printf(b, "%s answered %s with an error that is not known here", a->service,
			a->action);
		if (!e->code[0]) /* which the service never does */
			buf_str(b, ", and without a code: is it the right endpoint (endpoint=)?");
		break;
	default: {
		const char *s = strstr(sentences[e->kind], "%s");
		buf_add(b, sentences[e->kind], (size_t)(s - sentences[e->kind]));
		buf_str(b, a->service);
		buf_str(b, s + 2);
	}
	}
}

int aws_error_sentence(
	const struct aws_error *e, const struct aws_asked *asked, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf b = BUF_INIT(4 * SFS_ERR_MAX);
	int errnum = e->kind == AWS_ERR_ARGUMENT && asked->lookup ? ENOENT : e->errnum;
	bool keys = e->class == AWS_CREDENTIALS || e->class == AWS_SKEW || errnum == EACCES;
	add_sentence(e, asked, &b);
	if (keys && asked->credential)
		buf_printf(&b, " [credentials: %s]", asked->credential);
	buf_printf(&b, " (%s%sHTTP %d%s%s)", e->code, *e->code ? ", " : "", e->status,
		*e->message ? ": " : "", e->message);
	return err_set(err, errnum, "%s", buf_text(&b));
}

/* ---- the clock ---- */

bool aws_skew(const struct aws_error *e, const int64_t *date, int64_t used, int64_t *ret_offset)
{
	int64_t off;
	if (e->class != AWS_SKEW)
		return false;
	if (date && (__builtin_sub_overflow(*date, used, &off) || off >= SKEW_MIN ||
			    off <= -SKEW_MIN)) {
		*ret_offset = *date;
		return true;
	}
	/* Our clock is right by now: the request waited too long, or the machine slept. */
	if (e->clock)
		*ret_offset = used;
	return e->clock;
}
