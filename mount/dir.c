/* SPDX-License-Identifier: Apache-2.0 */
/* OPENDIR, READDIR, READDIRPLUS, RELEASEDIR. Only OPENDIR may be parked. */
#include "base/alloc.h"
#include "base/name.h"
#include "core/fields.h"
#include "mount/ops.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define UNKNOWN_INO  0xffffffffu /* d_ino of a name that has no node yet */
#define FIRST_COOKIE 2		 /* "." is 1, ".." is 2, names follow */
#define BATCH	     128	 /* names copied under the tree lock at once */

static void reply_opendir(
	struct fs *fs, fuse_req_t req, struct handle *h, struct fuse_file_info *fi)
{
	if (!h) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	fi->fh = h->id;
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_close(fs, fi->fh);
}

/* The names of a handle are complete, or could not be made. */
static void reply_listed(struct park *p, struct handle *h, int r)
{
	if (r == 0) {
		h->listed = true;
		reply_opendir(p->fs, p->req, h, &p->fi);
		return;
	}
	if (h)
		handle_close(p->fs, h->id);
	fuse_reply_err(p->req, -r);
}

/* Adds one name to the listing a handle carries. */
static int handle_name(struct handle *h, char *name, unsigned char type)
{
	if ((h->nnames & (h->nnames + 1)) == 0) { /* grows at 0, 1, 3, 7, ... */
		char **names = mem_realloc(h->names, 2 * h->nnames + 1, sizeof(*names));
		unsigned char *types = names ? mem_realloc(h->types, 2 * h->nnames + 1, 1) : NULL;
		if (names)
			h->names = names;
		if (types)
			h->types = types;
		if (!types) {
			mem_free(name);
			return -ENOMEM;
		}
	}
	h->names[h->nnames] = name;
	h->types[h->nnames++] = type;
	return 0;
}

static void opened_tree(struct core_waiter *w, const struct sfs_err *err)
{
	struct park *p = park_of(w, list);
	if (park_finish(p)) {
		if (err)
			fuse_reply_err(p->req, err->code);
		else
			reply_opendir(
				p->fs, p->req, handle_new(p->fs, p->inode, NULL, false), &p->fi);
	}
	park_put(p);
}

static void opened_versions(
	struct versions_waiter *w, const char *const *versions, size_t n, const struct sfs_err *err)
{
	struct park *p = park_of(w, versions);
	unsigned char type = dent_kind(p->inode->dent) == CORE_DIR ? DT_DIR : DT_REG;
	struct handle *h = NULL;
	int r = err ? -err->code : 0;
	if (park_finish(p)) {
		if (r == 0 && !(h = handle_new(p->fs, p->inode, NULL, false)))
			r = -ENOMEM;
		for (size_t i = 0; r == 0 && i < n; i++) {
			struct buf name = BUF_INIT(SFS_PATH_MAX);
			char *text;
			r = name_encode_component(&name, versions[i], strlen(versions[i]), false);
			text = r == 0 ? buf_take(&name) : NULL;
			r = text ? handle_name(h, text, type) : r == -EINVAL ? 0 : -ENOMEM;
			buf_clear(&name);
		}
		reply_listed(p, h, r);
	}
	park_put(p);
}

static int add_field(void *arg, const char *name, enum field_kind kind)
{
	char *copy = mem_strdup(name);
	return copy ? handle_name(arg, copy, kind == FIELD_OBJECT ? DT_DIR : DT_REG) : -ENOMEM;
}

static void opened_fields(struct waiter *w, struct payload *payload, const struct sfs_err *err)
{
	struct park *p = park_of(w, fetch);
	struct fields *fields = NULL;
	struct handle *h = NULL;
	struct sfs_err e;
	if (park_finish(p)) {
		int r = err ? -err->code : file_fields(p->fs, p->inode->dent, payload, &fields, &e);
		if (r == 0 && fields_kind(fields, p->inode->sub) != FIELD_OBJECT)
			r = -ENOENT;
		if (r == 0 && !(h = handle_new(p->fs, p->inode, NULL, false)))
			r = -ENOMEM;
		if (r == 0)
			r = fields_each(fields, p->inode->sub, add_field, h);
		fields_free(fields);
		reply_listed(p, h, r);
	}
	park_put(p);
}

static void opendir_park(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi)
{
	const bool fields = in->view == VIEW_FIELDS && in->sub;
	const bool versions = in->view == VIEW_VERSIONS && !in->sub &&
			      (dent_kind(in->dent) != CORE_DIR || dent_is_multikey(in->dent));
	struct park *p = park_make(fs, req, in,
		fields	   ? park_cancel_fetch
		: versions ? NULL
			   : park_cancel_list);
	if (!p)
		return;
	p->fi = *fi;
	if (fields) {
		p->w.fetch = (struct waiter){
			.done = opened_fields, .deadline = fs_deadline(fs), .payer = p->payer};
		park_arm(p);
		core_fetch(fs->core, in->dent, NULL, FETCH_CACHED, &p->w.fetch);
	} else if (versions) {
		p->w.versions = (struct versions_waiter){
			.done = opened_versions, .deadline = fs_deadline(fs)};
		park_arm(p);
		core_versions(fs->core, in->dent, &p->w.versions);
	} else {
		p->w.list = (struct core_waiter){
			.done = opened_tree, .deadline = fs_deadline(fs), .payer = p->payer};
		park_arm(p);
		core_list(fs->core, in->dent, &p->w.list);
	}
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs, ino);
	if (!in)
		fuse_reply_err(req, ESTALE);
	else if (!in->is_dir)
		fuse_reply_err(req, ENOTDIR);
	else if (in->view == VIEW_CONTROL || in->view == VIEW_LIST)
		reply_opendir(fs, req, handle_new(fs, in, NULL, false), fi);
	else
		opendir_park(fs, req, in, fi);
	inode_put(fs, in);
}

/* One READDIR or READDIRPLUS answer being filled. */
struct filler {
	struct fs *fs;
	fuse_req_t req;
	struct inode *dir;
	struct handle *h;
	bool plus;
	char *buf;
	size_t size, used;
};

/* False: the entry did not fit, and nothing of it counts. `in` may be NULL: a name without a node.
 */
static bool fill(struct filler *f, const char *name, struct inode *in, mode_t type, uint64_t cookie)
{
	struct fuse_entry_param e = {
		.attr = {.st_ino = in ? inode_number(f->fs, in) : UNKNOWN_INO, .st_mode = type}};
	size_t room = f->size - f->used, need;
	if (f->plus && in && f->dir != in)
		node_entry(f->fs, in, &e);
	need = f->plus ? fuse_add_direntry_plus(
				 f->req, f->buf + f->used, room, name, &e, (off_t)cookie)
		       : fuse_add_direntry(
				 f->req, f->buf + f->used, room, name, &e.attr, (off_t)cookie);
	if (need > room) {
		if (e.ino)
			inode_forget(f->fs, e.ino, 1);
		return false;
	}
	f->used += need;
	return true;
}

struct batch {
	struct {
		char *name;
		struct dent *dent;
		uint64_t cookie;
	} item[BATCH];
	size_t n;
	bool failed;
};

static int batch_add(void *arg, const struct core_dirent *de)
{
	struct batch *b = arg;
	char *name;
	if (b->n == BATCH)
		return 1;
	name = mem_strdup(de->name);
	if (!name) {
		b->failed = true;
		return -ENOMEM;
	}
	b->item[b->n].name = name;
	b->item[b->n].dent = dent_ref(de->dent);
	b->item[b->n++].cookie = de->cookie;
	return 0;
}

/* A child in a directory that mirrors the tree. With READDIRPLUS names of the tree get their nodes;
 * nothing is fetched for that. */
static bool fill_child(struct filler *f, const char *name, struct dent *d, uint64_t cookie)
{
	const enum mirrored m = mirror(f->dir->view, f->dir->sub, d);
	struct found found = {
		.key = {.view = f->dir->view, .is_dir = m == MIRROR_DIR, .dent = d, .control = -1}};
	struct inode *in = NULL;
	bool ok;
	if (m == MIRROR_NONE)
		return true;
	if (f->dir->view == VIEW_TREE)
		in = f->plus ? found_inode(f->fs, &found) : inode_of(f->fs, VIEW_TREE, d);
	ok = fill(f, name, in, m == MIRROR_DIR ? S_IFDIR : S_IFREG, cookie);
	inode_put(f->fs, in);
	return ok;
}

static int fill_tree(struct filler *f, uint64_t cookie)
{
	struct batch *b = mem_calloc(1, sizeof(*b));
	bool more = true, full = false;
	if (!b)
		return -ENOMEM;
	while (more && !full) {
		b->n = 0;
		core_readdir(f->fs->core, f->dir->dent, cookie, batch_add, b);
		more = b->n == BATCH;
		for (size_t i = 0; i < b->n; i++) {
			cookie = b->item[i].cookie;
			full = full || !fill_child(f, b->item[i].name, b->item[i].dent,
					       cookie + FIRST_COOKIE);
			dent_unref(f->fs->core, b->item[i].dent);
			mem_free(b->item[i].name);
		}
	}
	more = b->failed && f->used == 0;
	mem_free(b);
	return more ? -ENOMEM : 0;
}

static void fill_names(struct filler *f, uint64_t i)
{
	for (; i < f->h->nnames; i++)
		if (!fill(f, f->h->names[i], NULL, DTTOIF(f->h->types[i]), i + 1 + FIRST_COOKIE))
			return;
}

static void fill_control(struct filler *f, uint64_t i)
{
	const char *name;
	bool dir;
	for (; (name = control_name(f->dir, i, &dir)); i++)
		if (!fill(f, name, NULL, dir ? S_IFDIR : S_IFREG, i + 1 + FIRST_COOKIE))
			return;
}

static int fill_from(struct filler *f, uint64_t off)
{
	if (off == 0 && !fill(f, ".", f->dir, S_IFDIR, 1))
		return 0;
	if (off <= 1 && !fill(f, "..", NULL, S_IFDIR, FIRST_COOKIE))
		return 0;
	off = off < FIRST_COOKIE ? 0 : off - FIRST_COOKIE;
	if (f->dir->view == VIEW_CONTROL || f->dir->view == VIEW_LIST)
		fill_control(f, off);
	else if (f->h->listed)
		fill_names(f, off);
	else
		return fill_tree(f, off);
	return 0;
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, uint64_t fh, bool plus)
{
	struct fs *fs = fs_of(req);
	struct filler f = {.fs = fs, .req = req, .plus = plus, .size = size};
	int r = -ESTALE;
	f.h = handle_get(fs, fh);
	f.dir = f.h ? f.h->inode : NULL;
	if (f.dir && f.dir->ino == ino && f.dir->is_dir) {
		f.buf = mem_calloc(1, size);
		r = f.buf ? fill_from(&f, (uint64_t)off) : -ENOMEM;
	}
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_buf(req, f.buf, f.used);
	mem_free(f.buf);
	handle_put(fs, f.h);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	read_dir(req, ino, size, off, fi->fh, false);
}

void op_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	read_dir(req, ino, size, off, fi->fh, true);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	handle_close(fs_of(req), fi->fh);
	fuse_reply_err(req, 0);
}
