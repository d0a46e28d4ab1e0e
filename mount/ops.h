/* SPDX-License-Identifier: Apache-2.0 */
/* The FUSE handlers (fuse_lowlevel_ops), each in the file of its subject, and the few helpers they
 * share. */
#ifndef SFS_MOUNT_OPS_H
#define SFS_MOUNT_OPS_H

#include "mount/park.h"

/* node.c: what a node looks like */
struct stat;
void node_stat(struct fs *fs, struct inode *in, struct stat *st);
/* Lifetimes for the kernel: zero for what must be asked each time. */
double node_attr_timeout(struct fs *fs, struct inode *in);
double node_entry_timeout(struct fs *fs, struct inode *in);
/* Fills `e` and counts one lookup. */
void node_entry(struct fs *fs, struct inode *in, struct fuse_entry_param *e);
/* Answers a LOOKUP with the node. */
void node_reply_entry(struct fs *fs, fuse_req_t req, struct inode *in);
void node_reply_attr(struct fs *fs, fuse_req_t req, struct inode *in);

/* lookup.c: names to nodes. What a name in a directory is; from memory. */
struct found {
	struct inode_key key; /* here dent is a reference and sub is owned */
};
void found_clear(struct fs *fs, struct found *f);
enum resolved {
	RESOLVED,      /* `f` is set */
	RESOLVE_NONE,  /* ENOENT */
	RESOLVE_LIST,  /* wait with core_list(f->key.dent) and ask again */
	RESOLVE_VALUE, /* a name inside the value of f->key.dent: f->key.sub is the field's path */
	RESOLVE_NOMEM,
};
enum resolved resolve(struct fs *fs, struct inode *dir, const char *name, struct found *f);
/* What a name of the tree is in a view; `sub` is that of the directory of the view. */
enum mirrored { MIRROR_NONE, MIRROR_FILE, MIRROR_DIR };
enum mirrored mirror(enum view view, const char *sub, const struct dent *d);
/* The pinned node that the kernel is to see for what was found, or NULL on no memory; and the one
 * that is current, which differs while a rename is on its way. */
struct inode *found_current(struct fs *fs, const struct found *f);
struct inode *found_inode(struct fs *fs, const struct found *f);
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* dir.c */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* file.c */
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* Sends the caller of a finished park away with ESTALE, once the kernel has seen the renames asked
 * for so far. */
void file_send_back(struct park *p);
/* The value of `d` in payload `p` as fields. */
struct fields;
int file_fields(
	struct fs *fs, struct dent *d, struct payload *p, struct fields **ret, struct sfs_err *err);
/* Registers a handle and answers OPEN. `direct`: no page cache. Takes over `bytes`. */
void file_reply_open(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi,
	struct secret *bytes, bool direct);
/* text_waiter.done of a park that opens a file of text (.meta, .control/list): its w.text. */
void file_opened_text(
	struct text_waiter *w, const char *text, size_t len, const struct sfs_err *err);

/* Answers a READ with that part of it. */
void file_reply_bytes(fuse_req_t req, struct secret *bytes, size_t size, off_t off);
void file_reply_text(fuse_req_t req, const struct buf *text, size_t size, off_t off);
/* The bytes that file `in` shows of the value: a reference. */
int file_bytes(struct fs *fs, struct inode *in, struct payload *payload, struct secret **ret,
	struct sfs_err *err);

/* fill.c: GETATTR and READ without OPEN. `held`: the caller has the file open. */
void fill_getattr(struct fs *fs, fuse_req_t req, struct inode *in, bool held);
void fill_read(struct fs *fs, fuse_req_t req, struct inode *in, size_t size, off_t off);

/* ctlfs.c: .control */
bool control_lookup(struct fs *fs, struct inode *dir, const char *name, struct found *f);
int control_snapshot(struct fs *fs, struct inode *in);
/* Asks for the names that a file of .control/list shows: the park's w.text is called. */
void control_list(struct park *p);
void control_open(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	struct fuse_file_info *fi);
void control_release(struct fs *fs, struct inode *in);
void op_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi);
/* Name of the i-th entry of .control or .control/list, or NULL at the end; *ret_dir tells
 * directories. */
const char *control_name(const struct inode *dir, size_t i, bool *ret_dir);

/* xattr.c */
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
	int flags);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

#endif
