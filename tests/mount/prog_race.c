/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prog_race COUNTER FILE: reads FILE again and again until the second number of COUNTER
 * is not 0. COUNTER holds three numbers of eight bytes. The first, n, says that a reader who opens
 * FILE from now on must see version n or a later one; none may ever go back. The third is the
 * version that is being brought in, or n. Version n is n in 20 digits and n * 7919 % 9000 bytes of
 * the letter 'a' + n % 26, so that a torn or mixed one shows. Each opened file is read whole, then
 * in pieces or through a mapping.
 *
 * Where no OPEN is sent, a file whose version is purged while it is read gives ESTALE, or SIGBUS in
 * a mapping: then the reader starts over. It also does where fstat tells another size than read
 * gets: a node whose version is purged between LOOKUP and OPEN, twice in a row, follows the name
 * and shows the size of who opened it last. Both are wrong unless a version was brought in since
 * before the file was opened. Prints "opens N again N resized N last N"; anything else is said on
 * standard error, with status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGITS	  20
#define VALUE_MAX 16384

static const _Atomic uint64_t *counter;
static const char *file;
static char data[VALUE_MAX], again[VALUE_MAX];
static uint64_t opens, restarts, resized, last;
static sigjmp_buf fault;

static int bad(const char *what, uint64_t n)
{
	fprintf(stderr, "prog_race: %s: %" PRIu64 " (%s), after %" PRIu64 " opens\n", what, n,
		strerror(errno), opens);
	return -1;
}

static int read_pieces(int fd, char *out, size_t len, size_t piece)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = pread(fd, out + at, len - at < piece ? len - at : piece, (off_t)at);
		if (n < 0)
			return -errno;
		if (n == 0)
			return bad("end of file at", at);
		at += (size_t)n;
	}
	return 0;
}

static void on_fault(int number)
{
	siglongjmp(fault, number);
}

static int read_map(int fd, char *out, size_t len)
{
	void *volatile p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	int r = 0;
	if (p == MAP_FAILED)
		return bad("mmap of bytes", len);
	if (sigsetjmp(fault, 1) == 0)
		memcpy(out, p, len);
	else
		r = -ESTALE;
	munmap(p, len);
	return r;
}

/* The version of a whole value, or 0. */
static uint64_t version(size_t len)
{
	char digits[DIGITS + 1] = {0};
	if (len < DIGITS)
		return 0;
	memcpy(digits, data, DIGITS);
	uint64_t n = strtoull(digits, NULL, 10);
	if (len != DIGITS + n * 7919 % 9000)
		return 0;
	for (size_t i = DIGITS; i < len; i++)
		if (data[i] != (char)('a' + n % 26))
			return 0;
	return n;
}

static int read_again(int fd, size_t len)
{
	switch (opens % 3) {
	case 0:
		return read_map(fd, again, len);
	case 1:
		return read_pieces(fd, again, len, 4096);
	default:
		return read_pieces(fd, again, len, 777);
	}
}

/* Whether the value was changed since `promised` was looked at. */
static bool changed(uint64_t promised)
{
	return atomic_load(counter + 2) > promised;
}

/* -ESTALE: start over. -1: bad. */
static int read_open(int fd, uint64_t promised)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return bad("fstat, version", promised);
	ssize_t len = read(fd, data, sizeof(data));
	if (len < 0 && errno == ESTALE)
		return -ESTALE;
	uint64_t n = version((size_t)len);
	if (!n)
		return bad("torn value of bytes", (uint64_t)len);
	if (n < promised || n < last)
		return bad(n < last ? "went back to version" : "old version", n);
	last = n;
	if (len != st.st_size && !changed(promised))
		return bad("fstat told another size than that of version", n);
	if (len != st.st_size) {
		resized++;
		return 0;
	}
	int r = read_again(fd, (size_t)len);
	if (!r && memcmp(data, again, (size_t)len) != 0)
		return bad("an open file changed; it was version", n);
	return r;
}

static int round_once(void)
{
	uint64_t promised = atomic_load(counter);
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return bad("open, version", promised);
	opens++;
	int r = read_open(fd, promised);
	close(fd);
	if (r == -ESTALE && !changed(promised))
		return bad("ESTALE though nothing changed, version", promised);
	if (r == -ESTALE) {
		restarts++;
		return 0;
	}
	return r;
}

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 24, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		fprintf(stderr, "usage: prog_race COUNTER FILE\n");
		return 2;
	}
	counter = p;
	file = argv[2];
	signal(SIGBUS, on_fault);
	int r = 0;
	while (r == 0 && atomic_load(counter + 1) == 0)
		r = round_once();
	printf("opens %" PRIu64 " again %" PRIu64 " resized %" PRIu64 " last %" PRIu64 "\n", opens,
		restarts, resized, last);
	return r != 0;
}
