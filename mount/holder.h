/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secretfs-holder: the privileged process of a mount. It opens /dev/fuse, mounts, starts the worker
 * with the descriptor and without any privilege, opens for it what lies below the directories fixed
 * at mount, and unmounts at the end. It parses nothing that comes from a provider, and links
 * src/base only.
 *
 * The worker's descriptors: 0 /dev/null, 1 and 2 the log, 3 /dev/fuse, 4 the hold socket
 * (base/hold.h), 5 the directory that the mount covers, 6 its end of the socket to the renamer
 * (base/renmsg.h). Its last argument is the device number of
 * the mount, "MAJOR:MINOR".
 */
#ifndef SFS_MOUNT_HOLDER_H
#define SFS_MOUNT_HOLDER_H

#include "base/envstore.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A descriptor to read once, for fd: references. */
struct holder_fd {
	int fd, number; /* as it is open here; as it is called */
};

/* The command line. Strings point into argv, which must not move. */
struct holder_opts {
	const char *mountpoint, *source;
	uid_t uid;
	gid_t gid;
	bool nonempty;
	const char **allow; /* owned array */
	size_t nallow;
	const char **env; /* owned array */
	size_t nenv;
	char **commands; /* owned array, ended by NULL: texts of base/command.h */
	size_t ncommands;
	struct holder_fd *fds; /* owned array */
	size_t nfds;
	const char *log;	      /* "stderr", "syslog" or an absolute path */
	const char *audit;	      /* "syslog", an absolute path, or NULL */
	int ready_fd;		      /* -1 = none: in the foreground */
	uint64_t memlock;	      /* bytes for the worker, 0 = as it is */
	const char *on_change, *home; /* the command, NULL = none; HOME of its environment */
	uint64_t change_delay, change_timeout; /* seconds */
	char **worker;			       /* its command line, NULL-terminated */
	int nworker;
};

/* Errors: EINVAL with the sentence; ret->ready_fd is set even then. */
int holder_options(int argc, char **argv, struct holder_opts *ret, struct sfs_err *err);
void holder_options_clear(struct holder_opts *o);

/* What is mounted. Device number and mount id are given out again once the mount has gone, perhaps
 * to a mount of another holder; `unique` is not (0 = a kernel before 6.8). */
struct holder_mount {
	char *point; /* canonical, owned */
	const char *source;
	dev_t dev; /* 0 = not mounted */
	int id;	   /* in mountinfo */
	uint64_t unique;
	int fuse_fd; /* the holder gives it up once the worker has it */
	int covered_fd;
};

/* Finds or makes the directory, detaches dead mounts of ours from it, and refuses what must not be
 * covered. Fills point and covered_fd. */
int holder_prepare(struct holder_mount *m, const struct holder_opts *o, struct sfs_err *err);
/* Opens /dev/fuse and mounts. On error nothing stays mounted. */
int holder_attach(struct holder_mount *m, struct sfs_err *err);
/* True if our mount is still there (also when moved). */
bool holder_is_attached(const struct holder_mount *m);
/* umount2(2) of just our mount with `flags`. -EBUSY also when another mount lies on top of it. */
int holder_umount(const struct holder_mount *m, int flags, struct sfs_err *err);
void holder_mount_clear(struct holder_mount *m);

/* Starts the worker. `log_fd` becomes its 1 and 2, `renamer_fd` its 6; both stay the caller's.
 * *ret_sock is the holder's end of the hold socket, not blocking. A worker that cannot be executed
 * says so there with HOLD_FAILED. */
int holder_spawn(const struct holder_opts *o, const struct holder_mount *m, int log_fd,
	int renamer_fd, pid_t *ret_pid, int *ret_sock, struct sfs_err *err);

/* Opens things for the worker in a thread of its own, because a file system may take its time. */
struct holder_server;
struct hold_msg;
/* `runner` is the socket to the runner, -1 without commands; borrowed. */
int holder_server_start(const struct holder_opts *o, const struct holder_mount *m,
	const struct envstore *vars, int sock, int runner, struct holder_server **ret,
	struct sfs_err *err);
/* Hands over a request; too many at once are answered with EBUSY. */
void holder_server_pass(struct holder_server *s, const struct hold_msg *m);
/* Ends the thread and frees. False if it hangs in a file system: then all it uses must stay. */
bool holder_server_stop(struct holder_server *s);

/* Answers a request of the worker; -EAGAIN when it does not read its answers. */
int holder_reply(int sock, const struct hold_msg *request, int fd, const char *text, int code);
/* The same, waiting a moment for a worker that does not. */
void holder_answer(int sock, const struct hold_msg *request, int fd, const char *text, int code);

/* Opens the place of audit lines: a socket connected to syslog, or a regular file to append to,
 * made with mode 0600 if it is missing. Never below the mount point, and never through the mount
 * (R23).
 */
struct path_env;
int holder_audit_open(const char *target, const char *point, const struct path_env *env,
	int *ret_fd, struct sfs_err *err);
/* Refuses a file that cannot be opened, before there is a mount. */
int holder_audit_check(const struct holder_opts *o, const char *point, struct sfs_err *err);
/* Answers HOLD_EXE: what the worker has no right to read in /proc. Does not wait for anything. */
void holder_exe(int sock, const struct hold_msg *m);
/* Answers HOLD_RUN: hands the run over to the runner. */
struct holder_run_env {
	int sock, runner; /* to the worker, to the runner */
	const struct holder_opts *o;
	const struct path_env *paths;
	const struct envstore *vars;
};
void holder_run_command(const struct holder_run_env *e, const struct hold_msg *m);
/* The same for HOLD_IS_OPEN; `dev` is the mount. */
void holder_is_open(int sock, const struct hold_msg *m, dev_t dev);

/* Runs until the mount is gone; the exit code. */
int holder_run(struct holder_opts *o, struct holder_mount *m, const struct envstore *vars,
	int log_fd, int stderr_fd);

/* Tells whoever started us why there is no mount: "E <errno> <sentence>" on ready-fd, else on
 * standard error. */
void holder_report(int ready_fd, int stderr_fd, const struct sfs_err *err);

#endif
