/* SPDX-License-Identifier: Apache-2.0 */
/* aws-ssm:REGION[/PATH] - AWS Systems Manager Parameter Store. */
#include "backends/aws_ssm.h"

#include "backends/aws_conf.h"
#include "backends/aws_cred.h"
#include "backends/aws_filter.h"
#include "backends/net_options.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <string.h>

#define BODY_MAX (32 * AWS_PARAMETER_ID_MAX)

/* Every request for values says WithDecryption: without it a SecureString comes as its ciphertext,
 * and looks like any other value. */
static const struct aws_op op_get = {"AmazonSSM.GetParameter", "ssm:GetParameter", 512 * 1024};
static const struct aws_op op_batch = {"AmazonSSM.GetParameters", "ssm:GetParameters", 1024 * 1024};
static const struct aws_op op_describe = {
	"AmazonSSM.DescribeParameters", "ssm:DescribeParameters", 4 * 1024 * 1024};
static const struct aws_op op_history = {
	"AmazonSSM.GetParameterHistory", "ssm:GetParameterHistory", 4 * 1024 * 1024};

static const struct opt_row ssm_options[] = {AWS_OPTIONS, NET_OPTIONS,
	{.name = "filter",
		.type = OPT_STRING,
		.arg = "FILTER",
		.help = "List only what these filters of DescribeParameters let through, such as "
			"\"Key=Type,Values=SecureString Key=tag:team,Values=web\", in short "
			"\"Type=SecureString tag:team=web\", or the JSON of boto3 "
			"(ParameterFilters). Other parameters can still be opened by name."},
	{0}};
static const struct opt_table table = {.owner = "aws-ssm", .rows = ssm_options};

/* --- life --- */

static void close_source(void *state)
{
	struct aws_parameters *s = state;
	if (!s)
		return;
	aws_client_free(s->client);
	buf_clear(&s->filters);
	mem_free(s->path);
	mem_free(s);
}

/* LOCATION is [REGION][/PATH]; a slash at the end says the same as none. */
static int split(const char *location, char **ret_region, char **ret_path, struct sfs_err *err)
{
	size_t len = strcspn(location, "/"), end = strlen(location);
	while (end > len && location[end - 1] == '/')
		end--;
	char *path = mem_strndup(location + len, end - len);
	if (path && *path && !aws_parameter_path_ok(path)) {
		mem_free(path);
		return err_set(err, EINVAL,
			"the path after the region is none of Parameter Store: write "
			"aws-ssm:REGION/prod/app, with letters, digits and _.- between slashes");
	}
	*ret_path = path;
	*ret_region = mem_strndup(location, len);
	return path && *ret_region ? 0 : err_set(err, ENOMEM, "out of memory for a source");
}

static int open_source(const struct backend_env *env, const char *location,
	const struct opt_values *opts, void **ret_state, struct sfs_err *err)
{
	const char *filter = opt_str(opts, &table, "filter");
	struct aws_parameters *s = mem_calloc(1, sizeof(*s));
	_cleanup_free_ char *region = NULL;
	if (!s)
		return err_set(err, ENOMEM, "out of memory for a source");
	s->filters = (struct buf)BUF_INIT(BODY_MAX);
	int rc = split(location, &region, &s->path, err);
	if (!rc && filter) {
		rc = aws_filter_parse(
			&aws_filter_parameters, filter, &s->filters, &s->nfilters, err);
		if (rc)
			err_prefix(err, "filter=");
	}
	if (!rc)
		rc = aws_client_new(env, AWS_SSM, region, opts, &s->client, err);
	if (rc) {
		close_source(s);
		return rc;
	}
	*ret_state = s;
	return 0;
}

/* --- one parameter --- */

int aws_parameters_name(
	struct aws_parameters *s, const char *name, struct buf *full, struct sfs_err *err)
{
	struct sfs_err why = {0};
	int rc = aws_parameter_full(s->path, name, full);
	if (rc == -ENOMEM)
		return err_set(err, ENOMEM, "out of memory for a name");
	if (rc || !aws_parameter_name_ok(full->data))
		return err_set(err, ENOENT,
			"no parameter can have this name: Parameter Store allows letters, digits "
			"and _.- between slashes, with one slash in front");
	if (aws_client_check_name(s->client, full->data, &why) < 0)
		return err_set(err, ENOENT, "%s", why.msg);
	return 0;
}

/* Names and versions were checked: nothing in them needs to be escaped. */
static void name_body(const char *name, const char *version, struct buf *body)
{
	buf_printf(body, "{\"Name\":\"%s%s%s\",\"WithDecryption\":true}", name, version ? ":" : "",
		version ? version : "");
}

static bool is_number(const char *version)
{
	return version && strspn(version, "0123456789") == strlen(version);
}

int aws_parameters_get(void *state, const struct call *call, const struct get_request *rq,
	struct payload **ret, struct sfs_err *err)
{
	struct aws_parameters *s = state;
	_cleanup_(aws_answer_clear) struct aws_answer a = AWS_ANSWER_INIT;
	_cleanup_(buf_clear) struct buf body = BUF_INIT(BODY_MAX), full = BUF_INIT(BODY_MAX);
	int rc = aws_parameters_name(s, rq->name, &full, err);
	if (!rc && rq->version && !aws_parameter_version_ok(rq->version))
		rc = err_set(err, ENOENT, "a parameter has versions 1, 2, ... and labels only");
	if (rc)
		return rc;
	name_body(full.data, rq->version, &body);
	const struct aws_ask ask = {
		.op = &op_get, .name = full.data, .body = &body, .lookup = true};
	rc = aws_call(s->client, call, &ask, &a, err);
	if (rc)
		return rc;
	const struct json_node *p = member(a.json, a.root, "Parameter");
	return p ? aws_parameter_payload(a.json, p, is_number(rq->version), ret, err)
		 : err_set(err, EBADMSG, "the answer of Parameter Store holds no parameter");
}

/* --- several --- */

struct batch {
	struct aws_parameters *s;
	const struct call *call;
	const char *const *names;
	size_t n;
	struct buf full[SFS_BATCH_MAX];
	struct payload **ret;
	struct sfs_err *errs;
};

static bool open_at(const struct batch *b, size_t i)
{
	return !b->ret[i] && !b->errs[i].code;
}

/* Some of those that are open, from *at on, at most AWS_PARAMETERS_MAX; their number. */
static size_t batch_body(const struct batch *b, size_t *at, struct buf *body)
{
	size_t n = 0;
	buf_reset(body);
	aws_body_begin(body);
	aws_put_raw(body, "Names", "[");
	for (; *at < b->n && n < AWS_PARAMETERS_MAX; ++*at) {
		if (!open_at(b, *at) || aws_client_is_elsewhere(b->s->client, b->full[*at].data))
			continue;
		if (n++)
			buf_char(body, ',');
		json_quote(body, b->full[*at].data, b->full[*at].len);
	}
	buf_char(body, ']');
	aws_put_raw(body, "WithDecryption", "true");
	aws_body_end(body);
	return n;
}

static void take_parameter(struct batch *b, struct json *doc, const struct json_node *p)
{
	for (size_t i = 0; i < b->n; i++) {
		if (!open_at(b, i) || (!member_is(doc, p, "Name", b->full[i].data) &&
					      !member_is(doc, p, "ARN", b->full[i].data)))
			continue;
		struct payload *payload = NULL;
		if (aws_parameter_payload(doc, p, false, &payload, &b->errs[i]) == 0)
			b->ret[i] = payload;
		return;
	}
}

static void take_invalid(struct batch *b, struct json *doc, const struct json_node *name)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(2 * AWS_PARAMETER_ID_MAX);
	if (member_text_of(doc, name, &text) != 0)
		return;
	for (size_t i = 0; i < b->n; i++)
		if (open_at(b, i) && !strcmp(b->full[i].data, buf_text(&text)))
			err_set(&b->errs[i], ENOENT, "Parameter Store has no such parameter");
}

static int ask_some(struct batch *b, struct buf *body, struct sfs_err *err)
{
	_cleanup_(aws_answer_clear) struct aws_answer a = AWS_ANSWER_INIT;
	const struct aws_ask ask = {.op = &op_batch, .body = body};
	int rc = aws_call(b->s->client, b->call, &ask, &a, err);
	if (rc)
		return rc;
	const struct json_node *n = member_array(a.json, a.root, "Parameters");
	for (n = n ? json_first(a.json, n) : NULL; n; n = json_next(a.json, n))
		take_parameter(b, a.json, n);
	n = member_array(a.json, a.root, "InvalidParameters");
	for (n = n ? json_first(a.json, n) : NULL; n; n = json_next(a.json, n))
		take_invalid(b, a.json, n);
	return 0;
}

/* Non-zero only if the first call failed. What a later one could not bring has its error. */
static int ask_all(struct batch *b, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf body = BUF_INIT(BODY_MAX);
	bool first = true;
	for (size_t at = 0; at < b->n;) {
		size_t from = at, n = batch_body(b, &at, &body);
		int rc = n ? ask_some(b, &body, err) : 0;
		if (rc && first)
			return rc;
		for (size_t i = from; rc && i < at; i++)
			if (open_at(b, i) &&
				!aws_client_is_elsewhere(b->s->client, b->full[i].data))
				err_set(&b->errs[i], -rc, "%s", err->msg);
		first = first && !n;
	}
	return 0;
}

static void get_rest(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct get_request rq = {.name = b->names[i]};
		if (open_at(b, i))
			aws_parameters_get(b->s, b->call, &rq, &b->ret[i], &b->errs[i]);
	}
}

int aws_parameters_get_batch(void *state, const struct call *call, const char *const *names,
	size_t n, struct payload **ret, struct sfs_err *errs, struct sfs_err *err)
{
	struct batch b = {
		.s = state, .call = call, .names = names, .n = n, .ret = ret, .errs = errs};
	for (size_t i = 0; i < n; i++) {
		b.full[i] = (struct buf)BUF_INIT(BODY_MAX);
		aws_parameters_name(b.s, names[i], &b.full[i], &errs[i]);
	}
	int rc = ask_all(&b, err);
	for (size_t i = 0; rc && i < n; i++)
		err_clear(&errs[i]);
	if (!rc)
		get_rest(&b);
	for (size_t i = 0; i < n; i++)
		buf_clear(&b.full[i]);
	return rc;
}

/* --- what is told beside the value --- */

/* By name; an ARN has no filter of its own, so the parameter is asked for instead. */
static int describe_arn(struct aws_parameters *s, const struct call *call, const char *name,
	struct buf *ret_json, struct sfs_err *err)
{
	const struct get_request rq = {.name = name};
	struct payload *p = NULL;
	int rc = aws_parameters_get(s, call, &rq, &p, err);
	if (rc)
		return rc;
	rc = buf_str(ret_json, p->meta ? p->meta : "{}");
	payload_unref(p);
	return rc ? err_set(err, -rc, "no memory for a description") : 0;
}

static int find_described(
	struct aws_answer *a, const char *full, struct buf *ret_json, struct sfs_err *err)
{
	const struct json_node *n = member_array(a->json, a->root, "Parameters");
	for (n = n ? json_first(a->json, n) : NULL; n; n = json_next(a->json, n)) {
		if (!member_is(a->json, n, "Name", full))
			continue;
		if (aws_facts(a->json, n, NULL, ret_json) == 0)
			return 0;
		return err_set(err, ret_json->failed == ENOMEM ? ENOMEM : EBADMSG,
			"the description does not fit into %d bytes", SFS_META_MAX);
	}
	return -ENODATA;
}

static int describe(void *state, const struct call *call, const char *name, struct buf *ret_json,
	struct sfs_err *err)
{
	struct aws_parameters *s = state;
	struct aws_arn arn;
	_cleanup_(aws_answer_clear) struct aws_answer a = AWS_ANSWER_INIT;
	_cleanup_(pages_clear) struct pages pages = PAGES_INIT;
	_cleanup_(buf_clear) struct buf body = BUF_INIT(BODY_MAX), full = BUF_INIT(BODY_MAX);
	int rc = aws_parameters_name(s, name, &full, err);
	if (!rc && aws_arn_parse(name, &arn))
		return describe_arn(s, call, name, ret_json, err);
	const struct aws_ask ask = {.op = &op_describe, .body = &body};
	while (!rc) {
		buf_reset(&body);
		buf_printf(&body,
			"{\"ParameterFilters\":[{\"Key\":\"Name\",\"Option\":\"Equals\","
			"\"Values\":[\"%s\"]}]",
			full.data);
		if (pages.token.len)
			aws_put(&body, "NextToken", pages.token.data);
		aws_body_end(&body);
		rc = aws_call(s->client, call, &ask, &a, err);
		int found = rc ? rc : find_described(&a, full.data, ret_json, err);
		if (found != -ENODATA)
			return found;
		rc = aws_pages_next(&pages, a.json, a.root, err);
		if (rc == 0)
			return err_set(err, ENOENT, "Parameter Store has no such parameter");
		rc = rc > 0 ? 0 : rc;
	}
	return rc;
}

/* --- versions --- */

struct history {
	struct buf text; /* each version: number, then its labels, each with a NUL, and one more */
	struct history_at {
		size_t at;
		int64_t created;
	} * v;
	size_t n, cap;
};

static void history_clear(struct history *h)
{
	buf_clear(&h->text);
	mem_free(h->v);
}

static int add_text(struct history *h, struct json *doc, const struct json_node *n)
{
	size_t from = h->text.len;
	int rc = member_text_of(doc, n, &h->text);
	return rc == 0 && h->text.len > from ? buf_char(&h->text, '\0') : rc == -ENOMEM ? rc : 0;
}

static int add_version(struct history *h, struct json *doc, const struct json_node *n)
{
	if (h->n == h->cap) {
		size_t cap = h->cap ? 2 * h->cap : 32;
		struct history_at *v = mem_realloc(h->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		h->v = v;
		h->cap = cap;
	}
	h->v[h->n] = (struct history_at){h->text.len, aws_when(doc, n, "LastModifiedDate")};
	aws_parameter_version(doc, n, &h->text);
	if (h->text.len == h->v[h->n].at)
		return 0;
	h->n++;
	buf_char(&h->text, '\0');
	const struct json_node *l = member_array(doc, n, "Labels");
	int rc = 0;
	for (l = l ? json_first(doc, l) : NULL; l && rc == 0; l = json_next(doc, l))
		rc = add_text(h, doc, l);
	return rc ? rc : buf_char(&h->text, '\0');
}

/* The service tells the oldest first. */
static int tell(const struct history *h, struct version_sink *sink)
{
	int rc = 0;
	for (size_t i = h->n; i > 0 && rc == 0; i--) {
		const char *s = h->text.data + h->v[i - 1].at;
		for (; *s && rc == 0; s += strlen(s) + 1)
			rc = version_add(sink, s, h->v[i - 1].created);
	}
	return rc;
}

static int history_page(
	struct history *h, struct aws_answer *a, struct pages *pages, struct sfs_err *err)
{
	const struct json_node *n = member_array(a->json, a->root, "Parameters");
	int rc = 0;
	for (n = n ? json_first(a->json, n) : NULL; n && rc == 0; n = json_next(a->json, n))
		rc = add_version(h, a->json, n);
	if (rc)
		return err_set(err, -rc, "out of memory for the versions");
	return aws_pages_next(pages, a->json, a->root, err);
}

/* Values come too, in the buffer of the answer, and go with it; those of SecureStrings are not
 * decrypted for this. */
static int versions(void *state, const struct call *call, const char *name,
	struct version_sink *sink, struct sfs_err *err)
{
	struct aws_parameters *s = state;
	_cleanup_(aws_answer_clear) struct aws_answer a = AWS_ANSWER_INIT;
	_cleanup_(pages_clear) struct pages pages = PAGES_INIT;
	_cleanup_(history_clear) struct history h = {.text = BUF_INIT(SFS_CONFIG_MAX)};
	_cleanup_(buf_clear) struct buf body = BUF_INIT(BODY_MAX), full = BUF_INIT(BODY_MAX);
	int rc = aws_parameters_name(s, name, &full, err);
	const struct aws_ask ask = {
		.op = &op_history, .name = buf_text(&full), .body = &body, .lookup = true};
	for (bool more = true; !rc && more;) {
		buf_reset(&body);
		aws_body_begin(&body);
		aws_put(&body, "Name", full.data);
		aws_put_raw(&body, "WithDecryption", "false");
		aws_put_raw(&body, "MaxResults", "50");
		if (pages.token.len)
			aws_put(&body, "NextToken", pages.token.data);
		aws_body_end(&body);
		rc = aws_call(s->client, call, &ask, &a, err);
		if (!rc)
			rc = history_page(&h, &a, &pages, err);
		more = rc > 0;
		rc = more ? 0 : rc;
	}
	return rc ? rc : tell(&h, sink);
}

/* --- what it tells of itself --- */

static int status(void *state, struct buf *ret_json)
{
	return aws_client_status(((struct aws_parameters *)state)->client, ret_json);
}

static void counts(void *state, struct backend_counts *ret)
{
	aws_client_counts(((struct aws_parameters *)state)->client, 0, ret);
}

static int check(void *state, const struct call *call, struct check_sink *sink, struct sfs_err *err)
{
	return aws_client_check(((struct aws_parameters *)state)->client, call, sink, err);
}

/* The settings are those of the region alone. */
static int needs(
	const char *location, const struct opt_values *opts, struct needs *n, struct sfs_err *err)
{
	_cleanup_free_ char *region = NULL, *path = NULL;
	int rc = split(location, &region, &path, err);
	return rc ? rc : aws_needs(region, opts, n, err);
}

const struct backend_ops aws_ssm_backend = {
	.name = "aws-ssm",
	.summary = "AWS Systems Manager Parameter Store",
	.location = "[REGION][/PATH]",
	.options = ssm_options,
	.flags = BACKEND_FILTER,
	.open = open_source,
	.list = aws_parameters_list,
	.get = aws_parameters_get,
	.close = close_source,
	.get_batch = aws_parameters_get_batch,
	.versions = versions,
	.describe = describe,
	.needs = needs,
	.status = status,
	.counts = counts,
	.check = check,
};
