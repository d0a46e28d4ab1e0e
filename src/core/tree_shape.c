/* SPDX-License-Identifier: Apache-2.0 */
/* Which dents there are: files that become directories and back, keys, directories without purpose.
 */
#include "core/tree_priv.h"

#include "base/name.h"
#include <errno.h>
#include <string.h>

/* `path` with ".value" below it. */
static int value_path(const char *path, char out[SFS_PATH_MAX + 1])
{
	size_t len = strlen(path);
	if (len + sizeof("/" NAME_VALUE) > SFS_PATH_MAX + 1)
		return -ENAMETOOLONG;
	memcpy(out, path, len);
	memcpy(out + len, "/" NAME_VALUE, sizeof("/" NAME_VALUE));
	return 0;
}

static struct dent *value_child(const struct tree *t, const struct dent *dir)
{
	char path[SFS_PATH_MAX + 1];
	struct dent *d = value_path(dir->path, path) == 0 ? tree_find(t, path) : NULL;
	return d && d->kind == CORE_SECRET ? d : NULL;
}

/* Replaces file `d` by a directory that shows the same as its .value. */
static struct dent *file_to_dir(struct tree *t, struct dent *d)
{
	char path[SFS_PATH_MAX + 1];
	if (value_path(d->path, path) < 0)
		return NULL;
	struct dent *parent = d->parent;
	struct shown s = {.subject = d->subject,
		.key = dent_key(d),
		.field = d->part ? d->part->field : NULL,
		.pol = d->pol,
		.mapped = d->mapped};
	dent_ref(d);
	tree_end_dent(t, d);
	struct dent *dir = tree_new_dir(t, parent, d->path);
	int r = dir ? tree_new_file(t, dir, path, &s) : -ENOMEM;
	tree_unref(t, d);
	if (dir && r < 0) {
		tree_end_dent(t, dir);
		dir = NULL;
	}
	return dir;
}

static struct dent *make_dir(struct tree *t, struct dent *parent, const char *path)
{
	struct dent *d = tree_find(t, path);
	if (d && d->kind == CORE_DIR)
		return d;
	if (d && d->kind == CORE_SECRET)
		return file_to_dir(t, d);
	if (d)
		tree_end_unknown(t, d, NULL);
	return tree_new_dir(t, parent, path);
}

struct dent *tree_dir(struct tree *t, const char *path)
{
	char part[SFS_PATH_MAX + 1];
	size_t len = strlen(path);
	struct dent *d = t->root;
	if (len > SFS_PATH_MAX)
		return NULL;
	for (size_t i = 0; i < len && d; i++) {
		i += strcspn(path + i, "/");
		memcpy(part, path, i);
		part[i] = '\0';
		d = make_dir(t, d, part);
	}
	return d;
}

static struct dent *tree_parent_dir(struct tree *t, const char *path)
{
	char part[SFS_PATH_MAX + 1];
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	if (len > SFS_PATH_MAX)
		return NULL;
	memcpy(part, path, len);
	part[len] = '\0';
	return tree_dir(t, part);
}

struct dent *tree_occupant(const struct tree *t, const char *path)
{
	struct dent *d = tree_find(t, path);
	if (!d || d->kind == CORE_UNKNOWN)
		return NULL;
	if (d->kind == CORE_DIR && !d->multikey)
		return value_child(t, d);
	return d;
}

struct dent *tree_file(const struct tree *t, const char *path)
{
	struct dent *d = tree_find(t, path);
	if (d && d->kind == CORE_DIR)
		d = value_child(t, d);
	return d && d->kind == CORE_SECRET ? d : NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool shows(const struct dent *d, const struct shown *s)
{
	return d->subject == s->subject && same_text(dent_key(d), s->key) &&
	       same_text(d->part ? d->part->field : NULL, s->field);
}

static void update(struct tree *t, struct dent *d, const struct shown *s)
{
	d->mapped = s->mapped;
	if (d->pol == s->pol)
		return;
	d->pol = s->pol;
	tree_event(t, d, CORE_ATTR);
}

int tree_put(struct tree *t, const char *path, const struct shown *s)
{
	char value[SFS_PATH_MAX + 1];
	struct dent *d = tree_find(t, path);
	struct dent *parent = NULL;
	if (d && d->kind == CORE_DIR) {
		if (value_path(path, value) < 0)
			return -ENAMETOOLONG;
		parent = d;
		path = value;
		d = tree_find(t, path);
	}
	if (d && d->kind == CORE_UNKNOWN)
		tree_end_unknown(t, d, s->subject);
	if (d && d->kind == CORE_SECRET) {
		if (shows(d, s)) {
			update(t, d, s);
			return 0;
		}
		tree_end_dent(t, d);
	}
	if (!parent)
		parent = tree_parent_dir(t, path);
	return parent ? tree_new_file(t, parent, path, s) : -ENOMEM;
}

int tree_put_multikey(struct tree *t, const char *path, const struct shown *s, struct dent **ret)
{
	struct dent *d = tree_occupant(t, path);
	if (d && d->kind == CORE_SECRET)
		tree_end_dent(t, d);
	d = tree_find(t, path);
	if (d && d->kind == CORE_UNKNOWN)
		tree_end_unknown(t, d, s->subject);
	d = tree_dir(t, path);
	if (!d)
		return -ENOMEM;
	if (d->multikey && d->subject != s->subject)
		return -EEXIST;
	if (!d->multikey) {
		subject_unref(t, d->subject);
		d->subject = NULL;
		d->multikey = true;
		tree_link_subject(d, s->subject);
	}
	update(t, d, s);
	*ret = d;
	return 0;
}

/* --- removal --- */

/* A directory with nothing but its .value becomes the file again. */
static bool collapse(struct tree *t, struct dent *dir)
{
	struct dent *v = dir->dir->live == 1 ? value_child(t, dir) : NULL;
	struct dent *parent = dir->parent;
	if (!v || v->kind != CORE_SECRET)
		return false;
	struct shown s = {.subject = v->subject,
		.key = dent_key(v),
		.field = v->part ? v->part->field : NULL,
		.pol = v->pol,
		.mapped = v->mapped};
	dent_ref(v); /* its texts are used below */
	dent_ref(dir);
	tree_end_dent(t, v);
	tree_end_dent(t, dir);
	if (tree_new_file(t, parent, dir->path, &s) < 0)
		t->lost++;
	tree_unref(t, v);
	tree_unref(t, dir);
	return true;
}

static void prune(struct tree *t, struct dent *d)
{
	while (d != t->root && d->alive && !d->fixed && !d->multikey) {
		struct dent *parent = d->parent;
		if (d->dir->live > 0) {
			collapse(t, d);
			return;
		}
		tree_end_dent(t, d);
		d = parent;
	}
}

/* A dent of `s` that is a key file, not a [map] name. */
static struct dent *key_dent(const struct subject *s)
{
	struct dent *d = s->shown;
	while (d && (!dent_key(d) || d->mapped))
		d = d->same_next;
	return d;
}

static void remove_multikey(struct tree *t, struct dent *d)
{
	struct subject *s = d->subject;
	struct dent *k;
	s->refs++;
	tree_unlink_subject(d);
	d->multikey = d->keys_unknown = false;
	d->ended = true;
	subject_unref(t, s);
	d->subject = NULL;
	dent_ref(d);
	while ((k = key_dent(s)))
		tree_remove(t, k);
	tree_event(t, d, CORE_ATTR);
	prune(t, d);
	tree_unref(t, d);
	subject_unref(t, s);
}

void tree_remove(struct tree *t, struct dent *d)
{
	struct dent *parent = d->parent;
	if (d->kind == CORE_DIR) {
		if (d->multikey)
			remove_multikey(t, d);
		return;
	}
	tree_end_dent(t, d);
	prune(t, parent);
}

int tree_fix(struct tree *t, const char *path)
{
	struct dent *d = tree_dir(t, path);
	if (!d)
		return -ENOMEM;
	d->fixed = true;
	return 0;
}

void tree_unfix(struct tree *t, const char *path)
{
	struct dent *d = tree_find(t, path);
	if (!d || d->kind != CORE_DIR)
		return;
	d->fixed = false;
	prune(t, d);
}
