/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mountinfo.h"

#include <fcntl.h>
#include <linux/stat.h> /* not sys/stat.h, which defines the same struct */
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x00001000U /* Linux 5.8 */
#endif
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U /* Linux 6.8 */
#endif

static bool ask(int fd, const char *path, unsigned mask, struct statx *st)
{
	const int flags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW |
			  (*path ? 0 : AT_EMPTY_PATH);
	return syscall(SYS_statx, fd, path, flags, mask, st) == 0;
}

uint64_t mount_unique_id(const char *point)
{
	struct statx st = {0};
	if (!ask(AT_FDCWD, point, STATX_MNT_ID_UNIQUE, &st) || !(st.stx_mask & STATX_MNT_ID_UNIQUE))
		return 0;
	return st.stx_mnt_id;
}

bool mount_has(const struct mount_id *m, int fd)
{
	struct statx st = {0};
	unsigned mask = m->unique ? STATX_MNT_ID_UNIQUE : STATX_MNT_ID;
	if (!ask(fd, "", mask, &st) || makedev(st.stx_dev_major, st.stx_dev_minor) != m->dev)
		return false;
	if (!(st.stx_mask & mask)) /* a kernel before 5.8 */
		return true;
	return st.stx_mnt_id == (m->unique ? m->unique : (uint64_t)m->id);
}
