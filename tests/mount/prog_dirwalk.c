/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prog_dirwalk pause DIR N BYTES: reads N entries with getdents64 calls of BYTES, prints "pause",
 * waits for a line on standard input, reads the rest. Prints one name a line. prog_dirwalk seek
 * DIR: remembers telldir(3) before each entry, then seeks to each in a shuffled order and checks
 * that the same name comes. prog_dirwalk time DIR: reads all and prints the number of entries.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUFFER_MAX  (256 * 1024)
#define ENTRIES_MAX 200000

struct entry {
	unsigned long ino;
	long off;
	unsigned short len;
	unsigned char type;
	char name[];
};

static char buffer[BUFFER_MAX];
static unsigned long seen;

/* One call of getdents64. Returns the number of entries, 0 at the end. */
static int step(int fd, size_t bytes, int print)
{
	long n = syscall(SYS_getdents64, fd, buffer, bytes);
	int count = 0;
	if (n < 0) {
		perror("getdents64");
		exit(1);
	}
	for (long at = 0; at < n; count++) {
		struct entry *e = (struct entry *)(void *)(buffer + at);
		if (print)
			puts(e->name);
		at += e->len;
	}
	seen += (unsigned long)count;
	return count;
}

static int walk(const char *dir, unsigned long pause_after, size_t bytes)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int paused = 0;
	if (fd < 0) {
		perror(dir);
		return 1;
	}
	while (step(fd, bytes, 1)) {
		if (!paused && seen >= pause_after) {
			paused = 1;
			puts("pause");
			fflush(stdout);
			if (getchar() == EOF)
				return 1;
		}
	}
	close(fd);
	return 0;
}

static int seek(const char *dir)
{
	static long where[ENTRIES_MAX];
	static char *names[ENTRIES_MAX];
	size_t n = 0;
	DIR *d = opendir(dir);
	if (!d)
		return perror(dir), 1;
	for (struct dirent *e;; n++) {
		where[n] = telldir(d);
		if (n + 1 == ENTRIES_MAX || !(e = readdir(d)))
			break;
		names[n] = strdup(e->d_name);
	}
	for (size_t i = 0; i < n; i++) {
		size_t k = (i * 7919 + 13) % n;
		seekdir(d, where[k]);
		struct dirent *e = readdir(d);
		if (!e || strcmp(e->d_name, names[k]) != 0) {
			printf("entry %zu: want %s, got %s\n", k, names[k],
				e ? e->d_name : "the end");
			return 1;
		}
	}
	closedir(d);
	printf("ok %zu\n", n);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "pause") == 0)
		return walk(argv[2], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	if (argc == 3 && strcmp(argv[1], "seek") == 0)
		return seek(argv[2]);
	if (argc == 3 && strcmp(argv[1], "time") == 0) {
		int fd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		while (fd >= 0 && step(fd, BUFFER_MAX, 0))
			;
		printf("%lu\n", seen);
		return fd < 0;
	}
	fprintf(stderr, "usage: prog_dirwalk pause DIR N BYTES | seek DIR | time DIR\n");
	return 2;
}
