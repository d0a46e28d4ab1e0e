/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of backends/backend.h, asserted of every registered back end. A back end needs a
 * fixture here: how to open it, and what it must refuse. Every value and credential of a fixture
 * holds the word "canary".
 */
#include "../unit/backend_kit.h"
#include "fakes/aws_canned.h"
#include "fakes/gcp_canned.h"

#include <poll.h>

#define THREADS 8
#define ROUNDS	50

struct fixture {
	const char *name;
	/* Makes what the back end reads and returns its LOCATION; NULL = "". */
	const char *(*prepare)(void);
	void (*clean)(void);
	const char *nonsense[6]; /* locations that open refuses, ended by NULL */
	const char *options;	 /* "a=b,c=d", or NULL */
};

static char *dir;

static const char *prepare_file(void)
{
	static char path[512];
	dir = kit_dir();
	snprintf(path, sizeof(path), "%s/x.json", dir);
	kit_write(path, "{\"one\":\"canary\",\"a/"
			"b\":\"canary\",\"multi\":{\"k1\":\"canary\",\"k2\":\"canary\"}}");
	return path;
}

static void clean_file(void)
{
	kit_rm(dir);
}

static const char *prepare_env(void)
{
	return "OTHER,KIT_*";
}

static const char *prepare_inline(void)
{
	static struct inline_value v[2];
	v[0] = (struct inline_value){"one", secret_new("canary", 6)};
	v[1] = (struct inline_value){"two", secret_new("canary 2", 8)};
	kit_backend_env.inline_values = v;
	kit_backend_env.n_inline = 2;
	return "";
}

static const char *prepare_aws(void)
{
	aws_canned_start();
	return "us-east-1";
}

static char gcp_options[512];

static const char *prepare_gcp(void)
{
	dir = kit_dir();
	kit_write(kit_path(dir, "token"), "canary\n");
	snprintf(gcp_options, sizeof(gcp_options), "token_file=%s/token", dir);
	gcp_canned_start();
	return "my-proj";
}

static void clean_gcp(void)
{
	gcp_canned_end();
	kit_rm(dir);
}

#define AWS_KEYS "access_key_id=env:KIT_A,secret_access_key=env:OTHER"

static const struct fixture fixtures[] = {
	{"file", prepare_file, clean_file, {"", "relative", "/nowhere/at/all", "/dev/null", NULL},
		NULL},
	{"env", prepare_env, NULL, {"", "A B", "A=canary", ",", NULL}, NULL},
	{"inline", prepare_inline, NULL, {"canary", NULL}, NULL},
	{"aws", prepare_aws, aws_canned_end, {"eu west 1", "../x", "us-east-1/x", "-", NULL},
		AWS_KEYS},
	{"aws-ssm", prepare_aws, aws_canned_end, {"eu west 1", "us-east-1/a b", "-", NULL},
		AWS_KEYS},
	{"gcp", prepare_gcp, clean_gcp,
		{"my proj", "../x", "my-proj/", "my-proj/a.b", "my-proj/a/../b", NULL},
		gcp_options},
	{"example", NULL, NULL, {"canary", NULL}, NULL},
};

static const struct fixture *fixture_of(const struct backend_ops *ops)
{
	for (size_t i = 0; i < sizeof(fixtures) / sizeof(fixtures[0]); i++)
		if (strcmp(fixtures[i].name, ops->name) == 0)
			return &fixtures[i];
	cr_assert_fail("back end %s has no fixture in tests/contract/test_backends.c", ops->name);
	return NULL;
}

/* One opened source. */
struct subject {
	const struct backend_ops *ops;
	const struct fixture *fixture;
	const char *location;
	void *state;
	size_t blocks; /* of secret memory before it was opened */
};

static void setup(struct subject *s, const struct backend_ops *ops)
{
	struct sfs_err err = {0};
	*s = (struct subject){.ops = ops, .fixture = fixture_of(ops)};
	kit_backend();
	s->location = s->fixture->prepare ? s->fixture->prepare() : "";
	s->blocks = kit_blocks();
	cr_assert_eq(kit_open(ops, s->location, s->fixture->options, &s->state, &err), 0, "%s: %s",
		ops->name, err.msg);
}

static void teardown(struct subject *s)
{
	s->ops->close(s->state);
	cr_expect_eq(
		kit_blocks(), s->blocks, "%s: secret memory is left after close", s->ops->name);
	if (s->fixture->clean)
		s->fixture->clean();
}

/* Runs `check` over every back end. */
static void for_all(void (*check)(struct subject *s))
{
	size_t n;
	const struct backend_ops *const *all = backend_all(&n);
	cr_assert_gt(n, 0);
	for (size_t i = 0; i < n; i++) {
		struct subject s;
		setup(&s, all[i]);
		check(&s);
		teardown(&s);
	}
}

static void is_sentence(const struct subject *s, const struct sfs_err *err, int rc)
{
	cr_expect_eq(err->code, -rc, "%s: code and result differ", s->ops->name);
	cr_expect_gt(strlen(err->msg), 10, "%s: \"%s\"", s->ops->name, err->msg);
	cr_expect(!strstr(err->msg, "canary"), "%s: a value in \"%s\"", s->ops->name, err->msg);
	cr_expect(!strchr(err->msg, '\n'), "%s", err->msg);
}

static void fill(struct subject *s, struct list_sink *sink)
{
	struct sfs_err err = {0};
	struct call call = kit_call();
	cr_assert_eq(s->ops->list(s->state, &call, NULL, sink, &err), 0, "%s: %s", s->ops->name,
		err.msg);
	cr_assert_gt(sink->n, 0, "%s: the fixture must have secrets", s->ops->name);
}

/* The name of a line of the sink, without its keys. */
static char *name_of(const char *line)
{
	char *brace = strchr(line, '{');
	return brace ? strndup(line, (size_t)(brace - line)) : strdup(line);
}

static void check_table(struct subject *s)
{
	const struct backend_ops *o = s->ops;
	cr_expect(o->name && *o->name && !strpbrk(o->name, ": /"), "%s", o->name);
	cr_expect(o->summary && *o->summary && !strchr(o->summary, '\n'), "%s", o->name);
	cr_expect(o->open && o->list && o->get && o->close, "%s: a required call is missing",
		o->name);
	cr_expect_eq(backend_find(o->name), o);
	cr_expect(!(o->flags & BACKEND_LIST_COMPLETE) || o->watch,
		"%s: a complete list needs a watch", o->name);
	cr_expect(!(o->flags & (BACKEND_LOCATION_PATH | BACKEND_LOCATION_ENV)) || o->location, "%s",
		o->name);
	for (const struct opt_row *r = o->options; r && r->name; r++)
		cr_expect(r->help && *r->help, "%s: option %s has no help", o->name, r->name);
}

Test(contract, the_table_is_filled)
{
	for_all(check_table);
}

static void check_nonsense(struct subject *s)
{
	for (const char *const *l = s->fixture->nonsense; *l; l++) {
		void *state = s; /* any value: it must stay */
		struct sfs_err err = {0};
		int rc = kit_open(s->ops, *l, s->fixture->options, &state, &err);
		cr_expect_lt(rc, 0, "%s opened \"%s\"", s->ops->name, *l);
		cr_expect_eq(state, s, "%s: ret_state was touched", s->ops->name);
		is_sentence(s, &err, rc);
	}
}

Test(contract, open_refuses_nonsense_with_a_sentence)
{
	for_all(check_nonsense);
}

static void check_lines(struct subject *s)
{
	struct list_sink sink = {0};
	fill(s, &sink);
	qsort(sink.lines, sink.n, sizeof(char *), sink_compare);
	for (size_t i = 0; i < sink.n; i++) {
		cr_expect(sink.lines[i][0] && sink.lines[i][0] != '{', "%s: an empty name",
			s->ops->name);
		cr_expect_leq(strlen(sink.lines[i]), SFS_NAME_MAX);
		cr_expect(i == 0 || strcmp(sink.lines[i - 1], sink.lines[i]), "%s: %s twice",
			s->ops->name, sink.lines[i]);
	}
	sink_clear(&sink);
}

Test(contract, lines_of_a_listing_are_legal_and_unique)
{
	for_all(check_lines);
}

static void check_stop(struct subject *s)
{
	struct list_sink sink = {.stop_after = 1};
	struct call call = kit_call();
	struct sfs_err err = {0};
	cr_expect_eq(
		s->ops->list(s->state, &call, NULL, &sink, &err), -ECANCELED, "%s", s->ops->name);
	cr_expect_eq(sink.n, 1, "%s goes on after list_add() said stop", s->ops->name);
	sink_clear(&sink);
}

Test(contract, a_listing_stops_when_told)
{
	for_all(check_stop);
}

/* Keys as the listing shows them: "name{k1,k2}". */
static void check_keys(const struct subject *s, const char *line, const struct payload *p)
{
	struct buf b = BUF_INIT(100000);
	const char *brace = strchr(line, '{');
	if (!brace) {
		cr_expect(
			payload_part(p, NULL), "%s: %s is listed as one value", s->ops->name, line);
		return;
	}
	if (strcmp(brace, "{?}") == 0)
		return;
	for (size_t i = 0; i < p->nparts; i++) {
		char with[300];
		cr_assert_not_null(p->parts[i].key, "%s: %s", s->ops->name, line);
		snprintf(with, sizeof(with), "%s%s", i ? "," : "", p->parts[i].key);
		buf_str(&b, with);
	}
	cr_expect_eq(strlen(brace + 1), b.len + 1, "%s: listed %s, got {%s}", s->ops->name, line,
		buf_text(&b));
	buf_clear(&b);
}

static void check_get(struct subject *s)
{
	struct list_sink sink = {0};
	fill(s, &sink);
	for (size_t i = 0; i < sink.n; i++) {
		struct payload *p = NULL;
		struct sfs_err err = {0};
		char *name = name_of(sink.lines[i]);
		cr_assert_eq(kit_get(s->ops, s->state, name, &p, &err), 0, "%s: %s: %s",
			s->ops->name, name, err.msg);
		cr_expect_eq(atomic_load(&p->refs), 1);
		cr_expect_eq(p->fetched_boot, 0, "the core fills that in");
		cr_expect_eq(p->serial, 0, "the core fills that in");
		check_keys(s, sink.lines[i], p);
		payload_unref(p);
		free(name);
	}
	sink_clear(&sink);
}

Test(contract, every_listed_secret_can_be_read)
{
	for_all(check_get);
}

static void check_unknown(struct subject *s)
{
	static const char *const names[] = {
		"no-such-secret", "No.Such", "a", "/", "..", "one/", "\xff", "name with blank"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct payload *p = (struct payload *)s; /* any value: it must stay */
		struct sfs_err err = {0};
		int rc = kit_get(s->ops, s->state, names[i], &p, &err);
		cr_expect_eq(rc, -ENOENT, "%s: %s: %d", s->ops->name, names[i], rc);
		cr_expect_eq(p, (struct payload *)s, "%s: *ret was touched", s->ops->name);
		is_sentence(s, &err, rc);
	}
}

Test(contract, an_unknown_name_is_enoent_with_a_sentence)
{
	for_all(check_unknown);
}

/* One line of the listing, and one name that is not there, in one call. */
static void check_batch(struct subject *s)
{
	struct list_sink sink = {0};
	struct call call = kit_call();
	struct sfs_err err = {0}, errs[2] = {0};
	struct payload *ret[2] = {0}, *alone = NULL;
	if (!s->ops->get_batch)
		return;
	fill(s, &sink);
	char *name = name_of(sink.lines[0]);
	const char *const names[2] = {name, "no-such-secret"};
	cr_expect_eq(s->ops->get_batch(s->state, &call, names, 2, ret, errs, &err), 0, "%s: %s",
		s->ops->name, err.msg);
	cr_expect_eq(kit_get(s->ops, s->state, name, &alone, &err), 0);
	cr_assert(ret[0] && alone && !errs[0].code, "%s", s->ops->name);
	cr_expect(payload_same(ret[0], alone), "%s: %s differs from get", s->ops->name, name);
	cr_expect_null(ret[1]);
	cr_expect_eq(errs[1].code, ENOENT, "%s: %d", s->ops->name, errs[1].code);
	is_sentence(s, &errs[1], -ENOENT);
	payload_unref(ret[0]);
	payload_unref(alone);
	free(name);
	sink_clear(&sink);
}

Test(contract, a_batch_brings_what_get_brings)
{
	for_all(check_batch);
}

static void check_version(struct subject *s)
{
	struct list_sink sink = {0};
	struct call call = kit_call();
	fill(s, &sink);
	char *name = name_of(sink.lines[0]);
	struct get_request rq = {.name = name, .version = "no-such-version-4711"};
	struct payload *p = NULL;
	struct sfs_err err = {0};
	int rc = s->ops->get(s->state, &call, &rq, &p, &err);
	cr_expect(rc == -ENOENT || rc == -EINVAL, "%s: %d", s->ops->name, rc);
	cr_expect_null(p);
	is_sentence(s, &err, rc);
	free(name);
	sink_clear(&sink);
}

Test(contract, an_unknown_version_is_refused)
{
	for_all(check_version);
}

static void check_describe(struct subject *s)
{
	struct buf b = BUF_INIT(SFS_META_MAX);
	struct call call = kit_call();
	struct sfs_err err = {0};
	if (!s->ops->describe)
		return;
	cr_expect_eq(s->ops->describe(s->state, &call, "no-such-secret", &b, &err), -ENOENT, "%s",
		s->ops->name);
	cr_expect_eq(b.len, 0, "%s: nothing is appended on failure", s->ops->name);
	is_sentence(s, &err, -ENOENT);
	struct list_sink sink = {0};
	fill(s, &sink);
	char *name = name_of(sink.lines[0]);
	cr_expect_eq(s->ops->describe(s->state, &call, name, &b, &err), 0, "%s", s->ops->name);
	cr_expect(b.len > 1 && b.data[0] == '{' && b.data[b.len - 1] == '}', "%s: %s", s->ops->name,
		buf_text(&b));
	cr_expect(!strstr(buf_text(&b), "canary"), "%s: a value in %s", s->ops->name, b.data);
	free(name);
	sink_clear(&sink);
	buf_clear(&b);
}

Test(contract, describe_is_an_object_without_the_value)
{
	for_all(check_describe);
}

static void *hammer(void *arg)
{
	struct subject *s = arg;
	for (int i = 0; i < ROUNDS; i++) {
		struct list_sink sink = {0};
		fill(s, &sink);
		char *name = name_of(sink.lines[(size_t)i % sink.n]);
		struct payload *p = NULL;
		struct sfs_err err = {0};
		cr_assert_eq(kit_get(s->ops, s->state, name, &p, &err), 0, "%s: %s", s->ops->name,
			err.msg);
		payload_unref(p);
		free(name);
		sink_clear(&sink);
	}
	return NULL;
}

static void check_threads(struct subject *s)
{
	pthread_t t[THREADS];
	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, hammer, s), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

Test(contract, many_threads_may_list_and_get)
{
	for_all(check_threads);
}

static void check_two(struct subject *s)
{
	void *other = NULL;
	struct sfs_err err = {0};
	cr_assert_eq(kit_open(s->ops, s->location, s->fixture->options, &other, &err), 0, "%s: %s",
		s->ops->name, err.msg);
	cr_expect_neq(other, s->state, "%s: two sources share their state", s->ops->name);
	s->ops->close(other);
	struct list_sink sink = {0};
	fill(s, &sink); /* closing one leaves the other alone */
	sink_clear(&sink);
}

Test(contract, a_source_can_be_open_twice)
{
	for_all(check_two);
}

static void check_watch(struct subject *s)
{
	struct kit_watch w;
	if (!s->ops->watch)
		return;
	kit_watch_start(&w, s->ops, s->state);
	cr_expect_eq(
		kit_seen(&w, &w.sink.all), 1, "%s: one report when it is set up", s->ops->name);
	cr_expect_eq(kit_seen(&w, &w.sink.named), 0, "%s", s->ops->name);
	check_get(s); /* reading is no change */
	cr_expect_eq(kit_seen(&w, &w.sink.all), 1, "%s: reading made news", s->ops->name);
	kit_watch_stop(&w);
}

Test(contract, watch_reports_when_set_up_and_ends_when_told, .timeout = 30)
{
	for_all(check_watch);
}

static void check_stopped_watch(struct subject *s)
{
	struct watch_sink sink = WATCH_SINK_INIT;
	struct sfs_err err = {0};
	if (!s->ops->watch)
		return;
	int fd = eventfd(1, EFD_CLOEXEC);
	cr_expect_eq(s->ops->watch(s->state, fd, &sink, &err), 0, "%s: %s", s->ops->name, err.msg);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	cr_expect_eq(
		poll(&p, 1, 0), 1, "%s read the descriptor, which is the core's", s->ops->name);
	close(fd);
}

Test(contract, a_watch_that_is_stopped_at_once_returns, .timeout = 30)
{
	for_all(check_stopped_watch);
}

static void check_no_memory(struct subject *s)
{
	struct list_sink sink = {0};
	fill(s, &sink);
	char *name = name_of(sink.lines[0]);
	for (unsigned long n = 1; n <= 12; n++) {
		struct payload *p = NULL;
		struct sfs_err err = {0};
		alloc_fail_at(n);
		int rc = kit_get(s->ops, s->state, name, &p, &err);
		alloc_fail_at(0);
		cr_expect(rc == 0 || rc == -ENOMEM, "%s: allocation %lu: %d", s->ops->name, n, rc);
		cr_expect_eq(rc == 0, p != NULL, "%s: allocation %lu", s->ops->name, n);
		payload_unref(p);
	}
	free(name);
	sink_clear(&sink);
}

Test(contract, without_memory_get_is_enomem_and_leaks_nothing)
{
	for_all(check_no_memory);
}
