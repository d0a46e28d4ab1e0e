/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a thread holds a file of our mount open. Only root may look at the descriptors of all
 * users. Nothing here sends a request into the mount: the worker waits for the answer. */
#include "base/hold.h"
#include "base/text.h"
#include "mount/holder.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The kernel's own idea of the inode, without asking the file system. */
static bool is_inode(int dir, const char *fd, dev_t dev, uint64_t ino)
{
	struct statx st;
	return statx(dir, fd, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &st) == 0 &&
	       st.stx_ino == ino && makedev(st.stx_dev_major, st.stx_dev_minor) == dev;
}

static int is_open(uint32_t tid, dev_t dev, uint64_t ino)
{
	char path[32];
	const struct dirent *e;
	int r = -ENOENT;
	snprintf(path, sizeof(path), "/proc/%u/fd", (unsigned)tid);
	DIR *dir = opendir(path);
	if (!dir)
		return -errno;
	while (r < 0 && (e = readdir(dir)))
		if (e->d_name[0] != '.' && is_inode(dirfd(dir), e->d_name, dev, ino))
			r = 0;
	closedir(dir);
	return r;
}

void holder_is_open(int sock, const struct hold_msg *m, dev_t dev)
{
	uint64_t ino;
	int r = m->arg == 0 || m->arg > INT_MAX || parse_u64(m->text, UINT64_MAX, &ino) < 0
			? -EINVAL
			: is_open(m->arg, dev, ino);
	holder_reply(sock, m, -1, r < 0 ? "the thread does not hold that file open" : "", -r);
}
