/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes user.secretfs.*: what is known of a secret, from memory, never its value. */
#include "base/clock.h"
#include "base/text.h"
#include "mount/notify.h"
#include "mount/ops.h"
#include <errno.h>
#include <string.h>

#define SPACE  "user."
#define PREFIX SPACE "secretfs."

/* Everything an attribute is made from. */
struct facts {
	struct fs *fs;
	struct inode *in;
	struct entry_info info;
	bool other; /* a node of a version that is not the one held, of which `info` tells */
};

static int x_version(const struct facts *f, struct buf *out)
{
	char version[SFS_VERSION_MAX + 1];
	if (f->in->view == VIEW_VERSIONS && f->in->sub)
		return buf_str(out, f->in->sub);
	core_version(f->fs->core, f->in->dent, version, sizeof(version));
	return buf_str(out, version);
}

static int add_time(struct buf *out, int64_t wall)
{
	char text[CLOCK_TEXT];
	return wall ? buf_str(out, clock_text(wall, text)) : 0;
}

static int x_created(const struct facts *f, struct buf *out)
{
	return add_time(out, f->info.created);
}

static int x_fetched(const struct facts *f, struct buf *out)
{
	return add_time(out, f->info.fetched_wall);
}

static int x_expires(const struct facts *f, struct buf *out)
{
	if (f->info.expires_boot == CLOCK_NEVER)
		return buf_str(out, "never");
	return add_time(out, f->info.expires_wall);
}

static int x_is_expired(const struct facts *f, struct buf *out)
{
	if (!f->info.expires_boot)
		return 0;
	return buf_str(out, f->info.expires_boot <= clock_boot() ? "yes" : "no");
}

static int x_ttl(const struct facts *f, struct buf *out)
{
	return buf_printf(out, "%lld", (long long)f->info.ttl);
}

static int x_state(const struct facts *f, struct buf *out)
{
	return buf_str(out, entry_state_text(f->info.state));
}

static int x_source(const struct facts *f, struct buf *out)
{
	return buf_str(out, core_source_name(f->fs->core, f->in->dent));
}

static int x_error(const struct facts *f, struct buf *out)
{
	return f->info.has_error ? buf_str(out, f->info.error.msg) : 0;
}

static int x_meta(const struct facts *f, struct buf *out)
{
	return core_meta_held(f->fs->core, f->in->dent, out);
}

/* One that appends nothing does not exist now. */
static const struct xattr_row {
	const char *name;
	bool held; /* told of the version held */
	int (*get)(const struct facts *f, struct buf *out);
} rows[] = {
	{"version", false, x_version},
	{"created", true, x_created},
	{"fetched", true, x_fetched},
	{"expires", true, x_expires},
	{"is_expired", true, x_is_expired},
	{"ttl", false, x_ttl},
	{"state", true, x_state},
	{"source", false, x_source},
	{"error", true, x_error},
	{"meta", true, x_meta},
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

/* False: a node without attributes. */
static bool facts_of(struct fs *fs, struct inode *in, struct facts *f)
{
	char held[SFS_VERSION_MAX + 1];
	*f = (struct facts){.fs = fs, .in = in};
	if (in->view == VIEW_CONTROL || in->view == VIEW_LIST)
		return false;
	if (in->view == VIEW_VERSIONS && in->sub) {
		core_version(fs->core, in->dent, held, sizeof(held));
		f->other = strcmp(held, in->sub) != 0;
	}
	return core_info(fs->core, in->dent, &f->info) == 0;
}

static void get_row(const struct facts *f, const struct xattr_row *row, struct buf *out)
{
	if (!f->other || !row->held)
		row->get(f, out);
}

static void reply_text(fuse_req_t req, const struct buf *b, size_t size)
{
	if (b->failed)
		fuse_reply_err(req, b->failed);
	else if (size == 0)
		fuse_reply_xattr(req, b->len);
	else if (b->len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, buf_text(b), b->len);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs, ino);
	struct buf b = BUF_INIT(SFS_META_MAX);
	struct facts f;
	if (!in) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	/* Not "none here": ls(1) and its like, who ask each file for security.selinux and ACLs,
	 * then ask the first one only. */
	if (strncmp(name, SPACE, strlen(SPACE)) != 0)
		b.failed = EOPNOTSUPP;
	else if (strncmp(name, PREFIX, strlen(PREFIX)) == 0 && facts_of(fs, in, &f))
		for (size_t i = 0; i < NROWS; i++)
			if (strcmp(name + strlen(PREFIX), rows[i].name) == 0)
				get_row(&f, &rows[i], &b);
	if (b.len == 0 && !b.failed)
		fuse_reply_err(req, ENODATA);
	else
		reply_text(req, &b, size);
	buf_clear(&b);
	inode_put(fs, in);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs, ino);
	struct buf names = BUF_INIT(4096), value = BUF_INIT(SFS_META_MAX);
	struct facts f;
	if (!in) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (facts_of(fs, in, &f))
		for (size_t i = 0; i < NROWS; i++) {
			buf_reset(&value);
			get_row(&f, &rows[i], &value);
			names.failed = names.failed ? names.failed : value.failed;
			if (value.len) {
				buf_str(&names, PREFIX);
				buf_add(&names, rows[i].name, strlen(rows[i].name) + 1);
			}
		}
	reply_text(req, &names, size);
	buf_clear(&names);
	buf_clear(&value);
	inode_put(fs, in);
}

static int set_ttl(struct fs *fs, struct inode *in, const char *value, size_t size)
{
	char text[32];
	int64_t ttl;
	struct facts f;
	if (!facts_of(fs, in, &f))
		return EROFS;
	if (size == 0 || size >= sizeof(text) || memchr(value, '\0', size))
		return EINVAL;
	memcpy(text, value, size);
	text[size] = '\0';
	if (parse_duration(text, &ttl) < 0)
		return EINVAL;
	core_set_ttl(fs->core, in->dent, ttl);
	return 0;
}

static void answer_set(void *req)
{
	fuse_reply_err(req, 0);
}

static void notify_set(void *req)
{
	notify_then(fs_of(req), answer_set, req);
}

/* Only the TTL, and only by root: the owner of the mount writes to .control/ttl. */
void op_setxattr(
	fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs, ino);
	int r = EROFS;
	(void)flags;
	if (!in)
		r = ESTALE;
	else if (strcmp(name, PREFIX "ttl") == 0)
		r = fuse_req_ctx(req)->uid == 0 ? set_ttl(fs, in, value, size) : EPERM;
	if (r == 0)
		core_then(fs->core, notify_set, req); /* when the kernel has heard of it */
	else
		fuse_reply_err(req, r);
	inode_put(fs, in);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino;
	(void)name;
	fuse_reply_err(req, EROFS);
}
