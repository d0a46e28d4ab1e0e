/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prog_soak SECONDS READS FILE...: reads the files round after round until both limits are reached
 * (SECONDS is doubled at most), and checks every read. A value is 16 hexadecimal digits, the FNV-1a
 * hash of what follows, and that text. Per open: fstat is exact, the whole is read four times in
 * different pieces and is the same version each time, some are mapped too. Prints "reads N opens N
 * changes N"; any error or torn value ends it with status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VALUE_MAX 65536
#define DIGITS	  16
#define FILES_MAX 64
#define MAP_EVERY 16

static unsigned long reads, opens, changes;
static char last[FILES_MAX][DIGITS];

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int whole(const char *data, size_t len)
{
	char digits[DIGITS + 1];
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	if (len < DIGITS)
		return 0;
	for (size_t i = DIGITS; i < len; i++)
		h = (h ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
	snprintf(digits, sizeof(digits), "%016" PRIx64, h);
	return memcmp(digits, data, DIGITS) == 0;
}

static int bad(const char *file, const char *what)
{
	fprintf(stderr, "prog_soak: %s: %s (%s) after %lu reads\n", file, what, strerror(errno),
		reads);
	return -1;
}

/* Reads [0, len) in pieces of `piece` bytes. */
static int read_pieces(int fd, char *out, size_t len, size_t piece)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = pread(fd, out + at, len - at < piece ? len - at : piece, (off_t)at);
		if (n <= 0)
			return -1;
		at += (size_t)n;
	}
	return 0;
}

static int check_map(int fd, const char *file, const char *first, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return bad(file, "mmap");
	int same = memcmp(p, first, len) == 0;
	munmap(p, len);
	reads++;
	return same ? 0 : bad(file, "mapped bytes differ from read bytes");
}

static int check_open(int fd, const char *file, char *seen)
{
	static char first[VALUE_MAX], again[VALUE_MAX];
	static const size_t pieces[] = {VALUE_MAX, 4096, 1000};
	struct stat st;
	errno = 0;
	if (fstat(fd, &st) < 0)
		return bad(file, "fstat");
	size_t len = (size_t)st.st_size;
	ssize_t n = read(fd, first, sizeof(first));
	if (n != (ssize_t)len)
		return bad(file, "size from fstat is not what read gave");
	reads++;
	if (!whole(first, len))
		return bad(file, "torn value");
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		if (read_pieces(fd, again, len, pieces[i]) < 0 || memcmp(first, again, len) != 0)
			return bad(file, "an open file changed its bytes");
		reads++;
	}
	if (memcmp(seen, first, DIGITS) != 0) {
		memcpy(seen, first, DIGITS);
		changes++;
	}
	return opens % MAP_EVERY ? 0 : check_map(fd, file, first, len);
}

static int round_of(char **files, int n)
{
	for (int i = 0; i < n; i++) {
		int fd = open(files[i], O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return bad(files[i], "open");
		opens++;
		int r = check_open(fd, files[i], last[i]);
		close(fd);
		if (r < 0)
			return r;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 4 || argc - 3 > FILES_MAX) {
		fprintf(stderr, "usage: prog_soak SECONDS READS FILE...\n");
		return 2;
	}
	double start = now(), seconds = atof(argv[1]);
	unsigned long wanted = strtoul(argv[2], NULL, 10);
	int r = 0;
	while (r == 0 && (now() < start + seconds || reads < wanted) && now() < start + 2 * seconds)
		r = round_of(argv + 3, argc - 3);
	printf("reads %lu opens %lu changes %lu\n", reads, opens, changes);
	return r < 0;
}
