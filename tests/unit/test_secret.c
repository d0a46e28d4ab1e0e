/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "base/secret.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNIT 4096U

static size_t used(void)
{
	struct secret_stats st;
	secret_stats(&st);
	return st.used;
}

static size_t blocks(void)
{
	struct secret_stats st;
	secret_stats(&st);
	return st.blocks;
}

static bool all_zero(const unsigned char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* Runs `fn` in a child and returns how it ended (wait status). The child's complaints are not
 * shown. */
static int in_child(void (*fn)(void *), void *arg)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		fn(arg);
		_exit(0);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	return status;
}

static int signal_of(int status)
{
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void peek(void *p)
{
	*(volatile unsigned char *)p = *(volatile unsigned char *)p;
}

/* Start and end of the arena's usable mapping, from the address of a block in it. */
static void mapping_of(const void *p, unsigned char **lo, unsigned char **hi, char *flags, size_t n,
	long *rss, long *locked)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512];
	bool inside = false;
	cr_assert(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long a, b;
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2 &&
			strchr(line, '-') < strchr(line, ' ')) {
			inside = (unsigned long)p >= a && (unsigned long)p < b;
			if (inside) {
				*lo = (unsigned char *)a;
				*hi = (unsigned char *)b;
			}
		} else if (inside) {
			sscanf(line, "Rss: %ld", rss);
			sscanf(line, "Locked: %ld", locked);
			if (strncmp(line, "VmFlags:", 8) == 0)
				snprintf(flags, n, "%.200s", line + 8);
		}
	}
	fclose(f);
}

Test(secret, bytes_and_length_are_those_given)
{
	struct secret *s = secret_new("pass\0word", 9);
	cr_assert_eq(secret_len(s), 9);
	cr_assert_arr_eq(secret_bytes(s), "pass\0word", 9);
	secret_unref(s);
	cr_assert_eq(blocks(), 0);
}

Test(secret, empty_secret_is_fine)
{
	struct secret *a = secret_new(NULL, 0);
	struct secret *b = secret_new("", 0);
	cr_assert(a && b);
	cr_assert_eq(secret_len(a), 0);
	cr_assert(secret_equal(a, b));
	secret_unref(a);
	secret_unref(b);
}

Test(secret, equal_compares_length_and_bytes)
{
	struct secret *a = secret_new("abc", 3);
	struct secret *b = secret_new("abc", 3);
	struct secret *c = secret_new("abd", 3);
	struct secret *d = secret_new("abcd", 4);
	cr_assert(secret_equal(a, b));
	cr_assert_not(secret_equal(a, c));
	cr_assert_not(secret_equal(a, d));
	secret_unref(a);
	secret_unref(b);
	secret_unref(c);
	secret_unref(d);
}

Test(secret, null_is_fine_for_free_and_unref)
{
	secret_free(NULL);
	secret_unref(NULL);
	cr_assert_eq(blocks(), 0);
}

Test(secret, blocks_are_zeroed_and_aligned_also_when_used_before)
{
	for (int round = 0; round < 3; round++) {
		void *p[200];
		for (size_t i = 0; i < 200; i++) {
			size_t size = i * 37 + 1;
			p[i] = secret_alloc(size);
			cr_assert(p[i]);
			cr_assert_eq((uintptr_t)p[i] % 16, 0);
			cr_assert(all_zero(p[i], size));
			memset(p[i], 0xa5, size);
		}
		for (size_t i = 0; i < 200; i++)
			secret_free(p[i * 77 % 200]);
	}
	cr_assert_eq(used(), 0);
}

#ifndef __SANITIZE_ADDRESS__
Test(secret, freed_bytes_are_wiped)
{
	unsigned char *keep = secret_alloc(40); /* the slab stays in use */
	unsigned char *small = secret_alloc(40);
	unsigned char *large = secret_alloc(10 * UNIT);
	memset(small, 'S', 40);
	memset(large, 'L', 10 * UNIT);
	secret_free(small);
	secret_free(large);
	cr_assert(all_zero(small, 40));
	cr_assert(all_zero(large, 10 * UNIT));
	secret_free(keep);
}

Test(secret, last_unref_wipes)
{
	struct secret *keep = secret_new("x", 1);
	struct secret *s = secret_new("canary", 6);
	const unsigned char *bytes = secret_bytes(s);
	secret_ref(s);
	secret_unref(s);
	cr_assert_arr_eq(bytes, "canary", 6);
	secret_unref(s);
	cr_assert(all_zero(bytes, 6));
	secret_unref(keep);
}
#endif

Test(secret, realloc_keeps_bytes_and_zeroes_new_ones)
{
	size_t sizes[] = {
		10, 16, 17, 100, 2048, 2049, 4096, 5000, 300000, 700000, 9000, 3000, 900, 12, 30};
	unsigned char *p = NULL;
	size_t have = 0;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		p = secret_realloc(p, sizes[i]);
		cr_assert(p);
		for (size_t k = 0; k < sizes[i]; k++)
			cr_assert_eq(p[k], k < have ? (unsigned char)(k * 7 + 1) : 0,
				"size %zu byte %zu", sizes[i], k);
		have = sizes[i];
		for (size_t k = 0; k < have; k++)
			p[k] = (unsigned char)(k * 7 + 1);
	}
	cr_assert_eq(blocks(), 1);
	secret_free(p);
	cr_assert_eq(used(), 0);
}

Test(secret, a_large_block_grows_where_it_stands)
{
	unsigned char *p = secret_alloc(3 * UNIT);
	unsigned char *q = secret_realloc(p, 4000 * UNIT);
	cr_assert_eq(p, q);
	cr_assert_eq(used(), 4000 * UNIT);
	q = secret_realloc(q, 5 * UNIT);
	cr_assert_eq(p, q);
	cr_assert_eq(used(), 5 * UNIT);
	secret_free(q);
}

Test(secret, realloc_failure_keeps_the_old_block)
{
	cr_assert_eq(secret_init(64 * 1024, SECRET_LOCK_TRY, NULL), 0);
	unsigned char *p = secret_alloc(3000);
	memcpy(p, "old", 3);
	cr_assert_null(secret_realloc(p, 80 * 1024));
	cr_assert_null(secret_realloc(p, (size_t)SFS_SOURCE_MAX + 1));
	cr_assert_arr_eq(p, "old", 3);
	secret_free(p);
}

Test(secret, neighbours_join_when_freed)
{
	cr_assert_eq(secret_init(64 * 1024, SECRET_LOCK_TRY, NULL), 0);
	void *p[16];
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 16; i++)
			cr_assert((p[i] = secret_alloc(UNIT)));
		cr_assert_null(secret_alloc(1));
		for (int i = 0; i < 16; i++)
			secret_free(p[(i * (round ? 7 : 5)) % 16]);
		void *whole = secret_alloc(64 * 1024);
		cr_assert(whole);
		secret_free(whole);
	}
}

Test(secret, full_arena_answers_null_and_counts)
{
	struct secret_stats st;
	struct secret *s[2000];
	size_t n = 0;
	char value[1024];
	memset(value, 'v', sizeof(value));
	cr_assert_eq(secret_init(1, SECRET_LOCK_TRY, NULL), 0);
	while (n < 2000 && (s[n] = secret_new(value, sizeof(value))))
		n++;
	secret_stats(&st);
	cr_assert_eq(st.cap, 64 * 1024);
	cr_assert_leq(st.used, st.cap);
	cr_assert_eq(n, 48, "three of 1032 bytes in each of 16 units: %zu", n);
	cr_assert_eq(st.failed, 1);
	secret_unref(s[--n]);
	cr_assert((s[n++] = secret_new(value, sizeof(value))), "room again after a free");
	while (n)
		secret_unref(s[--n]);
}

Test(secret, more_than_the_largest_source_is_refused)
{
	unsigned char *bytes = (unsigned char *)"untouched";
	cr_assert_null(secret_alloc((size_t)SFS_SOURCE_MAX + 1));
	cr_assert_null(secret_alloc(SIZE_MAX));
	cr_assert_null(secret_new_uninit(SIZE_MAX, &bytes));
	cr_assert_str_eq((char *)bytes, "untouched");
}

Test(secret, init_twice_is_refused_and_huge_is_no_memory)
{
	struct sfs_err err = {0};
	cr_assert_eq(secret_init((size_t)1 << 62, SECRET_LOCK_TRY, &err), -ENOMEM);
	cr_assert_eq(err.code, ENOMEM);
	cr_assert_eq(secret_init(1 << 20, SECRET_LOCK_TRY, &err), 0);
	cr_assert_eq(secret_init(1 << 20, SECRET_LOCK_TRY, &err), -EALREADY);
	cr_assert_eq(err.code, EALREADY);
	secret_fini();
	cr_assert_eq(secret_init(1 << 20, SECRET_LOCK_TRY, &err), 0);
}

Test(secret, hundred_thousand_small_secrets_cost_less_than_ten_mib)
{
	enum { N = 100000 };
	struct secret **s = calloc(N, sizeof(*s));
	char value[64] = "";
	for (size_t i = 0; i < N; i++)
		cr_assert((s[i] = secret_new(value, 30 + i % 31)));
	cr_assert_lt(used(), 10U << 20);
	cr_log_info("100000 secrets of 30-60 bytes: %zu bytes", used());
	for (size_t i = 0; i < N; i++)
		secret_unref(s[i]);
	cr_assert_eq(used(), 0);
	free(s);
}

/* R1: guards, lock, dump and fork flags */

Test(secret, R1_smaps_shows_locked_undumped_wiped_on_fork)
{
	unsigned char *lo = NULL, *hi = NULL;
	char flags[256] = "";
	long rss = -1, locked = -2;
	cr_assert_eq(secret_init(4 << 20, SECRET_LOCK_TRY, NULL), 0);
	unsigned char *p = secret_alloc(100000);
	memset(p, 1, 100000);
	mapping_of(p, &lo, &hi, flags, sizeof(flags), &rss, &locked);
	cr_assert(strstr(flags, " lo"), "%s", flags);
	cr_assert(strstr(flags, " dd"), "%s", flags);
	cr_assert(strstr(flags, " wf"), "%s", flags);
	cr_assert_geq(rss, 98);
	cr_assert_eq(locked, rss);
	secret_free(p);
}

Test(secret, R1_guard_pages_fault)
{
	unsigned char *lo = NULL, *hi = NULL;
	char flags[256];
	long rss, locked;
	cr_assert_eq(secret_init(64 * 1024, SECRET_LOCK_TRY, NULL), 0);
	unsigned char *p = secret_alloc(64 * 1024);
	mapping_of(p, &lo, &hi, flags, sizeof(flags), &rss, &locked);
	cr_assert_eq((size_t)(hi - lo), 64 * 1024);
	cr_assert_eq(signal_of(in_child(peek, lo - 1)), SIGSEGV);
	cr_assert_eq(signal_of(in_child(peek, hi)), SIGSEGV);
	cr_assert_eq(in_child(peek, hi - 1), 0);
	secret_free(p);
}

static void must_be_zero(void *p)
{
	_exit(all_zero(p, 64) ? 7 : 8);
}

Test(secret, R1_forked_child_sees_zeros)
{
	unsigned char *p = secret_alloc(64);
	memset(p, 'x', 64);
	int status = in_child(must_be_zero, p);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7, "status %x", (unsigned)status);
	cr_assert_eq(p[0], 'x');
	secret_free(p);
}

/* Misuse ends the process before it can mix secrets up. */

static void free_twice(void *p)
{
	secret_free(p);
	secret_free(p);
}

Test(secret, double_free_aborts)
{
	void *keep = secret_alloc(50);
	cr_assert_eq(signal_of(in_child(free_twice, secret_alloc(50))), SIGABRT);
	cr_assert_eq(signal_of(in_child(free_twice, secret_alloc(3))), SIGABRT);
	cr_assert_eq(signal_of(in_child(free_twice, secret_alloc(3 * UNIT))), SIGABRT);
	secret_free(keep);
}

static void free_it(void *p)
{
	secret_free(p);
}

Test(secret, foreign_and_inner_pointers_abort)
{
	char local[16];
	unsigned char *p = secret_alloc(64);
	unsigned char *run = secret_alloc(4 * UNIT);
	cr_assert_eq(signal_of(in_child(free_it, local)), SIGABRT);
	cr_assert_eq(signal_of(in_child(free_it, p + 1)), SIGABRT);
	cr_assert_eq(signal_of(in_child(free_it, p + 64)), SIGABRT);
	cr_assert_eq(signal_of(in_child(free_it, run + 16)), SIGABRT);
	cr_assert_eq(signal_of(in_child(free_it, run + UNIT)), SIGABRT);
	secret_free(p);
	secret_free(run);
}

static void unref_freed(void *p)
{
	secret_unref(p); /* the wiped header has no reference left */
}

Test(secret, one_unref_too_many_aborts)
{
	struct secret *s = secret_new("x", 1);
	/* In the child the arena reads as zeros, as it does after the last unref. */
	cr_assert_eq(signal_of(in_child(unref_freed, s)), SIGABRT);
	secret_unref(s);
}

static void fini_with_block(void *p)
{
	(void)p;
	secret_fini();
}

Test(secret, fini_with_live_blocks_aborts)
{
	void *p = secret_alloc(1);
	cr_assert_eq(signal_of(in_child(fini_with_block, NULL)), SIGABRT);
	secret_free(p);
	secret_fini();
}

/* R2: no lock, no silence */

static void no_memlock(void)
{
	struct rlimit none = {0, 0};
	cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	cr_assert(geteuid() != 0 ||
		  setresuid(65534, 65534, 65534) == 0); /* CAP_IPC_LOCK would lift it */
}

Test(secret, R2_without_limit_try_degrades_and_says_so)
{
	struct secret_stats st;
	no_memlock();
	cr_assert_eq(secret_init(1 << 20, SECRET_LOCK_TRY, NULL), 0);
	struct secret *s = secret_new("x", 1);
	cr_assert(s);
	secret_stats(&st);
	cr_assert_not(st.locked);
	secret_unref(s);
}

Test(secret, R2_without_limit_require_refuses_with_the_remedy)
{
	struct sfs_err err = {0};
	no_memlock();
	cr_assert_eq(secret_init(1 << 20, SECRET_LOCK_REQUIRE, &err), -ENOMEM);
	cr_assert_eq(err.code, ENOMEM);
	cr_assert(strstr(err.msg, "RLIMIT_MEMLOCK (0 bytes)"), "%s", err.msg);
	cr_assert(strstr(err.msg, "LimitMEMLOCK="), "%s", err.msg);
}

Test(secret, R2_a_limit_below_the_arena_shows_when_it_is_passed)
{
	struct secret_stats st;
	struct rlimit half = {512 * 1024, 512 * 1024};
	cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &half), 0);
	cr_assert(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
	cr_assert_eq(secret_init(1 << 20, SECRET_LOCK_TRY, NULL), 0);
	void *p = secret_alloc(200 * 1024);
	secret_stats(&st);
	cr_assert(st.locked);
	void *q = secret_alloc(700 * 1024);
	cr_assert(q);
	secret_stats(&st);
	cr_assert_not(st.locked);
	secret_free(p);
	secret_free(q);
}

Test(secret, R2_require_locks_the_whole_arena_at_once)
{
	struct secret_stats st;
	cr_assert_eq(secret_init(2 << 20, SECRET_LOCK_REQUIRE, NULL), 0);
	void *p = secret_alloc((2 << 20));
	cr_assert(p);
	secret_stats(&st);
	cr_assert(st.locked);
	secret_free(p);
}

/* threads */

enum { THREADS = 16, ROUNDS = 4000 };

static void *ref_and_unref(void *arg)
{
	struct secret *s = arg;
	for (int i = 0; i < ROUNDS; i++) {
		secret_ref(s);
		if (secret_bytes(s)[0] != 's')
			abort();
		secret_unref(s);
	}
	secret_unref(s);
	return NULL;
}

Test(secret, references_of_many_threads_add_up)
{
	pthread_t t[THREADS];
	struct secret *s = secret_new("shared", 6);
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, ref_and_unref, secret_ref(s)), 0);
	secret_unref(s);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(blocks(), 0);
}

static void *alloc_and_free(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	unsigned char *p[32] = {0};
	size_t size[32] = {0};
	for (int i = 0; i < ROUNDS; i++) {
		seed = seed * 1103515245 + 12345;
		size_t k = seed >> 16 & 31;
		for (size_t b = 0; b < size[k]; b += 61)
			if (p[k][b] != (unsigned char)(k + 1))
				abort();
		size_t n = (seed >> 8 & 7) ? seed >> 20 & 511 : seed >> 17 & 32767;
		if (n % 3 == 0 || !p[k]) {
			secret_free(p[k]);
			p[k] = secret_alloc(n);
		} else {
			p[k] = secret_realloc(p[k], n);
		}
		if (!p[k])
			abort();
		memset(p[k], (int)k + 1, n);
		size[k] = n;
	}
	for (size_t k = 0; k < 32; k++)
		secret_free(p[k]);
	return NULL;
}

Test(secret, blocks_of_many_threads_never_overlap)
{
	pthread_t t[THREADS];
	for (uintptr_t i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, alloc_and_free, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(used(), 0);
	void *whole = secret_alloc(SFS_SOURCE_MAX);
	cr_assert(whole, "everything joined again");
	secret_free(whole);
}

#ifndef __SANITIZE_ADDRESS__
Test(secret, memory_of_a_large_freed_block_goes_back)
{
	unsigned char *lo = NULL, *hi = NULL;
	char flags[256];
	long rss = -1, locked;
	unsigned char *p = secret_alloc(8 << 20);
	memset(p, 1, 8 << 20);
	secret_free(p);
	mapping_of(p, &lo, &hi, flags, sizeof(flags), &rss, &locked);
	cr_assert_lt(rss, 1024, "%ld kB stay", rss);
}
#endif
