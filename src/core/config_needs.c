/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_needs.h"
#include "backends/net_options.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/command.h"
#include "base/text.h"
#include "core/config_priv.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One back end's; see backends/needs.h. */
struct needs {
	const struct backend_conf *conf;
	const struct machine *machine;
	struct config_list *paths, *env, *commands, *notes; /* of the whole configuration */
	char *kept[NEEDS_VARIABLES]; /* what needs_getenv() gave from a store: secret memory */
	size_t nkept;
};

const char *config_home(const struct backend_conf *b, const struct machine *m)
{
	const struct opt_value *v = opt_find(&b->own, NET_OPTION_HOME);
	return v ? v->text : m->home;
}

static bool is_option(const struct backend_conf *b, const char *variable)
{
	for (size_t i = 0; i < b->own.n; i++) {
		const char *name = opt_variable(&b->own.v[i]);
		if (name && strcmp(name, variable) == 0)
			return true;
	}
	return false;
}

static int add_options(const struct backend_conf *b, struct buf *out)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < b->own.n; i++) {
		const struct opt_value *v = &b->own.v[i];
		const char *variable = opt_variable(v);
		if (variable)
			r = command_add(out, variable, v->text, opt_reference(v) != NULL);
	}
	return r;
}

/* One "NAME=VALUE" that the source gives by itself. */
static int add_own(const struct backend_conf *b, const char *text, size_t len, struct buf *out)
{
	_cleanup_free_ char *name = mem_strndup(text, len);
	char *value = name ? strchr(name, '=') : NULL;
	if (!value)
		return name ? -EINVAL : -ENOMEM;
	*value++ = '\0';
	return is_option(b, name) ? 0 : command_add(out, name, value, false);
}

/* `line` and the variables behind it as needs_command() takes them. */
int config_command(const struct backend_conf *b, const struct machine *m, const char *line,
	struct buf *out, struct sfs_err *err)
{
	const char *rest = line + strcspn(line, "\n");
	_cleanup_free_ char *first = mem_strndup(line, (size_t)(rest - line));
	int r = first ? command_begin(out, first, config_home(b, m)) : -ENOMEM;
	if (r == 0)
		r = add_options(b, out);
	for (size_t len; r == 0 && *rest; rest += 1 + len) {
		len = strcspn(rest + 1, "\n");
		r = add_own(b, rest + 1, len, out);
	}
	return r < 0 ? err_errno(err, -r, "the command of a source") : 0;
}

/* --- what a back end calls --- */

/* A copy that can be used as a string; it is wiped when the back end has told its needs. */
static const char *kept_variable(struct needs *n, const char *name)
{
	struct secret *s = envstore_get(n->machine->env, name);
	char *copy = NULL;
	if (s && n->nkept < NEEDS_VARIABLES && (copy = secret_alloc(secret_len(s) + 1)))
		memcpy(copy, secret_bytes(s), secret_len(s));
	secret_unref(s);
	if (copy)
		n->kept[n->nkept++] = copy;
	return copy;
}

const char *needs_getenv(const struct needs *n, const char *name)
{
	if (!n->machine->env)
		return getenv(name);
	return kept_variable((struct needs *)(uintptr_t)n, name);
}

const char *needs_home(const struct needs *n)
{
	return config_home(n->conf, n->machine);
}

const struct path_env *needs_paths(const struct needs *n)
{
	return n->machine->paths;
}

static int add(struct config_list *l, char *s)
{
	config_list_add(l, s);
	return l->failed ? -ENOMEM : l->n > NEEDS_MAX ? -E2BIG : 0;
}

int needs_env(struct needs *n, const char *pattern)
{
	return add(n->env, mem_strdup(pattern));
}

int needs_file(struct needs *n, const char *path)
{
	if (path[0] != '/')
		return -EINVAL;
	config_add_file(n->paths, path);
	return n->paths->failed ? -ENOMEM : n->paths->n > NEEDS_MAX ? -E2BIG : 0;
}

int needs_dir(struct needs *n, const char *path)
{
	if (path[0] != '/')
		return -EINVAL;
	config_add_dir(n->paths, path);
	return n->paths->failed ? -ENOMEM : n->paths->n > NEEDS_MAX ? -E2BIG : 0;
}

int needs_command(struct needs *n, const char *line)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(SFS_OPTION_MAX);
	_cleanup_(command_clear) struct command whole = {0};
	_cleanup_free_ char *first = mem_strndup(line, strcspn(line, "\n"));
	int r = first ? command_check_line(first) : -ENOMEM;
	if (r == 0)
		r = config_command(n->conf, n->machine, line, &text, NULL);
	if (r == 0)
		r = command_parse(buf_text(&text), &whole); /* as the runner will */
	if (r == 0)
		r = add(n->commands, mem_strdup(buf_text(&text)));
	return r < 0 ? r : n->commands->n > SFS_COMMANDS_MAX ? -E2BIG : 0;
}

int needs_note(struct needs *n, const char *fmt, ...)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(4 * SFS_ERR_MAX);
	va_list ap;
	va_start(ap, fmt);
	int r = buf_printf(&text, "%s: ", n->conf->name);
	if (r == 0)
		r = buf_vprintf(&text, fmt, ap);
	va_end(ap);
	return r < 0 ? r : add(n->notes, buf_take(&text));
}

/* --- all of them --- */

static int check_home(const struct backend_conf *b, struct sfs_err *err)
{
	const struct opt_value *v = opt_find(&b->own, NET_OPTION_HOME);
	if (!v || (v->text[0] == '/' && strlen(v->text) < SFS_PATH_MAX))
		return 0;
	return err_set(err, EINVAL, "option home (%s): must be an absolute path, starting with /",
		v->origin);
}

static void needs_end(struct needs *n)
{
	for (size_t i = 0; i < n->nkept; i++)
		secret_free(n->kept[i]);
}

static int ask(
	const struct backend_conf *b, const struct machine *m, struct needs *n, struct sfs_err *err)
{
	int r = check_home(b, err);
	if (r < 0 || !b->ops->needs)
		return r;
	n->conf = b;
	n->machine = m;
	n->nkept = 0;
	err_clear(err);
	r = b->ops->needs(b->location, &b->own, n, err);
	needs_end(n);
	if (r < 0 && !err->code)
		err_errno(err, -r, "what it needs of this machine");
	return r < 0 ? err_prefix(err, "%s", b->name) : 0;
}

static void add_fds(struct config_list *l, const struct opt_values *vals)
{
	for (size_t i = 0; i < vals->n; i++) {
		const char *ref = opt_reference(&vals->v[i]);
		if (ref && !strncmp(ref, "fd:", 3))
			config_list_add(l, mem_strdup(ref + 3));
	}
}

/* The lists as they are built, in the order of struct config_needs. */
struct lists {
	struct config_list paths, env, fds, commands, notes;
};

static int ask_all(
	const struct config *c, const struct machine *m, struct lists *l, struct sfs_err *err)
{
	struct needs n = {
		.paths = &l->paths, .env = &l->env, .commands = &l->commands, .notes = &l->notes};
	config_add_paths(&l->paths, c);
	config_add_env(&l->env, c);
	for (size_t i = 0; i < c->nbackends; i++) {
		add_fds(&l->fds, &c->backends[i].own);
		int r = ask(&c->backends[i], m, &n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void lists_clear(struct lists *l)
{
	config_list_clear(&l->paths);
	config_list_clear(&l->env);
	config_list_clear(&l->fds);
	config_list_clear(&l->commands);
	config_list_clear(&l->notes);
}

int config_needs(const struct config *c, const struct machine *m, struct config_needs *ret,
	struct sfs_err *err)
{
	_cleanup_(lists_clear) struct lists l = {0};
	struct config_needs n = {0};
	struct sfs_err own = {0};
	err = err ? err : &own;
	int r = ask_all(c, m, &l, err);
	if (r == 0)
		r = config_list_end(&l.paths, &n.paths, err);
	if (r == 0)
		r = config_list_end(&l.env, &n.env, err);
	if (r == 0)
		r = config_list_end(&l.fds, &n.fds, err);
	if (r == 0)
		r = config_list_end(&l.commands, &n.commands, err);
	if (r == 0)
		r = config_list_end(&l.notes, &n.notes, err);
	if (r < 0) {
		config_needs_clear(&n);
		return r;
	}
	*ret = n;
	return 0;
}

static void free_list(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		mem_free(v[i]);
	mem_free(v);
}

void config_needs_clear(struct config_needs *n)
{
	free_list(n->paths);
	free_list(n->env);
	free_list(n->fds);
	free_list(n->commands);
	free_list(n->notes);
	*n = (struct config_needs){0};
}

/* --- a reload --- */

static bool is_command(const struct machine *m, const char *text)
{
	for (size_t i = 0; m->commands[i]; i++)
		if (!strcmp(m->commands[i], text))
			return true;
	return false;
}

static bool has_fd(const struct machine *m, const char *number)
{
	char name[32];
	snprintf(name, sizeof(name), "fd:%s", number);
	struct secret *s = envstore_get(m->env, name);
	secret_unref(s);
	return s != NULL;
}

static int not_fixed(const char *what, const char *text, struct sfs_err *err)
{
	char shown[160];
	return err_set(err, EINVAL, "%s %s was not fixed at mount: unmount and mount again", what,
		text_escaped(shown, sizeof(shown), text, strcspn(text, "\n")));
}

int config_check_fixed(const struct config *c, const struct machine *m, struct sfs_err *err)
{
	_cleanup_(config_needs_clear) struct config_needs n = {0};
	if (!m->commands)
		return 0;
	int r = config_needs(c, m, &n, err);
	for (char **v = n.env; r == 0 && v && *v; v++)
		if (!envstore_covers(m->env, *v))
			r = not_fixed("environment variable", *v, err);
	for (char **v = n.fds; r == 0 && v && *v; v++)
		if (!has_fd(m, *v))
			r = not_fixed("descriptor", *v, err);
	for (char **v = n.commands; r == 0 && v && *v; v++)
		if (!is_command(m, *v))
			r = not_fixed("the command (with its home= and env. options)", *v, err);
	return r;
}
