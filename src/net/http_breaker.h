/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The circuit breaker (R59): after five failures in a row nothing is sent for 5 s, then one probe
 * decides; each failed probe doubles the pause up to 60 s. Pauses are jittered so that a fleet does
 * not probe in step. Arithmetic only: the caller holds its lock and passes the time (ns).
 */
#ifndef SFS_NET_HTTP_BREAKER_H
#define SFS_NET_HTTP_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

struct breaker {
	unsigned failures; /* in a row */
	int64_t pause;	   /* of the current opening, before jitter; 0 = closed */
	int64_t until;	   /* when a probe may go */
	bool probing;
};

enum breaker_pass {
	BREAKER_REFUSED,
	BREAKER_PASS,
	BREAKER_PROBE, /* this request decides; breaker_result() must follow */
};

enum breaker_result {
	BREAKER_GOOD, /* the service answered, whatever it said: 401, 403 and 404 too */
	BREAKER_BAD,
	BREAKER_UNKNOWN, /* given up by us before it could tell */
};

enum breaker_pass breaker_enter(struct breaker *b, int64_t now);
void breaker_result(
	struct breaker *b, int64_t now, enum breaker_pass pass, enum breaker_result result);
bool breaker_is_open(const struct breaker *b);

#endif
