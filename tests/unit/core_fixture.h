/* SPDX-License-Identifier: Apache-2.0 */
/* A core over fake back ends, its events, and blocking forms of its calls. Nothing here sleeps. */
#ifndef SFS_TESTS_CORE_FIXTURE_H
#define SFS_TESTS_CORE_FIXTURE_H

#include "tests/unit/core_fakes.h"

/* --- the core --- */

struct fixture_event {
	char path[256];
	enum core_change what;
};

static pthread_mutex_t fx_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fx_cond = PTHREAD_COND_INITIALIZER;
static struct fixture_event fx_events[1024];
static size_t fx_nevents;
static bool fx_hold_events; /* who brings one waits */
static unsigned fx_held;

static void fx_changed(void *arg, struct dent *d, enum core_change what)
{
	(void)arg;
	pthread_mutex_lock(&fx_lock);
	fx_held++;
	pthread_cond_broadcast(&fx_cond);
	while (fx_hold_events)
		pthread_cond_wait(&fx_cond, &fx_lock);
	fx_held--;
	if (fx_nevents < 1024) {
		snprintf(fx_events[fx_nevents].path, 256, "%s", dent_path(d));
		fx_events[fx_nevents++].what = what;
	}
	pthread_cond_broadcast(&fx_cond);
	pthread_mutex_unlock(&fx_lock);
}

/* How often the event was seen. */
static inline size_t fx_count(const char *path, enum core_change what)
{
	size_t n = 0;
	pthread_mutex_lock(&fx_lock);
	for (size_t i = 0; i < fx_nevents; i++)
		n += fx_events[i].what == what && (!path || !strcmp(fx_events[i].path, path));
	pthread_mutex_unlock(&fx_lock);
	return n;
}

static inline void fx_await(const char *path, enum core_change what)
{
	for (;;) {
		pthread_mutex_lock(&fx_lock);
		size_t seen = fx_nevents;
		pthread_mutex_unlock(&fx_lock);
		if (fx_count(path, what))
			return;
		pthread_mutex_lock(&fx_lock);
		while (fx_nevents == seen)
			pthread_cond_wait(&fx_cond, &fx_lock);
		pthread_mutex_unlock(&fx_lock);
	}
}

static inline void fx_forget(void)
{
	pthread_mutex_lock(&fx_lock);
	fx_nevents = 0;
	pthread_mutex_unlock(&fx_lock);
}

static inline struct config *fx_config(const char *text)
{
	struct sfs_err err = {0};
	struct config *c = mem_calloc(1, sizeof(*c));
	int r = config_parse(text, strlen(text), "test.conf", c, &err);
	cr_assert_eq(r, 0, "%s", err.msg);
	if (!strstr(text, "hydrate")) /* what is counted is what the test asks for */
		c->hydrate = HYDRATE_NONE;
	c->source = mem_strdup("test.conf");
	config_set_owner(c, 1000, 1000);
	return c;
}

static const struct path_env fx_paths = {.covered_fd = -1};

static inline struct core *fx_open_unlisted(const char *text)
{
	static bool registered;
	struct sfs_err err = {0};
	struct envstore *env = NULL;
	struct core *core = NULL;
	struct machine *machine = mem_calloc(1, sizeof(*machine));
	const struct core_events ev = {.changed = fx_changed};
	if (!registered)
		fakes_register();
	registered = true;
	cr_assert_eq(envstore_parse("", 0, &env, &err), 0);
	*machine = (struct machine){.paths = &fx_paths, .env = env};
	int r = core_open(fx_config(text), machine, &ev, &core, &err);
	cr_assert_eq(r, 0, "%s", err.msg);
	return core;
}

static inline struct core *fx_open(const char *text)
{
	struct core *core = fx_open_unlisted(text);
	core_wait_listed(core, true, CLOCK_NEVER, NULL);
	return core;
}

static inline void fx_close(struct core *core)
{
	for (size_t i = 0; i < FAKES; i++)
		fake_release(i);
	struct machine *machine = (struct machine *)core->machine;
	struct envstore *env = (struct envstore *)machine->env;
	core_shutdown(core);
	core_free(core);
	envstore_free(env);
	mem_free(machine);
	for (size_t i = 0; i < FAKES; i++)
		fake_clear(&fakes[i]);
}

/* Lists source `i` again and waits for the end of it. */
static inline void fx_relist(struct core *core, size_t i)
{
	struct core_inst *ci = core->insts[i];
	pthread_mutex_lock(&core->lock);
	while (ci->running)
		pthread_cond_wait(&core->listed, &core->lock);
	pthread_mutex_unlock(&core->lock);
	core_list_start(ci);
	pthread_mutex_lock(&core->lock);
	while (ci->running)
		pthread_cond_wait(&core->listed, &core->lock);
	pthread_mutex_unlock(&core->lock);
}

/* --- blocking calls --- */

struct fx_wait {
	union {
		struct waiter fetch;
		struct core_waiter list;
		struct control_waiter control;
		struct text_waiter text;
		struct versions_waiter versions;
	} w;
	bool done;
	int code;
	struct sfs_err err;
	struct payload *p;
	char *text;
};

static inline void fx_done(struct fx_wait *x, const struct sfs_err *err)
{
	pthread_mutex_lock(&fx_lock);
	x->done = true;
	x->code = err ? err->code : 0;
	if (err)
		x->err = *err;
	pthread_cond_broadcast(&fx_cond);
	pthread_mutex_unlock(&fx_lock);
}

static inline int fx_join(struct fx_wait *x)
{
	pthread_mutex_lock(&fx_lock);
	while (!x->done)
		pthread_cond_wait(&fx_cond, &fx_lock);
	pthread_mutex_unlock(&fx_lock);
	return -x->code;
}

static inline void fx_fetched(struct waiter *w, struct payload *p, const struct sfs_err *err)
{
	struct fx_wait *x = (struct fx_wait *)w;
	x->p = p ? payload_ref(p) : NULL;
	fx_done(x, err);
}

static inline void fx_listed(struct core_waiter *w, const struct sfs_err *err)
{
	fx_done((struct fx_wait *)w, err);
}

static inline void fx_controlled(struct control_waiter *w, const struct sfs_err *err)
{
	fx_done((struct fx_wait *)w, err);
}

static inline void fx_texted(
	struct text_waiter *w, const char *text, size_t len, const struct sfs_err *err)
{
	struct fx_wait *x = (struct fx_wait *)w;
	x->text = text ? mem_strndup(text, len) : NULL;
	fx_done(x, err);
}

static inline void fx_versioned(
	struct versions_waiter *w, const char *const *v, size_t n, const struct sfs_err *err)
{
	struct fx_wait *x = (struct fx_wait *)w;
	struct buf b = BUF_INIT(4096);
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s ", v[i]);
	x->text = mem_strdup(buf_text(&b));
	buf_clear(&b);
	fx_done(x, err);
}

static inline int fx_list(struct core *core, struct dent *d)
{
	struct fx_wait x = {.w.list = {.done = fx_listed, .deadline = CLOCK_NEVER}};
	core_list(core, d, &x.w.list);
	return fx_join(&x);
}

/* As a program does: waits where the core says so. */
static inline int fx_walk(struct core *core, const char *path, struct dent **ret)
{
	struct dent *d = core_root(core);
	char *copy = strdup(path), *save = NULL;
	int r = 0;
	for (char *c = strtok_r(copy, "/", &save); c && r == 0; c = strtok_r(NULL, "/", &save)) {
		struct dent *next = NULL;
		while ((r = core_lookup(core, d, c, &next)) == -EAGAIN)
			if ((r = fx_list(core, d)) < 0)
				break;
		dent_unref(core, d);
		d = next;
	}
	free(copy);
	if (r == 0)
		*ret = d;
	return r;
}

static inline int fx_fetch(
	struct core *core, struct dent *d, const char *version, enum fetch_mode mode, char out[256])
{
	struct fx_wait x = {.w.fetch = {.done = fx_fetched, .deadline = CLOCK_NEVER}};
	struct secret *s = NULL;
	struct sfs_err err = {0};
	core_fetch(core, d, version, mode, &x.w.fetch);
	int r = fx_join(&x);
	if (r == 0)
		r = core_select(core, d, x.p, &s, &err);
	if (r == 0)
		snprintf(out, 256, "%.*s", (int)secret_len(s), (const char *)secret_bytes(s));
	secret_unref(s);
	payload_unref(x.p);
	return r;
}

/* The bytes at `path`, or "-ERRNO". A static buffer. */
static inline const char *fx_read(struct core *core, const char *path)
{
	static char out[256];
	struct dent *d = NULL;
	int r = fx_walk(core, path, &d);
	if (r == 0) {
		r = fx_fetch(core, d, NULL, FETCH_CACHED, out);
		dent_unref(core, d);
	}
	if (r < 0)
		snprintf(out, sizeof(out), "-%s", strerrorname_np(-r));
	return out;
}

static inline int fx_control(
	struct core *core, enum control_file f, const char *text, struct sfs_err *err)
{
	struct fx_wait x = {.w.control = {.done = fx_controlled, .deadline = CLOCK_NEVER}};
	core_control_write(core, f, text, strlen(text), &x.w.control);
	int r = fx_join(&x);
	if (err)
		*err = x.err;
	return r;
}

/* --- the tree as text: "a b/ b/c" in order of creation --- */

static inline int fx_dump_one(void *arg, const struct core_dirent *de)
{
	struct buf *b = arg;
	buf_printf(b, "%s%s%s ", dent_path(de->dent), dent_kind(de->dent) == CORE_DIR ? "/" : "",
		dent_is_multikey(de->dent) ? "+" : "");
	if (dent_kind(de->dent) == CORE_DIR)
		tree_each(de->dent, 0, fx_dump_one, b);
	return 0;
}

static inline const char *fx_dump(struct core *core)
{
	static char out[4096];
	struct buf b = BUF_INIT(4095);
	core_lock(core);
	tree_each(core->tree.root, 0, fx_dump_one, &b);
	core_unlock(core);
	snprintf(out, sizeof(out), "%s", buf_text(&b));
	if (b.len)
		out[b.len - 1] = '\0';
	buf_clear(&b);
	return out;
}

#define assert_tree(core, want)	      cr_assert_str_eq(fx_dump(core), want)
#define assert_read(core, path, want) cr_assert_str_eq(fx_read(core, path), want)

#define CONF_ONE "[backend x]\ntype = fake\nlocation = 0\nat = /\n"

#endif
