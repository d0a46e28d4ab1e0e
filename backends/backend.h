/* SPDX-License-Identifier: Apache-2.0 */
/*
 * THE CONTRACT between secretfs and a provider of secrets. A back end is one .c file that defines
 * one `const struct backend_ops NAME_backend` and one line in backends/list.h. See
 * backends/README.md and backends/example.c.
 *
 * Threads: `open` and `close` run alone. All other calls may run at the same time in several worker
 * threads. Calls block, in straight-line code; the core gives them threads, caches, retries and
 * limits. A back end never caches a value beyond what it cannot fetch singly, never retries, and
 * knows nothing of paths under the mount.
 *
 * Errors: 0 or -errno with one sentence in `err`, without the name of the back end or of the secret
 * (the core prefixes both). The errno is the one the reader gets (design section 4): ENOENT no such
 * secret, EACCES not allowed, ENOKEY no credentials, EKEYEXPIRED, EKEYREJECTED, EKEYREVOKED, EBUSY
 * throttled, EHOSTUNREACH, ETIMEDOUT, EREMOTEIO, EPROTO, EBADMSG, EFBIG, ENOMEM. Transient, and so
 * followed by a stale value where there is one: EBUSY, EHOSTUNREACH, ETIMEDOUT, EREMOTEIO, ENOMEM,
 * EAGAIN.
 */
#ifndef SFS_BACKENDS_BACKEND_H
#define SFS_BACKENDS_BACKEND_H

#include "backends/about.h"
#include "backends/needs.h"
#include "backends/payload.h"
#include "base/call.h"
#include "base/envstore.h"
#include "base/err.h"
#include "base/opt.h"
#include "base/path.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Services of the core; valid from open to close. */
struct backend_env {
	const char *instance;	      /* name of this instance, for messages: "prod" */
	const struct path_env *paths; /* how to open files */
	const struct envstore *env;   /* variables taken at mount; may be empty, never NULL */
	const char *home;	      /* home directory of whoever mounted; NULL = none */
	const struct runner *runner;  /* runs the commands told by needs(); NULL = cannot */
	const struct inline_value
		*inline_values; /* `inline:` only: name/value pairs of the config section */
	size_t n_inline;
};

struct inline_value {
	const char *name;
	struct secret *value; /* borrowed */
};

/* Which secret. `version` NULL = current; otherwise a version id, stage or alias in the provider's
 * words. */
struct get_request {
	const char *name;
	const char *version;
};

/* One line of a listing. Strings are copied by list_add(). */
struct list_item {
	const char *name;	 /* provider's name: any bytes but NUL, not empty */
	const char *const *keys; /* multi-key secret: its keys; NULL = one value */
	size_t nkeys;
	bool keys_unknown;   /* multi-key, and the keys come only with the value */
	int64_t created;     /* wall time ns; 0 = unknown */
	int64_t expires;     /* wall time ns at which it goes away with all versions: values are not
				kept longer; 0 = never */
	const char *version; /* current version if the listing tells, else NULL */
	const char *meta;    /* JSON object, or NULL */
};

struct list_sink; /* owned by the core */
/* Adds a line. An unusable one (empty, too long) is skipped, counted and logged by the core and is
 * no error (R50). Non-zero = stop listing and return that: -ENOMEM, -ECANCELED. At SFS_LIST_MAX
 * lines -EFBIG. */
int list_add(struct list_sink *sink, const struct list_item *item);
/* What is listed is not what the source holds now, but its last good content, or nothing because it
 * went away: status shows `why` until a listing comes without. No error of this call. */
void list_problem(struct list_sink *sink, const struct sfs_err *why);

struct version_sink;
/* Adds a version id or alias of the asked secret, newest first. As list_add(). */
int version_add(struct version_sink *sink, const char *version, int64_t created);

/* News from a watching back end; callable from its thread at any time. `name` NULL: anything may
 * have changed, list again and ask again for everything that is cached. */
struct watch_sink;
void watch_changed(struct watch_sink *sink, const char *name);

enum backend_flags {
	BACKEND_LOCAL =
		1, /* needs no network: hydrated mode is the default, listing is awaited at mount */
	BACKEND_LIST_COMPLETE = 2, /* with a running watch the listing is always true: an unlisted
				      name is ENOENT at once */
	BACKEND_LOCATION_PATH =
		4, /* LOCATION is an absolute path: the holder may open it and what is below it */
	BACKEND_LOCATION_ENV =
		8, /* LOCATION is patterns of environment variables to take at mount */
	BACKEND_FILTER =
		16, /* list() understands `filter`; otherwise the core matches it as a glob */
	BACKEND_LIST_TELLS = 64, /* a listing tells of a secret what describe() would, which is
				    asked only for a name that the newest listing lacks */
	BACKEND_HIDDEN = 32,	 /* for tests: not shown by `secretfs backends` and --help */
};

struct backend_ops {
	const char *name;	       /* word before the colon in SOURCE: "file" */
	const char *summary;	       /* one line for `secretfs backends` and the manual */
	const char *location;	       /* placeholder for help: "PATH"; NULL = takes none */
	const struct opt_row *options; /* own options, ended by name NULL; or NULL */
	unsigned flags;
	unsigned threads; /* fetches at once, half of them for hydration; 0 = SFS_POOL_THREADS, 2
			     where BACKEND_LOCAL */

	/* Checks location (never NULL, may be "") and options and makes the state. Must not block
	 * on the network: a provider that is down is found out by list and get. */
	int (*open)(const struct backend_env *env, const char *location,
		const struct opt_values *opts, void **ret_state, struct sfs_err *err);
	/* All names. `filter` is NULL unless BACKEND_FILTER. */
	int (*list)(void *state, const struct call *call, const char *filter,
		struct list_sink *sink, struct sfs_err *err);
	/* One version of one secret. *ret is a payload with one reference, handed over. */
	int (*get)(void *state, const struct call *call, const struct get_request *rq,
		struct payload **ret, struct sfs_err *err);
	/* After the last call has returned. Frees everything. */
	void (*close)(void *state);

	/* --- optional; NULL means what is said --- */

	/* Several at once, for hydration and control files, current versions, at most
	 * SFS_BATCH_MAX: ret[i] or errs[i].code is set for each i < n; returns non-zero only if
	 * none could be tried. If that is transient all of them failed; if not (not allowed, not
	 * supported here) the core calls get for each, now and from then on. Absent: the core calls
	 * get for each. */
	int (*get_batch)(void *state, const struct call *call, const char *const *names, size_t n,
		struct payload **ret, struct sfs_err *errs, struct sfs_err *err);
	/* Versions of a secret. Absent: only the current one is known. */
	int (*versions)(void *state, const struct call *call, const char *name,
		struct version_sink *sink, struct sfs_err *err);
	/* What the provider says of a secret without its value: appends a JSON object. Absent: what
	 * the listing said. */
	int (*describe)(void *state, const struct call *call, const char *name,
		struct buf *ret_json, struct sfs_err *err);
	/* Blocks in a thread of its own and reports changes until `stop_fd` is readable. Once it is
	 * set up, and so can miss nothing more, it calls watch_changed(sink, NULL); the core lists
	 * after that. Returns early only on an error; the core then calls it again with back-off.
	 * Absent: TTLs only. */
	int (*watch)(void *state, int stop_fd, struct watch_sink *sink, struct sfs_err *err);
	/* Before `open`, in the mount command: files, variables and commands that the source may
	 * need beside those its options name. Must not block on the network. Absent: none. */
	int (*needs)(const char *location, const struct opt_values *opts, struct needs *n,
		struct sfs_err *err);
	/* Appends members of a JSON object to `ret_json`, with a comma before each but the first:
	 * "principal", "credentials", "endpoint" and the like, never a credential. Does not block.
	 */
	int (*status)(void *state, struct buf *ret_json);
	/* Does not block. Absent: nothing is shown. */
	void (*counts)(void *state, struct backend_counts *ret);
	/* `secretfs check`: says which credentials won and why the others did not, and who we are.
	 * Listing and reading are tried by the caller. 0, or -errno when it is no use to go on. */
	int (*check)(
		void *state, const struct call *call, struct check_sink *sink, struct sfs_err *err);
};

/* backends/registry.c: */
/* The back end of that name, or NULL. */
const struct backend_ops *backend_find(const char *name);
/* All of them in the order of list.h; *ret_n gets the count. */
const struct backend_ops *const *backend_all(size_t *ret_n);
/* Tests: adds one more; `ops` stays valid for ever. Before threads. */
void backend_register(const struct backend_ops *ops);

#endif
