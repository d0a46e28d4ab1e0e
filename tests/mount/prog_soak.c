/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prog_soak SECONDS READS FILE...: reads the files round after round until both limits are reached
 * (SECONDS is doubled at most), and checks every read. A value is 16 hexadecimal digits, the FNV-1a
 * hash of what follows, and that text. Per open: fstat is exact, the whole is read four times in
 * different pieces and is the same version each time; some are mapped, sent with sendfile and
 * spliced too. Where no OPEN is sent, a version that is purged while it is read ends with ESTALE
 * (SIGBUS in a mapping), and the file is opened anew. A thread that meets two rotations in one
 * open(2) gets a node that follows the name, whose size may be that of the next version: what it
 * reads is whole all the same. Prints "reads N opens N changes N again N follows N"; any error or
 * torn value ends it with status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VALUE_MAX    65536
#define DIGITS	     16
#define FILES_MAX    64
#define OTHERS_EVERY 8
#define AGAIN	     1 /* the version ended while it was read */
#define FOLLOWS	     2 /* fstat told the size of another version */

static unsigned long reads, opens, changes, again, follows;
static sigjmp_buf fault;
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

/* AGAIN, or -1. */
static int bad(const char *file, const char *what)
{
	if (errno == ESTALE)
		return AGAIN;
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

static void on_fault(int number)
{
	siglongjmp(fault, number);
}

static int get_map(int fd, char *out, size_t len)
{
	void *volatile p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	volatile int r = 0;
	if (p == MAP_FAILED)
		return -1;
	if (sigsetjmp(fault, 1) == 0) {
		memcpy(out, p, len);
	} else {
		errno = ESTALE;
		r = -1;
	}
	munmap(p, len);
	return r;
}

static int get_sendfile(int fd, char *out, size_t len)
{
	off_t at = 0;
	int to = memfd_create("soak", MFD_CLOEXEC), r = -1;
	while (to >= 0 && (size_t)at < len && sendfile(to, fd, &at, len - (size_t)at) > 0)
		;
	if ((size_t)at == len)
		r = read_pieces(to, out, len, len);
	if (to >= 0)
		close(to);
	return r;
}

/* A value fits into a pipe. */
static int get_splice(int fd, char *out, size_t len)
{
	off_t at = 0;
	int p[2], r = -1;
	if (pipe(p) < 0)
		return -1;
	while ((size_t)at < len && splice(fd, &at, p[1], NULL, len - (size_t)at, 0) > 0)
		;
	if ((size_t)at == len && read(p[0], out, len) == (ssize_t)len)
		r = 0;
	close(p[0]);
	close(p[1]);
	return r;
}

static int check_others(int fd, const char *file, const char *first, size_t len)
{
	static char out[VALUE_MAX];
	static const struct {
		int (*get)(int fd, char *out, size_t len);
		const char *failed, *differs;
	} ways[] = {
		{get_map, "mmap", "mapped bytes differ from read bytes"},
		{get_sendfile, "sendfile", "sent bytes differ from read bytes"},
		{get_splice, "splice", "spliced bytes differ from read bytes"},
	};
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		errno = 0;
		if (ways[i].get(fd, out, len) < 0)
			return bad(file, ways[i].failed);
		if (memcmp(out, first, len) != 0)
			return bad(file, ways[i].differs);
		reads++;
	}
	return 0;
}

static int check_open(int fd, const char *file, char *seen)
{
	static char first[VALUE_MAX], other[VALUE_MAX];
	static const size_t pieces[] = {VALUE_MAX, 4096, 1000};
	struct stat st;
	errno = 0;
	if (fstat(fd, &st) < 0)
		return bad(file, "fstat");
	size_t len = (size_t)st.st_size;
	ssize_t n = read(fd, first, sizeof(first));
	if (n > 0 && n != (ssize_t)len && whole(first, (size_t)n))
		return FOLLOWS;
	if (n != (ssize_t)len)
		return bad(file, "size from fstat is not what read gave");
	reads++;
	if (!whole(first, len))
		return bad(file, "torn value");
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		if (read_pieces(fd, other, len, pieces[i]) < 0 || memcmp(first, other, len) != 0)
			return bad(file, "an open file changed its bytes");
		reads++;
	}
	if (memcmp(seen, first, DIGITS) != 0) {
		memcpy(seen, first, DIGITS);
		changes++;
	}
	return opens % OTHERS_EVERY ? 0 : check_others(fd, file, first, len);
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
		again += r == AGAIN;
		follows += r == FOLLOWS;
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
	signal(SIGBUS, on_fault);
	while (r == 0 && (now() < start + seconds || reads < wanted) && now() < start + 2 * seconds)
		r = round_of(argv + 3, argc - 3);
	printf("reads %lu opens %lu changes %lu again %lu follows %lu\n", reads, opens, changes,
		again, follows);
	return r < 0;
}
