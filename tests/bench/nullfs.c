/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nullfs MOUNTPOINT NAMES BYTES [noopen]: what libfuse's example hello_ll does (low-level calls,
 * libfuse's own threads and loop), with the flags and lifetimes of secretfs' lazy mode: open goes
 * to the daemon, pages stay in the kernel's cache, FLUSH is not sent, nothing is spliced. With
 * `noopen` those of hydrated mode: OPEN and FLUSH are answered ENOSYS once, so that nothing of a
 * warm read leaves the kernel. Files f000000.., each BYTES of 'x'. What secretfs costs above this
 * is its own.
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT 60.0

static unsigned long names;
static size_t bytes;
static char *content;
static bool no_open;

/* As mount/session.c asks for it. */
static void null_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_ATOMIC_O_TRUNC);
	if (!no_open)
		conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
}

static void attributes(fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0500 : S_IFREG | 0400;
	st->st_nlink = 1;
	st->st_size = ino == FUSE_ROOT_ID ? 0 : (off_t)bytes;
}

static void entry(fuse_ino_t ino, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){
		.ino = ino, .attr_timeout = TIMEOUT, .entry_timeout = TIMEOUT};
	attributes(ino, &e->attr);
}

static void null_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	unsigned long i;
	(void)parent;
	if (sscanf(name, "f%6lu", &i) != 1 || i >= names) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	struct fuse_entry_param e;
	entry(i + 2, &e);
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
	if (no_open) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	fi->keep_cache = 1;
	fi->noflush = 1;
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

static size_t add_name(
	fuse_req_t req, char *buf, size_t size, const char *name, unsigned long i, bool plus)
{
	struct fuse_entry_param e;
	entry(i + 2, &e);
	return plus ? fuse_add_direntry_plus(req, buf, size, name, &e, (off_t)i + 1)
		    : fuse_add_direntry(req, buf, size, name, &e.attr, (off_t)i + 1);
}

static void list(fuse_req_t req, size_t size, off_t off, bool plus)
{
	char *buf = malloc(size);
	size_t len = 0;
	for (unsigned long i = (unsigned long)off; buf && i < names; i++) {
		char name[32];
		snprintf(name, sizeof(name), "f%06lu", i);
		size_t n = add_name(req, buf + len, size - len, name, i, plus);
		if (n > size - len)
			break;
		len += n;
	}
	fuse_reply_buf(req, buf, buf ? len : 0);
	free(buf);
}

static void null_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	list(req, size, off, false);
}

static void null_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	list(req, size, off, true);
}

static const struct fuse_lowlevel_ops operations = {
	.init = null_init,
	.lookup = null_lookup,
	.getattr = null_getattr,
	.open = null_open,
	.read = null_read,
	.readdir = null_readdir,
	.readdirplus = null_readdirplus,
};

int main(int argc, char **argv)
{
	no_open = argc == 5 && strcmp(argv[4], "noopen") == 0;
	if (argc != 4 && !no_open) {
		fprintf(stderr, "usage: nullfs MOUNTPOINT NAMES BYTES [noopen]\n");
		return 2;
	}
	names = strtoul(argv[2], NULL, 10);
	bytes = strtoul(argv[3], NULL, 10);
	content = malloc(bytes + 1);
	if (!content)
		return 1;
	memset(content, 'x', bytes);
	char option[] = "-odefault_permissions,allow_other,fsname=nullfs";
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
