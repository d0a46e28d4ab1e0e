/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/log.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define GROW_UNITS    64U /* 256 KiB a step: few system calls, little locked in vain */
#define RELEASE_UNITS 16U /* free runs from here on give their memory back to the kernel */
#define CAP_MIN	      (64UL * 1024)
#define CAP_MAX	      (1UL << 40) /* unit numbers fit 32 bits with room to spare */

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static int bin_of(uint32_t n)
{
	return 31 - __builtin_clz(n);
}

void arena_link(struct arena *a, uint32_t *head, uint32_t i)
{
	a->unit[i].prev = ARENA_NONE;
	a->unit[i].next = *head;
	if (*head != ARENA_NONE)
		a->unit[*head].prev = i;
	*head = i;
}

void arena_unlink(struct arena *a, uint32_t *head, uint32_t i)
{
	struct arena_unit *u = &a->unit[i];
	if (u->prev != ARENA_NONE)
		a->unit[u->prev].next = u->next;
	else
		*head = u->next;
	if (u->next != ARENA_NONE)
		a->unit[u->next].prev = u->prev;
}

static void free_run_add(struct arena *a, uint32_t first, uint32_t n)
{
	a->unit[first + n - 1].kind = UNIT_INSIDE;
	a->unit[first + n - 1].len = n;
	a->unit[first].kind = UNIT_FREE;
	a->unit[first].len = n;
	arena_link(a, &a->bins[bin_of(n)], first);
}

static void free_run_remove(struct arena *a, uint32_t first)
{
	arena_unlink(a, &a->bins[bin_of(a->unit[first].len)], first);
}

/* First unit of the free run that ends right before `i`, or ARENA_NONE. The last unit of a live run
 * may hold a stale length, hence the check that the unit found is the first of a free run of just
 * this length. */
static uint32_t free_run_before(const struct arena *a, uint32_t i)
{
	if (i == 0)
		return ARENA_NONE;
	if (a->unit[i - 1].kind == UNIT_FREE)
		return a->unit[i - 1].len == 1 ? i - 1 : ARENA_NONE;
	uint32_t n = a->unit[i - 1].len;
	if (a->unit[i - 1].kind != UNIT_INSIDE || n == 0 || n > i)
		return ARENA_NONE;
	const struct arena_unit *first = &a->unit[i - n];
	return first->kind == UNIT_FREE && first->len == n ? i - n : ARENA_NONE;
}

/* Locked pages are given back only by MADV_DONTNEED_LOCKED (Linux 5.18); without it they just stay.
 * Either way they read as zero: the caller wiped them. */
static void release_memory(const struct arena *a, uint32_t first, uint32_t n)
{
#ifdef MADV_DONTNEED_LOCKED
	size_t from = round_up((size_t)first * ARENA_UNIT, a->guard);
	size_t to = (size_t)(first + n) * ARENA_UNIT / a->guard * a->guard;
	if (n >= RELEASE_UNITS && from < to)
		madvise(a->base + from, to - from, MADV_DONTNEED_LOCKED);
#else
	(void)a, (void)first, (void)n;
#endif
}

void arena_give(struct arena *a, uint32_t first, uint32_t n)
{
	release_memory(a, first, n);
	uint32_t before = free_run_before(a, first);
	uint32_t after = first + n;
	for (uint32_t i = first; i < first + n; i++)
		a->unit[i].kind = UNIT_INSIDE;
	if (after < a->usable && a->unit[after].kind == UNIT_FREE) {
		free_run_remove(a, after);
		n += a->unit[after].len;
		a->unit[after].kind = UNIT_INSIDE;
	}
	if (before != ARENA_NONE) {
		free_run_remove(a, before);
		n += first - before;
		first = before;
	}
	free_run_add(a, first, n);
}

static bool lock_pages(void *p, size_t len)
{
	/* On fault: address space is locked now, memory is used when it is touched. */
	if (mlock2(p, len, MLOCK_ONFAULT) == 0)
		return true;
	return (errno == ENOSYS || errno == EINVAL) && mlock(p, len) == 0;
}

static bool grow(struct arena *a, uint32_t n)
{
	uint32_t left = a->units - a->usable;
	uint32_t step =
		(uint32_t)(round_up(n < GROW_UNITS ? GROW_UNITS : n, a->guard / ARENA_UNIT));
	if (n > left)
		return false;
	if (step > left)
		step = left;
	unsigned char *p = arena_at(a, a->usable);
	size_t len = (size_t)step * ARENA_UNIT;
	if (mprotect(p, len, PROT_READ | PROT_WRITE) < 0)
		return false;
	if (!lock_pages(p, len)) {
		if (a->locked && a->lock == SECRET_LOCK_TRY)
			log_warn("secret memory is unlocked and may reach the swap: RLIMIT_MEMLOCK "
				 "is too low (raise it, "
				 "or make the option arena smaller; memlock=require refuses "
				 "instead)");
		a->locked = false;
		if (a->lock == SECRET_LOCK_REQUIRE) {
			mprotect(p, len, PROT_NONE);
			return false;
		}
	}
	uint32_t first = a->usable;
	a->usable += step;
	arena_give(a, first, step);
	return true;
}

static uint32_t find_free(const struct arena *a, uint32_t n)
{
	for (int b = bin_of(n); b < ARENA_BINS; b++)
		for (uint32_t i = a->bins[b]; i != ARENA_NONE; i = a->unit[i].next)
			if (a->unit[i].len >= n)
				return i;
	return ARENA_NONE;
}

/* Cuts `n` units from the front of the free run at `first`; the rest stays free. */
static void cut_free(struct arena *a, uint32_t first, uint32_t n)
{
	uint32_t len = a->unit[first].len;
	free_run_remove(a, first);
	if (len > n)
		free_run_add(a, first + n, len - n);
	for (uint32_t i = first; i < first + n; i++)
		a->unit[i].kind = UNIT_INSIDE;
}

uint32_t arena_take(struct arena *a, uint32_t n)
{
	uint32_t i = find_free(a, n);
	if (i == ARENA_NONE) {
		uint32_t tail = free_run_before(a, a->usable);
		uint32_t have = tail == ARENA_NONE ? 0 : a->unit[tail].len;
		if (!grow(a, n - have))
			return ARENA_NONE;
		i = find_free(a, n);
	}
	cut_free(a, i, n);
	a->unit[i].kind = UNIT_RUN;
	a->unit[i].len = n;
	return i;
}

bool arena_resize(struct arena *a, uint32_t first, uint32_t n)
{
	uint32_t have = a->unit[first].len;
	uint32_t after = first + have;
	if (n < have) {
		a->unit[first].len = n;
		arena_give(a, first + n, have - n);
	} else if (n > have) {
		uint32_t more = n - have;
		uint32_t there = 0;
		if (after < a->usable && a->unit[after].kind == UNIT_FREE)
			there = a->unit[after].len;
		if (there < more && (after + there != a->usable || !grow(a, more - there)))
			return false;
		cut_free(a, after, more);
		a->unit[first].len = n;
	}
	return true;
}

static int lock_error(const struct arena *a, struct sfs_err *err)
{
	struct rlimit lim = {0};
	getrlimit(RLIMIT_MEMLOCK, &lim);
	return err_set(err, ENOMEM,
		"lock secret memory: the arena of %zu bytes does not fit RLIMIT_MEMLOCK (%llu "
		"bytes): raise it "
		"(LimitMEMLOCK= in a unit, ulimit -l in a shell), make the arena smaller, or do "
		"not require "
		"locked memory",
		(size_t)a->units * ARENA_UNIT, (unsigned long long)lim.rlim_cur);
}

static int protect(const struct arena *a, struct sfs_err *err)
{
	unsigned char *map = a->base - a->guard;
	if (madvise(map, a->map_len, MADV_DONTDUMP) < 0)
		return err_errno(err, errno, "exclude secret memory from core dumps");
	/* A child must not see the values: zeros, or where that is unknown no memory at all. */
	if (madvise(map, a->map_len, MADV_WIPEONFORK) < 0 &&
		madvise(map, a->map_len, MADV_DONTFORK) < 0)
		return err_errno(err, errno, "hide secret memory from child processes");
	return 0;
}

static int reserve(struct arena *a, size_t cap, struct sfs_err *err)
{
	a->guard = (size_t)sysconf(_SC_PAGESIZE);
	cap = round_up(cap < CAP_MIN ? CAP_MIN : cap, a->guard);
	a->units = (uint32_t)(cap / ARENA_UNIT);
	a->map_len = cap + 2 * a->guard;
	unsigned char *map = mmap(
		NULL, a->map_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return err_errno(err, ENOMEM, "reserve %zu bytes of secret memory", cap);
	a->base = map + a->guard;
	a->unit = mmap(NULL, a->units * sizeof(*a->unit), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (a->unit == MAP_FAILED) {
		munmap(map, a->map_len);
		return err_errno(err, ENOMEM, "reserve the table of secret memory");
	}
	return 0;
}

int arena_open(struct arena *a, size_t cap, enum secret_lock lock, struct sfs_err *err)
{
	*a = (struct arena){.lock = lock, .locked = true};
	if (cap > CAP_MAX)
		return err_set(err, ENOMEM,
			"secret memory of %zu bytes: at most %lu can be reserved", cap, CAP_MAX);
	for (int b = 0; b < ARENA_BINS; b++)
		a->bins[b] = ARENA_NONE;
	int r = reserve(a, cap, err);
	if (r < 0)
		return r;
	r = protect(a, err);
	/* What is required is locked at once, so that it cannot fail in the middle of a day. */
	if (r == 0 && !grow(a, lock == SECRET_LOCK_REQUIRE ? a->units : 1))
		r = lock_error(a, err);
	if (r < 0)
		arena_close(a);
	return r;
}

void arena_close(struct arena *a)
{
	munmap(a->unit, a->units * sizeof(*a->unit));
	munmap(a->base - a->guard, a->map_len);
	*a = (struct arena){0};
}
