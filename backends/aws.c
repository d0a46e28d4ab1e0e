/* SPDX-License-Identifier: Apache-2.0 */
/* aws:REGION - AWS Secrets Manager. */
#include "backends/aws_secrets.h"

#include "backends/aws_conf.h"
#include "backends/aws_cred.h"
#include "backends/aws_filter.h"
#include "backends/net_options.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <string.h>

#define BODY_MAX     (64 * SFS_FILTER_MAX)
#define USD_PER_CALL 0.000005 /* 0.05 USD for 10,000 calls of any kind */

/* Caps: a value of 64 KiB grows sixfold when every byte is escaped. */
static const struct aws_op op_list = {
	"secretsmanager.ListSecrets", "secretsmanager:ListSecrets", 4 * 1024 * 1024};
static const struct aws_op op_get = {
	"secretsmanager.GetSecretValue", "secretsmanager:GetSecretValue", 512 * 1024};
static const struct aws_op op_describe = {
	"secretsmanager.DescribeSecret", "secretsmanager:DescribeSecret", 512 * 1024};
static const struct aws_op op_versions = {"secretsmanager.ListSecretVersionIds",
	"secretsmanager:ListSecretVersionIds", 4 * 1024 * 1024};

static const struct opt_row aws_options[] = {AWS_OPTIONS, NET_OPTIONS,
	{.name = "filter",
		.type = OPT_STRING,
		.arg = "FILTER",
		.help = "List only what these filters of ListSecrets let through, such as "
			"\"Key=tag-key,Values=Dev,Ray Key=name,Values=prod/\", in short "
			"\"tag-key=Dev,Ray name=prod/\", or the JSON of boto3. Other secrets can "
			"still be opened by name."},
	{.name = "deleted",
		.type = OPT_FLAG,
		.help = "List secrets that are scheduled for deletion too. Reading one fails with "
			"EKEYREVOKED."},
	{0}};
static const struct opt_table table = {.owner = "aws", .rows = aws_options};

struct source {
	struct aws_source s; /* first */
	bool deleted;
};

/* --- life --- */

static void close_source(void *state)
{
	struct source *st = state;
	if (!st)
		return;
	aws_client_free(st->s.client);
	buf_clear(&st->s.filters);
	mem_free(st);
}

static int open_source(const struct backend_env *env, const char *location,
	const struct opt_values *opts, void **ret_state, struct sfs_err *err)
{
	const char *filter = opt_str(opts, &table, "filter");
	struct source *st = mem_calloc(1, sizeof(*st));
	if (!st)
		return err_set(err, ENOMEM, "out of memory for a source");
	st->s.filters = (struct buf)BUF_INIT(BODY_MAX);
	st->deleted = opt_flag(opts, &table, "deleted");
	int rc = filter ? aws_filter_parse(
				  &aws_filter_secrets, filter, &st->s.filters, &st->s.nfilters, err)
			: 0;
	if (rc)
		err_prefix(err, "filter=");
	else
		rc = aws_client_new(env, AWS_SECRETSMANAGER, location, opts, &st->s.client, err);
	if (rc) {
		close_source(st);
		return rc;
	}
	*ret_state = st;
	return 0;
}

/* --- list --- */

static int list_body(
	const struct source *st, const char *filters, const char *token, struct buf *body)
{
	buf_reset(body);
	aws_body_begin(body);
	aws_put_raw(body, "MaxResults", "100");
	if (*filters)
		buf_printf(body, ",\"Filters\":[%s]", filters);
	if (st->deleted)
		aws_put_raw(body, "IncludePlannedDeletion", "true");
	if (*token)
		aws_put(body, "NextToken", token);
	return aws_body_end(body);
}

struct listing_run {
	struct list_sink *sink;
	struct seen seen;
	struct aws_line line;
	size_t unusable; /* entries without a name; the core counts what it cannot use, not these */
};

static int take_line(struct listing_run *run, struct json *doc, const struct json_node *entry)
{
	struct aws_line *l = &run->line;
	int rc = aws_secret_line(doc, entry, l);
	if (rc == -EBADMSG) {
		run->unusable++;
		return 0;
	}
	if (!rc)
		rc = seen_add(&run->seen, l->name.data);
	if (rc <= 0)
		return rc;
	const struct list_item item = {.name = l->name.data,
		.created = l->created,
		.version = l->version.len ? l->version.data : NULL,
		.meta = l->meta.len ? l->meta.data : NULL};
	return list_add(run->sink, &item);
}

static int take_page(struct listing_run *run, struct aws_answer *a, struct sfs_err *err)
{
	const struct json_node *n = member_array(a->json, a->root, "SecretList");
	if (!n)
		return err_set(err, EBADMSG, "the answer of Secrets Manager holds no SecretList");
	int rc = 0;
	for (n = json_first(a->json, n); n && rc == 0; n = json_next(a->json, n))
		rc = take_line(run, a->json, n);
	return rc == -ENOMEM ? err_set(err, ENOMEM, "out of memory for the names") : rc;
}

static int list_pages(struct source *st, const struct call *call, const char *filters,
	struct listing_run *run, struct pages *pages, struct sfs_err *err)
{
	_cleanup_(aws_answer_clear) struct aws_answer a = AWS_ANSWER_INIT;
	_cleanup_(buf_clear) struct buf body = BUF_INIT(BODY_MAX);
	const struct aws_ask ask = {.op = &op_list, .body = &body};
	for (;;) {
		list_body(st, filters, buf_text(&pages->token), &body);
		int rc = aws_call(st->s.client, call, &ask, &a, err);
		if (rc && a.error.kind == AWS_ERR_PAGE && pages_restart(pages))
			continue;
		if (!rc)
			rc = take_page(run, &a, err);
		if (!rc)
			rc = aws_pages_next(pages, a.json, a.root, err);
		if (rc <= 0)
			return rc;
	}
}

static int list(void *state, const struct call *call, const char *filter, struct list_sink *sink,
	struct sfs_err *err)
{
	struct source *st = state;
	size_t n = st->s.nfilters;
	_cleanup_(buf_clear) struct buf filters = BUF_INIT(BODY_MAX);
	_cleanup_(pages_clear) struct pages pages = PAGES_INIT;
	struct listing_run run = {.sink = sink,
		.line = {.name = BUF_INIT(SFS_NAME_MAX),
			.meta = BUF_INIT(SFS_META_MAX),
			.version = BUF_INIT(SFS_VERSION_MAX)}};
	buf_str(&filters, buf_text(&st->s.filters));
	int rc = filter ? aws_filter_parse(&aws_filter_secrets, filter, &filters, &n, err) : 0;
	if (!rc && filters.failed)
		rc = err_errno(err, filters.failed, "make the filters");
	if (!rc)
		rc = list_pages(st, call, buf_text(&filters), &run, &pages, err);
	if (!rc && run.unusable) {
		struct sfs_err why;
		err_set(&why, EBADMSG, "%zu entries of the listing have no usable name",
			run.unusable);
		list_problem(sink, &why);
	}
	seen_clear(&run.seen);
	buf_clear(&run.line.name);
	buf_clear(&run.line.meta);
	buf_clear(&run.line.version);
	return rc;
}

/* --- one secret --- */

static int check_name(struct aws_source *s, const char *name, struct sfs_err *err)
{
	struct sfs_err why = {0};
	if (!aws_secret_name_ok(name))
		return err_set(err, ENOENT,
			"no secret can have this name: Secrets Manager allows letters, digits and "
			"/_+=.@-! only");
	if (aws_client_check_name(s->client, name, &why) < 0)
		return err_set(err, ENOENT, "%s", why.msg);
	return 0;
}

static int get_body(const char *name, const char *id, const char *stage, struct buf *body)
{
	aws_body_begin(body);
	aws_put(body, "SecretId", name);
	if (*id)
		aws_put(body, "VersionId", id);
	if (*stage)
		aws_put(body, "VersionStage", stage);
	return aws_body_end(body);
}

/* A value whose TTL is over is fetched without asking for its version first. DescribeSecret has the
 * price of GetSecretValue and shares its quota, so that a check would save nothing where the secret
 * is unchanged and cost a second call where it is not; against a batch it would be twenty for one.
 * That a version changed is told by the listing, a hundred names a call, and starts a fetch; that
 * none changed it cannot tell, because it may lag by minutes. */
int aws_secrets_get(void *state, const struct call *call, const struct get_request *rq,
	struct payload **ret, struct sfs_err *err)
{
	struct aws_source *s = state;
	char id[AWS_STAGE_MAX + 1] = "", stage[AWS_STAGE_MAX + 1] = "";
	_cleanup_(aws_answer_clear) struct aws_answer a = AWS_ANSWER_INIT;
	_cleanup_(buf_clear) struct buf body = BUF_INIT(BODY_MAX);
	const struct aws_ask ask = {.op = &op_get, .name = rq->name, .body = &body, .lookup = true};
	struct payload *p = NULL;
	int rc = check_name(s, rq->name, err);
	if (!rc && rq->version)
		rc = aws_secret_version(rq->version, id, stage, err);
	if (rc)
		return rc;
	get_body(rq->name, id, stage, &body);
	rc = aws_call(s->client, call, &ask, &a, err);
	if (!rc && rq->version)
		rc = aws_secret_is_version(a.json, a.root, id, stage, err);
	if (!rc)
		rc = aws_secret_payload(a.json, a.root, &p, err);
	if (rc)
		return rc;
	p->immutable = *id && !*stage;
	*ret = p;
	return 0;
}

static int describe(void *state, const struct call *call, const char *name, struct buf *ret_json,
	struct sfs_err *err)
{
	struct aws_source *s = state;
	_cleanup_(aws_answer_clear) struct aws_answer a = AWS_ANSWER_INIT;
	_cleanup_(buf_clear) struct buf body = BUF_INIT(BODY_MAX);
	const struct aws_ask ask = {
		.op = &op_describe, .name = name, .body = &body, .lookup = true};
	int rc = check_name(s, name, err);
	if (rc)
		return rc;
	get_body(name, "", "", &body);
	rc = aws_call(s->client, call, &ask, &a, err);
	if (!rc && aws_facts(a.json, a.root, NULL, ret_json) < 0)
		rc = err_set(err, ret_json->failed == ENOMEM ? ENOMEM : EBADMSG,
			"the description does not fit into %d bytes", SFS_META_MAX);
	return rc;
}

/* --- versions --- */

static int version_pages(struct aws_source *s, const struct call *call, const char *name,
	struct aws_versions *all, struct pages *pages, struct sfs_err *err)
{
	_cleanup_(aws_answer_clear) struct aws_answer a = AWS_ANSWER_INIT;
	_cleanup_(buf_clear) struct buf body = BUF_INIT(BODY_MAX);
	const struct aws_ask ask = {
		.op = &op_versions, .name = name, .body = &body, .lookup = true};
	for (;;) {
		buf_reset(&body);
		aws_body_begin(&body);
		aws_put(&body, "SecretId", name);
		aws_put_raw(&body, "MaxResults", "100");
		aws_put_raw(&body, "IncludeDeprecated", "true");
		if (pages->token.len)
			aws_put(&body, "NextToken", pages->token.data);
		aws_body_end(&body);
		int rc = aws_call(s->client, call, &ask, &a, err);
		if (rc && a.error.kind == AWS_ERR_PAGE && pages_restart(pages)) {
			aws_versions_clear(all);
			continue;
		}
		if (!rc && aws_versions_page(all, a.json, a.root) < 0)
			rc = err_set(err, ENOMEM, "out of memory for the versions");
		if (!rc)
			rc = aws_pages_next(pages, a.json, a.root, err);
		if (rc <= 0)
			return rc;
	}
}

static int versions(void *state, const struct call *call, const char *name,
	struct version_sink *sink, struct sfs_err *err)
{
	struct aws_source *s = state;
	_cleanup_(pages_clear) struct pages pages = PAGES_INIT;
	_cleanup_(aws_versions_clear) struct aws_versions all = {0};
	int rc = check_name(s, name, err);
	if (!rc)
		rc = version_pages(s, call, name, &all, &pages, err);
	return rc ? rc : aws_versions_tell(&all, sink);
}

/* --- what it tells of itself --- */

static int status(void *state, struct buf *ret_json)
{
	return aws_client_status(((struct aws_source *)state)->client, ret_json);
}

static void counts(void *state, struct backend_counts *ret)
{
	aws_client_counts(((struct aws_source *)state)->client, USD_PER_CALL, ret);
}

static int check(void *state, const struct call *call, struct check_sink *sink, struct sfs_err *err)
{
	return aws_client_check(((struct aws_source *)state)->client, call, sink, err);
}

const struct backend_ops aws_backend = {
	.name = "aws",
	.summary = "AWS Secrets Manager",
	.location = "[REGION]",
	.options = aws_options,
	.flags = BACKEND_FILTER,
	.open = open_source,
	.list = list,
	.get = aws_secrets_get,
	.close = close_source,
	.get_batch = aws_secrets_get_batch,
	.versions = versions,
	.describe = describe,
	.needs = aws_needs,
	.status = status,
	.counts = counts,
	.check = check,
};
