/* SPDX-License-Identifier: Apache-2.0 */
/* What `mount` shows on a terminal when the mount is live: how far hydration is. */
#ifndef SFS_MOUNT_MOUNT_BAR_H
#define SFS_MOUNT_MOUNT_BAR_H

/* A bar on standard error until hydration of the mount is over, makes no progress for some seconds,
 * or the user presses Ctrl-C, which leaves the mount alone. Then one line if secrets are missing.
 * Nothing if the mount is lazy. */
void mount_bar(const char *mountpoint);

#endif
