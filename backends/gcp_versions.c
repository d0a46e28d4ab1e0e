/* SPDX-License-Identifier: Apache-2.0 */
/* The versions of a secret: numbers, states, aliases. */
#include "backends/gcp_answer.h"

#include "backends/members.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESOURCE_MAX 1024
#define ALIASES_MAX  1000 /* of one secret; the service allows 50 */

/* 0 = an entry that is no version. */
static uint64_t number_of(struct json *doc, const struct json_node *entry)
{
	_cleanup_(buf_clear) struct buf name = BUF_INIT(RESOURCE_MAX);
	if (json_kind(entry) != JSON_OBJECT || member_string(doc, entry, "name", &name) < 0)
		return 0;
	const char *slash = strrchr(buf_text(&name), '/');
	return slash ? gcp_version_number(slash + 1, strlen(slash + 1)) : 0;
}

static int add(struct gcp_versions *all, const struct gcp_version *one)
{
	if (all->n == all->cap) {
		size_t cap = all->cap ? 2 * all->cap : 32;
		struct gcp_version *v = mem_realloc(all->v, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		all->v = v;
		all->cap = cap;
	}
	all->v[all->n++] = *one;
	return 0;
}

int gcp_versions_page(struct gcp_versions *all, struct json *doc, const struct json_node *root)
{
	const struct json_node *n = member_array(doc, root, "versions");
	int rc = 0;
	for (n = n ? json_first(doc, n) : NULL; n && rc == 0; n = json_next(doc, n)) {
		const struct gcp_version one = {.number = number_of(doc, n),
			.created = gcp_when(doc, n, "createTime"),
			.destroyed = member_is(doc, n, "state", "DESTROYED")};
		rc = one.number ? add(all, &one) : 0;
	}
	return rc;
}

uint64_t gcp_first_enabled(struct json *doc, const struct json_node *root)
{
	const struct json_node *n = member_array(doc, root, "versions");
	for (n = n ? json_first(doc, n) : NULL; n; n = json_next(doc, n))
		if (member_is(doc, n, "state", "ENABLED") && number_of(doc, n))
			return number_of(doc, n);
	return 0;
}

/* --- aliases --- */

static uint64_t alias_target(struct json *doc, const struct json_node *n)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(64);
	int rc = json_kind(n) == JSON_NUMBER ? json_compact(doc, n, &text)
					     : member_text_of(doc, n, &text);
	return rc ? 0 : gcp_version_number(buf_text(&text), text.len);
}

int gcp_versions_aliases(struct gcp_versions *all, struct json *doc, const struct json_node *secret)
{
	const struct json_node *map = gcp_member(doc, secret, "versionAliases");
	size_t count = map && json_kind(map) == JSON_OBJECT ? json_count(map) : 0;
	if (!count || count > ALIASES_MAX || all->aliases)
		return 0;
	all->aliases = mem_calloc(count, sizeof(*all->aliases));
	if (!all->aliases)
		return -ENOMEM;
	for (const struct json_node *n = json_first(doc, map); n; n = json_next(doc, n)) {
		struct gcp_alias *a = &all->aliases[all->naliases];
		_cleanup_(buf_clear) struct buf key = BUF_INIT(GCP_ALIAS_MAX);
		a->number = alias_target(doc, n);
		if (!a->number || json_key(doc, n, &key) < 0 || strlen(buf_text(&key)) != key.len ||
			!gcp_version_ok(buf_text(&key)))
			continue;
		snprintf(a->name, sizeof(a->name), "%s", buf_text(&key));
		all->naliases++;
	}
	return 0;
}

/* --- telling --- */

static int newest_first(const void *a, const void *b)
{
	const struct gcp_version *x = a, *y = b;
	return x->number > y->number ? -1 : x->number < y->number;
}

static int tell(const struct gcp_versions *all, const struct gcp_version *v, bool latest,
	struct version_sink *sink)
{
	char number[32];
	snprintf(number, sizeof(number), "%" PRIu64, v->number);
	int rc = latest ? version_add(sink, GCP_LATEST, v->created) : 0;
	if (!rc)
		rc = version_add(sink, number, v->created);
	for (size_t i = 0; i < all->naliases && rc == 0; i++)
		if (all->aliases[i].number == v->number)
			rc = version_add(sink, all->aliases[i].name, v->created);
	return rc;
}

int gcp_versions_tell(struct gcp_versions *all, struct version_sink *sink)
{
	int rc = 0;
	if (all->n)
		qsort(all->v, all->n, sizeof(*all->v), newest_first);
	for (size_t i = 0; i < all->n && rc == 0; i++) {
		bool again = i > 0 && all->v[i].number == all->v[i - 1].number;
		if (!all->v[i].destroyed && !again)
			rc = tell(all, &all->v[i], i == 0, sink);
	}
	return rc;
}

void gcp_versions_clear(struct gcp_versions *all)
{
	mem_free(all->v);
	mem_free(all->aliases);
	*all = (struct gcp_versions){0};
}
