/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of Secrets Manager and Parameter Store: what is made of them is whole, and what is told
 * of a value is JSON without it. */
#include "backends/aws_secrets.h"
#include "backends/aws_ssm.h"
#include "base/limits.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

static void check_object(const char *text)
{
	struct json *doc = NULL;
	check(json_parse(text, strlen(text), JSON_STRICT, &doc, NULL) == 0);
	check(json_kind(json_root(doc)) == JSON_OBJECT);
	check(!json_member(doc, json_root(doc), "SecretString", 12));
	check(!json_member(doc, json_root(doc), "Value", 5));
	json_free(doc);
}

static void check_payload(int rc, struct payload *p, const struct sfs_err *err)
{
	check(rc ? !p && err->code == -rc && err->msg[0] : p && p->nparts == 1);
	if (!p)
		return;
	check(!p->version || (*p->version && strlen(p->version) <= SFS_VERSION_MAX));
	check(p->created >= 0);
	if (p->meta)
		check_object(p->meta);
	payload_unref(p);
}

static void values(struct json *doc, const struct json_node *n)
{
	struct payload *p = NULL;
	struct sfs_err err = {0};
	int rc = aws_secret_payload(doc, n, &p, &err);
	check_payload(rc, p, &err);
	p = NULL;
	rc = aws_parameter_payload(doc, n, false, &p, &err);
	check_payload(rc, p, &err);
	aws_secret_is_version(doc, n, "0123456789abcdef0123456789abcdef", "AWSCURRENT", &err);
}

static void lines(struct json *doc, const struct json_node *n)
{
	struct aws_line s = {.name = BUF_INIT(SFS_NAME_MAX),
		.meta = BUF_INIT(SFS_META_MAX),
		.version = BUF_INIT(SFS_VERSION_MAX)};
	struct aws_line p = {.name = BUF_INIT(SFS_NAME_MAX),
		.meta = BUF_INIT(SFS_META_MAX),
		.version = BUF_INIT(32)};
	if (aws_secret_line(doc, n, &s) == 0) {
		check(s.name.len && strlen(s.name.data) == s.name.len && s.created >= 0);
		if (s.meta.len)
			check_object(s.meta.data);
	}
	if (aws_parameter_line(doc, n, &p) == 0)
		check(p.name.len && strlen(p.name.data) == p.name.len);
	buf_clear(&s.name);
	buf_clear(&s.meta);
	buf_clear(&s.version);
	buf_clear(&p.name);
	buf_clear(&p.meta);
	buf_clear(&p.version);
}

static void visit(struct json *doc, const struct json_node *n)
{
	values(doc, n);
	lines(doc, n);
	const struct json_node *m = json_kind(n) == JSON_OBJECT || json_kind(n) == JSON_ARRAY
					    ? json_first(doc, n)
					    : NULL;
	for (; m; m = json_next(doc, m))
		visit(doc, m);
}

static void pages(struct json *doc)
{
	struct pages p = PAGES_INIT;
	struct sfs_err err = {0};
	int rc = aws_pages_next(&p, doc, json_root(doc), &err);
	check(rc == 1 ? p.token.len > 0 : rc <= 0);
	/* The same token again goes round. */
	if (rc == 1)
		check(aws_pages_next(&p, doc, json_root(doc), &err) == -EBADMSG);
	pages_clear(&p);
}

static void names(const char *text)
{
	char id[AWS_STAGE_MAX + 1], stage[AWS_STAGE_MAX + 1];
	struct sfs_err err = {0};
	if (aws_secret_version(text, id, stage, &err) == 0)
		check((*id || *stage) && strlen(id) <= 64 && strlen(stage) <= AWS_STAGE_MAX);
	aws_secret_name_ok(text);
	if (aws_parameter_path_ok(text))
		check(aws_parameter_name_ok(text));
	aws_parameter_version_ok(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json *doc = NULL;
	struct aws_versions v = {0};
	if (size > 65536)
		return 0;
	char *text = strndup((const char *)data, size);
	names(text);
	free(text);
	if (json_parse((const char *)data, size, JSON_STRICT, &doc, NULL) < 0)
		return 0;
	visit(doc, json_root(doc));
	pages(doc);
	check(aws_versions_page(&v, doc, json_root(doc)) == 0);
	for (size_t i = 0; i < v.n; i++)
		check(v.v[i].id && *v.v[i].id);
	aws_versions_clear(&v);
	json_free(doc);
	return 0;
}
