/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_names OPERATION SECONDS DIRECTORY: prints nanoseconds per name. list: all names of the
 * directory, again and again for that long; names: stat of each name read from standard input,
 * once.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

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
	struct stat st;
	unsigned long n = 0;
	while (fgets(name, sizeof(name), stdin)) {
		name[strcspn(name, "\n")] = 0;
		snprintf(full, sizeof(full), "%s/%s", path, name);
		if (stat(full, &st) < 0)
			fail(full);
		n++;
	}
	return n;
}

int main(int argc, char **argv)
{
	bool names = argc == 4 && strcmp(argv[1], "names") == 0;
	if (!names && (argc != 4 || strcmp(argv[1], "list") != 0)) {
		fprintf(stderr, "usage: bench_names list|names SECONDS DIRECTORY\n");
		return 2;
	}
	double start = now(), end = start + atof(argv[2]) * 1e9;
	unsigned long n = 0;
	do
		n += names ? do_names(argv[3]) : do_list(argv[3]);
	while (!names && now() < end);
	printf("%.0f\n", n ? (now() - start) / (double)n : 0);
	return n == 0;
}
