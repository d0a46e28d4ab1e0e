/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of audit lines and the thread that writes them. The place is a pipe or a file of the
 * test; a line is in the writer's hand while the pipe is full. */
#include "base/alloc.h"
#include "base/clock.h"
#include "mount/audit_log.h"
#include "mount/cli.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

const struct cli_command *const cli_commands[] = {NULL};

static struct audit_log *l;
static int source = -1;	      /* what the place gives out: dup(2) of it */
static _Atomic int open_code; /* or this error */
static _Atomic unsigned opens, sweeps;
static sem_t done_sem;

struct reader {
	struct audit_wait wait;
	atomic_int r;
	atomic_uint calls;
};

static void done(struct audit_wait *w, int r)
{
	struct reader *rd = (struct reader *)w;
	atomic_store(&rd->r, r);
	atomic_fetch_add(&rd->calls, 1);
	sem_post(&done_sem);
}

static struct reader reader(void)
{
	return (struct reader){.wait = {.done = done, .deadline = 10 * NSEC_PER_SEC}, .r = 99};
}

static int open_place(void *arg, int *ret_fd, struct sfs_err *err)
{
	cr_assert_eq(arg, &opens);
	opens++;
	if (open_code)
		return err_set(err, open_code, "the place is not there");
	*ret_fd = dup(source);
	return 0;
}

static void start_sweep(void *arg)
{
	cr_assert_eq(arg, &opens);
	sweeps++;
}

static void start(size_t max, bool syslog)
{
	const struct audit_place place = {.name = "here",
		.syslog = syslog,
		.open = open_place,
		.sweep = start_sweep,
		.arg = &opens};
	clock_fake(NSEC_PER_SEC, NSEC_PER_SEC);
	sem_init(&done_sem, 0, 0);
	cr_assert_eq(audit_log_new(&place, max, &l), 0);
}

static enum audit_added add(const char *text, bool required, struct reader *rd)
{
	char *line = mem_strdup(text);
	return audit_log_add(l, line, strlen(line), required, rd ? &rd->wait : NULL);
}

static struct audit_counts counts(void)
{
	struct audit_counts c;
	audit_log_counts(l, &c);
	return c;
}

/* A file with a name; end() removes it. */
static const char *files[4];
static size_t nfiles;
static int temp_file(void)
{
	static char paths[4][32];
	char *path = strcpy(paths[nfiles], "/tmp/test-audit-log.XXXXXX");
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	files[nfiles++] = path;
	return fd;
}

static void end(void)
{
	audit_log_stop(l);
	audit_log_free(l);
	while (nfiles)
		unlink(files[--nfiles]);
}

static const char *content(int fd)
{
	static char text[4096];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	cr_assert_geq(n, 0);
	text[n] = '\0';
	return text;
}

/* A pipe that is full: the writer stays with the line that is in its hand. */
static int full_pipe(void)
{
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	fcntl(ends[1], F_SETPIPE_SZ, 4096);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	char page[4096] = {0};
	while (write(ends[1], page, sizeof(page)) > 0)
		;
	fcntl(ends[1], F_SETFL, 0);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	source = ends[1];
	return ends[0];
}

/* Reads until `n` lines are written. */
static void drain(int out, uint64_t n)
{
	char page[8192];
	while (counts().lines != n)
		if (read(out, page, sizeof(page)) < 0)
			sched_yield();
}

/* Until the writer has taken all but `n` lines from the queue. */
static void await_queue(size_t n)
{
	while (counts().queued != n)
		sched_yield();
}

Test(audit_log, lines_come_whole_and_in_order)
{
	source = temp_file();
	start(100, false);
	struct reader rd = reader();
	cr_assert_eq(add("one\n", false, &rd), AUDIT_GO_ON);
	cr_assert_eq(add("two\n", false, NULL), AUDIT_GO_ON);
	cr_assert_eq(add("three\n", true, &rd), AUDIT_WAIT);
	sem_wait(&done_sem);
	cr_assert_eq(rd.r, 0);
	cr_assert_str_eq(content(source), "one\ntwo\nthree\n");
	struct audit_counts c = counts();
	cr_assert(c.lines == 3 && c.failures == 0 && c.slowed == 0 && c.queued == 0);
	cr_assert_eq(opens, 1);
	end();
	cr_assert_eq(rd.calls, 1);
}

Test(audit_log, what_waits_is_written_at_the_end)
{
	source = temp_file();
	start(100, false);
	for (int i = 0; i < 50; i++)
		cr_assert_eq(add("x\n", false, NULL), AUDIT_GO_ON);
	end();
	cr_assert_eq(strlen(content(source)), 100);
}

Test(audit_log, a_full_queue_slows_and_drops_nothing)
{
	int out = full_pipe();
	struct reader rd[3] = {reader(), reader(), reader()};
	start(2, false);
	cr_assert_eq(add("in hand\n", false, &rd[0]), AUDIT_GO_ON);
	await_queue(0);
	cr_assert_eq(add("1\n", false, &rd[0]), AUDIT_GO_ON);
	cr_assert_eq(add("2\n", false, &rd[0]), AUDIT_GO_ON);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(add("more\n", false, &rd[i]), AUDIT_WAIT);
	cr_assert_eq(add("of one who cannot wait\n", false, NULL), AUDIT_FAILED);
	struct audit_counts c = counts();
	cr_assert(c.queued == 5 && c.slowed == 3 && c.failures == 1 && c.lines == 0);
	cr_assert_eq(sweeps, 1);
	drain(out, 6);
	for (int i = 0; i < 3; i++)
		sem_wait(&done_sem);
	for (int i = 0; i < 3; i++)
		cr_assert(rd[i].calls == 1 && rd[i].r == 0);
	end();
}

Test(audit_log, nobody_waits_beyond_the_deadline)
{
	int out = full_pipe();
	struct reader hand = reader(), queued = reader(), later = reader();
	later.wait.deadline = 20 * NSEC_PER_SEC;
	start(10, false);
	cr_assert_eq(add("in hand\n", true, &hand), AUDIT_WAIT);
	await_queue(0);
	cr_assert_eq(add("queued\n", true, &queued), AUDIT_WAIT);
	cr_assert_eq(add("later\n", true, &later), AUDIT_WAIT);
	cr_assert(audit_log_sweep(l));
	cr_assert_eq(hand.calls + queued.calls, 0, "not before");
	clock_fake(10 * NSEC_PER_SEC, NSEC_PER_SEC);
	cr_assert(audit_log_sweep(l), "one still waits");
	cr_assert(hand.calls == 1 && hand.r == -ETIMEDOUT);
	cr_assert(queued.calls == 1 && queued.r == -ETIMEDOUT);
	cr_assert_eq(later.calls, 0);
	struct audit_counts c = counts();
	cr_assert(c.queued == 1 && c.failures == 1, "what was not begun is off the queue");
	drain(out, 2);
	sem_wait(&done_sem);
	end();
	cr_assert(later.calls == 1 && later.r == 0);
	cr_assert(hand.calls == 1, "once");
}

Test(audit_log, the_sweep_ends_when_nobody_waited)
{
	source = temp_file();
	start(10, false);
	struct reader rd = reader();
	cr_assert_not(audit_log_sweep(l));
	add("x\n", true, &rd);
	cr_assert(audit_log_sweep(l), "somebody did");
	sem_wait(&done_sem);
	cr_assert_not(audit_log_sweep(l));
	add("x\n", true, &rd);
	sem_wait(&done_sem);
	cr_assert_eq(sweeps, 2, "and is started again");
	end();
}

Test(audit_log, a_place_that_cannot_be_opened_is_tried_now_and_then)
{
	source = temp_file();
	open_code = ENOENT;
	start(10, false);
	struct reader rd = reader();
	for (int i = 0; i < 3; i++) {
		add("x\n", true, &rd);
		sem_wait(&done_sem);
		cr_assert_eq(rd.r, -ENOENT);
	}
	cr_assert_eq(opens, 1);
	struct audit_counts c = counts();
	cr_assert(c.failures == 3 && c.lines == 0 && c.failed_wall == NSEC_PER_SEC);
	cr_assert_str_eq(c.last.msg, "the place is not there");
	open_code = 0;
	clock_fake_advance(2 * NSEC_PER_SEC);
	add("x\n", true, &rd);
	sem_wait(&done_sem);
	cr_assert_eq(rd.r, 0);
	cr_assert_eq(opens, 2);
	end();
	cr_assert_str_eq(content(source), "x\n");
}

Test(audit_log, reopened_by_order_and_the_old_one_stays_if_that_fails)
{
	int old = source = temp_file();
	start(10, false);
	struct reader rd = reader();
	add("1\n", true, &rd);
	sem_wait(&done_sem);
	open_code = EACCES;
	audit_log_reopen(l);
	while (counts().failures == 0)
		sched_yield();
	add("2\n", true, &rd);
	sem_wait(&done_sem);
	cr_assert_eq(rd.r, 0);
	open_code = 0;
	int new = source = temp_file();
	audit_log_reopen(l);
	add("3\n", true, &rd);
	sem_wait(&done_sem);
	end();
	cr_assert_str_eq(content(old), "1\n2\n");
	cr_assert_str_eq(content(new), "3\n");
}

Test(audit_log, a_deleted_file_is_left)
{
	char path[] = "/tmp/test-audit-log.XXXXXX";
	int old = source = mkstemp(path);
	start(10, false);
	struct reader rd = reader();
	add("1\n", true, &rd);
	sem_wait(&done_sem);
	unlink(path);
	int new = source = temp_file();
	clock_fake_advance(2 * NSEC_PER_SEC);
	add("2\n", true, &rd);
	sem_wait(&done_sem);
	end();
	cr_assert_str_eq(content(old), "1\n");
	cr_assert_str_eq(content(new), "2\n");
}

Test(audit_log, a_torn_line_is_ended_before_the_next)
{
	int ends[2];
	cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
	fcntl(ends[1], F_SETPIPE_SZ, 4096);
	source = ends[1];
	static char long_line[6001], got[16384];
	memset(long_line, 'a', 6000);
	long_line[5999] = '\n';
	start(10, false);
	struct reader rd = reader();
	add(long_line, true, &rd); /* more than the pipe takes, so a part is in it */
	sem_wait(&done_sem);
	cr_assert_eq(rd.r, -EAGAIN);
	ssize_t n = read(ends[0], got, sizeof(got));
	cr_assert(n > 0 && n < 6000);
	add("next\n", true, &rd);
	sem_wait(&done_sem);
	n = read(ends[0], got, sizeof(got));
	cr_assert_eq(n, 6);
	cr_assert_eq(memcmp(got, "\nnext\n", 6), 0);
	end();
}

Test(audit_log, a_datagram_a_line)
{
	int pair[2];
	char got[256];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	source = pair[0];
	start(10, true);
	struct reader rd = reader();
	add("{\"a\":1}\n", true, &rd);
	sem_wait(&done_sem);
	ssize_t n = recv(pair[1], got, sizeof(got) - 1, 0);
	cr_assert_gt(n, 0);
	got[n] = '\0';
	int pid = 0, at = 0;
	cr_assert_eq(
		sscanf(got, "<86>%*3s %*d %*d:%*d:%*d secretfs[%d]: %n", &pid, &at), 1, "%s", got);
	cr_assert_eq(pid, getpid());
	cr_assert_str_eq(got + at, "{\"a\":1}", "without newline");
	end();
}

Test(audit_log, no_memory)
{
	struct audit_log *none = NULL;
	const struct audit_place place = {.name = "here", .open = open_place};
	alloc_fail_at(1);
	cr_assert_eq(audit_log_new(&place, 1, &none), -ENOMEM);
	cr_assert_null(none);
	audit_log_free(NULL);
	source = temp_file();
	start(10, false);
	char *line = mem_strdup("x\n");
	alloc_fail_at(1);
	cr_assert_eq(audit_log_add(l, line, 2, false, NULL), AUDIT_FAILED);
	cr_assert_eq(counts().failures, 1);
	end();
}

static void *add_many(void *arg)
{
	for (int i = 0; i < 200; i++) {
		struct reader *rd = arg;
		if (add("0123456789\n", i % 2, rd) == AUDIT_WAIT)
			while (atomic_load(&rd->calls) == 0)
				sched_yield();
		atomic_store(&rd->calls, 0);
	}
	return NULL;
}

Test(audit_log, many_threads)
{
	enum { N = 8 };
	pthread_t t[N];
	struct reader rd[N];
	source = temp_file();
	fcntl(source, F_SETFL, O_APPEND);
	start(3, false);
	for (int i = 0; i < N; i++) {
		rd[i] = reader();
		cr_assert_eq(pthread_create(&t[i], NULL, add_many, &rd[i]), 0);
	}
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	struct stat st;
	end();
	cr_assert_eq(fstat(source, &st), 0);
	cr_assert_eq(st.st_size, N * 200 * 11);
}
