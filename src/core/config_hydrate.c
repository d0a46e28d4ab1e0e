/* SPDX-License-Identifier: Apache-2.0 */
/* Lazy or hydrated: what the options say. */
#include "base/alloc.h"
#include "base/text.h"
#include "core/config_priv.h"
#include <errno.h>
#include <string.h>

/* What needs no network has its values at hand. */
static bool by_default(const struct config *c)
{
	for (size_t i = 0; i < c->nbackends; i++)
		if (!(c->backends[i].ops->flags & BACKEND_LOCAL))
			return false;
	return true;
}

/* The command line says more than the config file. */
static bool is_file(const struct opt_value *v)
{
	return strcmp(v->origin, CONFIG_ORIGIN_OPTION) != 0;
}

/* What was given, NULL if it gives way to the other. */
static int choose(const struct config *c, const struct opt_value **lazy,
	const struct opt_value **hydrate, struct sfs_err *err)
{
	*lazy = opt_find(&c->mount, "lazy");
	*hydrate = opt_find(&c->mount, "hydrate");
	if (*lazy && !opt_flag(&c->mount, &config_mount_options, "lazy"))
		*lazy = NULL;
	if (!*lazy || !*hydrate)
		return 0;
	if (is_file(*lazy) == is_file(*hydrate))
		return err_set(err, EINVAL,
			"options lazy (%s) and hydrate (%s) exclude each other: fetch values when "
			"they are opened, or at mount; give one of them",
			(*lazy)->origin, (*hydrate)->origin);
	if (is_file(*lazy))
		*lazy = NULL;
	else
		*hydrate = NULL;
	return 0;
}

void config_clear_globs(struct config *c)
{
	for (size_t i = 0; i < c->nhydrate_globs; i++)
		mem_free(c->hydrate_globs[i]);
	mem_free(c->hydrate_globs);
	c->hydrate_globs = NULL;
	c->nhydrate_globs = 0;
}

/* Appends the pattern of `len` bytes at `s`. */
static int add_glob(struct config *c, const char *s, size_t len)
{
	char **v = mem_realloc(c->hydrate_globs, c->nhydrate_globs + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	c->hydrate_globs = v;
	for (; len > 1 && *s == '/'; s++)
		len--;
	v[c->nhydrate_globs] = mem_strndup(s, len);
	return v[c->nhydrate_globs++] ? 0 : -ENOMEM;
}

static int split_globs(struct config *c, const char *text)
{
	int r = 0;
	while (*text && r == 0) {
		size_t len = 0;
		while (text[len] && text[len] != ':')
			len += text[len] == '\\' && text[len + 1] ? 2 : 1;
		r = add_glob(c, text, len);
		text += len + (text[len] == ':');
	}
	return r;
}

int config_compile_hydrate(struct config *c, struct sfs_err *err)
{
	static const enum config_hydrate modes[] = {[OPT_GLOBS_NONE] = HYDRATE_NONE,
		[OPT_GLOBS_ALL] = HYDRATE_ALL,
		[OPT_GLOBS_SOME] = HYDRATE_GLOBS};
	const struct opt_value *lazy, *hydrate;
	const char *globs = NULL;
	int r = choose(c, &lazy, &hydrate, err);
	if (r < 0)
		return r;
	config_clear_globs(c); /* a config file is compiled again when -o was added */
	if (lazy)
		c->hydrate = HYDRATE_NONE;
	else if (hydrate)
		c->hydrate = modes[opt_globs(&c->mount, &config_mount_options, "hydrate", &globs)];
	else
		c->hydrate = by_default(c) ? HYDRATE_ALL : HYDRATE_NONE;
	if (globs && split_globs(c, globs) < 0)
		return err_set(err, ENOMEM, "option hydrate: out of memory");
	return 0;
}

enum config_hydrate config_hydration(const struct config *c)
{
	return c->policy.ttl == 0 ? HYDRATE_NONE : c->hydrate;
}

bool config_hydrates(const struct config *c, const char *path)
{
	enum config_hydrate mode = config_hydration(c);
	if (mode != HYDRATE_GLOBS)
		return mode == HYDRATE_ALL;
	for (size_t i = 0; i < c->nhydrate_globs; i++)
		if (glob_match(c->hydrate_globs[i], path))
			return true;
	return false;
}

/* Why the mode would change: a word of the new configuration. */
static const char *reason(const struct config *now, const struct config *next)
{
	if ((now->policy.ttl == 0) != (next->policy.ttl == 0))
		return "because of ttl";
	if (opt_find(&next->mount, "hydrate") || opt_find(&next->mount, "lazy"))
		return "because of hydrate or lazy";
	return "by default, because of its sources or because hydrate was taken out; write hydrate "
	       "or lazy into [mount]";
}

int config_check_reload(const struct config *now, const struct config *next, struct sfs_err *err)
{
	bool was = config_hydration(now) == HYDRATE_ALL, is = config_hydration(next) == HYDRATE_ALL;
	int r = config_check_audit_reload(now, next, err);
	if (r < 0)
		return r;
	if (was == is)
		return 0;
	return err_set(err, EINVAL,
		"this mount is %s, and would be %s %s: that cannot change while it is mounted, "
		"because the kernel was told at mount whether to ask at each open; mount it anew",
		was ? "hydrated" : "lazy", is ? "hydrated" : "lazy", reason(now, next));
}
