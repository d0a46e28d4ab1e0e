/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Ages, TTLs and deadlines are measured with CLOCK_BOOTTIME, which counts suspend (R37, R66);
 * wall time is only for showing and signing. Tests set a fake clock, so that they need no sleeps.
 * All times are nanoseconds in int64_t.
 */
#ifndef SFS_BASE_CLOCK_H
#define SFS_BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NSEC_PER_SEC  INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)
#define CLOCK_NEVER   INT64_MAX /* a deadline that never comes */

int64_t clock_boot(void); /* CLOCK_BOOTTIME */
int64_t clock_wall(void); /* CLOCK_REALTIME */

/* now + seconds, saturating at CLOCK_NEVER; negative seconds mean CLOCK_NEVER. */
int64_t clock_after(int64_t now, int64_t seconds);

/* "2026-11-22T17:03:13Z" of a wall time; `out` has room for CLOCK_TEXT bytes. 0 gives "-". */
#define CLOCK_TEXT 32
const char *clock_text(int64_t wall, char out[CLOCK_TEXT]);

/* Tests: from now on both clocks stand still at these values until the next call. Thread-safe. */
void clock_fake(int64_t boot, int64_t wall);
/* Tests: moves both fake clocks forward. */
void clock_fake_advance(int64_t ns);
/* Tests: back to the real clocks. */
void clock_real(void);
/* True while faked: timer threads then do not sleep on the kernel's clock. */
bool clock_is_fake(void);

/* A condition variable for clock_cond_wait(). 0 or -errno. */
int clock_cond_init(pthread_cond_t *cond);
/* Waits until it is signalled, or for `ns` (0 or more) of real time, however the wall clock is set
 * meanwhile. */
void clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ns);

/* Uniform random number in [0, n), from getrandom(2); n > 0. For jitter and ids, not for keys. */
uint64_t random_below(uint64_t n);

#endif
