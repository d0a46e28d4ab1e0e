/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker: everything but the privileges (design section 6). Started by the holder as `user=`,
 * without capabilities, with descriptors  0 /dev/null, 1 and 2 the log, 3 the mounted /dev/fuse, 4
 * the socket to the holder, 5 the covered directory, 6 the socket to the renamer (base/renmsg.h);
 * arguments    worker SOURCE MOUNTPOINT OPTIONS
 * LOG ARENA MEMLOCK UID:GID HOME COMMAND... MAJOR:MINOR where LOG is stderr or syslog, ARENA the
 * bytes of secret memory, MEMLOCK try or require, UID:GID the caller of mount, who owns what no
 * option gives to somebody else, HOME his home directory or nothing, the COMMANDs those of
 * base/command.h that were fixed, and the last is the device number of the mount.
 */
#ifndef SFS_MOUNT_WORKER_H
#define SFS_MOUNT_WORKER_H

#define WORKER_FUSE_FD	  3
#define WORKER_HOLD_FD	  4
#define WORKER_COVERED_FD 5
#define WORKER_RENAMER_FD 6

/* Serves until the file system is unmounted. Returns the exit status; a failure to start went to
 * the holder as HOLD_FAILED. */
int worker_main(int argc, char **argv);

#endif
