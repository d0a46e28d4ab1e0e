/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration needs from outside (files, variables), and how it is shown. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "core/config_priv.h"
#include <errno.h>
#include <string.h>

/* --- lists --- */

void config_list_add(struct config_list *l, char *s)
{
	char **v = s ? mem_realloc(l->v, l->n + 2, sizeof(*v)) : NULL;
	if (!v) {
		mem_free(s);
		l->failed = true;
		return;
	}
	l->v = v;
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(v[i], s)) {
			mem_free(s);
			return;
		}
	v[l->n++] = s;
	v[l->n] = NULL;
}

void config_list_clear(struct config_list *l)
{
	for (size_t i = 0; l->v && i < l->n; i++)
		mem_free(l->v[i]);
	mem_free(l->v);
	*l = (struct config_list){0};
}

int config_list_end(struct config_list *l, char ***ret, struct sfs_err *err)
{
	if (!l->v && !l->failed)
		l->v = mem_calloc(1, sizeof(*l->v));
	if (l->v && !l->failed) {
		*ret = l->v;
		*l = (struct config_list){0};
		return 0;
	}
	config_list_clear(l);
	return err_set(err, ENOMEM, "out of memory");
}

/* --- paths --- */

static const struct path_env outside = {.covered_fd = -1};

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

/* The directory that holds `path`, canonical as far as it exists; of the root directory only what
 * was named, or the worker could have every file of the machine opened. */
static void add_parent(struct config_list *l, const char *path)
{
	_cleanup_free_ char *parent = parent_of(path);
	_cleanup_close_ int fd = -1;
	char *canonical = NULL;
	if (parent && path_open_dir(&outside, parent, &canonical, &fd, NULL) < 0)
		canonical = mem_strdup(parent);
	if (canonical && !strcmp(canonical, "/")) {
		mem_free(canonical);
		canonical = mem_strdup(path);
	}
	config_list_add(l, canonical);
}

static void add_path(struct config_list *l, const char *path)
{
	_cleanup_free_ char *canonical = NULL;
	_cleanup_close_ int fd = -1;
	size_t len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		len--;
	_cleanup_free_ char *plain = mem_strndup(path, len);
	if (!plain) {
		l->failed = true;
		return;
	}
	if (len > 1)
		add_parent(l, plain);
	if (path_open_dir(&outside, plain, &canonical, &fd, NULL) == 0)
		config_list_add(l, mem_strdup(canonical));
	else if (path_open_file(&outside, plain, &canonical, &fd, NULL) == 0)
		add_parent(l, canonical);
}

static void add_option_paths(struct config_list *l, const struct opt_values *vals)
{
	for (size_t i = 0; i < vals->n; i++) {
		const struct opt_value *v = &vals->v[i];
		if (v->row->type == OPT_PATH)
			add_path(l, v->text);
		else if (opt_reference(v) && !strncmp(v->text, "file:", 5))
			add_path(l, v->text + 5);
	}
}

void config_add_file(struct config_list *l, const char *path)
{
	_cleanup_free_ char *canonical = NULL;
	_cleanup_close_ int fd = -1;
	if (!strcmp(path, "/")) {
		config_list_add(l, mem_strdup(path));
		return;
	}
	add_parent(l, path);
	if (path_open_file(&outside, path, &canonical, &fd, NULL) == 0)
		add_parent(l, canonical);
}

void config_add_dir(struct config_list *l, const char *path)
{
	char *canonical = NULL;
	_cleanup_close_ int fd = -1;
	if (path_open_dir(&outside, path, &canonical, &fd, NULL) < 0)
		canonical = mem_strdup(path);
	config_list_add(l, canonical);
}

void config_add_paths(struct config_list *l, const struct config *c)
{
	if (c->file)
		add_parent(l, c->file);
	if (c->source && c->source[0] == '/')
		add_parent(l, c->source); /* where a link to the file lies */
	add_option_paths(l, &c->mount);
	for (size_t i = 0; i < c->nbackends; i++) {
		const struct backend_conf *b = &c->backends[i];
		if (b->ops->flags & BACKEND_LOCATION_PATH)
			add_path(l, b->location);
		add_option_paths(l, &b->common);
		add_option_paths(l, &b->own);
	}
}

int config_paths(const struct config *c, char ***ret, struct sfs_err *err)
{
	struct config_list l = {0};
	config_add_paths(&l, c);
	return config_list_end(&l, ret, err);
}

/* --- variables --- */

static void add_patterns(struct config_list *l, const char *text)
{
	while (*text) {
		text += strspn(text, " \t,");
		size_t len = strcspn(text, " \t,");
		if (len)
			config_list_add(l, mem_strndup(text, len));
		text += len;
	}
}

static void add_option_env(struct config_list *l, const struct opt_values *vals)
{
	for (size_t i = 0; i < vals->n; i++)
		if (opt_reference(&vals->v[i]) && !strncmp(vals->v[i].text, "env:", 4))
			config_list_add(l, mem_strdup(vals->v[i].text + 4));
}

void config_add_env(struct config_list *l, const struct config *c)
{
	for (size_t i = 0; i < c->nbackends; i++) {
		const struct backend_conf *b = &c->backends[i];
		if (b->ops->flags & BACKEND_LOCATION_ENV)
			add_patterns(l, b->location);
		add_option_env(l, &b->own);
	}
}

int config_env(const struct config *c, char ***ret, struct sfs_err *err)
{
	struct config_list l = {0};
	config_add_env(&l, c);
	return config_list_end(&l, ret, err);
}

/* --- text --- */

static void add_line(struct buf *out, const char *name, const char *value, const char *origin)
{
	text_escape(out, name, strlen(name));
	buf_str(out, " = ");
	text_escape(out, value, strlen(value));
	buf_str(out, "  # ");
	text_escape(out, origin, strlen(origin));
	buf_char(out, '\n');
}

static void add_value(struct buf *out, const struct opt_value *v)
{
	const char *text = v->text;
	if (opt_reference(v))
		text = "(a reference that is not shown)";
	else if (opt_type_bare(v->row->type) && !*text)
		text = "yes";
	add_line(out, opt_value_name(v), text, v->origin);
}

static void add_values(struct buf *out, const struct opt_values *vals)
{
	for (size_t i = 0; i < vals->n; i++)
		if (vals->v[i].row->type != OPT_IGNORED)
			add_value(out, &vals->v[i]);
}

/* Every option of the mount that has a value, given or by default. */
static void add_mount(struct buf *out, const struct config *c)
{
	buf_str(out, "[mount]\n");
	for (const struct opt_row *row = config_mount_options.rows; row->name; row++) {
		const struct opt_value *v = opt_find(&c->mount, row->name);
		if (row->type == OPT_IGNORED)
			continue;
		if (v)
			add_value(out, v);
		else if (row->dflt)
			add_line(out, row->name, row->dflt, "default");
	}
	if (!opt_find(&c->mount, "hydrate") && !opt_find(&c->mount, "lazy"))
		add_line(out, config_hydration(c) ? "hydrate" : "lazy", "yes", "default");
	buf_printf(out, "# files belong to %u:%u, directories have mode %04o\n",
		(unsigned)c->policy.uid, (unsigned)c->policy.gid, (unsigned)c->dmode);
}

static void add_section(struct buf *out, const char *word, const char *name)
{
	buf_printf(out, "\n[%s ", word);
	text_escape(out, name, strlen(name));
	buf_str(out, "]\n");
}

static void add_backend(struct buf *out, const struct backend_conf *b)
{
	add_section(out, "backend", b->name);
	if (!opt_find(&b->common, "type"))
		add_line(out, "type", b->ops->name, "SOURCE");
	if (!opt_find(&b->common, "location") && *b->location)
		add_line(out, "location", b->location, "SOURCE");
	if (!opt_find(&b->common, "at"))
		add_line(out, "at", *b->at ? b->at : "/", "default");
	add_values(out, &b->common);
	add_values(out, &b->own);
	if (!b->nvalues)
		return;
	add_section(out, "values", b->name);
	for (size_t i = 0; i < b->nvalues; i++)
		add_line(out, b->values[i].name, "(a value that is not shown)", "config");
}

int config_text(const struct config *c, struct buf *out)
{
	buf_str(out, "# source: ");
	if (c->source)
		text_escape(out, c->source, strlen(c->source));
	buf_char(out, '\n');
	add_mount(out, c);
	for (size_t i = 0; i < c->nbackends; i++)
		add_backend(out, &c->backends[i]);
	for (size_t i = 0; i < c->nrules; i++) {
		add_section(out, "rule", c->rules[i].glob);
		add_values(out, &c->rules[i].opts);
	}
	if (c->nmaps)
		buf_str(out, "\n[map]\n");
	for (size_t i = 0; i < c->nmaps; i++) {
		const struct map_entry *m = &c->maps[i];
		_cleanup_free_ char *goal =
			m->field ? mem_asprintf("%s#%s", m->name, m->field) : mem_strdup(m->name);
		add_line(out, m->path, goal ? goal : m->name, m->origin);
	}
	return -out->failed;
}
