/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_read OPERATION THREADS MILLISECONDS FILE...: that many threads do the operation for that
 * long, thread i on the i-th FILE (over again if there are fewer), and nobody waits for another.
 * Prints "NANOSECONDS COUNT": wall time per operation of all threads together, and how many there
 * were. Every operation is done once per thread before the clock starts.
 *
 * Operations: open (open, read, close), pread (of a file held open), stat, ls (the program `ls -l`
 * on a directory).
 */
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
#define READ_MAX    65536

struct worker {
	pthread_t thread;
	const char *path;
	int fd; /* pread: held open */
	unsigned long count;
	char data[READ_MAX];
};

typedef void (*operation)(struct worker *w);

static struct worker workers[THREADS_MAX];
static operation op;
static atomic_bool stop;
static pthread_barrier_t start;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void do_open(struct worker *w)
{
	int fd = open(w->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, w->data, sizeof(w->data)) <= 0)
		fail(w->path);
	close(fd);
}

static void do_pread(struct worker *w)
{
	if (pread(w->fd, w->data, sizeof(w->data), 0) <= 0)
		fail(w->path);
}

static void do_stat(struct worker *w)
{
	struct stat st;
	if (stat(w->path, &st) < 0)
		fail(w->path);
}

static void do_ls(struct worker *w)
{
	static char *environment[] = {(char *)"LC_ALL=C", NULL};
	char *argv[] = {(char *)"/bin/ls", (char *)"-l", (char *)w->path, NULL};
	posix_spawn_file_actions_t to_null;
	int status;
	pid_t pid;
	posix_spawn_file_actions_init(&to_null);
	posix_spawn_file_actions_addopen(&to_null, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&pid, argv[0], &to_null, NULL, argv, environment) ||
		waitpid(pid, &status, 0) != pid || status != 0)
		fail("ls -l");
	posix_spawn_file_actions_destroy(&to_null);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	w->fd = op == do_pread ? open(w->path, O_RDONLY | O_CLOEXEC) : -1;
	op(w);
	pthread_barrier_wait(&start);
	do {
		op(w);
		w->count++;
	} while (!atomic_load_explicit(&stop, memory_order_relaxed));
	return NULL;
}

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static unsigned long measure(unsigned threads, long ms)
{
	const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
	unsigned long n = 0;
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&workers[i].thread, NULL, run, &workers[i]))
			fail("pthread_create");
	pthread_barrier_wait(&start);
	double began = now();
	nanosleep(&pause, NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		n += workers[i].count;
	}
	printf("%.1f %lu\n", n ? (now() - began) / (double)n : 0, n);
	return n;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		operation fn;
	} ops[] = {{"open", do_open}, {"pread", do_pread}, {"stat", do_stat}, {"ls", do_ls}};
	unsigned threads = argc > 4 ? (unsigned)atoi(argv[2]) : 0;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (argc > 1 && strcmp(argv[1], ops[i].name) == 0)
			op = ops[i].fn;
	if (!op || threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: bench_read open|pread|stat|ls THREADS MILLISECONDS "
				"FILE...\n");
		return 2;
	}
	for (unsigned i = 0; i < threads; i++)
		workers[i].path = argv[4 + i % (unsigned)(argc - 4)];
	if (pthread_barrier_init(&start, NULL, threads + 1))
		fail("pthread_barrier_init");
	return measure(threads, atol(argv[3])) == 0;
}
