/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nullfs MOUNTPOINT NAMES BYTES: the smallest FUSE file system with the round trips of secretfs'
 * lazy mode: files f000000.., each BYTES of 'x'; open goes to the daemon, pages stay in the
 * kernel's cache (keep_cache). What secretfs costs above this is its own.
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT 60.0

static unsigned long names;
static size_t bytes;
static char *content;

static void attributes(fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0500 : S_IFREG | 0400;
	st->st_nlink = 1;
	st->st_size = ino == FUSE_ROOT_ID ? 0 : (off_t)bytes;
}

static void null_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	unsigned long i;
	(void)parent;
	if (sscanf(name, "f%6lu", &i) != 1 || i >= names) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	struct fuse_entry_param e = {
		.ino = i + 2, .attr_timeout = TIMEOUT, .entry_timeout = TIMEOUT};
	attributes(e.ino, &e.attr);
	fuse_reply_entry(req, &e);
}

static void null_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	(void)fi;
	attributes(ino, &st);
	fuse_reply_attr(req, &st, TIMEOUT);
}

static void null_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void null_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	size_t left = (size_t)off < bytes ? bytes - (size_t)off : 0;
	fuse_reply_buf(req, content, left < size ? left : size);
}

static void null_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	char *buf = malloc(size);
	size_t len = 0;
	(void)ino;
	(void)fi;
	for (unsigned long i = (unsigned long)off; buf && i < names; i++) {
		char name[32];
		struct stat st;
		snprintf(name, sizeof(name), "f%06lu", i);
		attributes(i + 2, &st);
		size_t n = fuse_add_direntry(req, buf + len, size - len, name, &st, (off_t)i + 1);
		if (n > size - len)
			break;
		len += n;
	}
	fuse_reply_buf(req, buf, buf ? len : 0);
	free(buf);
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = null_lookup,
	.getattr = null_getattr,
	.open = null_open,
	.read = null_read,
	.readdir = null_readdir,
};

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: nullfs MOUNTPOINT NAMES BYTES\n");
		return 2;
	}
	names = strtoul(argv[2], NULL, 10);
	bytes = strtoul(argv[3], NULL, 10);
	content = malloc(bytes + 1);
	if (!content)
		return 1;
	memset(content, 'x', bytes);
	char option[] = "-odefault_permissions,fsname=nullfs";
	char *words[] = {argv[0], option, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(2, words);
	struct fuse_session *se = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (!se || fuse_set_signal_handlers(se) || fuse_session_mount(se, argv[1]))
		return 1;
	int r = fuse_session_loop_mt(se, NULL);
	fuse_session_unmount(se);
	fuse_session_destroy(se);
	return r != 0;
}
