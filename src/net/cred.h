/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credential chains: an ordered table of rows, each a place where credentials may come from, run by
 * one engine that keeps what it got, renews it early, lets one thread renew while the others use
 * what is still valid, and remembers which row won and why the others did not.
 *
 * The first row that is configured wins; one that is configured but fails is an error and no reason
 * to go on (a typing error must not turn into another identity).
 */
#ifndef SFS_NET_CRED_H
#define SFS_NET_CRED_H

#include "base/buf.h"
#include "base/call.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/secret.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRED_FIELDS 4 /* what one set consists of: AWS has an id, a key and a token */

/* One generation: immutable and reference counted, so that id, key and token never mix. */
struct cred {
	struct secret *field[CRED_FIELDS]; /* meaning by provider; NULL = absent */
	int64_t expires;  /* ns by the clock of the chain: wall time, or with `boot_time`
			     CLOCK_BOOTTIME;  0 = never */
	int64_t obtained; /* the same */
	const char *row;  /* which row it came from; set by the chain */
	char *source;	  /* for people: "profile dev, role arn:..., by web identity" */
	char *principal;  /* who we are if the source tells; NULL = unknown */
};
/* A new set with one reference, the fields taken over on success only; strings copied. NULL = no
 * memory. */
struct cred *cred_new(struct secret *const field[CRED_FIELDS], int64_t expires, const char *source,
	const char *principal);
struct cred *cred_ref(struct cred *c);
/* Wipes and frees at the last reference. NULL is fine. */
void cred_unref(struct cred *c);
static inline void cred_unref_p(struct cred **c)
{
	cred_unref(*c);
}

/* Texts for a set: *ret_source (printf) and *ret_principal (a copy, NULL if `principal` is) take
 * the place of what is there (mem_free). -ENOMEM: nothing has changed. */
int cred_about(char **ret_source, char **ret_principal, const char *principal, const char *fmt,
	va_list ap) __attribute__((format(printf, 4, 0)));

struct cred_row {
	const char *name; /* "environment", "web identity" */
	/* One set, or -ENODATA: not configured here (`err` says what is missing, in a few words),
	 * or another -errno: configured and failing. Blocks; called by one thread at a time. A set
	 * that the provider says is over and that is to be used all the same (static stability)
	 * carries the time of the next try as its expiry. */
	int (*fetch)(void *state, const struct call *call, struct cred **ret, struct sfs_err *err);
};

struct cred_chain;

struct cred_conf {
	const char *name;	     /* of the instance, for log lines */
	const struct cred_row *rows; /* ended by name NULL; valid while the chain lives */
	void *state;		     /* of the rows; the caller frees it after the chain */
	int64_t renew_ahead; /* ns before expiry: renew in the background, up to a fifth earlier by
				chance (or at a quarter of the lifetime left, if that is later) */
	int64_t block_ahead; /* ns before expiry: callers wait for the renewal (at most for a third
				of the time after `renew_ahead`) */
	int64_t fetch_limit; /* ns for one run of the rows, whoever waits for it; 0 = 30 s */
	/* Whether what the last run looked at has changed since (a file rewritten): the rows are
	 * then run again at the next cred_get(), which also forgets a remembered failure. NULL =
	 * never. Called by cred_get() at most once a second and never at the same time as itself,
	 * but at the same time as rows. */
	bool (*changed)(void *state);
	int64_t look_every; /* ns between two looks; 0 = that second */
	/* Sets expire by CLOCK_BOOTTIME: where a lifetime is told, so that a wall clock that is
	 * wrong or is set does not matter. */
	bool boot_time;
	unsigned renew_part; /* renew at least this part of the lifetime ahead (10 = a tenth); 0 =
				`renew_ahead` for all */
	/* ns at least between two tries to renew a set that is still good; a source that gives the
	 * same set again is left alone until `renew_ahead` before its expiry. 0 = the pauses after
	 * any failure. */
	int64_t renew_pause;
};

/* Errors: ENOMEM. */
int cred_chain_new(const struct cred_conf *conf, struct cred_chain **ret, struct sfs_err *err);
/* Ends a run of the rows first: their call is cancelled. After the last cred_get() has returned.
 * NULL is fine. */
void cred_chain_free(struct cred_chain *c);

/* The set to use now, with a reference. Rows run in a thread of the chain, one run at a time, with
 * a deadline of their own: who waits may give up, the run goes on for the others. A failed run goes
 * to all who waited for it and is remembered for a moment (1 s to 30 s, growing), so that a crowd
 * does not ask a broken source again and again. While a set is valid, a failure of its renewal is
 * logged once and the set is served on; also when the row that won has nothing any more (its file
 * is gone): as long as a set is valid no row after it is asked. Waiting for the renewal of a set
 * that is still valid ends at half of the time the call has left. Errors: ENOKEY when no row was
 * configured, the sentence names every row and why not; EKEYEXPIRED when the set expired and cannot
 * be renewed, with the reason; those of the winning row (of files that are not there ENOKEY:
 * a reader takes ENOENT for a secret that does not exist); ETIMEDOUT, ECANCELED; ENOMEM, EAGAIN (no
 * thread). */
int cred_get(struct cred_chain *c, const struct call *call, struct cred **ret, struct sfs_err *err);
/* The provider did not accept `bad`: the next cred_get() fetches anew and `bad` is served no more,
 * unless another set than `bad` is current already. A row that gives exactly the same set again
 * ends that: cred_get() then returns `bad` itself, so one need not try it again. At most one such
 * renewal each 10 s; false = not done, the set stays. */
bool cred_reject(struct cred_chain *c, const struct cred *bad);
/* The clock of the provider minus ours, for comparing expiry in wall time; default 0. */
void cred_skew(struct cred_chain *c, int64_t ns);
int64_t cred_clock(const struct cred_chain *c); /* wall time with the skew, ns */

/* What happened at the last run: calls `say` once a row in order; `result` is "used", or why it was
 * not ("not configured: ...", "failed: ...", "not reached"). No lock is held meanwhile. */
void cred_walk(struct cred_chain *c, void (*say)(void *arg, const char *row, const char *result),
	void *arg);
/* The wall time at which a set of this chain expires, for people; "never". */
const char *cred_expiry_text(
	const struct cred_chain *c, const struct cred *set, char out[CLOCK_TEXT]);
/* The current set without fetching, or NULL; with a reference. */
struct cred *cred_current(struct cred_chain *c);
/* Tests: waits until no row runs. */
void cred_settle(struct cred_chain *c);

#endif
