/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of Secret Manager: what is made of them is whole, and what is told of a secret is JSON
 * without its value. The text is tried as a name too. */
#include "backends/gcp_answer.h"
#include "backends/pages.h"
#include "base/secret.h"
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
	check(!json_member(doc, json_root(doc), "payload", 7));
	check(!json_member(doc, json_root(doc), "data", 4));
	json_free(doc);
}

static void values(struct json *doc, const struct json_node *n)
{
	static const struct gcp_name latest = {.id = "db", .version = GCP_LATEST},
				     four = {.id = "db", .version = "4"};
	struct sfs_err err = {0};
	struct payload *p = NULL;
	int rc = gcp_payload(doc, n, &latest, &p, &err);
	check(rc ? !p && err.code == -rc && err.msg[0] : p && p->nparts == 1 && p->ordinal > 0);
	check(!p || (gcp_version_ok(p->version) && payload_size(p) <= GCP_SECRET_MAX));
	payload_unref(p);
	p = NULL;
	rc = gcp_payload(doc, n, &four, &p, &err);
	check(rc ? !p : p->ordinal == 4);
	payload_unref(p);
}

static void lines(struct json *doc, const struct json_node *n)
{
	struct gcp_line l = GCP_LINE_INIT;
	struct gcp_name name;
	if (gcp_line(doc, n, &l) == 0) {
		check(l.id.len && strlen(l.id.data) == l.id.len &&
			gcp_name_parse(l.id.data, &name));
		check(l.created >= 0 && l.expires >= 0);
		if (l.meta.len)
			check_object(l.meta.data);
	}
	gcp_line_clear(&l);
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

static void versions(struct json *doc)
{
	struct gcp_versions v = {0};
	check(gcp_versions_page(&v, doc, json_root(doc)) == 0);
	check(gcp_versions_aliases(&v, doc, json_root(doc)) == 0);
	for (size_t i = 0; i < v.n; i++)
		check(v.v[i].number > 0 && v.v[i].created >= 0);
	for (size_t i = 0; i < v.naliases; i++)
		check(v.aliases[i].number > 0 && gcp_version_ok(v.aliases[i].name));
	gcp_first_enabled(doc, json_root(doc));
	gcp_versions_clear(&v);
}

static void pages(struct json *doc)
{
	struct pages p = PAGES_INIT;
	struct sfs_err err = {0};
	const struct json_node *token = gcp_member(doc, json_root(doc), "nextPageToken");
	int rc = pages_next(&p, doc, token, &err);
	check(rc == 1 ? p.token.len > 0 : rc <= 0);
	if (rc == 1) /* the same token again goes round */
		check(pages_next(&p, doc, token, &err) == -EBADMSG);
	pages_clear(&p);
}

static void names(const char *text)
{
	struct gcp_name n;
	if (gcp_name_parse(text, &n)) {
		check(*n.id && strlen(n.id) <= GCP_ID_MAX);
		check(!*n.version || gcp_version_ok(n.version));
		check(*n.project || !strchr(text, '/'));
	}
	gcp_version_ok(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct secret_stats stats;
	struct json *doc = NULL;
	if (size > 65536)
		return 0;
	char *text = strndup((const char *)data, size);
	names(text);
	free(text);
	if (json_parse((const char *)data, size, JSON_STRICT, &doc, NULL) < 0)
		return 0;
	visit(doc, json_root(doc));
	versions(doc);
	pages(doc);
	json_free(doc);
	secret_stats(&stats);
	check(stats.blocks == 0);
	return 0;
}
