/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .control: each LOOKUP gives a fresh inode that holds a snapshot of the answer with its exact
 * size, so no control file needs an open handle (design section 1). A write is carried out by the
 * core and answered when the work is done and the kernel has dropped what it had to drop.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/name.h"
#include "mount/eventfile.h"
#include "mount/notify.h"
#include "mount/ops.h"
#include "mount/rename.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#define STDIO_BLOCK                                                                                \
	4096 /* stdio cuts long output here: a write of this size or more may end in the middle of \
		a line */

/* The filter written to list/query last, read back by opening it. */
static pthread_mutex_t query_lock = PTHREAD_MUTEX_INITIALIZER;
static char *query;

#define LIST_DIR "list"
static const char *const list_names[] = {"all", "query"};

static bool in_root(enum control_file f)
{
	return f != CONTROL_LIST_ALL;
}

const char *control_name(const struct inode *dir, size_t i, bool *ret_dir)
{
	size_t seen = 0;
	*ret_dir = false;
	if (dir->view == VIEW_LIST)
		return i < sizeof(list_names) / sizeof(list_names[0]) ? list_names[i] : NULL;
	for (size_t f = 0; f < CONTROL_N; f++)
		if (in_root(f) && seen++ == i)
			return control_rows[f].name;
	*ret_dir = seen == i;
	return seen == i ? LIST_DIR : NULL;
}

bool control_lookup(struct fs *fs, struct inode *dir, const char *name, struct found *f)
{
	f->key = (struct inode_key){.view = dir->view, .control = -1};
	if (dir->view == VIEW_LIST) { /* any name is a filter */
		f->key.sub = mem_strdup(name);
		f->key.control = CONTROL_LIST_ALL;
		f->key.dent = core_root(fs->core);
		return f->key.sub != NULL;
	}
	if (strcmp(name, LIST_DIR) == 0) {
		f->key.view = VIEW_LIST;
		f->key.is_dir = true;
		f->key.dent = core_root(fs->core);
		return true;
	}
	for (size_t i = 0; i < CONTROL_N; i++)
		if (in_root(i) && strcmp(name, control_rows[i].name) == 0)
			f->key.control = (int)i;
	if (f->key.control < 0)
		return false;
	f->key.dent = core_root(fs->core);
	return true;
}

int control_snapshot(struct fs *fs, struct inode *in)
{
	if (in->view == VIEW_CONTROL && in->control == CONTROL_EVENTS)
		return eventfile_begin(fs, in);
	return in->view == VIEW_CONTROL ? core_control_read(fs->core, in->control, &in->text) : 0;
}

/* What a name in .control/list stands for: "all", the stored query, or the name itself as a filter
 * with its %XX decoded. */
static char *list_filter(const struct inode *in)
{
	struct buf decoded = BUF_INIT(SFS_FILTER_MAX);
	char *filter;
	if (strcmp(in->sub, "all") == 0)
		return mem_strdup("*");
	if (strcmp(in->sub, "query") != 0) {
		filter = name_decode(&decoded, in->sub, strlen(in->sub)) == 0 ? buf_take(&decoded)
									      : mem_strdup(in->sub);
		buf_clear(&decoded);
		return filter;
	}
	pthread_mutex_lock(&query_lock);
	filter = mem_strdup(query ? query : "*");
	pthread_mutex_unlock(&query_lock);
	return filter;
}

void control_list(struct park *p)
{
	p->sub = list_filter(p->inode);
	if (p->sub)
		core_control_list(p->fs->core, p->sub, &p->w.text);
	else
		p->w.text.done(&p->w.text, NULL, 0, &(struct sfs_err){.code = ENOMEM});
}

static void open_list(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi)
{
	struct park *p = park_new(fs, req, in, NULL);
	if (!p)
		return;
	p->fi = *fi;
	p->w.text = (struct text_waiter){.done = file_opened_text, .deadline = fs_deadline(fs)};
	control_list(p);
}

void control_open(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi)
{
	const bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	const bool writable = in->view == VIEW_LIST ? strcmp(in->sub, "query") == 0
						    : control_rows[in->control].writable;
	if (writes && !writable)
		fuse_reply_err(req, EROFS);
	else if (eventfile_is(in))
		eventfile_open(fs, req, in, fi);
	else if (in->view == VIEW_LIST && !writes)
		open_list(fs, req, in, fi);
	else
		file_reply_open(fs, req, in, fi, NULL, true);
}

static void answer_write(void *arg)
{
	struct park *p = arg;
	if (p->fs->no_open)
		inode_await_rest(p->fs, p->inode); /* no RELEASE will come */
	if (p->errnum)
		fuse_reply_err(p->req, p->errnum);
	else
		fuse_reply_write(p->req, p->size);
	park_put(p);
}

static void written_and_renamed(void *arg)
{
	struct park *p = arg;
	notify_then(p->fs, answer_write, p);
}

static void written(struct control_waiter *w, const struct sfs_err *err)
{
	struct park *p = park_of(w, control);
	if (!park_finish(p)) {
		park_put(p);
		return;
	}
	p->errnum = err ? err->code : 0;
	rename_then(p->fs, written_and_renamed, p);
}

static bool cancel_write(struct park *p)
{
	return core_control_cancel(p->fs->core, &p->w.control);
}

/* Protects inode.pending: the kernel lets one write to an inode through at a time, but not one
 * write and a release of another handle. */
static pthread_mutex_t pending_lock = PTHREAD_MUTEX_INITIALIZER;

/* Whole lines of the pending text and `data`; what remains stays pending unless `last`. 0, -ENOMEM,
 * -EFBIG. */
static int take_lines(struct inode *in, const char *data, size_t size, bool last, struct buf *ret)
{
	const char *end = last ? NULL : memrchr(data, '\n', size);
	size_t whole = last ? size : end ? (size_t)(end - data) + 1 : 0;
	if (whole) {
		buf_add(ret, in->pending.data, in->pending.len);
		buf_add(ret, data, whole);
		if (ret->failed)
			return -ret->failed;
	}
	if (whole || last)
		buf_reset(&in->pending);
	return buf_add(
		&in->pending, data + whole, size - whole); /* too long once is too long for good */
}

static void store_query(fuse_req_t req, const char *data, size_t size)
{
	const size_t written_size = size;
	char *text, *old;
	if (size && data[size - 1] == '\n')
		size--;
	if (size == 0 || size > SFS_FILTER_MAX || memchr(data, '\0', size) ||
		memchr(data, '\n', size)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	text = mem_strndup(data, size);
	if (!text) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	pthread_mutex_lock(&query_lock);
	old = query;
	query = text;
	pthread_mutex_unlock(&query_lock);
	mem_free(old);
	fuse_reply_write(req, written_size);
}

static void write_commands(
	struct fs *fs, fuse_req_t req, struct inode *in, const char *data, size_t size)
{
	const bool last = size < STDIO_BLOCK || data[size - 1] == '\n';
	struct buf lines = BUF_INIT(2 * SFS_CONTROL_WRITE_MAX);
	struct park *p;
	int r;

	pthread_mutex_lock(&pending_lock);
	r = take_lines(in, data, size, last, &lines);
	pthread_mutex_unlock(&pending_lock);
	if (r < 0) {
		buf_clear(&lines);
		fuse_reply_err(req, r == -EFBIG ? E2BIG : ENOMEM); /* a line longer than any name */
		return;
	}
	if (lines.len == 0) {
		if (fs->no_open)
			inode_await_rest(fs, in);
		fuse_reply_write(req, size);
	} else if ((p = park_make(fs, req, in, cancel_write))) {
		p->size = size;
		p->w.control = (struct control_waiter){
			.done = written, .deadline = fs_control_deadline(fs)};
		park_arm(p);
		core_control_write(fs->core, in->control, lines.data, lines.len, &p->w.control);
	}
	buf_clear(&lines);
}

/* The kernel has put what was to be written into its pages: they go. */
static void refuse_write(struct fs *fs, fuse_req_t req, struct inode *in)
{
	notify_inode(fs, in);
	fuse_reply_err(req, EROFS);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = fs->no_open ? NULL : handle_get(fs, fi->fh);
	struct inode *in = inode_get(fs, ino);
	(void)off; /* commands are a stream: appending, truncating and rewriting shells all mean the
		      same */
	if (!in || (!fs->no_open && (!h || h->inode != in)))
		fuse_reply_err(req, ESTALE);
	else if (in->is_dir)
		fuse_reply_err(req, EISDIR);
	else if (in->view == VIEW_LIST && strcmp(in->sub, "query") == 0)
		store_query(req, data, size);
	else if (in->view != VIEW_CONTROL || !control_rows[in->control].writable)
		refuse_write(fs, req, in);
	else if (size == 0)
		fuse_reply_write(req, 0);
	else
		write_commands(fs, req, in, data, size);
	inode_put(fs, in);
	handle_put(fs, h);
}

static void released(struct control_waiter *w, const struct sfs_err *err)
{
	if (err)
		log_warn("last line of a control file: %s", err->msg);
	mem_free(w);
}

/* The last line of a long write that no further write completed is carried out when the file is
 * closed; nobody waits for that. */
void control_release(struct fs *fs, struct inode *in)
{
	struct control_waiter *w;
	struct buf rest;
	pthread_mutex_lock(&pending_lock);
	rest = in->pending;
	in->pending = (struct buf)BUF_INIT(SFS_CONTROL_LINE_MAX);
	pthread_mutex_unlock(&pending_lock);
	w = rest.len ? mem_calloc(1, sizeof(*w)) : NULL;
	if (w) {
		w->done = released;
		w->deadline = CLOCK_NEVER;
		core_control_write(fs->core, in->control, rest.data, rest.len, w);
	}
	buf_clear(&rest);
}

/* Shells truncate a control file before they write; that is well. Everything else that changes a
 * node is not. */
void op_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	const int truncating = FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW |
			       FUSE_SET_ATTR_CTIME | FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW;
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs, ino);
	const bool ours = in && !in->is_dir && (in->view == VIEW_CONTROL || in->view == VIEW_LIST);
	(void)fi;
	if (!in)
		fuse_reply_err(req, ESTALE);
	else if (ours && (to_set & FUSE_SET_ATTR_SIZE) && !(to_set & ~truncating) &&
		 attr->st_size == 0)
		node_reply_attr(fs, req, in);
	else
		fuse_reply_err(req, EROFS);
	inode_put(fs, in);
}
