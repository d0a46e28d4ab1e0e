/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of one source and paths under the mount:
 *
 *   provider's name  --prefix= taken off--  --one leading '/' dropped--  --add_prefix= put before--
 * --name_encode()--  --below at=--
 *
 * The slash is dropped unless the listing holds the same name without it; then the name keeps it,
 * as %2F. One component that is a whole resource name (arn:..., projects%2F...) is that name as it
 * stands.
 */
#include "core/core_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/name.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_item(const void *key, const void *item)
{
	return strcmp(key, ((const struct list_entry *)item)->name);
}

const struct list_entry *inst_item(
	const struct core_inst *ci, const struct listing *l, const char *name)
{
	const struct list_entry *e = l ? listing_find(l, name) : NULL;
	if (!e && ci->nnames)
		e = bsearch(name, ci->names, ci->nnames, sizeof(*ci->names), compare_item);
	return e;
}

/* A leading slash that can go: "/a", but not "/" or "//a", which would become another name. */
static bool has_slash(const char *rest)
{
	return rest[0] == '/' && rest[1] && rest[1] != '/';
}

/* The name that differs from `name` in the lack of the slash at `rest` (a place in it) is there
 * too. */
static bool slash_needed(const struct core_inst *ci, const struct listing *l, const char *rest)
{
	char other[SFS_NAME_MAX + 1];
	size_t prefix = strlen(ci->prefix), len = strlen(rest + 1);
	if (prefix + len > SFS_NAME_MAX)
		return false;
	memcpy(other, ci->prefix, prefix);
	memcpy(other + prefix, rest + 1, len + 1);
	return inst_item(ci, l, other);
}

int inst_path(
	const struct core_inst *ci, const struct listing *l, const char *name, struct buf *out)
{
	char full[2 * SFS_NAME_MAX + 1];
	size_t prefix = strlen(ci->prefix), add = strlen(ci->add_prefix);
	const char *rest = name + prefix;
	if (strncmp(name, ci->prefix, prefix) != 0 || !*rest)
		return -ENOENT;
	if (has_slash(rest) && !slash_needed(ci, l, rest))
		rest++;
	size_t len = strlen(rest);
	if (add + len >= sizeof(full))
		return -ENAMETOOLONG;
	memcpy(full, ci->add_prefix, add);
	memcpy(full + add, rest, len + 1);
	if (*ci->at)
		buf_printf(out, "%s/", ci->at);
	int r = name_encode(out, full, add + len);
	if (r < 0)
		return r;
	return out->failed ? -ENOMEM : out->len <= SFS_PATH_MAX ? 0 : -ENAMETOOLONG;
}

bool inst_covers(const struct core_inst *ci, const char *path)
{
	size_t at = strlen(ci->at);
	return !at || (!strncmp(path, ci->at, at) && (path[at] == '/' || !path[at]));
}

/* Length of a path without the ".value" that stands for the secret itself. */
static size_t secret_length(const char *path)
{
	const size_t value = sizeof("/" NAME_VALUE) - 1;
	size_t len = strlen(path);
	return len > value && !strcmp(path + len - value, "/" NAME_VALUE) ? len - value : len;
}

/* What stands below at=, or NULL. */
static const char *below_at(const struct core_inst *ci, const char *path, size_t *ret_len)
{
	size_t skip = strlen(ci->at) + (*ci->at != '\0'), len = secret_length(path);
	if (!inst_covers(ci, path) || len <= skip)
		return NULL;
	*ret_len = len - skip;
	return path + skip;
}

void inst_names_clear(struct inst_names *n)
{
	buf_clear(&n->name[0]);
	buf_clear(&n->name[1]);
	n->n = 0;
}

static void add_name(const struct core_inst *ci, struct inst_names *n, bool slash, const char *rest)
{
	struct buf *b = &n->name[n->n];
	*b = (struct buf)BUF_INIT(SFS_NAME_MAX);
	buf_str(b, ci->prefix);
	if (slash)
		buf_char(b, '/');
	buf_str(b, rest);
	n->n++;
}

bool inst_is_resource(const char *component, size_t len)
{
	static const char *const starts[] = {
		"arn:", "arn%3A", "arn%3a", "projects%2F", "projects%2f"};
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (len > strlen(starts[i]) && !strncmp(component, starts[i], strlen(starts[i])))
			return !memchr(component, '/', len);
	return false;
}

/* The name is the whole text: prefix= and slashes are about names of this source's own. */
static int resource_name(const struct buf *text, struct inst_names *ret)
{
	struct inst_names n = {.name = {BUF_INIT(SFS_NAME_MAX)}, .n = 1};
	if (buf_add(&n.name[0], text->data, text->len) < 0) {
		int r = n.name[0].failed == ENOMEM ? -ENOMEM : -ENOENT;
		inst_names_clear(&n);
		return r;
	}
	*ret = n;
	return 0;
}

/* A source may have a name of its own that looks like a resource. */
static bool one_is_listed(const struct core_inst *ci, const struct inst_names *n)
{
	for (size_t i = 0; i < n->n; i++)
		if (inst_item(ci, ci->listing, buf_text(&n->name[i])))
			return true;
	return false;
}

int inst_names(const struct core_inst *ci, const char *path, struct inst_names *ret)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(SFS_PATH_MAX);
	struct inst_names n = {.n = 0};
	size_t add = strlen(ci->add_prefix);
	size_t len = 0;
	const char *rel = below_at(ci, path, &len);
	int r = rel ? name_decode(&text, rel, len) : -ENOENT;
	if (r < 0)
		return r == -ENOMEM ? r : -ENOENT;
	const char *rest = buf_text(&text);
	bool resource = inst_is_resource(rel, len);
	if (strncmp(rest, ci->add_prefix, add) != 0 || !rest[add])
		return resource ? resource_name(&text, ret) : -ENOENT;
	rest += add;
	/* What the listing shows tells how this provider spells names; without one both are
	 * possible. */
	bool bare = ci->plain || !ci->slashes,
	     slash = rest[0] != '/' && (ci->slashes || !ci->plain);
	if (bare || !slash)
		add_name(ci, &n, false, rest);
	if (slash)
		add_name(ci, &n, true, rest);
	if (n.name[0].failed || (n.n > 1 && n.name[1].failed)) {
		r = n.name[0].failed == ENOMEM ? -ENOMEM : -ENOENT;
		inst_names_clear(&n);
		return r;
	}
	if (resource && !one_is_listed(ci, &n)) {
		inst_names_clear(&n);
		return resource_name(&text, ret);
	}
	*ret = n;
	return 0;
}

/* --- names in hash form: the only ones that a path does not spell out --- */

#define SEED_HASHED 3

static bool same_hashed(const void *p, const void *key)
{
	return !strcmp(((const struct hashed_name *)p)->path, key);
}

static struct hashed_name *find_hashed(const struct core_inst *ci, const char *path)
{
	return ptab_find(
		&ci->hashed, ptab_hash(path, strlen(path), SEED_HASHED), same_hashed, path);
}

int inst_hashed_add(struct core_inst *ci, const char *path, const char *name)
{
	size_t len = strlen(path);
	if (!strstr(path, "%~") || find_hashed(ci, path))
		return 0;
	struct hashed_name *h = mem_calloc(1, sizeof(*h) + len + 1);
	if (!h)
		return -ENOMEM;
	memcpy(h->path, path, len);
	h->name = mem_strdup(name);
	if (!h->name || ptab_add(&ci->hashed, ptab_hash(path, len, SEED_HASHED), h) < 0) {
		mem_free(h->name);
		mem_free(h);
		return -ENOMEM;
	}
	return 0;
}

void inst_hashed_del(struct core_inst *ci, const char *path)
{
	struct hashed_name *h = strstr(path, "%~") ? find_hashed(ci, path) : NULL;
	if (!h)
		return;
	ptab_del(&ci->hashed, ptab_hash(path, strlen(path), SEED_HASHED), h);
	mem_free(h->name);
	mem_free(h);
}

void inst_hashed_clear(struct core_inst *ci)
{
	size_t pos = 0;
	struct hashed_name *h;
	while ((h = ptab_next(&ci->hashed, &pos))) {
		mem_free(h->name);
		mem_free(h);
	}
	ptab_clear(&ci->hashed);
}

/* --- back from a path --- */

/* The line of `name` if it is shown at exactly `path`. */
static const struct list_entry *item_at(
	const struct core_inst *ci, const char *name, const char *path)
{
	_cleanup_(buf_clear) struct buf own = BUF_INIT(2 * SFS_PATH_MAX);
	const struct list_entry *e = inst_item(ci, ci->listing, name);
	if (!e || inst_path(ci, ci->listing, name, &own) < 0)
		return NULL;
	return strcmp(buf_text(&own), path) ? NULL : e;
}

const struct list_entry *inst_at(const struct core_inst *ci, const char *path)
{
	const struct list_entry *e = NULL;
	struct inst_names n;
	struct hashed_name *h = strstr(path, "%~") ? find_hashed(ci, path) : NULL;
	if (h)
		return item_at(ci, h->name, path);
	if (inst_names(ci, path, &n) < 0)
		return NULL;
	for (size_t i = 0; i < n.n && !e; i++)
		e = item_at(ci, buf_text(&n.name[i]), path);
	inst_names_clear(&n);
	return e;
}

int inst_canonical(const struct core_inst *ci, const char *path, struct buf *out)
{
	_cleanup_(buf_clear) struct buf name = BUF_INIT(SFS_PATH_MAX);
	size_t len = 0;
	const char *rel = below_at(ci, path, &len);
	int r = rel ? name_decode(&name, rel, len) : -ENOENT;
	if (r < 0)
		return r == -ENOMEM ? r : -ENOENT;
	if (*ci->at)
		buf_printf(out, "%s/", ci->at);
	r = name_encode(out, buf_text(&name), name.len);
	if (r == -ENOMEM || out->failed == ENOMEM)
		return -ENOMEM;
	return r < 0 || out->failed ? -ENOENT : 0;
}
