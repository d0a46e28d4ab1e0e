/* SPDX-License-Identifier: Apache-2.0 */
/*
 * example: the smallest back end there is. It serves the same made-up secrets to everybody and is
 * here to be read: it has the four calls that every back end has, and nothing else.
 * backends/README.md walks through it.
 */
#include "backends/backend.h"

#include "base/alloc.h"
#include <errno.h>
#include <string.h>

/* What this "provider" holds. A real one is asked over the network; then nothing of this is in the
 * program. */
struct example_value {
	const char *secret; /* provider's name; '/' makes directories under the mount */
	const char *key;    /* NULL: the secret is one value. Otherwise one key of a secret that has
			       several */
	const char *text;
};

static const struct example_value values[] = {
	{"greeting", NULL, "hello from the example back end\n"},
	{"team/token", NULL, "not-a-real-token"},
	{"database", "password", "not-a-real-password"},
	{"database", "username", "demo"},
};
#define NVALUES (sizeof(values) / sizeof(values[0]))

/*
 * The state of one opened source. A source can be opened several times (two [backend] sections), so
 * nothing may be static: whatever belongs to one of them stands here. This back end only counts, to
 * have something to show.
 */
struct example_state {
	atomic_ulong calls; /* list and get run in several threads at once */
};

/*
 * open: checks LOCATION (the text after the colon of SOURCE, "" if there is none) and the options,
 * and makes the state. It must not go to the network: a provider that is down is found out by list
 * and get. An error is -errno and one sentence that tells the user what to do; *ret_state is set
 * only on success.
 */
static int example_open(const struct backend_env *env, const char *location,
	const struct opt_values *opts, void **ret_state, struct sfs_err *err)
{
	(void)env; /* a real back end opens files through env->paths, and names itself env->instance
		      in the log */
	(void)opts; /* it has no options: .options is NULL below */
	if (*location)
		return err_set(err, EINVAL, "example: takes nothing after the colon");
	struct example_state *st = mem_calloc(1, sizeof(*st));
	if (!st)
		return err_set(err, ENOMEM, "no memory for the example");
	*ret_state = st;
	return 0;
}

/*
 * list: one list_add() for each secret. Values are not asked for here. When list_add() returns
 * non-zero nobody wants more lines, and that is returned. `filter` is NULL because the flags below
 * lack BACKEND_FILTER.
 */
static int example_list(void *state, const struct call *call, const char *filter,
	struct list_sink *sink, struct sfs_err *err)
{
	static const char *const database_keys[] = {"password", "username"};
	struct example_state *st = state;
	(void)call; /* a real back end hands call->deadline and call->cancelled to the HTTP engine
		     */
	(void)filter;
	(void)err;
	atomic_fetch_add(&st->calls, 1);
	const struct list_item items[] = {
		{.name = "greeting"},
		{.name = "team/token"},
		/* Several keys: a directory with a file for each. If a provider tells the keys only
		 * together with the value, say .keys_unknown = true instead. */
		{.name = "database", .keys = database_keys, .nkeys = 2},
	};
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		int rc = list_add(sink, &items[i]);
		if (rc)
			return rc;
	}
	return 0;
}

/* Adds every part of the secret to the payload. Values go into secret memory at once and stay in no
 * other buffer. */
static int add_parts(struct payload *p, const char *name)
{
	for (size_t i = 0; i < NVALUES; i++) {
		if (strcmp(values[i].secret, name) != 0)
			continue;
		struct secret *bytes = secret_new(values[i].text, strlen(values[i].text));
		if (!bytes)
			return -ENOMEM;
		int rc =
			payload_add(p, values[i].key, bytes); /* takes `bytes` also when it fails */
		if (rc)
			return rc;
	}
	return 0;
}

/*
 * get: one version of one secret as a payload with one reference. The errno of a failure is what
 * the reader of the file gets, so it follows the table in backend.h; the sentence names neither the
 * secret (the core puts that before it) nor the value.
 */
static int example_get(void *state, const struct call *call, const struct get_request *rq,
	struct payload **ret, struct sfs_err *err)
{
	struct example_state *st = state;
	(void)call;
	atomic_fetch_add(&st->calls, 1);
	if (rq->version && strcmp(rq->version, "1") != 0)
		return err_set(err, ENOENT, "the example has version 1 only");
	struct payload *p = payload_new();
	if (!p)
		return err_set(err, ENOMEM, "no memory for a value");
	int rc = add_parts(p, rq->name);
	if (rc == 0 && p->nparts == 0)
		rc = -ENOENT;
	p->version =
		mem_strdup("1"); /* NULL would do too: the core then makes one up from the bytes */
	if (rc) {
		payload_unref(p);
		return err_set(err, -rc,
			rc == -ENOENT ? "the example has no such secret" : "no memory for a value");
	}
	*ret = p;
	return 0;
}

/* close: comes after the last call has returned, and frees everything. */
static void example_close(void *state)
{
	mem_free(state);
}

/*
 * What is left out here has a meaning, too (backend.h): no versions() - only the current one is
 * known; no describe() - what list said; no watch() - changes are seen when a TTL ends.
 */
const struct backend_ops example_backend = {
	.name = "example",
	.summary = "made-up secrets, the same for everybody: the tutorial of backends/README.md",
	.location = NULL,
	.options = NULL,
	.flags = BACKEND_LOCAL,
	.open = example_open,
	.list = example_list,
	.get = example_get,
	.close = example_close,
};
