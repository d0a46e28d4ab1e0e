/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "mount/eventfile.h"
#include "mount/ops.h"
#include <errno.h>
#include <sys/stat.h>

#define BLOCK 512

static struct timespec ns_time(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};
}

int64_t fs_deadline(const struct fs *fs)
{
	int64_t bound = fs->timeout < fs->park_limit ? fs->timeout : fs->park_limit;
	return clock_boot() + bound;
}

int64_t fs_control_deadline(const struct fs *fs)
{
	return fs->park_limit == CLOCK_NEVER ? CLOCK_NEVER : clock_boot() + fs->park_limit;
}

/* Who may look: a directory in a view of one secret carries that secret's owner, and its mode with
 * x where it has r. */
static mode_t dir_mode(const struct inode *in, const struct core_attr *a)
{
	if (in->view == VIEW_CONTROL || in->view == VIEW_LIST || in->view == VIEW_NEXT)
		return 0700;
	if (dent_kind(in->dent) != CORE_DIR)
		return a->mode | (a->mode & 0444) >> 2;
	return a->mode;
}

static mode_t file_mode(const struct inode *in, const struct core_attr *a)
{
	if (in->view == VIEW_LIST)
		return 0600;
	if (in->view == VIEW_CONTROL)
		return control_rows[in->control].writable ? 0600 : 0400;
	return a->mode;
}

void node_stat(struct fs *fs, struct inode *in, struct stat *st)
{
	struct core_attr a;
	struct inode_state s;
	uint64_t size = 0;
	if (!in->is_dir && dent_kind(in->dent) == CORE_DIR && in->control < 0)
		core_view_attr(
			fs->core, in->dent, &a); /* a multi-key secret as one file: .json, .meta */
	else
		core_attr(fs->core, in->dent, &a);
	inode_state(fs, in, &s);
	*st = (struct stat){.st_ino = inode_number(fs, in),
		.st_uid = a.uid,
		.st_gid = a.gid,
		.st_blksize = 4096};
	if (in->is_dir) {
		st->st_mode = S_IFDIR | dir_mode(in, &a);
		st->st_nlink = 2;
	} else {
		st->st_mode = S_IFREG | file_mode(in, &a);
		/* As of a file that was replaced: its watchers hear of its end when it is closed.
		 */
		st->st_nlink = s.superseded && in->view == VIEW_TREE ? 0 : 1;
		size = in->view == VIEW_CONTROL ? in->text.len : s.size;
		if (in->view == VIEW_TREE && s.serial == 0 && !s.size)
			size = a.size; /* of the value read before */
	}
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((size + BLOCK - 1) / BLOCK);
	st->st_mtim = ns_time(s.mtime ? s.mtime : a.mtime ? a.mtime : fs->mounted);
	st->st_ctim = st->st_atim = st->st_mtim;
	if (eventfile_is(in))
		eventfile_stat(fs, in, st);
}

/* Until the version bound may have to be asked for again. */
static double time_left(const struct inode_state *s, const struct core_attr *a)
{
	int64_t left = a->serial == s->serial ? a->valid_until - clock_boot() : 0;
	if (left <= 0)
		return 0;
	return left < FS_TIMEOUT_MAX * NSEC_PER_SEC ? (double)left / NSEC_PER_SEC : FS_TIMEOUT_MAX;
}

double node_entry_timeout(struct fs *fs, struct inode *in)
{
	struct inode_state s;
	struct core_attr a;
	inode_state(fs, in, &s);
	if (in->view != VIEW_TREE || s.provisional || (fs->no_open && s.follows))
		return 0;
	if (!fs->no_open || in->is_dir || !s.serial)
		return FS_TIMEOUT;
	core_attr(fs->core, in->dent, &a);
	return time_left(&s, &a);
}

double node_attr_timeout(struct fs *fs, struct inode *in)
{
	struct inode_state s;
	struct core_attr a;
	if (in->is_dir)
		return in->view == VIEW_TREE ? FS_TIMEOUT : 0;
	if (in->view != VIEW_TREE && in->view != VIEW_VERSIONS)
		return 0;
	inode_state(fs, in, &s);
	core_attr(fs->core, in->dent, &a);
	if (!s.serial || s.follows || s.provisional || a.nocache)
		return 0;
	if (!fs->no_open)
		return FS_TIMEOUT;
	return s.superseded ? 0 : time_left(&s, &a);
}

void node_entry(struct fs *fs, struct inode *in, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){.ino = in->ino, .generation = 1};
	e->entry_timeout = node_entry_timeout(fs, in);
	e->attr_timeout = node_attr_timeout(fs, in);
	node_stat(fs, in, &e->attr);
	inode_remember(fs, in);
}

void node_reply_entry(struct fs *fs, fuse_req_t req, struct inode *in)
{
	struct fuse_entry_param e;
	node_entry(fs, in, &e);
	if (fuse_reply_entry(req, &e) == -ENOENT)
		inode_forget(fs, in->ino, 1); /* the caller is gone: the kernel did not take it */
}

void node_reply_attr(struct fs *fs, fuse_req_t req, struct inode *in)
{
	struct stat st;
	node_stat(fs, in, &st);
	fuse_reply_attr(req, &st, node_attr_timeout(fs, in));
}
