/* SPDX-License-Identifier: Apache-2.0 */
/* secretfs check: opens a source without mounting it and says step by step how far it gets. Never
 * shows a value. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/envstore.h"
#include "base/harden.h"
#include "base/text.h"
#include "core/config_needs.h"
#include "core/instance.h"
#include "core/store.h"
#include "mount/check_run.h"
#include "mount/cli.h"
#include "mount/launch.h"
#include "net/http.h"
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_SHOWN 256

extern char **environ;

/* What one back end is checked with. */
struct check {
	const struct config *conf;
	struct envstore *env;
	struct path_env paths;
	struct machine machine;
	struct runner runner;
	struct store *store;
	int64_t timeout; /* seconds */
};

/* A call in a worker thread, awaited here. */
struct awaited {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool over;
	struct sfs_err err; /* code 0 = well */
	size_t parts, bytes;
};

#define AWAITED_INIT                                                                \
	{                                                                           \
		.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER \
	}

struct list_call {
	struct instance_call call; /* first: the callback gets its address */
	struct awaited a;
};

struct value_call {
	struct waiter waiter; /* first, as above */
	struct awaited a;
};

static void finish(struct awaited *a, const struct sfs_err *err)
{
	pthread_mutex_lock(&a->lock);
	if (err)
		a->err = *err;
	a->over = true;
	pthread_cond_signal(&a->cond);
	pthread_mutex_unlock(&a->lock);
}

/* The calls carry deadlines, so this ends. */
static int await(struct awaited *a, struct sfs_err *err)
{
	pthread_mutex_lock(&a->lock);
	while (!a->over)
		pthread_cond_wait(&a->cond, &a->lock);
	pthread_mutex_unlock(&a->lock);
	if (a->err.code == 0)
		return 0;
	*err = a->err;
	return -a->err.code;
}

static void listed(struct instance_call *c, const struct sfs_err *err)
{
	finish(&((struct list_call *)c)->a, err);
}

static void fetched(struct waiter *w, struct payload *p, const struct sfs_err *err)
{
	struct awaited *a = &((struct value_call *)w)->a;
	if (p) {
		a->parts = p->nparts;
		a->bytes = payload_size(p);
	}
	finish(a, err);
}

static void step(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void step(const char *what, const char *fmt, ...)
{
	va_list ap;
	printf("  %-10s ", what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static int step_failed(const char *what, const struct sfs_err *err)
{
	step(what, "no: %s", err->msg);
	return -1;
}

/* Who we are to the source: for a file its owner decides, for variables the caller. */
static void say_principal(const struct backend_conf *b)
{
	char owner[64] = "";
	struct stat st;
	if ((b->ops->flags & BACKEND_LOCATION_PATH) && stat(b->location, &st) == 0) {
		const struct passwd *pw = getpwuid(st.st_uid);
		snprintf(owner, sizeof(owner), "%ju", (uintmax_t)st.st_uid);
		step("principal", "file owner %s, mode %04o", pw ? pw->pw_name : owner,
			(unsigned)(st.st_mode & 07777));
	} else if (b->ops->flags & BACKEND_LOCATION_ENV) {
		step("principal", "the environment of this command");
	} else if (b->ops->flags & BACKEND_LOCAL) {
		step("principal", "none needed");
	}
}

static int check_list(const struct check *k, struct instance *in, struct listing **ret)
{
	struct list_call lc = {.call = {.done = listed}, .a = AWAITED_INIT};
	struct sfs_err err = {0};
	lc.call.deadline = clock_after(clock_boot(), k->timeout);
	int r = instance_list(in, NULL, &lc.call, &err);
	if (r == 0)
		r = await(&lc.a, &err);
	if (r < 0)
		return step_failed("listing", &err);
	step("listing", "allowed: %zu name%s%s", lc.call.listing->n,
		lc.call.listing->n == 1 ? "" : "s",
		lc.call.listing->skipped ? ", and some that are unusable" : "");
	*ret = lc.call.listing;
	return 0;
}

static int check_read(const struct check *k, struct instance *in, const char *name)
{
	struct value_call vc = {.waiter = {.done = fetched}, .a = AWAITED_INIT};
	const struct entry_policy keep = {.ttl = 0};
	char shown[NAME_SHOWN];
	struct sfs_err err = {0};
	struct entry *e = store_entry(k->store, instance_source(in), name, NULL, &keep);
	if (!e) {
		err_set(&err, ENOMEM, "out of memory");
		return step_failed("reading", &err);
	}
	vc.waiter.deadline = clock_after(clock_boot(), k->timeout);
	store_fetch(k->store, e, FETCH_NOCACHE, &vc.waiter);
	int r = await(&vc.a, &err);
	entry_unref(e);
	text_escaped(shown, sizeof(shown), name, strlen(name));
	if (r < 0) {
		err_prefix(&err, "%s", shown);
		return step_failed("reading", &err);
	}
	if (vc.a.parts == 1)
		step("reading", "allowed: %s, %zu byte%s", shown, vc.a.bytes,
			vc.a.bytes == 1 ? "" : "s");
	else
		step("reading", "allowed: %s, %zu keys with %zu bytes", shown, vc.a.parts,
			vc.a.bytes);
	return 0;
}

static void say(void *arg, enum check_result result, const char *what, const char *text)
{
	static const char *const words[] = {
		[CHECK_OK] = "", [CHECK_SKIPPED] = "skipped: ", [CHECK_FAILED] = "no: "};
	(void)arg;
	step(what, "%s%s", words[result], text);
}

/* What the back end itself has to say: credentials, and who we are. */
static int check_walk(struct instance *in)
{
	struct check_sink sink = {.say = say};
	struct sfs_err err = {0};
	return instance_check(in, &sink, &err) < 0 ? step_failed("access", &err) : 0;
}

/* Of names=, which stands in for a listing that is not allowed. NULL: there is none. mem_free(). */
static char *first_name(const struct backend_conf *b)
{
	const char *names = opt_str(&b->common, &config_backend_options, "names");
	names = names ? names + strspn(names, " \t,") : "";
	size_t len = strcspn(names, ",");
	while (len && (names[len - 1] == ' ' || names[len - 1] == '\t'))
		len--;
	return len ? mem_strndup(names, len) : NULL;
}

static int check_unlisted(const struct check *k, const struct backend_conf *b, struct instance *in)
{
	_cleanup_free_ char *name = first_name(b);
	if (!name)
		return -1;
	step("names", "those of names= are shown");
	return check_read(k, in, name);
}

static int check_opened(const struct check *k, const struct backend_conf *b, struct instance *in)
{
	struct listing *l;
	step("opened", "yes");
	say_principal(b);
	int r = check_walk(in);
	if (r < 0)
		return r;
	if (check_list(k, in, &l) < 0)
		return check_unlisted(k, b, in);
	if (l->n)
		r = check_read(k, in, l->items[0].name);
	else
		step("reading", "nothing to read");
	listing_unref(l);
	return r;
}

static int check_backend(const struct check *k, const struct backend_conf *b)
{
	const struct instance_events events = {0};
	struct sfs_err err = {0};
	struct instance *in;
	printf("%s: %s%s%s\n", b->name, b->ops->name, *b->location ? ":" : "", b->location);
	if (instance_open(b, &k->machine, k->store, k->timeout, &events, &in, &err) < 0)
		return step_failed("opened", &err);
	int r = check_opened(k, b, in);
	instance_close(in);
	return r;
}

/* What the holder of a mount would keep. */
static int keep(const struct config_needs *n, struct envstore **ret, struct sfs_err *err)
{
	size_t count = 0;
	uint64_t fd;
	while (n->env[count])
		count++;
	int r = envstore_take(environ, (const char *const *)n->env, count, ret, err);
	for (size_t i = 0; r == 0 && n->fds[i]; i++)
		r = parse_u64(n->fds[i], INT_MAX, &fd) < 0
			    ? err_set(err, EINVAL, "fd:%s: no such descriptor", n->fds[i])
			    : envstore_add_fd(*ret, (int)fd, (int)fd, err);
	return r;
}

static int take_environment(struct check *k, struct sfs_err *err)
{
	_cleanup_(config_needs_clear) struct config_needs n = {0};
	k->machine = (struct machine){.paths = &k->paths, .home = launch_home()};
	int r = config_needs(k->conf, &k->machine, &n, err);
	if (r == 0)
		r = keep(&n, &k->env, err);
	if (r == 0)
		cli_notes(n.notes);
	k->runner = (struct runner){.run = check_run, .arg = &k->machine};
	k->machine.env = k->env;
	k->machine.runner = &k->runner;
	return r;
}

static int check_all(struct check *k, struct sfs_err *err)
{
	const struct store_config sc = {.cache_bytes = SFS_VALUE_MAX, .timeout = k->timeout};
	int r = take_environment(k, err);
	if (r == 0)
		r = http_init(err);
	if (r == 0 &&
		((r = store_new(&sc, &k->store)) < 0 || (r = store_start_timer(k->store)) < 0))
		err_errno(err, -r, "cache");
	int failed = 0;
	for (size_t i = 0; r == 0 && i < k->conf->nbackends; i++)
		failed |= check_backend(k, &k->conf->backends[i]);
	if (k->store) {
		store_stop_timer(k->store);
		store_free(k->store);
	}
	envstore_free(k->env);
	return r < 0 ? r : failed;
}

static int run_check(const struct cli_args *a)
{
	struct check k = {.paths = {.covered_fd = -1}};
	struct sfs_err err = {0};
	struct config *c;
	_cleanup_free_ char *options = cli_joined(a, "options");
	_cleanup_free_ char *source = launch_source(a->argv[0]);
	if (!options || !source)
		err_set(&err, ENOMEM, "options: out of memory, or longer than %d bytes",
			SFS_OPTION_MAX);
	if (err.code || harden_no_dump(&err) < 0 ||
		config_load(source, options, &k.paths, &c, &err) < 0)
		return cli_fail(&err, CLI_FAILED);
	puts("options: ok");
	k.conf = c;
	k.timeout = opt_duration(&c->mount, &config_mount_options, "timeout");
	int r = check_all(&k, &err);
	config_free(c);
	if (r < 0 && err.code)
		cli_fail(&err, CLI_FAILED);
	return r < 0 ? CLI_FAILED : CLI_OK;
}

static const struct cli_flag check_flags[] = {
	{'o', "options", "OPTIONS", "The options the mount would get."},
	{0},
};

const struct cli_command cmd_check = {
	.name = "check",
	.args = "[-o OPTIONS] SOURCE",
	.summary = "Try a source without mounting it",
	.help = "Says step by step whether the options are right, the source opens, which "
		"credentials are used and why others are not, who we are to it, and whether "
		"listing and reading are allowed, or which grant is missing; of the first secret "
		"it shows name and length, never the "
		"value. Exit code 0 if all of it "
		"worked, else 1.",
	.flags = check_flags,
	.min = 1,
	.max = 1,
	.run = run_check,
};
