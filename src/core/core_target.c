/* SPDX-License-Identifier: Apache-2.0 */
/* From the commands of a control file to names, and what needs no fetch. */
#include "core/core_job.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/name.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>

void job_ok(struct job *j, size_t command)
{
	pthread_mutex_lock(&j->lock);
	j->outcomes[command].ok++;
	j->done++;
	pthread_mutex_unlock(&j->lock);
}

void job_failed(struct job *j, size_t command, const char *path, const struct sfs_err *err)
{
	struct outcome *o = &j->outcomes[command];
	_cleanup_(buf_clear) struct buf name = BUF_INIT(4 * SFS_PATH_MAX);
	if (path)
		text_to_arg(&name, path);
	pthread_mutex_lock(&j->lock);
	if (!o->failed++) {
		o->code = err->code;
		o->sentence = path ? mem_asprintf("%s: %s", buf_text(&name), err->msg)
				   : mem_strdup(err->msg);
	}
	j->done++;
	if (j->nfailures++ < JOB_FAILURES)
		buf_printf(&j->failures, "%s: %s\n", path ? buf_text(&name) : "*", err->msg);
	pthread_mutex_unlock(&j->lock);
}

/* Adds a target; takes over the reference to `d`. */
static int add_target(struct job *j, size_t command, struct dent *d)
{
	int r = 0;
	pthread_mutex_lock(&j->lock);
	if (j->ntargets == j->cap) {
		size_t cap = j->cap ? j->cap * 2 : 64;
		struct target *v = mem_realloc(j->targets, cap, sizeof(*v));
		if (v) {
			j->targets = v;
			j->cap = cap;
		} else {
			r = -ENOMEM;
		}
	}
	if (r == 0)
		j->targets[j->ntargets++] = (struct target){d, command};
	pthread_mutex_unlock(&j->lock);
	if (r < 0)
		dent_unref(j->core, d);
	return r;
}

/* --- names --- */

/* As core_walk(), but stops at a multi-key secret whose keys only its value tells: that is what to
 * fetch. */
static int walk(struct core *core, const char *path, struct dent **ret)
{
	struct dent *d = core_root(core);
	while (*path) {
		size_t len = strcspn(path, "/");
		_cleanup_free_ char *name = mem_strndup(path, len);
		struct dent *next = NULL;
		int r = name ? core_lookup(core, d, name, &next) : -ENOMEM;
		if (r == -EAGAIN && dent_is_multikey(d))
			break;
		dent_unref(core, d);
		if (r < 0)
			return r;
		d = next;
		path += len + (path[len] == '/');
	}
	*ret = d;
	return 0;
}

/* Dents found under the tree lock, to be added after it. */
struct found {
	struct dent **v;
	size_t n, cap;
	bool failed;
};

static void found_add(struct found *f, struct dent *d)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		struct dent **v = mem_realloc(f->v, cap, sizeof(struct dent *));
		if (!v) {
			f->failed = true;
			return;
		}
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n++] = dent_ref(d);
}

static int found_end(struct job *j, size_t command, struct found *f)
{
	int r = f->failed ? -ENOMEM : 0;
	for (size_t i = 0; i < f->n; i++) {
		if (r == 0)
			r = add_target(j, command, f->v[i]);
		else
			dent_unref(j->core, f->v[i]);
	}
	mem_free(f->v);
	return r;
}

static bool below(const struct dent *d, const struct dent *dir)
{
	size_t len = strlen(dir->path);
	return d == dir || !len || (!strncmp(d->path, dir->path, len) && d->path[len] == '/');
}

static bool glob_hits(const char *glob, const struct dent *d)
{
	if (glob_match(glob, d->path))
		return true;
	return !strcmp(dent_basename(d), NAME_VALUE) && glob_match(glob, d->parent->path);
}

/* One dent for each subject that `glob` matches (NULL: all), below `dir`. */
static void find_subjects(
	struct core *core, const struct dent *dir, const char *glob, struct found *f)
{
	size_t pos = 0;
	struct subject *s;
	core_lock(core);
	while ((s = ptab_next(&core->tree.subjects, &pos))) {
		struct dent *d = s->shown;
		while (d && (!below(d, dir) || (glob && !glob_hits(glob, d))))
			d = d->same_next;
		if (d)
			found_add(f, d);
	}
	core_unlock(core);
}

static int expand_name(struct job *j, size_t command, const char *path)
{
	struct sfs_err err;
	struct found f = {0};
	struct dent *d = NULL;
	int r = walk(j->core, path, &d);
	if (r == -ENOMEM)
		return r;
	if (j->file == CONTROL_PURGE && (r == -ENOENT || (r == 0 && dent_kind(d) == CORE_UNKNOWN)))
		core_missing_path(j->core, path);
	if (r < 0) {
		err_set(&err, -r, r == -ENOENT ? "there is no such name" : "this is no directory");
		if (j->file != CONTROL_PURGE)
			job_failed(j, command, path, &err);
		return 0;
	}
	if (dent_kind(d) != CORE_DIR)
		return add_target(j, command, d);
	find_subjects(j->core, d, NULL, &f);
	dent_unref(j->core, d);
	return found_end(j, command, &f);
}

int job_expand(struct job *j, size_t command)
{
	const struct command *c = &j->commands[command];
	struct found f = {0};
	if (c->kind == COMMAND_FILTER)
		return 0;
	if (c->kind == COMMAND_NAME)
		return expand_name(j, command, c->arg);
	const char *glob = c->kind == COMMAND_GLOB ? c->arg : NULL;
	if (j->file == CONTROL_PURGE)
		core_missing_glob(j->core, glob);
	find_subjects(j->core, j->core->tree.root, glob, &f);
	return found_end(j, command, &f);
}

int job_expand_listing(struct job *j, size_t command, struct core_inst *ci, const struct listing *l)
{
	struct found f = {0};
	core_lock(j->core);
	for (size_t i = 0; i < l->n; i++) {
		struct subject *s = tree_subject(&j->core->tree, ci, l->items[i].name, false);
		if (s && s->shown)
			found_add(&f, s->shown);
	}
	core_unlock(j->core);
	return found_end(j, command, &f);
}

/* --- ttl --- */

void job_set_ttls(struct job *j)
{
	struct sfs_err err;
	err_set(&err, ENOENT, "there is no such name: a TTL is set on what is listed or was read");
	for (size_t i = 0; i < j->ntargets; i++) {
		const struct target *t = &j->targets[i];
		core_lock(j->core);
		bool known = t->d->subject;
		core_unlock(j->core);
		if (known)
			core_set_ttl(j->core, t->d, j->commands[t->command].ttl);
		if (known)
			job_ok(j, t->command);
		else
			job_failed(j, t->command, t->d->path, &err);
	}
}

/* --- purge --- */

static int add_cached(void *arg, struct entry *e)
{
	entry_list_add(arg, entry_ref(e));
	return 0;
}

/* Notes the names whose value goes, for the read of the file. Tree lock. */
static void note_purged(struct job *j, const struct subject *s)
{
	struct payload *p = s->entry && s->shown ? entry_peek(s->entry) : NULL;
	if (!p)
		return;
	payload_unref(p);
	pthread_mutex_lock(&j->lock);
	text_to_arg(&j->failures, s->shown->path);
	buf_char(&j->failures, '\n');
	pthread_mutex_unlock(&j->lock);
}

static bool purges_all(const struct job *j)
{
	for (size_t i = 0; i < j->ncommands; i++)
		if (j->commands[i].kind == COMMAND_ALL)
			return true;
	return false;
}

/* The names of the targets, by source: a value of a fixed version is found by name. */
static int purge_versions(struct job *j)
{
	struct core *core = j->core;
	struct due_insts all;
	int r = 0;
	core_insts_ref(core, &all);
	for (size_t k = 0; k < all.n; k++) {
		struct ptab names = {0};
		struct core_inst *ci = all.v[k];
		core_lock(core);
		for (size_t i = 0; ci->versions_used && i < j->ntargets; i++) {
			struct subject *s = j->targets[i].d->subject;
			if (s && s->inst == ci &&
				ptab_add(&names, ptab_hash(s->name, strlen(s->name), 0), s->name) <
					0)
				r = -ENOMEM;
		}
		core_unlock(core);
		if (names.n && core_purge_versions(core, ci, &names) < 0)
			r = -ENOMEM;
		ptab_clear(&names);
		core_inst_unref(ci);
	}
	return r;
}

void job_purge(struct job *j)
{
	struct core *core = j->core;
	struct entry_list list = {0};
	struct sfs_err err;
	int r;
	core_lock(core);
	for (size_t i = 0; i < j->ntargets; i++) {
		struct subject *s = j->targets[i].d->subject;
		if (!s || !s->entry)
			continue;
		note_purged(j, s);
		entry_list_add(&list, entry_ref(s->entry));
	}
	core_unlock(core);
	r = purges_all(j) ? store_each(core->store, add_cached, &list) : purge_versions(j);
	entry_list_end(core, &list, store_purge);
	err_set(&err, ENOMEM, "out of memory: not everything was purged");
	for (size_t i = 0; i < j->ncommands; i++) {
		if (r < 0 || list.failed)
			job_failed(j, i, NULL, &err);
		else
			job_ok(j, i);
	}
}
