/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands for the worker in tests/meta/test-holder.sh: an empty directory over the raw FUSE
 * protocol, and every way of not behaving. Started by the holder as: fake_worker MODE
 * [ask:TYPE:PATH]... [tell:NUMBER:LINES]... [ren:OP:FROM[:TO]]... MOUNTPOINT MAJOR:MINOR; it prints
 * what it was given and what it was answered. Names that start with d are directories, with f
 * files, others are not there.
 * "fake_worker stack N DIR" leaves N dead mounts on DIR.
 */
#include "base/hold.h"
#include "base/renmsg.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FD_FUSE = 3, FD_HOLD = 4, FD_COVERED = 5, FD_RENAMER = 6 };
enum { FILES = 1000, DIRS = 2000 }; /* node ids of names */

static const char *mode;
enum { MAX_REQUESTS = 16 };
static char *requests[MAX_REQUESTS]; /* what ren: arguments want */
static int nrequests, next;
static struct renamer_msg hello;

static void tell(enum hold_type t, int code, const char *text)
{
	struct hold_msg m = {.type = t, .code = code, .len = (uint32_t)strlen(text)};
	memcpy(m.text, text, m.len);
	hold_send(FD_HOLD, &m, -1);
}

static void show_status(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "Uid", 3) == 0 || strncmp(line, "Gid", 3) == 0 ||
			strncmp(line, "Groups", 6) == 0 || strncmp(line, "Cap", 3) == 0 ||
			strncmp(line, "NoNewPrivs", 10) == 0)
			printf("status %s", line);
	if (f)
		fclose(f);
}

static void show_descriptors(void)
{
	char path[64], target[256];
	for (int fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		printf("fd %d %s\n", fd, target);
	}
}

static void show(char **argv, char **env)
{
	struct rlimit lim;
	sigset_t mask;
	show_status();
	show_descriptors();
	for (; *env; env++)
		printf("env %s\n", *env);
	while (argv[1])
		argv++;
	printf("last %s\n", *argv);
	getrlimit(RLIMIT_MEMLOCK, &lim);
	printf("memlock %llu\n", (unsigned long long)lim.rlim_cur);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	printf("blocked %d pipe %s\n", sigismember(&mask, SIGTERM),
		signal(SIGPIPE, SIG_DFL) == SIG_DFL ? "default" : "ignored");
}

/* What the runner says on the socket of a run; nobody reads the pipes. */
static void show_run(const char *what, int sock)
{
	struct hold_msg m;
	int fd = -1;
	fcntl(sock, F_SETFL, 0); /* it waits */
	while (hold_recv(sock, &m, &fd) == 1) {
		printf("run %s %s %u code %d fd %s text %s\n", what,
			m.type == HOLD_RUN ? "pipe" : "end", m.arg, m.code, fd >= 0 ? "yes" : "no",
			m.text);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
}

static void show_answer(const char *what, const struct hold_msg *m, int fd)
{
	char text[256];
	if (fd >= 0 && strncmp(what, "ask:run:", 8) == 0) {
		show_run(what, fd);
		close(fd);
		return;
	}
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	for (ssize_t i = 0; i < n; i++)
		if (text[i] == '\0')
			text[i] = '|';
	printf("answer %s code %d text %s read %.*s\n", what, m->code, m->text, n > 0 ? (int)n : 0,
		text);
	if (fd >= 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
		printf("writable %s\n", what);
	if (fd >= 0)
		close(fd);
}

/* "ask:file:/path", "ask:dir:/path", "ask:watch:/path", "ask:env:", "ask:bits:/path" (a mask that
 * is none), "ask:xpid:NUMBER" or "self", "ask:audit:", "ask:run:NUMBER" */
static void ask(const char *spec)
{
	struct hold_msg m = {.id = 77};
	const char *path = strchr(spec + 4, ':') + 1;
	int fd = -1;
	m.type = spec[4] == 'f'	  ? HOLD_OPEN_FILE
		 : spec[4] == 'd' ? HOLD_OPEN_DIR
		 : spec[4] == 'e' ? HOLD_ENV
		 : spec[4] == 'x' ? HOLD_EXE
		 : spec[4] == 'a' ? HOLD_AUDIT
		 : spec[4] == 'r' ? HOLD_RUN
				  : HOLD_WATCH;
	m.arg = spec[4] == 'w' ? IN_CREATE : spec[4] == 'b' ? 0x10000 : 0;
	if (m.type == HOLD_EXE) {
		m.arg = strcmp(path, "self") == 0 ? (uint32_t)getpid()
						  : (uint32_t)strtoul(path, NULL, 10);
		path = "";
	}
	if (m.type == HOLD_RUN)
		m.arg = (uint32_t)strtoul(path, NULL, 10);
	m.len = (uint32_t)strlen(path);
	memcpy(m.text, path, m.len);
	hold_send(FD_HOLD, &m, -1);
	if (hold_recv(FD_HOLD, &m, &fd) == 1 && m.id == 77)
		show_answer(spec, &m, fd);
	else
		printf("answer %s none\n", spec);
}

/* "tell:0:created a|rotated b|": lines for a command */
static void tell_lines(const char *spec)
{
	struct hold_msg m = {.type = HOLD_CHANGED, .code = (int)strtol(spec + 5, NULL, 10)};
	const char *text = strchr(spec + 5, ':') + 1;
	m.len = (uint32_t)strlen(text);
	for (uint32_t i = 0; i < m.len; i++)
		m.text[i] = text[i] == '|' ? '\n' : text[i] == '@' ? '\033' : text[i];
	hold_send(FD_HOLD, &m, -1);
}

/* A request that renmsg_request() would not make. */
static void send_hostile(const char *from, const char *to)
{
	struct renamer_msg m = {.type = RENAMER_RENAME, .id = 7, .generation = hello.generation};
	m.from_len = (uint32_t)strlen(from);
	m.to_len = (uint32_t)strlen(to);
	memcpy(m.text, from, m.from_len + 1);
	memcpy(m.text + m.from_len + 1, to, m.to_len + 1);
	renmsg_send(FD_RENAMER, &m);
}

static void hostile(void)
{
	struct renamer_msg m = {.type = RENAMER_HELLO, .generation = hello.generation};
	if (send(FD_RENAMER, "rubbish", 7, 0) < 0)
		perror("rubbish");
	send_hostile("../fa", "fb");
	send_hostile("fa", "d/../../fb");
	send_hostile("/etc/passwd", "fb");
	send_hostile("fa", "");
	renmsg_send(FD_RENAMER, &m);
	renmsg_request(&m, RENAMER_UNLINK, "fother", NULL);
	m.generation = hello.generation + 1;
	renmsg_send(FD_RENAMER, &m);
	m.generation = hello.generation;
	m.from_len = UINT32_MAX;
	if (send(FD_RENAMER, &m, sizeof(m), 0) < 0)
		perror("lengths");
}

static void next_request(void)
{
	static const char *const ops[] = {"", "rename", "unlink", "mkdir", "rmdir"};
	struct renamer_msg m;
	char *save = NULL, *op = next < nrequests ? strtok_r(requests[next++], ":", &save) : NULL;
	char *from = op ? strtok_r(NULL, ":", &save) : NULL,
	     *to = op ? strtok_r(NULL, ":", &save) : NULL;
	if (op && strcmp(op, "wait") == 0) /* for the next renamer */
		return;
	if (op && strcmp(op, "hostile") == 0) {
		hostile();
		next_request();
		return;
	}
	for (unsigned i = 1; op && from && i < 5; i++) {
		if (strcmp(op, ops[i]) != 0)
			continue;
		if (renmsg_request(&m, i, from, to) < 0)
			printf("request refused here\n");
		m.id = 1;
		m.generation = hello.generation;
		renmsg_send(FD_RENAMER, &m);
	}
}

/* True when it ended for good. */
static bool on_renamer(void)
{
	struct renamer_msg m;
	int got = renmsg_recv(FD_RENAMER, &m, 0);
	if (got <= 0)
		return got == 0;
	if (m.type == RENAMER_HELLO) {
		hello = m;
		printf("hello %u %d\n", m.generation, m.code);
	} else {
		printf("%s %u code %d\n", m.type == RENAMER_GONE ? "gone" : "reply", m.generation,
			m.code);
	}
	fflush(stdout);
	if (m.type != RENAMER_GONE)
		next_request();
	return false;
}

static void flood(void)
{
	for (int i = 0; i < 100000; i++)
		if (write(FD_HOLD, "rubbish", 7) < 0)
			return;
}

static void answer_fuse(const struct fuse_in_header *in, int error, const void *data, size_t len)
{
	char out[512];
	struct fuse_out_header h = {
		.len = (uint32_t)(sizeof(h) + len), .error = error, .unique = in->unique};
	memcpy(out, &h, sizeof(h));
	if (len)
		memcpy(out + sizeof(h), data, len);
	if (write(FD_FUSE, out, h.len) < 0 && errno != ENOENT)
		perror("fuse");
}

static void answer_entry(const struct fuse_in_header *in, const char *name)
{
	bool is_dir = name[0] == 'd' || in->opcode == FUSE_MKDIR;
	/* By the second letter: between two names of one inode the kernel has nothing to rename. */
	struct fuse_entry_out e = {
		.nodeid = (is_dir ? DIRS : FILES) + (unsigned char)name[1], .entry_valid = 1};
	e.attr.ino = e.nodeid;
	e.attr.nlink = 1;
	e.attr.mode = is_dir ? S_IFDIR | 0500 : S_IFREG | 0400;
	if (is_dir || name[0] == 'f')
		answer_fuse(in, 0, &e, sizeof(e));
	else
		answer_fuse(in, -ENOENT, NULL, 0);
}

static void show_change(
	const struct fuse_in_header *in, const char *what, const char *a, const char *b)
{
	printf("fuse %s %s %s by %s\n", what, a, b,
		(int)in->pid == hello.code ? "the renamer" : "a stranger");
	fflush(stdout);
}

/* RENAME: stall = never answered; slow = only after the holder was asked to kill the renamer. */
static void on_rename(const struct fuse_in_header *in, const char *names)
{
	char path[32];
	show_change(in, "rename", names, names + strlen(names) + 1);
	if (strcmp(mode, "stall") == 0)
		return;
	if (strcmp(mode, "slow") == 0) {
		struct hold_msg m = {.type = HOLD_RENAMER_STUCK, .code = (int)hello.generation};
		hold_send(FD_HOLD, &m, -1);
		usleep(300000);
		snprintf(path, sizeof(path), "/proc/%d", hello.code);
		printf("stuck %s\n", access(path, F_OK) == 0 ? "still there" : "gone already");
		mode = "live";
	}
	answer_fuse(in, 0, NULL, 0);
}

/* True if it was one that changes names. */
static bool on_change(const struct fuse_in_header *in, const char *body)
{
	switch (in->opcode) {
	case FUSE_RENAME:
		on_rename(in, body + sizeof(struct fuse_rename_in));
		return true;
	case FUSE_UNLINK:
		show_change(in, "unlink", body, "");
		answer_fuse(in, 0, NULL, 0);
		return true;
	case FUSE_RMDIR:
		show_change(in, "rmdir", body, "");
		answer_fuse(in, -ENOTEMPTY, NULL, 0);
		return true;
	case FUSE_MKDIR:
		show_change(in, "mkdir", body + sizeof(struct fuse_mkdir_in), "");
		answer_entry(in, body + sizeof(struct fuse_mkdir_in));
		return true;
	case FUSE_LOOKUP:
		answer_entry(in, body);
		return true;
	default:
		return false;
	}
}

static void on_fuse(const char *buf)
{
	struct fuse_in_header in;
	struct fuse_init_out init = {
		.major = 7, .minor = 31, .max_readahead = 65536, .max_write = 4096};
	struct fuse_attr_out attr = {
		.attr_valid = 1, .attr = {.ino = 1, .mode = S_IFDIR | 0555, .nlink = 2}};
	struct fuse_open_out open_out = {.fh = 1};
	memcpy(&in, buf, sizeof(in));
	if (on_change(&in, buf + sizeof(in)))
		return;
	if (in.nodeid >= DIRS) {
		attr.attr.ino = in.nodeid;
		attr.attr.mode = S_IFDIR | 0500;
	}
	switch (in.opcode) {
	case FUSE_INIT:
		answer_fuse(&in, 0, &init, sizeof(init));
		break;
	case FUSE_GETATTR:
		answer_fuse(&in, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPENDIR:
		answer_fuse(&in, 0, &open_out, sizeof(open_out));
		break;
	case FUSE_READDIR:
	case FUSE_RELEASEDIR:
		answer_fuse(&in, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer_fuse(&in, -ENOSYS, NULL, 0);
	}
}

static int serve(void)
{
	static char buf[1 << 17];
	struct pollfd p[3] = {{.fd = FD_FUSE, .events = POLLIN}, {.fd = FD_HOLD, .events = POLLIN},
		{.fd = FD_RENAMER, .events = POLLIN}};
	for (;;) {
		struct hold_msg m;
		int fd = -1;
		if (poll(p, 3, -1) < 0)
			return 5;
		if (p[1].revents) {
			if (hold_recv(FD_HOLD, &m, &fd) <= 0)
				return 0;
			printf("order %u\n", m.type);
			fflush(stdout);
		}
		if (p[2].revents && on_renamer())
			p[2].fd = -1;
		if (p[0].revents) {
			memset(buf, 0, 4096);
			if (read(FD_FUSE, buf, sizeof(buf)) < 0)
				return errno == ENODEV ? 0 : 6;
			on_fuse(buf);
		}
	}
}

static int stack(int n, const char *dir)
{
	for (int i = 0; i < n; i++) {
		char data[128];
		int fd = open("/dev/fuse", O_RDWR);
		snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
		if (fd < 0 || mount("dead", dir, "fuse.secretfs", 0, data) < 0)
			return 1;
		close(fd);
	}
	return 0;
}

int main(int argc, char **argv, char **env)
{
	mode = argc > 1 ? argv[1] : "";
	if (strcmp(mode, "stack") == 0 && argc == 4)
		return stack((int)strtol(argv[2], NULL, 10), argv[3]);
	show(argv, env);
	for (int i = 2; i < argc; i++)
		if (strncmp(argv[i], "ask:", 4) == 0)
			ask(argv[i]);
		else if (strncmp(argv[i], "tell:", 5) == 0)
			tell_lines(argv[i]);
		else if (strncmp(argv[i], "ren:", 4) == 0 && nrequests < MAX_REQUESTS)
			requests[nrequests++] = argv[i] + 4;
	fflush(stdout);
	if (strcmp(mode, "fail") == 0)
		tell(HOLD_FAILED, EACCES, "no such\nluck");
	else if (strcmp(mode, "crash") == 0)
		raise(SIGKILL);
	else if (strcmp(mode, "die") == 0)
		return 3;
	else if (strcmp(mode, "hang") == 0)
		pause();
	else if (strcmp(mode, "flood") == 0)
		flood();
	if (strcmp(mode, "fail") != 0)
		tell(HOLD_LIVE, 0, "");
	if (strcmp(mode, "stubborn") == 0)
		for (;;)
			pause();
	return serve();
}
