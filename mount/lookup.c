/* SPDX-License-Identifier: Apache-2.0 */
/* LOOKUP, FORGET, GETATTR. LOOKUP is answered from memory but for the first listing and for names
 * inside a value (design section 4). */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/name.h"
#include "core/fields.h"
#include "mount/ops.h"
#include "mount/rename.h"
#include <errno.h>
#include <string.h>

static const struct view_root {
	const char *name;
	enum view view;
} view_roots[] = {
	{".versions", VIEW_VERSIONS},
	{".fields", VIEW_FIELDS},
	{".json", VIEW_JSON},
	{".nocache", VIEW_NOCACHE},
	{".meta", VIEW_META},
	{".control", VIEW_CONTROL},
};

void found_clear(struct fs *fs, struct found *f)
{
	if (f->key.dent)
		dent_unref(fs->core, f->key.dent);
	mem_free((char *)f->key.sub);
	*f = (struct found){.key.control = -1};
}

/* Hands the reference to `d` and a copy of `sub` to `f`. */
static enum resolved found(
	struct found *f, enum view view, bool is_dir, struct dent *d, const char *sub)
{
	f->key = (struct inode_key){.view = view,
		.is_dir = is_dir,
		.dent = d,
		.sub = mem_strdup(sub),
		.control = -1,
		.provisional = dent_kind(d) == CORE_UNKNOWN};
	return sub && !f->key.sub ? RESOLVE_NOMEM : RESOLVED;
}

static bool is_plain_dir(const struct dent *d)
{
	return dent_kind(d) == CORE_DIR && !dent_is_multikey(d);
}

/* "a" + "b" = "a/b", "" + "b" = "b" */
static char *join(const char *dir, const char *name)
{
	return *dir ? mem_asprintf("%s/%s", dir, name) : mem_strdup(name);
}

/* A name in a directory of .fields that lies inside a value. */
static enum resolved resolve_field(struct inode *dir, const char *name, struct found *f)
{
	char *path = join(dir->sub, name);
	enum resolved r =
		path ? found(f, VIEW_FIELDS, false, dent_ref(dir->dent), path) : RESOLVE_NOMEM;
	mem_free(path);
	return r == RESOLVED ? RESOLVE_VALUE : r;
}

/* A version: the component as the provider writes it. One that no list of versions showed is
 * provisional. */
static enum resolved resolve_version(struct inode *dir, const char *name, struct found *f)
{
	struct buf version = BUF_INIT(SFS_VERSION_MAX);
	enum resolved r = RESOLVE_NONE;
	if (name_decode(&version, name, strlen(name)) == 0) {
		bool is_dir = dent_kind(dir->dent) == CORE_DIR;
		r = found(f, VIEW_VERSIONS, is_dir, dent_ref(dir->dent), buf_text(&version));
		f->key.provisional = !is_dir;
	}
	buf_clear(&version);
	return r;
}

enum mirrored mirror(enum view view, const char *sub, const struct dent *d)
{
	const bool dir = dent_kind(d) == CORE_DIR, plain = is_plain_dir(d);
	switch (view) {
	case VIEW_FIELDS: /* the fields of a secret make it a directory */
		return MIRROR_DIR;
	case VIEW_VERSIONS: /* its versions do too; below a version of a multi-key secret stand its
			       keys */
		return sub ? MIRROR_FILE : MIRROR_DIR;
	case VIEW_META:
		return plain ? MIRROR_DIR : MIRROR_FILE;
	case VIEW_JSON:
		return plain ? MIRROR_DIR : dir ? MIRROR_FILE : MIRROR_NONE;
	default:
		return dir ? MIRROR_DIR : MIRROR_FILE;
	}
}

/* Child `d` of a directory that mirrors the tree. Takes over the reference to `d`. */
static enum resolved resolve_mirror(
	struct fs *fs, const struct inode *dir, struct dent *d, struct found *f)
{
	const enum mirrored m = mirror(dir->view, dir->sub, d);
	const bool value = dir->view == VIEW_FIELDS && dent_kind(d) != CORE_DIR;
	enum resolved r;
	if (m == MIRROR_NONE) {
		dent_unref(fs->core, d);
		return RESOLVE_NONE;
	}
	r = found(f, dir->view, m == MIRROR_DIR, d, value ? "" : dir->sub);
	return r == RESOLVED && value ? RESOLVE_VALUE : r;
}

static bool resolve_root(struct fs *fs, const char *name, struct found *f, enum resolved *ret)
{
	if (!name_is_reserved_root(name))
		return false;
	*ret = RESOLVE_NONE;
	for (size_t i = 0; i < sizeof(view_roots) / sizeof(view_roots[0]); i++)
		if (strcmp(name, view_roots[i].name) == 0)
			*ret = found(f, view_roots[i].view, true, core_root(fs->core), NULL);
	return true;
}

enum resolved resolve(struct fs *fs, struct inode *dir, const char *name, struct found *f)
{
	enum resolved r;
	struct dent *d;
	*f = (struct found){.key.control = -1};
	if (!dir->is_dir)
		return RESOLVE_NONE;
	if (dir->view == VIEW_NEXT)
		return RESOLVE_NONE; /* for others than the renamer */
	if (dir->view == VIEW_CONTROL || dir->view == VIEW_LIST)
		return control_lookup(fs, dir, name, f) ? RESOLVED : RESOLVE_NONE;
	if (dir->ino == FUSE_ROOT_ID && resolve_root(fs, name, f, &r))
		return r;
	if (dir->view == VIEW_FIELDS && dir->sub)
		return resolve_field(dir, name, f);
	if (dir->view == VIEW_VERSIONS && !dir->sub && !is_plain_dir(dir->dent))
		return resolve_version(dir, name, f);
	switch (core_lookup(fs->core, dir->dent, name, &d)) {
	case 0:
		return resolve_mirror(fs, dir, d, f);
	case -EAGAIN:
		f->key.dent = dent_ref(dir->dent);
		return RESOLVE_LIST;
	case -ENOMEM:
		return RESOLVE_NOMEM;
	default:
		return RESOLVE_NONE;
	}
}

/* What is known of a name when its node is looked for. */
struct current {
	struct core_attr attr;
	struct secret *bytes; /* of the value held, or NULL */
	uint64_t serial;
	int64_t mtime;
};

/* Binds a node that is not bound to the value held. */
static bool is_current(struct fs *fs, struct inode *in, const struct current *c)
{
	struct inode_state s;
	inode_state(fs, in, &s);
	if (in->generation != c->attr.generation || s.follows != c->attr.nocache)
		return false;
	if (c->attr.nocache)
		return true;
	if (c->bytes)
		return inode_bind(fs, in, c->serial, c->bytes, c->mtime, true) == BIND_SAME;
	return s.serial == 0 || s.serial == c->attr.serial;
}

/* A file of the tree is one version, or the name where nothing is cached: never both, because who
 * opened the version keeps its size. A rotated or purged node gets a successor. */
static struct inode *tree_file(struct fs *fs, struct inode_key *key)
{
	struct current c = {0};
	struct inode *in = NULL;
	core_attr(fs->core, key->dent, &c.attr);
	key->generation = c.attr.generation;
	key->follows = c.attr.nocache;
	if (fs->no_open && c.attr.nocache)
		return inode_obtain(fs, key, true); /* filled once, for whoever looked it up */
	if (!c.attr.nocache)
		c.bytes = core_peek(fs->core, key->dent, &c.serial, &c.mtime);
	key->serial = c.bytes ? c.serial : c.attr.serial;
	for (int tries = 0; tries < 3;
		tries++) { /* others may be changing the name at the same time */
		inode_put(fs, in);
		in = inode_obtain(fs, key, false);
		if (!in || is_current(fs, in, &c))
			break;
		inode_supersede(fs, in);
	}
	secret_unref(c.bytes);
	return in;
}

struct inode *found_inode(struct fs *fs, const struct found *f)
{
	const bool file = f->key.view == VIEW_TREE && !f->key.is_dir;
	struct inode *old = file ? rename_old(fs, f->key.dent) : NULL, *in;
	if (old)
		return old;
	in = found_current(fs, f);
	/* A change that was announced meanwhile hands out the old node until it is made: who has
	 * seen the new one before would go back. */
	old = file && in ? rename_old(fs, f->key.dent) : NULL;
	if (!old)
		return in;
	inode_put(fs, in);
	return old;
}

struct inode *found_current(struct fs *fs, const struct found *f)
{
	struct inode_key key = f->key;
	struct inode *in;
	if (key.view == VIEW_TREE && !key.is_dir)
		return tree_file(fs, &key);
	key.follows = fs->no_open && !key.is_dir && key.control < 0;
	in = inode_obtain(fs, &key, key.control >= 0 || key.follows);
	if (in && key.control >= 0 && control_snapshot(fs, in) < 0) {
		inode_put(fs, in);
		return NULL;
	}
	return in;
}

static void reply_found(struct fs *fs, fuse_req_t req, const struct found *f)
{
	struct inode *in = found_inode(fs, f);
	if (!in) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	inode_looked_up(fs, in, fuse_req_ctx(req)->pid);
	node_reply_entry(fs, req, in);
	inode_put(fs, in);
}

static void lookup_again(struct core_waiter *w, const struct sfs_err *err);
static void lookup_in_value(struct waiter *w, struct payload *payload, const struct sfs_err *err);

/* The listing is awaited once more than it can change between two looks; after that the name is not
 * there. */
#define LOOKUP_ROUNDS 3

static void lookup(struct fs *fs, fuse_req_t req, struct inode *dir, const char *name, size_t round)
{
	struct found f;
	enum resolved r = resolve(fs, dir, name, &f);
	struct park *p;
	if (r == RESOLVED)
		reply_found(fs, req, &f);
	else if (r == RESOLVE_NOMEM)
		fuse_reply_err(req, ENOMEM);
	else if (r == RESOLVE_NONE || round >= LOOKUP_ROUNDS)
		fuse_reply_err(req, ENOENT);
	else if ((p = park_make(fs, req, dir,
			  r == RESOLVE_LIST ? park_cancel_list : park_cancel_fetch))) {
		park_lookup(p);
		p->dent = take(f.key.dent);
		p->sub = (char *)take(f.key.sub);
		p->size = round + 1;
		memcpy(p->name, name, strlen(name) + 1); /* op_lookup() checked the length */
		if (r == RESOLVE_LIST) {
			p->w.list = (struct core_waiter){.done = lookup_again,
				.deadline = fs_deadline(fs),
				.payer = p->payer};
			park_arm(p);
			core_list(fs->core, p->dent, &p->w.list);
		} else {
			p->w.fetch = (struct waiter){.done = lookup_in_value,
				.deadline = fs_deadline(fs),
				.payer = p->payer};
			park_arm(p);
			core_fetch(fs->core, p->dent, NULL, FETCH_CACHED, &p->w.fetch);
		}
	}
	found_clear(fs, &f);
}

static void lookup_again(struct core_waiter *w, const struct sfs_err *err)
{
	struct park *p = park_of(w, list);
	if (park_finish(p)) {
		/* Who may not list may read all the same, by name. */
		if (err && err->code != EACCES)
			fuse_reply_err(p->req, err->code);
		else
			lookup(p->fs, p->req, p->inode, p->name, p->size);
	}
	park_put(p);
}

/* The value of p->dent is here: is there a field p->sub? */
static int field_node(
	struct park *p, struct payload *payload, struct inode **ret, struct sfs_err *err)
{
	struct inode_key key = {.view = VIEW_FIELDS, .dent = p->dent, .sub = p->sub, .control = -1};
	struct secret *bytes = NULL;
	struct fields *fields;
	enum field_kind kind;
	int r = file_fields(p->fs, p->dent, payload, &fields, err);
	if (r < 0)
		return r;
	kind = fields_kind(fields, p->sub);
	key.is_dir = kind == FIELD_OBJECT;
	key.follows = p->fs->no_open && !key.is_dir;
	if (kind == FIELD_NONE)
		r = -ENOENT;
	else if (kind == FIELD_VALUE)
		r = fields_get(fields, p->sub, &bytes, err);
	fields_free(fields);
	if (r == 0 && !(*ret = inode_obtain(p->fs, &key, key.follows)))
		r = -ENOMEM;
	if (r == 0 && key.follows)
		inode_put_bytes(
			p->fs, *ret, bytes, payload->version, payload->serial, payload->created);
	else if (r == 0)
		inode_show(p->fs, *ret, bytes ? secret_len(bytes) : 0, payload->created);
	secret_unref(bytes);
	return r;
}

static void lookup_in_value(struct waiter *w, struct payload *payload, const struct sfs_err *err)
{
	struct park *p = park_of(w, fetch);
	struct inode *in = NULL;
	struct sfs_err e;
	if (park_finish(p)) {
		int r = err ? -err->code : field_node(p, payload, &in, &e);
		if (r < 0)
			fuse_reply_err(p->req, -r);
		else
			node_reply_entry(p->fs, p->req, in);
		inode_put(p->fs, in);
	}
	park_put(p);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct inode *dir;
	if (strlen(name) > SFS_COMPONENT_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	dir = inode_get(fs, parent);
	if (!dir)
		fuse_reply_err(req, ESTALE);
	else if (!rename_lookup(fs, req, dir, name))
		lookup(fs, req, dir, name, 0);
	inode_put(fs, dir);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	inode_forget(fs_of(req), ino, n);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		inode_forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* A name that nobody has confirmed: the provider was asked. */
static void getattr_confirmed(struct waiter *w, struct payload *payload, const struct sfs_err *err)
{
	struct park *p = park_of(w, fetch);
	struct secret *bytes = NULL;
	struct core_attr a;
	struct sfs_err e;
	if (park_finish(p)) {
		int r = err ? -err->code
			    : core_select(p->fs->core, p->inode->dent, payload, &bytes, &e);
		core_attr(p->fs->core, p->inode->dent, &a);
		if (r == 0 && a.nocache)
			inode_hand(p->fs, p->inode, bytes, payload, p->tid);
		else if (r == 0)
			inode_bind(
				p->fs, p->inode, payload->serial, bytes, payload->created, false);
		if (r < 0)
			fuse_reply_err(p->req, -r);
		else
			node_reply_attr(p->fs, p->req, p->inode);
		secret_unref(bytes);
	}
	park_put(p);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs, ino);
	struct inode_state s;
	struct park *p;
	if (!in) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	inode_state(fs, in, &s);
	if (fs->no_open && !in->is_dir) {
		fill_getattr(fs, req, in, fi != NULL);
	} else if (!s.provisional || (in->view != VIEW_TREE && in->view != VIEW_VERSIONS)) {
		node_reply_attr(fs, req, in);
	} else if ((p = park_make(fs, req, in, park_cancel_fetch))) {
		p->w.fetch = (struct waiter){
			.done = getattr_confirmed, .deadline = fs_deadline(fs), .payer = p->payer};
		park_arm(p);
		core_fetch(fs->core, in->dent, in->sub, FETCH_CACHED, &p->w.fetch);
	}
	inode_put(fs, in);
}
