/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

static atomic_bool fake;
static _Atomic int64_t fake_boot, fake_wall;

static int64_t read_clock(clockid_t id)
{
	struct timespec ts = {0};
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t clock_boot(void)
{
	return atomic_load(&fake) ? atomic_load(&fake_boot) : read_clock(CLOCK_BOOTTIME);
}

int64_t clock_wall(void)
{
	return atomic_load(&fake) ? atomic_load(&fake_wall) : read_clock(CLOCK_REALTIME);
}

int64_t clock_after(int64_t now, int64_t seconds)
{
	int64_t ns, when;
	if (seconds < 0 || __builtin_mul_overflow(seconds, NSEC_PER_SEC, &ns) ||
		__builtin_add_overflow(now, ns, &when))
		return CLOCK_NEVER;
	return when;
}

const char *clock_text(int64_t wall, char out[CLOCK_TEXT])
{
	time_t t = wall / NSEC_PER_SEC;
	struct tm tm;
	if (wall < 0 && wall % NSEC_PER_SEC)
		t--; /* seconds are rounded towards the past on both sides of 1970 */
	if (wall == 0 || !gmtime_r(&t, &tm) ||
		!strftime(out, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(out, CLOCK_TEXT, "-");
	return out;
}

void clock_fake(int64_t boot, int64_t wall)
{
	atomic_store(&fake_boot, boot);
	atomic_store(&fake_wall, wall);
	atomic_store(&fake, true);
}

void clock_fake_advance(int64_t ns)
{
	atomic_fetch_add(&fake_boot, ns);
	atomic_fetch_add(&fake_wall, ns);
}

void clock_real(void)
{
	atomic_store(&fake, false);
}

bool clock_is_fake(void)
{
	return atomic_load(&fake);
}

int clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int r = pthread_condattr_init(&attr);
	if (r)
		return -r;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	r = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return -r;
}

void clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ns)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ns / NSEC_PER_SEC;
	ts.tv_nsec += ns % NSEC_PER_SEC;
	if (ts.tv_nsec >= NSEC_PER_SEC) {
		ts.tv_sec++;
		ts.tv_nsec -= NSEC_PER_SEC;
	}
	pthread_cond_timedwait(cond, lock, &ts);
}

/* 64 random bits. getrandom(2) can fail only where a sandbox forbids it; jitter from the clock is
 * then better than none, and nothing here is a key. */
static uint64_t random_bits(void)
{
	uint64_t r;
	ssize_t n;
	do
		n = getrandom(&r, sizeof(r), 0);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(r))
		return r;
	r = (uint64_t)read_clock(CLOCK_MONOTONIC) * UINT64_C(0x9e3779b97f4a7c15);
	return r ^ (r >> 31);
}

uint64_t random_below(uint64_t n)
{
	if (n < 2)
		return 0;
	/* Values below 2^64 mod n would make small results more likely. */
	uint64_t first = (0 - n) % n, r;
	do
		r = random_bits();
	while (r < first);
	return r % n;
}
