/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core as the mount sees it: a tree of names (answered from memory), values (asynchronous),
 * control files, status. No FUSE here and no provider. All functions are thread-safe; callbacks run
 * without locks, from any thread, perhaps before the call returns.
 */
#ifndef SFS_CORE_CORE_H
#define SFS_CORE_CORE_H

#include "base/buf.h"
#include "core/config.h"
#include "core/events.h"
#include "core/instance.h"
#include "core/store.h"

struct core;
struct dent; /* a name under the mount; reference counted; path and kind never change */

enum core_kind {
	CORE_DIR,     /* a directory of the tree, a multi-key secret included */
	CORE_SECRET,  /* a file: a secret, a key of a multi-key secret, a ".value", or a [map] name
		       */
	CORE_UNKNOWN, /* a legal name that no listing shows: a file if the provider has it
			 (provisional) */
};

enum core_change {
	CORE_NEW,  /* a listing shows a name that was not there */
	CORE_GONE, /* the name is no longer there: deleted, hidden by a reload, or its kind changed
		      (then CORE_NEW follows) */
	CORE_ROTATED, /* its current serial changed */
	CORE_PURGED,  /* its value was dropped: the name gets a new node */
	CORE_EXPIRED, /* its TTL ended */
	CORE_ATTR,    /* owner or mode changed (reload), or its TTL was set */
};

struct core_gauges {
	uint64_t inodes, handles; /* known to the kernel; open */
	bool audited;
	uint64_t audit_lines, audit_failures; /* written; not written */
};

struct core_events {
	/* `d` is borrowed. */
	void (*changed)(void *arg, struct dent *d, enum core_change what);
	/* The secret arena is full: give back references to values that are held beyond need. May
	 * be NULL. */
	void (*pressure)(void *arg);
	/* Numbers of the mount for .control/metrics. May be NULL. */
	void (*gauges)(void *arg, struct core_gauges *ret);
	/* Members of the mount for the object of .control/status: appends ",\"name\":value" each.
	 * May be NULL. */
	void (*status)(void *arg, struct buf *out);
	void *arg;
};

/* Opens all back ends and starts them. A back end that is down is no error; a wrong location or
 * option is. `c` passes to the core on success. `machine` stays the caller's and must live until
 * core_free() (a reload opens more). */
int core_open(struct config *c, const struct machine *machine, const struct core_events *ev,
	struct core **ret, struct sfs_err *err);
/* Waits until every local source has listed once, and every source if `all`, but not beyond
 * `deadline` (boot time). The error is the first listing's. */
int core_wait_listed(struct core *core, bool all, int64_t deadline, struct sfs_err *err);
/* Puts a new configuration in force: sources that did not change stay, rules apply at once. All or
 * nothing; `c` passes on success. What would have to be fixed at mount and was not is refused. */
int core_reload(struct core *core, struct config *c, struct sfs_err *err);
/* Every waiter gets EIO, threads end. References to dents must be given back before core_free(). */
void core_shutdown(struct core *core);
void core_free(struct core *core);
const struct config *core_config(
	struct core *core); /* valid until the next reload; only for fields that never change */
/* Text for status: the mount point, and what this process could not do for its safety ("memory is
 * not locked: ..."). Copied. */
void core_set_mount_dir(struct core *core, const char *dir);
void core_note(struct core *core, const char *text);
/* What .control/events shows; lives as long as the core. */
struct events *core_event_ring(struct core *core);

/* Calls fn(arg) after the events of all that has happened so far: another thread may be sending
 * them. Perhaps before this returns; at once if there is no memory to remember it. */
void core_then(struct core *core, void (*fn)(void *arg), void *arg);

/* --- names --- */
struct dent *core_root(struct core *core); /* a reference */
struct dent *dent_ref(struct dent *d);
void dent_unref(struct core *core, struct dent *d);
enum core_kind dent_kind(const struct dent *d);
const char *dent_path(
	const struct dent *d); /* encoded path under the mount without leading slash; "" = root */
/* What the mount keeps with a name for as long as the core knows it; all 0 at first. The mount's
 * lock guards it. */
struct dent_mark {
	uint64_t number, serial;
};
struct dent_mark *dent_mark(struct dent *d);
const char *dent_basename(const struct dent *d);
struct dent *dent_parent(const struct dent *d); /* borrowed; NULL for the root */
bool dent_is_multikey(const struct dent *d);	/* CORE_DIR that is one secret with keys */
bool dent_alive(const struct dent *d); /* still the name's current dent: false after CORE_GONE */

struct core_attr {
	uid_t uid;
	gid_t gid;
	mode_t mode;	 /* permission bits only */
	uint64_t size;	 /* of the value held or last held; 0 if never read */
	uint64_t serial; /* of that value; 0 = never read */
	bool nocache;	 /* effective ttl 0: handles hold the value, direct I/O, the node stands for
			    the name */
	int64_t mtime;	 /* wall ns: creation of the version if known, else of the name, else mount
			    time */
	uint64_t generation; /* raised by purge: a new one means a new node */
	/* Boot time until which the bytes of `serial` may be served without asking again:
	 * CLOCK_NEVER for ttl -1; 0: there are none that may be (absent, expired, stale, failed, or
	 * the value held does not have what this file shows). */
	int64_t valid_until;
};
void core_attr(struct core *core, struct dent *d, struct core_attr *ret);
/* Attributes of a file that shows the whole secret `d` in a view (.json, .meta): as core_attr() for
 * a file; for a multi-key secret those of the secret's own rule, with mode 0 when a rule for one of
 * its keys differs (such a key may not be shown to the owner of the whole). */
void core_view_attr(struct core *core, struct dent *d, struct core_attr *ret);

/* From memory. 0 and a reference; -ENOENT; -ENOTDIR; -EAGAIN: the first listing (or the value that
 * holds the keys) is still on its way: wait with core_list(dir) and ask again. `name` is one
 * component as under the mount. */
int core_lookup(struct core *core, struct dent *dir, const char *name, struct dent **ret);
/* The dent at a path relative to `dir` (components separated by '/'); as core_lookup(). */
int core_walk(struct core *core, struct dent *dir, const char *path, struct dent **ret);

struct core_waiter {
	void (*done)(struct core_waiter *w, const struct sfs_err *err); /* err NULL = well */
	int64_t deadline;
	struct payer payer;		 /* as in struct waiter: of a value that holds the keys */
	struct core_waiter *prev, *next; /* private */
	void *wait;			 /* private */
	void *priv;
};
/* Waits until `dir` can be read from memory: for the first listing of the sources in and below it;
 * starts a background listing when the one held is older than list_ttl. EACCES etc. if the first
 * listing failed and names= gives none. */
void core_list(struct core *core, struct dent *dir, struct core_waiter *w);
bool core_list_cancel(struct core *core, struct core_waiter *w);

/* Calls emit for each child after `cookie` (0 = from the start) in a stable order until it returns
 * non-zero (which is returned). Cookies stay valid across changes: a child that was there all the
 * time is seen exactly once. emit runs under the tree lock: it may only copy. */
struct core_dirent {
	const char *name;
	struct dent *dent; /* borrowed */
	uint64_t cookie;   /* resume after this one */
};
int core_readdir(struct core *core, struct dent *dir, uint64_t cookie,
	int (*emit)(void *arg, const struct core_dirent *de), void *arg);

/* --- values --- */
/* `version` NULL = current. `d` is CORE_SECRET, CORE_UNKNOWN or a multi-key CORE_DIR. A provisional
 * name tries each source in overlay order. On success of a provisional name the name enters the
 * tree. Whoever acts for a user's program sets w->payer (open_rate=). Cancel with
 * core_fetch_cancel(). */
void core_fetch(struct core *core, struct dent *d, const char *version, enum fetch_mode mode,
	struct waiter *w);
bool core_fetch_cancel(struct core *core, struct waiter *w);
bool core_fetch_recall(struct core *core, struct waiter *w); /* as store_recall() */
/* The bytes that file `d` shows of payload `p` (its key, its [map] field): a new reference. Errors:
 * ENOENT (no such key or field), EBADMSG, EFBIG. */
int core_select(struct core *core, const struct dent *d, struct payload *p, struct secret **ret,
	struct sfs_err *err);
/* The bytes file `d` shows of the value held, fresh or not: a reference, with its serial and mtime
 * (as core_attr); NULL without one. For LOOKUP and stat, not for readers. */
struct secret *core_peek(
	struct core *core, struct dent *d, uint64_t *ret_serial, int64_t *ret_mtime);
/* Drops value and remembered failures of a name (a multi-key secret goes as a whole). */
void core_purge(struct core *core, struct dent *d);
void core_set_ttl(struct core *core, struct dent *d, int64_t ttl);
/* State of a secret for xattrs and .meta; -ENODATA for a plain directory. */
int core_info(struct core *core, struct dent *d, struct entry_info *ret);
/* Version text of the value held, into `out` (NUL-terminated); "" without one. */
void core_version(struct core *core, struct dent *d, char *out, size_t size);
const char *core_source_name(
	const struct core *core, const struct dent *d); /* instance name, "" for the root */

/* Versions of a secret, newest first, for .versions/NAME; always includes what is held. `done` gets
 * an array it must not keep. */
struct versions_waiter {
	void (*done)(struct versions_waiter *w, const char *const *versions, size_t n,
		const struct sfs_err *err);
	int64_t deadline;
};
void core_versions(struct core *core, struct dent *d, struct versions_waiter *w);
/* .meta/NAME as JSON text, never a value: what the provider said, plus name, source, version,
 * times, state, ttl. */
struct text_waiter {
	void (*done)(
		struct text_waiter *w, const char *text, size_t len, const struct sfs_err *err);
	int64_t deadline;
};
void core_meta(struct core *core, struct dent *d, struct text_waiter *w);
/* What the provider said, as far as it is in memory (the held value's, else the listing's): a JSON
 * object appended, or nothing. */
int core_meta_held(struct core *core, struct dent *d, struct buf *out);

/* How far hydration is: of *ret_total secrets *ret_done were tried, and *ret_failed have no value
 * because their last fetch failed. *ret_running: some were not tried yet, or a first listing is on
 * its way. All 0 in a lazy mount. Cheap. */
void core_hydration(struct core *core, size_t *ret_done, size_t *ret_total, size_t *ret_failed,
	bool *ret_running);

/* --- control files --- */
enum control_file {
	CONTROL_HYDRATE,
	CONTROL_PURGE,
	CONTROL_REFRESH,
	CONTROL_TTL,
	CONTROL_CACHED,
	CONTROL_STATUS,
	CONTROL_METRICS,
	CONTROL_EVENTS,
	CONTROL_CONFIG,
	CONTROL_LIST_ALL,
	CONTROL_N
};
struct control_row {
	const char *name; /* file name below .control */
	bool writable;
	const char *args; /* placeholder of a line: "NAME|GLOB|*" */
	const char *help;
};
extern const struct control_row control_rows[CONTROL_N];

/* The text a read of the file shows now, appended to `out`; -ENOENT for CONTROL_EVENTS, which is
 * read from the ring. */
int core_control_read(struct core *core, enum control_file f, struct buf *out);
/* .control/list/FILTER: the names that match, one a line. `*` is a listing like those that `ls`
 * shows, and the tree follows it; what a provider's filter finds changes no tree. */
void core_control_list(struct core *core, const char *filter, struct text_waiter *w);

/* One write: all lines are checked, then carried out; `done` comes when the work is over.
 * `done_ops` semantics of design section 1: named lines all tried, first errno; globs fail only if
 * none succeeded. */
struct control_waiter {
	void (*done)(struct control_waiter *w, const struct sfs_err *err); /* err NULL = well */
	int64_t deadline; /* CLOCK_NEVER, or the bound of R27: then EAGAIN "continues in the
			     background" */
	void *priv;
};
void core_control_write(struct core *core, enum control_file f, const char *text, size_t len,
	struct control_waiter *w);
/* The writer was interrupted: no further fetch starts. True: done will not be called. */
bool core_control_cancel(struct core *core, struct control_waiter *w);

#endif
