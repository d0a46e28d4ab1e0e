/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two operations list parameters. Without a path DescribeParameters: all of the region, 50 a page,
 * no values. Below a path GetParametersByPath: ten a page, but of that path alone, while
 * DescribeParameters goes through the whole region and is throttled after some twenty pages. With
 * filters DescribeParameters, which knows them. Where one is not allowed the other is tried: roles
 * often have the one for their path and seldom the one for the region.
 */
#include "backends/aws_ssm.h"

#include "backends/aws_filter.h"
#include "base/cleanup.h"
#include "base/log.h"
#include <errno.h>
#include <string.h>

#define FILTERS_MAX (64 * SFS_FILTER_MAX)

/* GetParametersByPath brings the values too, undecrypted; they stay in the buffer of the answer. */
static const struct aws_op op_by_path = {
	"AmazonSSM.GetParametersByPath", "ssm:GetParametersByPath", 4 * 1024 * 1024};
static const struct aws_op op_describe = {
	"AmazonSSM.DescribeParameters", "ssm:DescribeParameters", 4 * 1024 * 1024};

struct run {
	struct aws_parameters *s;
	const struct call *call;
	struct list_sink *sink;
	struct seen seen;
	struct aws_line line;
	struct buf filters;
	bool taken;	 /* lines were given to the sink */
	size_t unusable; /* entries without a name */
};

static int body_by_path(const struct run *r, const char *token, struct buf *body)
{
	buf_reset(body);
	aws_body_begin(body);
	aws_put(body, "Path", *r->s->path ? r->s->path : "/");
	aws_put_raw(body, "Recursive", "true");
	aws_put_raw(body, "WithDecryption", "false");
	aws_put_raw(body, "MaxResults", "10");
	if (*token)
		aws_put(body, "NextToken", token);
	return aws_body_end(body);
}

static int body_describe(const struct run *r, const char *token, struct buf *body)
{
	buf_reset(body);
	aws_body_begin(body);
	aws_put_raw(body, "MaxResults", "50");
	if (*r->s->path || r->filters.len)
		aws_put_raw(body, "ParameterFilters", "[");
	if (*r->s->path)
		buf_printf(body,
			"{\"Key\":\"Path\",\"Option\":\"Recursive\",\"Values\":[\"%s\"]}%s",
			r->s->path, r->filters.len ? "," : "");
	buf_str(body, buf_text(&r->filters));
	if (*r->s->path || r->filters.len)
		buf_char(body, ']');
	if (*token)
		aws_put(body, "NextToken", token);
	return aws_body_end(body);
}

static int take_line(struct run *r, struct json *doc, const struct json_node *entry)
{
	struct aws_line *l = &r->line;
	const char *name;
	int rc = aws_parameter_line(doc, entry, l);
	if (rc == -EBADMSG) {
		r->unusable++;
		return 0;
	}
	if (!rc && aws_parameter_below(r->s->path, l->name.data, &name) < 0)
		return 0;
	if (!rc)
		rc = seen_add(&r->seen, name);
	if (rc <= 0)
		return rc;
	const struct list_item item = {.name = name,
		.created = l->created,
		.version = l->version.len ? l->version.data : NULL,
		.meta = l->meta.len ? l->meta.data : NULL};
	r->taken = true;
	return list_add(r->sink, &item);
}

static int take_page(struct run *r, struct aws_answer *a, struct sfs_err *err)
{
	const struct json_node *n = member_array(a->json, a->root, "Parameters");
	if (!n)
		return err_set(err, EBADMSG, "the answer of Parameter Store holds no Parameters");
	int rc = 0;
	for (n = json_first(a->json, n); n && rc == 0; n = json_next(a->json, n))
		rc = take_line(r, a->json, n);
	return rc == -ENOMEM ? err_set(err, ENOMEM, "out of memory for the names") : rc;
}

static int list_pages(struct run *r, bool by_path, struct aws_error *ret_said, struct sfs_err *err)
{
	_cleanup_(aws_answer_clear) struct aws_answer a = AWS_ANSWER_INIT;
	_cleanup_(pages_clear) struct pages pages = PAGES_INIT;
	_cleanup_(buf_clear) struct buf body = BUF_INIT(FILTERS_MAX);
	const struct aws_ask ask = {.op = by_path ? &op_by_path : &op_describe, .body = &body};
	int rc = 1;
	while (rc > 0) {
		const char *token = buf_text(&pages.token);
		if (by_path)
			body_by_path(r, token, &body);
		else
			body_describe(r, token, &body);
		rc = aws_call(r->s->client, r->call, &ask, &a, err);
		if (rc && a.error.kind == AWS_ERR_PAGE && pages_restart(&pages)) {
			rc = 1;
			continue;
		}
		*ret_said = a.error;
		if (!rc)
			rc = take_page(r, &a, err);
		if (!rc)
			rc = aws_pages_next(&pages, a.json, a.root, err);
	}
	return rc;
}

static int list_somehow(struct run *r, struct sfs_err *err)
{
	struct aws_parameters *s = r->s;
	struct aws_error said = {0};
	struct sfs_err second = {0};
	if (r->filters.len)
		return list_pages(r, false, &said, err);
	bool other = atomic_load(&s->other_way), by_path = (*s->path != '\0') != other;
	int rc = list_pages(r, by_path, &said, err);
	if (rc != -EACCES || r->taken || said.kind != AWS_ERR_DENIED)
		return rc;
	int again = list_pages(r, !by_path, &said, &second);
	if (again == -EACCES || (again && !second.code))
		return again == -EACCES ? rc : again;
	if (again)
		return err_set(err, second.code, "%s", second.msg);
	atomic_store(&s->other_way, !other);
	log_info("parameters are listed with %s, because %s is not allowed",
		by_path ? op_describe.action : op_by_path.action,
		by_path ? op_by_path.action : op_describe.action);
	return 0;
}

int aws_parameters_list(void *state, const struct call *call, const char *filter,
	struct list_sink *sink, struct sfs_err *err)
{
	struct aws_parameters *s = state;
	size_t n = s->nfilters;
	struct run r = {.s = s,
		.call = call,
		.sink = sink,
		.filters = BUF_INIT(FILTERS_MAX),
		.line = {.name = BUF_INIT(SFS_NAME_MAX),
			.meta = BUF_INIT(SFS_META_MAX),
			.version = BUF_INIT(32)}};
	buf_str(&r.filters, buf_text(&s->filters));
	int rc = filter ? aws_filter_parse(&aws_filter_parameters, filter, &r.filters, &n, err) : 0;
	if (!rc && r.filters.failed)
		rc = err_errno(err, r.filters.failed, "make the filters");
	if (!rc)
		rc = list_somehow(&r, err);
	if (!rc && r.unusable) {
		struct sfs_err why;
		err_set(&why, EBADMSG, "%zu entries of the listing have no usable name",
			r.unusable);
		list_problem(sink, &why);
	}
	seen_clear(&r.seen);
	buf_clear(&r.filters);
	buf_clear(&r.line.name);
	buf_clear(&r.line.meta);
	buf_clear(&r.line.version);
	return rc;
}
