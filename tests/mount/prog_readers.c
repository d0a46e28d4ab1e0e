/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prog_readers N FILE [EXPECTED]: N threads each open FILE, read it to its end and close it, all at
 * once. Prints how often each result was seen: "ok COUNT", "wrong COUNT" (other bytes than file
 * EXPECTED), "errno NUMBER COUNT".
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALUE_MAX   65536
#define THREAD_SIZE 65536
#define ERRNO_MAX   256

static const char *file;
static char expected[VALUE_MAX];
static ssize_t expected_len = -1;
static atomic_ulong results[ERRNO_MAX]; /* [0] = ok */
static atomic_ulong wrong;
static pthread_barrier_t start;

static ssize_t read_all(int fd, char *out)
{
	size_t len = 0;
	while (len < VALUE_MAX) {
		ssize_t n = read(fd, out + len, VALUE_MAX - len);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static void *reader(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&start);
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		atomic_fetch_add(&results[errno % ERRNO_MAX], 1);
		return NULL;
	}
	char *got = malloc(VALUE_MAX);
	ssize_t n = got ? read_all(fd, got) : -ENOMEM;
	if (n < 0)
		atomic_fetch_add(&results[-n % ERRNO_MAX], 1);
	else if (expected_len >= 0 && (n != expected_len || memcmp(got, expected, (size_t)n) != 0))
		atomic_fetch_add(&wrong, 1);
	else
		atomic_fetch_add(&results[0], 1);
	free(got);
	close(fd);
	return NULL;
}

static int load_expected(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	expected_len = read_all(fd, expected);
	close(fd);
	return expected_len < 0 ? -1 : 0;
}

static int run(unsigned n)
{
	pthread_attr_t attr;
	pthread_t *threads = calloc(n, sizeof(*threads));
	if (!threads || pthread_attr_init(&attr) || pthread_attr_setstacksize(&attr, THREAD_SIZE) ||
		pthread_barrier_init(&start, NULL, n))
		return 1;
	for (unsigned i = 0; i < n; i++) {
		if (pthread_create(&threads[i], &attr, reader, NULL)) {
			perror("pthread_create");
			return 1;
		}
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	printf("ok %lu\n", atomic_load(&results[0]));
	if (atomic_load(&wrong))
		printf("wrong %lu\n", atomic_load(&wrong));
	for (int e = 1; e < ERRNO_MAX; e++)
		if (atomic_load(&results[e]))
			printf("errno %d %lu\n", e, atomic_load(&results[e]));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3 || atoi(argv[1]) < 1) {
		fprintf(stderr, "usage: prog_readers N FILE [EXPECTED]\n");
		return 2;
	}
	file = argv[2];
	if (argc > 3 && load_expected(argv[3]) < 0) {
		perror(argv[3]);
		return 2;
	}
	return run((unsigned)atoi(argv[1]));
}
