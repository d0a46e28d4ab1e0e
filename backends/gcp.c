/* SPDX-License-Identifier: Apache-2.0 */
/* gcp:PROJECT[/LOCATION] - Google Secret Manager. */
#include "backends/gcp_client.h"

#include "backends/gcp_conf.h"
#include "backends/gcp_cred.h"
#include "backends/members.h"
#include "backends/net_options.h"
#include "backends/pages.h"
#include "backends/percent.h"
#include "backends/seen.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define QUERY_MAX      (3 * (2 * SFS_FILTER_MAX + PAGES_TOKEN_MAX) + 64)
#define PAGE	       "pageSize=500" /* few calls of the small quota, and 16 MiB at worst */
#define USD_PER_ACCESS 0.000003	      /* 0.03 USD for 10,000; listings are free */
#define THREADS	       32 /* half of them hydrate: there is no batch, but HTTP/2 takes many */

#define VIEWER "roles/secretmanager.viewer on the project"

static const struct gcp_op op_list = {
	"secretmanager.secrets.list", VIEWER, 16 * 1024 * 1024, false};
static const struct gcp_op op_get = {"secretmanager.secrets.get", VIEWER, 256 * 1024, false};
static const struct gcp_op op_versions = {
	"secretmanager.versions.list", VIEWER, 16 * 1024 * 1024, false};
static const struct gcp_op op_access = {"secretmanager.versions.access",
	"roles/secretmanager.secretAccessor on the secret or its project", 128 * 1024, true};

static const struct opt_row gcp_options[] = {GCP_OPTIONS, NET_OPTIONS,
	{.name = "filter",
		.type = OPT_STRING,
		.arg = "FILTER",
		.help = "List only the secrets that this filter of Secret Manager lets through, "
			"such as \"labels.env=prod\" or \"name:db OR name:api\". Others can still "
			"be opened by name."},
	{.name = "latest",
		.type = OPT_CHOICE,
		.choices = "newest|enabled",
		.arg = "WHICH",
		.help = "Which version is the current one: the newest whatever its state, as "
			"Google means it (newest, the default: reading fails while it is "
			"disabled), or the newest one that is enabled, for one more request each "
			"time (enabled; needs secretmanager.versions.list too)."},
	{0}};
static const struct opt_table table = {.owner = "gcp", .rows = gcp_options};

struct source {
	struct gcp_client *client;
	char *filter; /* filter=; NULL = none */
	bool enabled; /* latest=enabled */
};

/* --- life --- */

static void close_source(void *state)
{
	struct source *s = state;
	if (!s)
		return;
	gcp_client_free(s->client);
	mem_free(s->filter);
	mem_free(s);
}

static int set_up(struct source *s, const struct backend_env *env, const char *location,
	const struct opt_values *opts, struct sfs_err *err)
{
	const char *filter = opt_str(opts, &table, "filter");
	const char *latest = opt_str(opts, &table, "latest");
	s->enabled = latest && !strcmp(latest, "enabled");
	if (filter && strlen(filter) > SFS_FILTER_MAX)
		return err_set(err, EINVAL, "filter= has more than %d bytes", SFS_FILTER_MAX);
	if (filter && *filter && !(s->filter = mem_strdup(filter)))
		return err_set(err, ENOMEM, "out of memory for a source");
	return gcp_client_new(env, location, opts, &s->client, err);
}

static int open_source(const struct backend_env *env, const char *location,
	const struct opt_values *opts, void **ret_state, struct sfs_err *err)
{
	struct source *s = mem_calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "out of memory for a source");
	int rc = set_up(s, env, location, opts, err);
	if (rc) {
		close_source(s);
		return rc;
	}
	*ret_state = s;
	return 0;
}

/* --- pages --- */

static int add_argument(struct buf *query, const char *key, const char *value)
{
	buf_printf(query, "&%s=", key);
	return percent_add(query, value, strlen(value));
}

/* Asks for page after page; `page` gets each of them, and `restart` is called where the listing
 * begins again because the service no longer knows where it was. */
struct paged {
	struct gcp_ask ask; /* without query */
	const char *size;   /* of a page; NULL = PAGE */
	const char *filter; /* "" = none */
	/* More than 0: no more pages are wanted. */
	int (*page)(void *arg, const struct gcp_answer *a, struct sfs_err *err);
	void (*restart)(void *arg);
	void *arg;
};

static bool is_stale_page(const struct gcp_answer *a)
{
	return a->error.kind == GCP_ERR_ARGUMENT;
}

static int one_page(struct source *s, const struct call *call, struct paged *p, struct pages *at,
	struct gcp_answer *a, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf query = BUF_INIT(QUERY_MAX);
	struct gcp_ask ask = p->ask;
	buf_str(&query, p->size ? p->size : PAGE);
	if (*p->filter)
		add_argument(&query, "filter", p->filter);
	if (at->token.len)
		add_argument(&query, "pageToken", at->token.data);
	if (query.failed)
		return err_errno(err, query.failed, "make a request for a listing");
	ask.query = buf_text(&query);
	ask.lookup = ask.lookup && !at->token.len; /* the name was good enough for the first page */
	return gcp_call(s->client, call, &ask, a, err);
}

static int all_pages(
	struct source *s, const struct call *call, struct paged *p, struct sfs_err *err)
{
	_cleanup_(gcp_answer_clear) struct gcp_answer a = GCP_ANSWER_INIT;
	_cleanup_(pages_clear) struct pages at = PAGES_INIT;
	for (;;) {
		int rc = one_page(s, call, p, &at, &a, err);
		if (rc && is_stale_page(&a) && pages_restart(&at)) {
			if (p->restart)
				p->restart(p->arg);
			continue;
		}
		if (!rc)
			rc = p->page(p->arg, &a, err);
		if (rc > 0)
			return 0;
		if (!rc)
			rc = pages_next(
				&at, a.json, gcp_member(a.json, a.root, "nextPageToken"), err);
		if (rc <= 0)
			return rc;
	}
}

/* --- list --- */

struct listing_run {
	struct list_sink *sink;
	struct seen seen;
	struct gcp_line line;
	size_t unusable; /* entries without a name */
};

static int take_line(struct listing_run *run, struct json *doc, const struct json_node *entry)
{
	struct gcp_line *l = &run->line;
	int rc = gcp_line(doc, entry, l);
	if (rc == -EBADMSG) {
		run->unusable++;
		return 0;
	}
	if (!rc)
		rc = seen_add(&run->seen, l->id.data);
	if (rc <= 0)
		return rc;
	const struct list_item item = {.name = l->id.data,
		.created = l->created,
		.expires = l->expires,
		.meta = l->meta.len ? l->meta.data : NULL};
	return list_add(run->sink, &item);
}

static int take_page(void *arg, const struct gcp_answer *a, struct sfs_err *err)
{
	struct listing_run *run = arg;
	const struct json_node *n = member(a->json, a->root, "secrets");
	int rc = 0;
	if (n && json_kind(n) != JSON_ARRAY)
		return err_set(err, EBADMSG,
			"the answer of Secret Manager holds secrets that are no list");
	for (n = n ? json_first(a->json, n) : NULL; n && rc == 0; n = json_next(a->json, n))
		rc = take_line(run, a->json, n);
	return rc == -ENOMEM ? err_set(err, ENOMEM, "out of memory for the names") : rc;
}

/* Both filters, if there are two. */
static int join_filters(const struct source *s, const char *filter, struct buf *out)
{
	if (s->filter && filter && *filter)
		return buf_printf(out, "(%s) AND (%s)", s->filter, filter);
	return buf_str(out, filter && *filter ? filter : s->filter ? s->filter : "");
}

static int list(void *state, const struct call *call, const char *filter, struct list_sink *sink,
	struct sfs_err *err)
{
	struct source *s = state;
	_cleanup_(buf_clear) struct buf filters = BUF_INIT(2 * SFS_FILTER_MAX + 16);
	struct listing_run run = {.sink = sink, .line = GCP_LINE_INIT};
	struct paged p = {.ask = {.op = &op_list, .tail = ""}, .page = take_page, .arg = &run};
	int rc = join_filters(s, filter, &filters);
	p.filter = buf_text(&filters);
	rc = rc ? err_errno(err, -rc, "make the filter") : all_pages(s, call, &p, err);
	if (!rc && run.unusable) {
		struct sfs_err why;
		err_set(&why, EBADMSG, "%zu entries of the listing have no usable name",
			run.unusable);
		list_problem(sink, &why);
	}
	seen_clear(&run.seen);
	gcp_line_clear(&run.line);
	return rc;
}

/* --- one secret --- */

static int parse_name(
	const char *name, const char *version, struct gcp_name *ret, struct sfs_err *err)
{
	if (!gcp_name_parse(name, ret))
		return err_set(err, ENOENT,
			"no secret can have this name: Secret Manager allows up to %d letters, "
			"digits, - and _",
			GCP_ID_MAX);
	if (version && !gcp_version_ok(version))
		return err_set(err, ENOENT,
			"no version can have this name: it is a number, `" GCP_LATEST
			"`, or an alias of letters, digits, - and _");
	if (version && *ret->version && strcmp(version, ret->version) != 0)
		return err_set(
			err, ENOENT, "the name is that of another version, %s", ret->version);
	if (version)
		snprintf(ret->version, sizeof(ret->version), "%s", version);
	else if (!*ret->version)
		snprintf(ret->version, sizeof(ret->version), "%s", GCP_LATEST);
	return 0;
}

static int take_enabled(void *arg, const struct gcp_answer *a, struct sfs_err *err)
{
	uint64_t *number = arg;
	(void)err;
	*number = gcp_first_enabled(a->json, a->root);
	return *number > 0;
}

/* latest=enabled: puts the number of the newest enabled version into the name. A page may be empty
 * and not the last one; an emulator that knows no filter gives one version after the other. */
static int find_enabled(
	struct source *s, const struct call *call, struct gcp_name *name, struct sfs_err *err)
{
	uint64_t number = 0;
	struct paged p = {
		.ask = {.op = &op_versions, .name = name, .tail = "/versions", .lookup = true},
		.size = "pageSize=1",
		.filter = "state:ENABLED",
		.page = take_enabled,
		.arg = &number};
	*name->version = '\0';
	int rc = all_pages(s, call, &p, err);
	if (rc)
		return rc;
	if (!number)
		return err_set(err, EKEYREVOKED,
			"no version of the secret is enabled; enable one, or add a new one");
	snprintf(name->version, sizeof(name->version), "%" PRIu64, number);
	return 0;
}

struct access_run {
	const struct gcp_name *name;
	struct payload *payload;
};

static int take_payload(void *arg, const struct gcp_answer *a, struct sfs_err *err)
{
	struct access_run *run = arg;
	return gcp_payload(a->json, a->root, run->name, &run->payload, err);
}

static int get(void *state, const struct call *call, const struct get_request *rq,
	struct payload **ret, struct sfs_err *err)
{
	struct source *s = state;
	struct gcp_name name;
	_cleanup_(gcp_answer_clear) struct gcp_answer a = GCP_ANSWER_INIT;
	struct access_run run = {.name = &name};
	const struct gcp_ask ask = {.op = &op_access,
		.name = &name,
		.tail = ":access",
		.query = "",
		.lookup = true,
		.read = take_payload,
		.arg = &run};
	int rc = parse_name(rq->name, rq->version, &name, err);
	bool newest = !rc && !strcmp(name.version, GCP_LATEST);
	bool fixed = !rc && gcp_version_number(name.version, strlen(name.version)) > 0;
	if (newest && s->enabled && !rq->version)
		rc = find_enabled(s, call, &name, err);
	if (!rc)
		rc = gcp_call(s->client, call, &ask, &a, err);
	if (rc)
		return rc;
	/* An alias may be moved back; of `latest` a lower number is an older answer. */
	if (!newest)
		run.payload->ordinal = 0;
	run.payload->immutable = fixed;
	*ret = run.payload;
	return 0;
}

static int get_secret(struct source *s, const struct call *call, const struct gcp_name *name,
	struct gcp_answer *a, struct sfs_err *err)
{
	const struct gcp_ask ask = {
		.op = &op_get, .name = name, .tail = "", .query = "", .lookup = true};
	return gcp_call(s->client, call, &ask, a, err);
}

static int describe(void *state, const struct call *call, const char *name, struct buf *ret_json,
	struct sfs_err *err)
{
	_cleanup_(gcp_answer_clear) struct gcp_answer a = GCP_ANSWER_INIT;
	struct gcp_name n;
	int rc = parse_name(name, NULL, &n, err);
	if (rc)
		return rc;
	*n.version = '\0';
	rc = get_secret(state, call, &n, &a, err);
	if (!rc && gcp_facts(a.json, a.root, ret_json) < 0)
		rc = err_set(err, ret_json->failed == ENOMEM ? ENOMEM : EBADMSG,
			"the description does not fit into %d bytes", SFS_META_MAX);
	return rc;
}

/* --- versions --- */

static int take_versions(void *arg, const struct gcp_answer *a, struct sfs_err *err)
{
	return gcp_versions_page(arg, a->json, a->root) < 0
		       ? err_set(err, ENOMEM, "out of memory for the versions")
		       : 0;
}

static void forget_versions(void *arg)
{
	gcp_versions_clear(arg);
}

/* Who may list versions but not get the secret has none of its aliases. */
static int find_aliases(struct source *s, const struct call *call, const struct gcp_name *name,
	struct gcp_versions *all, struct sfs_err *err)
{
	_cleanup_(gcp_answer_clear) struct gcp_answer a = GCP_ANSWER_INIT;
	int rc = get_secret(s, call, name, &a, err);
	if (rc == -EACCES)
		return 0;
	if (!rc && gcp_versions_aliases(all, a.json, a.root) < 0)
		rc = err_set(err, ENOMEM, "out of memory for the aliases of versions");
	return rc;
}

static int versions(void *state, const struct call *call, const char *name,
	struct version_sink *sink, struct sfs_err *err)
{
	_cleanup_(gcp_versions_clear) struct gcp_versions all = {0};
	struct gcp_name n;
	struct paged p = {
		.ask = {.op = &op_versions, .name = &n, .tail = "/versions", .lookup = true},
		.filter = "",
		.page = take_versions,
		.restart = forget_versions,
		.arg = &all};
	int rc = parse_name(name, NULL, &n, err);
	if (rc)
		return rc;
	*n.version = '\0';
	rc = all_pages(state, call, &p, err);
	if (!rc)
		rc = find_aliases(state, call, &n, &all, err);
	return rc ? rc : gcp_versions_tell(&all, sink);
}

/* --- what it tells of itself --- */

static int status(void *state, struct buf *ret_json)
{
	return gcp_client_status(((struct source *)state)->client, ret_json);
}

static void counts(void *state, struct backend_counts *ret)
{
	gcp_client_counts(((struct source *)state)->client, USD_PER_ACCESS, ret);
}

static int check(void *state, const struct call *call, struct check_sink *sink, struct sfs_err *err)
{
	return gcp_client_check(((struct source *)state)->client, call, sink, err);
}

const struct backend_ops gcp_backend = {
	.name = "gcp",
	.summary = "Google Secret Manager",
	.location = "[PROJECT][/LOCATION]",
	.options = gcp_options,
	.flags = BACKEND_FILTER | BACKEND_LIST_TELLS,
	.threads = THREADS,
	.open = open_source,
	.list = list,
	.get = get,
	.close = close_source,
	.versions = versions,
	.describe = describe,
	.needs = gcp_needs,
	.status = status,
	.counts = counts,
	.check = check,
};
