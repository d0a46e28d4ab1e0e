/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_breaker.h"

#include "base/clock.h"

#define FAILURES    5
#define FIRST_PAUSE (5 * NSEC_PER_SEC)
#define LAST_PAUSE  (60 * NSEC_PER_SEC)

bool breaker_is_open(const struct breaker *b)
{
	return b->pause != 0;
}

enum breaker_pass breaker_enter(struct breaker *b, int64_t now)
{
	if (!breaker_is_open(b))
		return BREAKER_PASS;
	if (b->probing || now < b->until)
		return BREAKER_REFUSED;
	b->probing = true;
	return BREAKER_PROBE;
}

/* Between three quarters of the pause and all of it. */
static void open_for(struct breaker *b, int64_t now, int64_t pause)
{
	b->pause = pause < LAST_PAUSE ? pause : LAST_PAUSE;
	b->until = now + b->pause - (int64_t)random_below((uint64_t)b->pause / 4);
}

void breaker_result(
	struct breaker *b, int64_t now, enum breaker_pass pass, enum breaker_result result)
{
	if (pass == BREAKER_PROBE)
		b->probing = false;
	if (result == BREAKER_UNKNOWN)
		return;
	if (result == BREAKER_GOOD) {
		/* One that was sent before it opened says nothing about now. */
		if (!breaker_is_open(b) || pass == BREAKER_PROBE)
			*b = (struct breaker){.probing = b->probing};
		return;
	}
	if (pass == BREAKER_PROBE)
		open_for(b, now, 2 * b->pause);
	else if (!breaker_is_open(b) && ++b->failures >= FAILURES)
		open_for(b, now, FIRST_PAUSE);
}
