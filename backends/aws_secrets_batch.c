/* SPDX-License-Identifier: Apache-2.0 */
/* Several secrets in one call. Answers are matched by name and ARN, never by position; what a last
 * page leaves out is asked for alone. */
#include "backends/aws_secrets.h"

#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

#define BATCH_BODY_MAX (SFS_BATCH_MAX * (AWS_SECRET_ID_MAX + 8) + 2 * PAGES_TOKEN_MAX)

static const struct aws_op op_batch = {"secretsmanager.BatchGetSecretValue",
	"secretsmanager:BatchGetSecretValue", 16 * 1024 * 1024};
/* Each secret of it needs this one too. */
static const struct aws_op op_item = {"", "secretsmanager:GetSecretValue", 0};

struct batch {
	struct aws_source *s;
	const struct call *call;
	const char *const *names;
	size_t n;
	bool alone[SFS_BATCH_MAX]; /* not for this call: other region, or no possible name */
	struct payload **ret;
	struct sfs_err *errs;
};

static bool open_at(const struct batch *b, size_t i)
{
	return !b->ret[i] && !b->errs[i].code;
}

static int make_body(const struct batch *b, const char *token, struct buf *body)
{
	bool first = true;
	buf_reset(body);
	aws_body_begin(body);
	aws_put_raw(body, "SecretIdList", "[");
	for (size_t i = 0; i < b->n; i++) {
		if (b->alone[i])
			continue;
		if (!first)
			buf_char(body, ',');
		first = false;
		json_quote(body, b->names[i], strlen(b->names[i]));
	}
	buf_char(body, ']');
	if (*token)
		aws_put(body, "NextToken", token);
	return aws_body_end(body);
}

/* --- values --- */

static void take_value(struct batch *b, struct json *doc, const struct json_node *value)
{
	for (size_t i = 0; i < b->n; i++) {
		if (b->alone[i] || !open_at(b, i))
			continue;
		if (!member_is(doc, value, "Name", b->names[i]) &&
			!member_is(doc, value, "ARN", b->names[i]))
			continue;
		struct payload *p = NULL;
		if (aws_secret_payload(doc, value, &p, &b->errs[i]) == 0)
			b->ret[i] = p;
		return;
	}
}

/* --- errors of items --- */

/* The service names a secret as it was asked for, or by its ARN. */
static bool item_is(struct json *doc, const struct json_node *item, const char *name)
{
	_cleanup_(buf_clear) struct buf id = BUF_INIT(AWS_SECRET_ID_MAX);
	struct aws_text told;
	if (member_string(doc, item, "SecretId", &id) != 0)
		return false;
	return !strcmp(buf_text(&id), name) ||
	       (aws_arn_secret_name(buf_text(&id), &told) && aws_text_is(told, name));
}

static void take_error(struct batch *b, struct json *doc, const struct json_node *item)
{
	_cleanup_(buf_clear) struct buf code = BUF_INIT(PAGES_TOKEN_MAX),
					message = BUF_INIT(4 * PAGES_TOKEN_MAX);
	member_string(doc, item, "ErrorCode", &code);
	member_string(doc, item, "Message", &message);
	for (size_t i = 0; i < b->n; i++)
		if (!b->alone[i] && open_at(b, i) && item_is(doc, item, b->names[i]))
			aws_item_error(b->s->client, &op_item,
				(struct aws_text){buf_text(&code), code.len},
				(struct aws_text){buf_text(&message), message.len}, &b->errs[i]);
}

/* --- the call --- */

static int take_page(struct batch *b, struct aws_answer *a, struct sfs_err *err)
{
	const struct json_node *values = member_array(a->json, a->root, "SecretValues");
	const struct json_node *errors = member_array(a->json, a->root, "Errors");
	if (!values && !errors)
		return err_set(err, EBADMSG,
			"the answer of Secrets Manager holds neither SecretValues nor Errors");
	const struct json_node *n = values ? json_first(a->json, values) : NULL;
	for (; n; n = json_next(a->json, n))
		take_value(b, a->json, n);
	n = errors ? json_first(a->json, errors) : NULL;
	for (; n; n = json_next(a->json, n))
		take_error(b, a->json, n);
	return 0;
}

static int ask_pages(struct batch *b, bool *ret_some, struct pages *pages, struct sfs_err *err)
{
	_cleanup_(aws_answer_clear) struct aws_answer a = AWS_ANSWER_INIT;
	_cleanup_(buf_clear) struct buf body = BUF_INIT(BATCH_BODY_MAX);
	const struct aws_ask ask = {.op = &op_batch, .body = &body};
	for (;;) {
		make_body(b, buf_text(&pages->token), &body);
		int rc = aws_call(b->s->client, b->call, &ask, &a, err);
		if (rc && a.error.kind == AWS_ERR_PAGE && pages_restart(pages))
			continue;
		if (!rc)
			rc = take_page(b, &a, err);
		if (!rc)
			rc = aws_pages_next(pages, a.json, a.root, err);
		if (rc <= 0)
			return rc;
		*ret_some = true;
	}
}

static void get_rest(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct get_request rq = {.name = b->names[i]};
		if (open_at(b, i))
			aws_secrets_get(b->s, b->call, &rq, &b->ret[i], &b->errs[i]);
	}
}

static void drop(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		payload_unref(b->ret[i]);
		b->ret[i] = NULL;
		err_clear(&b->errs[i]);
	}
}

int aws_secrets_get_batch(void *state, const struct call *call, const char *const *names, size_t n,
	struct payload **ret, struct sfs_err *errs, struct sfs_err *err)
{
	_cleanup_(pages_clear) struct pages pages = PAGES_INIT;
	struct batch b = {state, call, names, n, {0}, ret, errs};
	bool some = false;
	size_t together = 0;
	for (size_t i = 0; i < n; i++) {
		b.alone[i] = !aws_secret_name_ok(names[i]) ||
			     aws_client_is_elsewhere(b.s->client, names[i]);
		together += !b.alone[i];
	}
	int rc = together ? ask_pages(&b, &some, &pages, err) : 0;
	if (rc && !some) {
		drop(&b);
		return rc;
	}
	for (size_t i = 0; rc && i < n; i++)
		if (open_at(&b, i))
			err_set(&errs[i], -rc, "%s", err->msg);
	get_rest(&b);
	return 0;
}
