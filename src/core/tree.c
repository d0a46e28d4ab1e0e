/* SPDX-License-Identifier: Apache-2.0 */
#include "core/tree_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "core/core_priv.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

#define SEED_PATH    1
#define SEED_SUBJECT 2
#define SLACK	     16 /* removed slots that are not worth a compaction */

/* --- subjects --- */

struct subject_key {
	const struct core_inst *inst;
	const char *name;
};

static uint64_t subject_hash(const struct core_inst *inst, const char *name)
{
	return ptab_hash(name, strlen(name), SEED_SUBJECT ^ (uintptr_t)inst);
}

static bool same_subject(const void *p, const void *key)
{
	const struct subject *s = p;
	const struct subject_key *k = key;
	return s->inst == k->inst && !strcmp(s->name, k->name);
}

static struct subject *make_subject(struct tree *t, struct core_inst *inst, const char *name)
{
	size_t len = strlen(name);
	struct subject *s = mem_calloc(1, sizeof(*s) + len + 1);
	if (!s)
		return NULL;
	memcpy(s->name, name, len);
	s->inst = inst;
	if (ptab_add(&t->subjects, subject_hash(inst, name), s) < 0) {
		mem_free(s);
		return NULL;
	}
	core_inst_ref(inst);
	s->generation = ++t->next_generation;
	return s;
}

struct subject *tree_subject(struct tree *t, struct core_inst *inst, const char *name, bool make)
{
	struct subject_key key = {inst, name};
	struct subject *s = ptab_find(&t->subjects, subject_hash(inst, name), same_subject, &key);
	return s || !make ? s : make_subject(t, inst, name);
}

void subject_settle(struct tree *t, struct subject *s)
{
	if (s->refs)
		return;
	ptab_del(&t->subjects, subject_hash(s->inst, s->name), s);
	entry_unref(s->entry);
	core_inst_unref(s->inst);
	mem_free(s);
}

void subject_unref(struct tree *t, struct subject *s)
{
	if (!s)
		return;
	assert(s->refs > 0);
	s->refs--;
	subject_settle(t, s);
}

void tree_link_subject(struct dent *d, struct subject *s)
{
	s->refs++;
	d->subject = s;
	d->same_prev = NULL;
	d->same_next = s->shown;
	if (s->shown)
		s->shown->same_prev = d;
	s->shown = d;
}

/* Out of the list of what is shown; the dent keeps its reference for those who have it open. */
void tree_unlink_subject(struct dent *d)
{
	struct subject *s = d->subject;
	if (!s || (!d->same_prev && s->shown != d))
		return;
	if (d->same_prev)
		d->same_prev->same_next = d->same_next;
	else
		s->shown = d->same_next;
	if (d->same_next)
		d->same_next->same_prev = d->same_prev;
	d->same_prev = d->same_next = NULL;
}

/* --- events --- */

static void queue(struct tree *t, struct dent *d, enum core_change what)
{
	if (t->nevents == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct tree_event *v = mem_realloc(t->events, cap, sizeof(*v));
		if (!v) {
			t->lost++;
			return;
		}
		t->events = v;
		t->cap = cap;
	}
	t->events[t->nevents++] = (struct tree_event){dent_ref(d), what};
}

void tree_event(struct tree *t, struct dent *d, enum core_change what)
{
	if (d->alive && d->cookie <= t->batch)
		queue(t, d, what);
}

static void announce(struct tree *t, struct dent *d)
{
	if (!t->quiet)
		queue(t, d, CORE_NEW);
}

/* --- children --- */

static int reserve_slot(struct dent_dir *dir)
{
	if (dir->n < dir->cap)
		return 0;
	uint32_t cap = dir->cap ? dir->cap * 2 : 1; /* many directories hold one name */
	struct dent_slot *s = mem_realloc(dir->slots, cap, sizeof(*s));
	if (!s)
		return -ENOMEM;
	dir->slots = s;
	dir->cap = cap;
	return 0;
}

/* Index of the first slot with a cookie above `cookie`. */
static size_t slot_after(const struct dent_dir *dir, uint64_t cookie)
{
	size_t low = 0, high = dir->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (dir->slots[mid].cookie <= cookie)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void compact(struct dent_dir *dir)
{
	uint32_t n = 0;
	if (dir->n - dir->live <= dir->live + SLACK)
		return;
	for (uint32_t i = 0; i < dir->n; i++)
		if (dir->slots[i].d)
			dir->slots[n++] = dir->slots[i];
	dir->n = n;
}

static void remove_slot(struct dent *d)
{
	struct dent_dir *dir = d->parent->dir;
	size_t i = slot_after(dir, d->cookie - 1);
	assert(i < dir->n && dir->slots[i].d == d);
	dir->slots[i].d = NULL;
	dir->live--;
	compact(dir);
}

int tree_each(const struct dent *dir, uint64_t cookie,
	int (*emit)(void *arg, const struct core_dirent *de), void *arg)
{
	int r = 0;
	for (size_t i = slot_after(dir->dir, cookie); i < dir->dir->n && r == 0; i++) {
		struct dent_slot *s = &dir->dir->slots[i];
		struct core_dirent de = {.dent = s->d, .cookie = s->cookie};
		if (!s->d)
			continue;
		de.name = dent_basename(s->d);
		r = emit(arg, &de);
	}
	return r;
}

/* --- making and ending dents --- */

static uint64_t path_hash(const char *path)
{
	return ptab_hash(path, strlen(path), SEED_PATH);
}

static bool same_path(const void *p, const void *key)
{
	return !strcmp(((const struct dent *)p)->path, key);
}

struct dent *tree_find(const struct tree *t, const char *path)
{
	return ptab_find(&t->paths, path_hash(path), same_path, path);
}

static void free_part(struct part_of *p)
{
	if (!p)
		return;
	mem_free(p->key);
	mem_free(p->field);
	mem_free(p);
}

static int make_part(const struct shown *s, struct part_of **ret)
{
	if (!s->key && !s->field)
		return 0;
	struct part_of *p = mem_calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->key = mem_strdup(s->key);
	p->field = mem_strdup(s->field);
	if ((s->key && !p->key) || (s->field && !p->field)) {
		free_part(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

static void free_dent(struct tree *t, struct dent *d)
{
	subject_unref(t, d->subject);
	free_part(d->part);
	if (d->dir)
		mem_free(d->dir->slots);
	mem_free(d->dir);
	mem_free(d);
}

void tree_unref(struct tree *t, struct dent *d)
{
	while (d && atomic_fetch_sub(&d->refs, 1) == 1) {
		struct dent *parent = d->parent;
		if (d->kind == CORE_UNKNOWN && d->alive)
			ptab_del(&t->paths, path_hash(d->path), d);
		free_dent(t, d);
		d = parent;
	}
}

/* A dent in no table yet. */
static struct dent *alloc_dent(struct dent *parent, const char *path, enum core_kind kind)
{
	size_t len = strlen(path);
	const char *slash = strrchr(path, '/');
	if (len > SFS_PATH_MAX)
		return NULL;
	struct dent *d = mem_calloc(1, sizeof(*d) + len + 1);
	if (!d)
		return NULL;
	memcpy(d->path, path, len);
	atomic_init(&d->refs, 1);
	d->kind = (uint8_t)kind;
	d->base = slash ? (uint16_t)(slash + 1 - path) : 0;
	d->parent = parent;
	if (kind == CORE_DIR && !(d->dir = mem_calloc(1, sizeof(*d->dir)))) {
		mem_free(d);
		return NULL;
	}
	return d;
}

/* Puts a new dent into table and directory; the tree has one reference then. */
static int attach(struct tree *t, struct dent *d)
{
	if (reserve_slot(d->parent->dir) < 0 || ptab_add(&t->paths, path_hash(d->path), d) < 0)
		return -ENOMEM;
	struct dent_dir *dir = d->parent->dir;
	dent_ref(d->parent);
	d->cookie = ++t->next_cookie;
	dir->slots[dir->n++] = (struct dent_slot){d->cookie, d};
	dir->live++;
	d->alive = true;
	return 0;
}

struct dent *tree_new_dir(struct tree *t, struct dent *parent, const char *path)
{
	struct dent *d = alloc_dent(parent, path, CORE_DIR);
	if (!d)
		return NULL;
	if (attach(t, d) < 0) {
		d->parent = NULL;
		free_dent(t, d);
		return NULL;
	}
	announce(t, d);
	return d;
}

int tree_new_file(struct tree *t, struct dent *parent, const char *path, const struct shown *s)
{
	struct dent *d = alloc_dent(parent, path, CORE_SECRET);
	if (!d)
		return -ENOMEM;
	if (make_part(s, &d->part) < 0 || attach(t, d) < 0) {
		d->parent = NULL;
		free_dent(t, d);
		return -ENOMEM;
	}
	d->pol = s->pol;
	d->mapped = s->mapped;
	tree_link_subject(d, s->subject);
	announce(t, d);
	return 0;
}

/* Out of the tree; whoever has it open keeps it. */
void tree_end_dent(struct tree *t, struct dent *d)
{
	tree_event(t, d, CORE_GONE);
	d->alive = false;
	tree_unlink_subject(d);
	ptab_del(&t->paths, path_hash(d->path), d);
	remove_slot(d);
	tree_unref(t, d);
}

/* A provisional name that now exists, or cannot: what has it open goes on with the subject. */
void tree_end_unknown(struct tree *t, struct dent *d, struct subject *s)
{
	ptab_del(&t->paths, path_hash(d->path), d);
	d->alive = false;
	if (s && !d->subject) {
		s->refs++;
		d->subject = s;
	}
}

void tree_found(struct tree *t, struct dent *d, struct subject *s)
{
	if (d->alive) {
		tree_end_unknown(t, d, s);
	} else if (!d->subject) {
		s->refs++;
		d->subject = s;
	}
}

struct dent *tree_unknown(struct tree *t, struct dent *dir, const char *path)
{
	struct dent *d = alloc_dent(dir, path, CORE_UNKNOWN);
	if (!d)
		return NULL;
	if (ptab_add(&t->paths, path_hash(path), d) < 0) {
		mem_free(d);
		return NULL;
	}
	dent_ref(dir);
	d->alive = true;
	return d;
}

/* --- the whole --- */

int tree_init(struct tree *t)
{
	*t = (struct tree){0};
	struct dent *root = alloc_dent(NULL, "", CORE_DIR);
	if (!root || ptab_add(&t->paths, path_hash(""), root) < 0) {
		if (root)
			free_dent(t, root);
		return -ENOMEM;
	}
	root->alive = root->fixed = true;
	t->root = root;
	return 0;
}

void tree_clear(struct tree *t)
{
	size_t pos = 0;
	struct dent *d;
	for (size_t i = 0; i < t->nevents; i++)
		tree_unref(t, t->events[i].d);
	mem_free(t->events);
	/* Every dent of the table; parents are freed by whoever is the last child. */
	while ((d = ptab_next(&t->paths, &pos))) {
		d->alive = false;
		tree_unlink_subject(d);
	}
	pos = 0;
	while ((d = ptab_next(&t->paths, &pos)))
		if (d->kind != CORE_UNKNOWN)
			tree_unref(t, d);
	ptab_clear(&t->paths);
	ptab_clear(&t->subjects);
	*t = (struct tree){0};
}
