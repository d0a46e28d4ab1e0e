/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to addresses, so that libcurl never resolves: its time limits do not bound that. Lookups
 * run in at most SFS_HTTP_LOOKUPS_MAX threads; who waits for one leaves at the deadline, and a
 * lookup that hangs keeps its place until the system's resolver gives up (R46). Addresses are kept
 * for a minute, failures not at all. Thread-safe.
 */
#ifndef SFS_NET_HTTP_RESOLVE_H
#define SFS_NET_HTTP_RESOLVE_H

#include "base/call.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESOLVE_TEXT 512

struct resolver;

int resolver_new(struct resolver **ret, struct sfs_err *err);
/* Lookups that hang end by themselves later. NULL is fine. */
void resolver_free(struct resolver *r);
/* Addresses of `host`, comma-separated, IPv6 in brackets. Unless `inner`, those of
 * http_address_is_inner() are left out. Errors: ENXIO (there is no such name, or it has no
 * address), EHOSTUNREACH, ETIMEDOUT, ECANCELED, ENOMEM. */
int resolver_get(struct resolver *r, const char *host, bool inner, const struct call *call,
	char ret[RESOLVE_TEXT], struct sfs_err *err);
/* Nothing could be reached there: ask anew next time. */
void resolver_forget(struct resolver *r, const char *host);

#endif
