/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/session.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "mount/eventfile.h"
#include "mount/ops.h"
#include "mount/rename.h"
#include "mount/replies.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_THREADS 8

static pthread_t threads[MAX_THREADS];
static size_t nthreads;

/* What the kernel offered for parallel directory operations in INIT, until the reply has gone out.
 * libfuse 3.14 knows the flag but does not put it into its reply, and the kernel then holds a
 * directory's lock over every LOOKUP in it. */
static _Atomic bool patch_init;

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	(void)userdata;
	replies_write(iov[0].iov_base);
	if (patch_init && count > 1 &&
		iov[1].iov_len >= offsetof(struct fuse_init_out, flags) + sizeof(uint32_t)) {
		((struct fuse_init_out *)iov[1].iov_base)->flags |= FUSE_PARALLEL_DIROPS;
		patch_init = false;
	}
	return writev(fd, iov, count);
}

static ssize_t read_request(int fd, void *buf, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, buf, len);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	static const unsigned unwanted = FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
					 FUSE_CAP_SPLICE_MOVE | FUSE_CAP_ATOMIC_O_TRUNC;
	const struct fs *fs = userdata;
	conn->want &= ~unwanted;
	/* With OPEN a version never changes under its inode. Without it a read of an expired file
	 * asks again. */
	if (!fs->no_open)
		conn->want &= ~FUSE_CAP_AUTO_INVAL_DATA;
	patch_init = (conn->capable & FUSE_CAP_PARALLEL_DIROPS) != 0;
	conn->max_write = SFS_CONTROL_WRITE_MAX;
}

/* The numbers of df(1): constant, so that df never waits (R25). */
static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct statvfs st = {
		.f_bsize = 4096, .f_frsize = 4096, .f_namemax = SFS_COMPONENT_MAX};
	(void)ino;
	fuse_reply_statfs(req, &st);
}

/* Everything that would change a name: the file system is read-only. */
static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)parent, (void)name, (void)mode, (void)rdev;
	fuse_reply_err(req, EROFS);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link, (void)parent, (void)name;
	fuse_reply_err(req, EROFS);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	(void)ino, (void)newparent, (void)newname;
	fuse_reply_err(req, EROFS);
}

static void op_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	(void)parent, (void)name, (void)mode, (void)fi;
	fuse_reply_err(req, EROFS);
}

static void op_fallocate(
	fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	(void)ino, (void)mode, (void)off, (void)len, (void)fi;
	fuse_reply_err(req, EROFS);
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.release = op_release,
	.poll = op_poll,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.create = op_create,
	.fallocate = op_fallocate,
};

/* Seconds of a request timeout of the kernel, 0 = none. */
static uint64_t kernel_limit(const char *name)
{
	char path[64], text[32];
	uint64_t seconds = 0;
	ssize_t n;
	int fd;
	snprintf(path, sizeof(path), "/proc/sys/fs/fuse/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, UINT32_MAX, &seconds) == 0 ? seconds : 0;
}

/* The kernel aborts the whole connection when one request outlives its limit: nothing is parked for
 * more than half of it (R27). */
static int64_t park_limit(void)
{
	uint64_t def = kernel_limit("default_request_timeout"),
		 max = kernel_limit("max_request_timeout");
	uint64_t limit = def && max ? (def < max ? def : max) : def ? def : max;
	return limit ? (int64_t)(limit * NSEC_PER_SEC / 2) : CLOCK_NEVER;
}

__attribute__((format(printf, 2, 0))) static void log_libfuse(
	enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[SFS_LOG_LINE_MAX];
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_line(level <= FUSE_LOG_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, "libfuse: %s", text);
}

int session_new(struct fs *fs, int fuse_fd, struct sfs_err *err)
{
	static const struct fuse_custom_io io = {.writev = write_reply, .read = read_request};
	char name[] = "secretfs";
	char *argv[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	int r;
	fuse_set_log_func(log_libfuse);
	fs->park_limit = park_limit();
	fs->se = fuse_session_new(&args, &operations, sizeof(operations), fs);
	fuse_opt_free_args(&args);
	if (!fs->se)
		return err_set(err, ENOMEM, "cannot make a FUSE session");
	r = fuse_session_custom_io(fs->se, &io, fuse_fd);
	if (r) {
		session_free(fs);
		return err_errno(err, r < 0 ? -r : EIO, "cannot use the FUSE descriptor");
	}
	return 0;
}

/* Requests never wait in a handler, so a few threads serve any number of readers. */
static void *serve(void *arg)
{
	struct fs *fs = arg;
	struct fuse_buf buf = {.mem = NULL};
	while (!fuse_session_exited(fs->se)) {
		int r = fuse_session_receive_buf(fs->se, &buf);
		if (r == -EINTR || r == -EAGAIN)
			continue;
		if (r < 0) /* 0: unmounted */
			log_error("reading a request: %s", strerror(-r));
		if (r <= 0)
			break;
		replies_read(buf.mem); /* what libfuse has read and drops at the end is not owed */
		fuse_session_process_buf(fs->se, &buf);
	}
	free(buf.mem);
	return NULL;
}

int session_start(struct fs *fs, struct sfs_err *err)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	size_t want = n < 2 ? 2 : n > MAX_THREADS ? MAX_THREADS : (size_t)n;
	int r = 0;
	while (nthreads < want && (r = pthread_create(&threads[nthreads], NULL, serve, fs)) == 0)
		nthreads++;
	return nthreads ? 0 : err_errno(err, r, "cannot start a thread");
}

void session_stop(struct fs *fs)
{
	fuse_session_exit(fs->se);
	for (size_t i = 0; i < nthreads; i++)
		pthread_kill(threads[i],
			SIGUSR1); /* ends its read(2); one that was not reading yet needs another */
}

void session_wait(void)
{
	for (size_t i = 0; i < nthreads; i++)
		pthread_join(threads[i], NULL);
}

void session_free(struct fs *fs)
{
	if (fs->se) {
		fuse_session_destroy(fs->se);
		replies_end();
	}
	fs->se = NULL;
}
