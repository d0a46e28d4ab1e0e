/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch(): starts the holder. As a daemon it gets a pipe through which it says "OK" or "E errno
 * sentence" once, and the command waits for that word, so that it returns when the mount is live or
 * says why it is not.
 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "base/text.h"
#include "mount/cli.h"
#include "mount/launch.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORD_MAX   (SFS_ERR_MAX + 64) /* "E 12345 " and a sentence */
#define PLAIN	   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+"
#define GRACE_MSEC 6000 /* for the holder to unmount after SIGTERM, before SIGKILL */

/* What the wait ended with. */
enum outcome { SAID, SILENT, INTERRUPTED };

/* In the child: never returns. The daemon keeps no terminal; its standard error stays only where
 * log=stderr asks for it. */
static void run_daemon(const struct argv *holder, int ready_fd, const sigset_t *old_mask)
{
	char flag[32], **v = calloc(holder->n + 2, sizeof(*v));
	bool keep_stderr = false;
	if (!v)
		_exit(CLI_MOUNT);
	snprintf(flag, sizeof(flag), "--ready-fd=%d", ready_fd);
	v[0] = holder->v[0];
	v[1] = flag;
	for (size_t i = 1; i < holder->n; i++) {
		v[i + 1] = holder->v[i];
		keep_stderr = keep_stderr || strcmp(holder->v[i], "--log=stderr") == 0;
	}
	sigprocmask(SIG_SETMASK, old_mask, NULL);
	setsid();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		dprintf(ready_fd, "E %d open /dev/null: %s; is /dev complete?\n", errno,
			strerror(errno));
	else if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || chdir("/") < 0 ||
		 (!keep_stderr && dup2(null, 2) < 0))
		dprintf(ready_fd, "E %d detach from the terminal: %s\n", errno, strerror(errno));
	else if (execv(v[0], v) < 0)
		dprintf(ready_fd, "E %d %s: %s; is the package installed whole?\n", errno, v[0],
			strerror(errno));
	_exit(CLI_MOUNT);
}

static enum outcome await_word(int ready, int signals, struct buf *word)
{
	struct pollfd p[] = {{.fd = ready, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	for (;;) {
		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return SILENT;
		}
		if (p[1].revents)
			return INTERRUPTED;
		char chunk[256];
		ssize_t n = read(ready, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || buf_add(word, chunk, (size_t)n) < 0)
			return word->len ? SAID : SILENT;
		if (memchr(chunk, '\n', (size_t)n))
			return SAID;
	}
}

/* Waits for the end of a holder that unmounts what it had; SIGKILL is for one that hangs. Its end
 * of the pipe closes when it ends; a "hang-up" needs no events bit. */
static void await_end(pid_t pid, int ready)
{
	struct pollfd p = {.fd = ready};
	if (poll(&p, 1, GRACE_MSEC) == 0)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* A holder that was killed just after mount(2) leaves a mount that its worker would go on serving,
 * though this command says that it failed. One that was there before is refused with a sentence. */
static void detach_leftover(const struct mount_request *m)
{
	struct mount_entry *all;
	size_t n;
	if (mountinfo_read(&all, &n, NULL) < 0)
		return;
	const struct mount_entry *top = mountinfo_top(all, n, m->mountpoint);
	if (top && strcmp(top->type, MOUNT_TYPE) == 0 && strcmp(top->source, m->source) == 0)
		umount2(m->mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW);
	mountinfo_free(all, n);
}

static int say_silent(const struct mount_request *m, pid_t pid)
{
	int status = 0;
	pid_t ended = waitpid(pid, &status, 0);
	detach_leftover(m);
	if (ended == pid && WIFSIGNALED(status))
		fprintf(stderr,
			"secretfs: mount %s: the holder was killed by signal %d (%s) before the "
			"mount was live\n",
			m->mountpoint, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr,
			"secretfs: mount %s: the holder ended with code %d without saying why; see "
			"the log, or try -f\n",
			m->mountpoint, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return CLI_MOUNT;
}

/* "OK" or "E errno sentence". */
static int say_word(const struct mount_request *m, const struct buf *word)
{
	char shown[SFS_ERR_MAX];
	const char *text = buf_text(word);
	size_t len = strcspn(text, "\n");
	if (len == 2 && strncmp(text, "OK", 2) == 0) {
		if (m->verbose)
			fprintf(stderr, "secretfs: %s is mounted at %s\n", m->source,
				m->mountpoint);
		return CLI_OK;
	}
	if (strncmp(text, "E ", 2) == 0) {
		size_t skip = 2 + strcspn(text + 2, " \n");
		skip += text[skip] == ' ';
		text += skip;
		len -= skip < len ? skip : len;
	}
	fprintf(stderr, "secretfs: %s\n", text_escaped(shown, sizeof(shown), text, len));
	return CLI_MOUNT;
}

static int wait_for_daemon(const struct mount_request *m, pid_t pid, int ready, int signals)
{
	_cleanup_(buf_clear) struct buf word = BUF_INIT(WORD_MAX);
	int code;
	switch (await_word(ready, signals, &word)) {
	case SAID:
		code = say_word(m, &word);
		if (code != CLI_OK)
			await_end(pid, ready); /* so that the next try finds nothing of this one */
		return code;
	case SILENT:
		return say_silent(m, pid);
	case INTERRUPTED:
		break;
	}
	kill(pid, SIGTERM);
	await_end(pid, ready);
	fprintf(stderr, "secretfs: mount %s: interrupted; nothing is mounted\n", m->mountpoint);
	return CLI_INTERRUPTED;
}

static int daemonize(const struct mount_request *m, const struct argv *holder)
{
	int ends[2];
	sigset_t caught, old_mask;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		perror("secretfs: pipe");
		return CLI_MOUNT;
	}
	_cleanup_close_ int ready = ends[0];
	_cleanup_close_ int child_end = ends[1];
	sigemptyset(&caught);
	sigaddset(&caught, SIGINT);
	sigaddset(&caught, SIGTERM);
	sigaddset(&caught, SIGHUP);
	sigprocmask(SIG_BLOCK, &caught, &old_mask);
	_cleanup_close_ int signals = signalfd(-1, &caught, SFD_CLOEXEC);
	pid_t pid = signals < 0 ? -1 : fork();
	if (pid == 0) {
		fcntl(child_end, F_SETFD, 0); /* the one descriptor that the holder inherits */
		run_daemon(holder, child_end, &old_mask);
	}
	if (pid < 0) {
		perror("secretfs: fork");
		return CLI_MOUNT;
	}
	close(take_fd(child_end));
	return wait_for_daemon(m, pid, ready, signals);
}

/* As one could type it. */
static void show_word(const char *word, bool last)
{
	bool plain = *word && word[strspn(word, PLAIN)] == 0;
	char shown[SFS_PATH_MAX];
	fprintf(stderr, plain ? "%s%s" : "'%s'%s",
		text_escaped(shown, sizeof(shown), word, strlen(word)), last ? "\n" : " ");
}

int launch(const struct mount_request *m, const struct argv *holder)
{
	if (m->verbose)
		for (size_t i = 0; i < holder->n; i++)
			show_word(holder->v[i], i + 1 == holder->n);
	fflush(NULL);
	if (!m->foreground)
		return daemonize(m, holder);
	execv(holder->v[0], holder->v);
	fprintf(stderr, "secretfs: %s: %s; is the package installed whole?\n", holder->v[0],
		strerror(errno));
	return CLI_MOUNT;
}
