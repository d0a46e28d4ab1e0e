/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_ops OPERATION SECONDS FILE...: does the operation on the files in turn for that long and
 * prints nanoseconds per operation. Operations: stat; open (open, fstat, read to the end, close);
 * pread (of a file held open); list (FILE is a directory: all names, ns per name); names (FILE is a
 * directory: stat of each name read from standard input once, ns per name).
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char data[1 << 20];

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned long do_stat(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		fail(path);
	return 1;
}

static unsigned long do_open(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		fail(path);
	ssize_t n;
	while ((n = read(fd, data, sizeof(data))) > 0)
		;
	if (n < 0)
		fail(path);
	close(fd);
	return 1;
}

static unsigned long do_pread(const char *path)
{
	static int fd = -1;
	if (fd < 0 && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		fail(path);
	if (pread(fd, data, sizeof(data), 0) < 0)
		fail(path);
	return 1;
}

static unsigned long do_list(const char *path)
{
	unsigned long n = 0;
	DIR *d = opendir(path);
	if (!d)
		fail(path);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Once over all names of standard input. */
static unsigned long do_names(const char *path)
{
	char name[300], full[4096];
	unsigned long n = 0;
	while (fgets(name, sizeof(name), stdin)) {
		name[strcspn(name, "\n")] = 0;
		snprintf(full, sizeof(full), "%s/%s", path, name);
		n += do_stat(full);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned long (*fn)(const char *path);
	} ops[] = {{"stat", do_stat}, {"open", do_open}, {"pread", do_pread}, {"list", do_list},
		{"names", do_names}};
	unsigned long (*fn)(const char *path) = NULL;
	for (size_t i = 0; argc > 3 && i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(argv[1], ops[i].name) == 0)
			fn = ops[i].fn;
	if (!fn) {
		fprintf(stderr, "usage: bench_ops stat|open|pread|list|names SECONDS FILE...\n");
		return 2;
	}
	double start = now(), end = start + atof(argv[2]) * 1e9;
	unsigned long n = 0;
	int at = 3;
	do {
		n += fn(argv[at]);
		at = at + 1 < argc ? at + 1 : 3;
	} while (now() < end && fn != do_names);
	printf("%.0f\n", n ? (now() - start) / (double)n : 0);
	return n == 0;
}
