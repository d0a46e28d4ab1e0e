/* SPDX-License-Identifier: Apache-2.0 */
/* Sections of a configuration file. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/name.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/config_priv.h"
#include "core/ini.h"
#include "core/ptab.h"
#include <errno.h>
#include <string.h>

struct pair {
	char *name, *value; /* value NULL = none */
	char *origin;
};

/* A [values NAME] section, kept until all back ends are known. */
struct values {
	char *name, *origin;
	struct inline_value *v;
	size_t n;
};

struct parse {
	struct config *c;
	struct ini_reader ini;
	const struct section_row *section; /* current, or NULL */
	char *arg;			   /* its argument, or NULL */
	char *origin;			   /* where it starts */
	struct pair *pairs;		   /* of a [backend]: its options need its type first */
	size_t npairs;
	struct values *values;
	size_t nvalues;
	struct ptab seen; /* names of this section (copies) */
};

struct section_row {
	const char *word;
	bool has_arg, once;
	int (*begin)(struct parse *p, struct sfs_err *err); /* or NULL */
	int (*pair)(struct parse *p, const char *origin, struct sfs_err *err);
	int (*end)(struct parse *p, struct sfs_err *err); /* or NULL */
};

static int no_memory(const struct parse *p, struct sfs_err *err)
{
	return err_set(err, ENOMEM, "%s: out of memory", p->ini.file);
}

static char *origin_here(const struct parse *p)
{
	return mem_asprintf("%s:%zu", p->ini.file, p->ini.line);
}

/* Grows array `*array` of `n` elements by one zeroed element and returns it. Every growth must go
 * through here: room is doubled when the count is a power of two. */
static void *grow(void **array, size_t n, size_t size)
{
	char *a = *array;
	if ((n & (n - 1)) == 0) { /* 0 or a power of two: the array is full */
		a = mem_realloc(a, n ? 2 * n : 1, size);
		if (!a)
			return NULL;
		*array = a;
	}
	return memset(a + n * size, 0, size);
}
#define GROW(array, n) (grow((void **)&(array), (n), sizeof(*(array))))

static const char *value_text(const struct parse *p)
{
	return p->ini.has_value ? buf_text(&p->ini.value) : NULL;
}

static int need_value(const struct parse *p, const char *origin, struct sfs_err *err)
{
	if (!p->ini.has_value)
		return err_set(err, EINVAL, "%s: write NAME = VALUE", origin);
	if (memchr(buf_text(&p->ini.name), '\n', p->ini.name.len))
		return err_set(err, EINVAL, "%s: a name holds a line break", origin);
	return 0;
}

/* --- [mount] and [rule] --- */

static int mount_pair(struct parse *p, const char *origin, struct sfs_err *err)
{
	const struct opt_table *const tables[] = {&config_mount_options};
	const char *name = buf_text(&p->ini.name);
	bool skip = false;
	int r = config_word(name, p->ini.has_value, origin, &skip, err);
	if (r < 0 || skip)
		return r;
	return opt_set(&p->c->mount, tables, 1, name, value_text(p), origin, err);
}

static int rule_begin(struct parse *p, struct sfs_err *err)
{
	struct config *c = p->c;
	const char *glob = p->arg + strspn(p->arg, "/");
	if (!*glob)
		return err_set(err, EINVAL, "%s: [rule GLOB] needs a glob, as prod/**", p->origin);
	if (c->nrules >= SFS_RULES_MAX)
		return err_set(err, E2BIG, "%s: more than %d rules", p->origin, SFS_RULES_MAX);
	struct rule *r = GROW(c->rules, c->nrules);
	if (!r)
		return no_memory(p, err);
	c->nrules++;
	r->glob = mem_strdup(glob);
	r->origin = mem_strdup(p->origin);
	return r->glob && r->origin ? 0 : no_memory(p, err);
}

static int rule_pair(struct parse *p, const char *origin, struct sfs_err *err)
{
	const struct opt_table *const tables[] = {&config_rule_options};
	struct rule *r = &p->c->rules[p->c->nrules - 1];
	return opt_set(&r->opts, tables, 1, buf_text(&p->ini.name), value_text(p), origin, err);
}

/* --- [backend NAME] --- */

static int check_backend_name(const struct parse *p, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf enc = BUF_INIT(SFS_COMPONENT_MAX);
	const struct config *c = p->c;
	int r = name_encode_component(&enc, p->arg, strlen(p->arg), true);
	if (r == -ENOMEM)
		return no_memory(p, err);
	if (r < 0 || strcmp(buf_text(&enc), p->arg) != 0)
		return err_set(err, EINVAL,
			"%s: the name of a back end becomes a directory: no slash, no %%, no "
			"control "
			"character, no reserved name",
			p->origin);
	for (size_t i = 0; i < c->nbackends; i++)
		if (!strcmp(c->backends[i].name, p->arg))
			return err_set(err, EINVAL, "%s: there is a [backend %s] already",
				p->origin, p->arg);
	return 0;
}

static int backend_begin(struct parse *p, struct sfs_err *err)
{
	struct config *c = p->c;
	int r = check_backend_name(p, err);
	if (r < 0)
		return r;
	if (c->nbackends >= SFS_BACKENDS_MAX)
		return err_set(
			err, E2BIG, "%s: more than %d back ends", p->origin, SFS_BACKENDS_MAX);
	struct backend_conf *b = GROW(c->backends, c->nbackends);
	if (!b)
		return no_memory(p, err);
	c->nbackends++;
	b->name = mem_strdup(p->arg);
	return b->name ? 0 : no_memory(p, err);
}

static int backend_pair(struct parse *p, const char *origin, struct sfs_err *err)
{
	struct pair *pair = GROW(p->pairs, p->npairs);
	if (!pair)
		return no_memory(p, err);
	p->npairs++;
	pair->name = mem_strdup(buf_text(&p->ini.name));
	pair->origin = mem_strdup(origin);
	if (p->ini.has_value)
		pair->value = mem_strdup(buf_text(&p->ini.value));
	bool ok = pair->name && pair->origin && (pair->value || !p->ini.has_value);
	return ok ? 0 : no_memory(p, err);
}

static const struct pair *find_pair(const struct parse *p, const char *name)
{
	for (size_t i = 0; i < p->npairs; i++)
		if (!strcmp(p->pairs[i].name, name) && p->pairs[i].value)
			return &p->pairs[i];
	return NULL;
}

static bool is_common(const char *name)
{
	for (const struct opt_row *row = config_backend_options.rows; row->name; row++)
		if (!strcmp(row->name, name))
			return true;
	return false;
}

static int backend_options(struct parse *p, struct backend_conf *b, struct sfs_err *err)
{
	static const struct opt_row none = {0};
	const struct opt_table own = {b->ops->name, b->ops->options ? b->ops->options : &none};
	const struct opt_table *const tables[] = {&own, &config_backend_options};
	const struct opt_table *const common[] = {&config_backend_options};
	int r = 0;
	for (size_t i = 0; i < p->npairs && r == 0; i++) {
		const struct pair *pair = &p->pairs[i];
		if (is_common(pair->name))
			r = opt_set(
				&b->common, common, 1, pair->name, pair->value, pair->origin, err);
		else
			r = opt_set(&b->own, tables, 2, pair->name, pair->value, pair->origin, err);
	}
	return r;
}

static void clear_pairs(struct parse *p)
{
	for (size_t i = 0; i < p->npairs; i++) {
		mem_free(p->pairs[i].name);
		mem_free(p->pairs[i].origin);
		mem_free(p->pairs[i].value);
	}
	mem_free(p->pairs);
	p->pairs = NULL;
	p->npairs = 0;
}

static int backend_end(struct parse *p, struct sfs_err *err)
{
	struct backend_conf *b = &p->c->backends[p->c->nbackends - 1];
	const struct pair *type = find_pair(p, "type");
	if (!type)
		return err_set(
			err, EINVAL, "%s: [backend %s] needs type = BACKEND", p->origin, b->name);
	int r = config_find_backend(type->value, type->origin, &b->ops, err);
	if (r == 0)
		r = backend_options(p, b, err);
	if (r == 0)
		r = backend_conf_finish(b, b->name, p->origin, err);
	clear_pairs(p);
	return r;
}

/* --- [values NAME] --- */

static int values_begin(struct parse *p, struct sfs_err *err)
{
	for (size_t i = 0; i < p->nvalues; i++)
		if (!strcmp(p->values[i].name, p->arg))
			return err_set(err, EINVAL, "%s: there is a [values %s] already", p->origin,
				p->arg);
	struct values *v = GROW(p->values, p->nvalues);
	if (!v)
		return no_memory(p, err);
	p->nvalues++;
	v->name = mem_strdup(p->arg);
	v->origin = mem_strdup(p->origin);
	return v->name && v->origin ? 0 : no_memory(p, err);
}

static int values_pair(struct parse *p, const char *origin, struct sfs_err *err)
{
	struct values *v = &p->values[p->nvalues - 1];
	int r = need_value(p, origin, err);
	if (r < 0)
		return r;
	struct inline_value *iv = GROW(v->v, v->n);
	if (!iv)
		return no_memory(p, err);
	v->n++;
	iv->name = mem_strdup(buf_text(&p->ini.name));
	iv->value = secret_new(buf_text(&p->ini.value), p->ini.value.len);
	if (!iv->value)
		return err_set(
			err, ENOMEM, "%s: no room for the value in secret memory (arena=)", origin);
	return iv->name ? 0 : no_memory(p, err);
}

static struct backend_conf *backend_called(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->nbackends; i++)
		if (!strcmp(c->backends[i].name, name))
			return &c->backends[i];
	return NULL;
}

/* Hands every [values NAME] to its back end. */
static int attach_values(struct parse *p, struct sfs_err *err)
{
	for (size_t i = 0; i < p->nvalues; i++) {
		struct values *v = &p->values[i];
		struct backend_conf *b = backend_called(p->c, v->name);
		if (!b)
			return err_set(
				err, EINVAL, "%s: there is no [backend %s]", v->origin, v->name);
		if (strcmp(b->ops->name, "inline") != 0)
			return err_set(err, EINVAL,
				"%s: [backend %s] has type %s; only the type inline takes values",
				v->origin, v->name, b->ops->name);
		b->values = take(v->v);
		b->nvalues = v->n;
		v->n = 0;
	}
	return 0;
}

static void clear_values(struct parse *p)
{
	for (size_t i = 0; i < p->nvalues; i++) {
		struct values *v = &p->values[i];
		for (size_t k = 0; k < v->n; k++) {
			mem_free((char *)v->v[k].name);
			secret_unref(v->v[k].value);
		}
		mem_free(v->v);
		mem_free(v->name);
		mem_free(v->origin);
	}
	mem_free(p->values);
}

/* --- [map] --- */

/* A path as it is written under the mount: 0, or -EINVAL. */
static int check_path(const char *path)
{
	_cleanup_(buf_clear) struct buf name = BUF_INIT(SFS_PATH_MAX);
	_cleanup_(buf_clear) struct buf again = BUF_INIT(SFS_PATH_MAX);
	int r = name_decode(&name, path, strlen(path));
	if (r == 0)
		r = name_encode(&again, buf_text(&name), name.len);
	if (r == -ENOMEM)
		return r;
	return r == 0 && !strcmp(buf_text(&again), path) ? 0 : -EINVAL;
}

static int map_pair(struct parse *p, const char *origin, struct sfs_err *err)
{
	struct config *c = p->c;
	int r = need_value(p, origin, err);
	if (r < 0)
		return r;
	r = check_path(buf_text(&p->ini.name));
	if (r == -ENOMEM)
		return no_memory(p, err);
	if (r < 0)
		return err_set(err, EINVAL,
			"%s: the new path is no path under the mount: no slash at its ends, no "
			"reserved "
			"name, unusual bytes as %%XX",
			origin);
	if (c->nmaps >= SFS_RULES_MAX)
		return err_set(
			err, E2BIG, "%s: more than %d names in [map]", origin, SFS_RULES_MAX);
	struct map_entry *m = GROW(c->maps, c->nmaps);
	if (!m)
		return no_memory(p, err);
	c->nmaps++;
	const char *value = buf_text(&p->ini.value);
	size_t name_len = strcspn(value, "#");
	m->path = mem_strdup(buf_text(&p->ini.name));
	m->name = mem_strndup(value, name_len);
	m->field = value[name_len] ? mem_strdup(value + name_len + 1) : NULL;
	m->origin = mem_strdup(origin);
	if (!m->path || !m->name || !m->origin || (value[name_len] && !m->field))
		return no_memory(p, err);
	bool bad = !*m->name || m->name[0] == '/' || (m->field && !*m->field);
	return bad ? err_set(err, EINVAL, "%s: write NEWPATH = NAME or NEWPATH = NAME#FIELD",
			     origin)
		   : 0;
}

/* --- the file --- */

static const struct section_row sections[] = {
	{"mount", false, true, NULL, mount_pair, NULL},
	{"backend", true, false, backend_begin, backend_pair, backend_end},
	{"values", true, false, values_begin, values_pair, NULL},
	{"rule", true, false, rule_begin, rule_pair, NULL},
	{"map", false, true, NULL, map_pair, NULL},
};
#define NSECTIONS (sizeof(sections) / sizeof(sections[0]))

static void clear_seen(struct parse *p)
{
	size_t pos = 0;
	char *s;
	while ((s = ptab_next(&p->seen, &pos)))
		mem_free(s);
	ptab_clear(&p->seen);
}

static int end_section(struct parse *p, struct sfs_err *err)
{
	clear_seen(p);
	return p->section && p->section->end ? p->section->end(p, err) : 0;
}

static int unknown_section(const struct parse *p, struct sfs_err *err)
{
	const char *words[NSECTIONS];
	char shown[64];
	for (size_t i = 0; i < NSECTIONS; i++)
		words[i] = sections[i].word;
	text_escaped(shown, sizeof(shown), buf_text(&p->ini.name), p->ini.name.len);
	const char *near = text_nearest(buf_text(&p->ini.name), words, NSECTIONS);
	if (near)
		return err_set(err, EINVAL, "%s: unknown section [%s]: did you mean [%s]?",
			p->origin, shown, near);
	return err_set(err, EINVAL,
		"%s: unknown section [%s]; there are [mount], [backend NAME], [values NAME], [rule "
		"GLOB] and [map]",
		p->origin, shown);
}

static const struct section_row *find_section(const char *word)
{
	for (size_t i = 0; i < NSECTIONS; i++)
		if (!strcmp(sections[i].word, word))
			return &sections[i];
	return NULL;
}

static int once_only(
	struct parse *p, const struct section_row *row, unsigned *seen, struct sfs_err *err)
{
	unsigned bit = 1u << (row - sections);
	if (row->once && (*seen & bit))
		return err_set(err, EINVAL, "%s: there is a [%s] already", p->origin, row->word);
	*seen |= bit;
	return 0;
}

static int begin_section(struct parse *p, unsigned *seen, struct sfs_err *err)
{
	int r = end_section(p, err);
	if (r < 0)
		return r;
	mem_free(p->origin);
	mem_free(p->arg);
	p->arg = NULL;
	p->section = NULL;
	p->origin = origin_here(p);
	if (!p->origin)
		return no_memory(p, err);
	const struct section_row *row = find_section(buf_text(&p->ini.name));
	if (!row)
		return unknown_section(p, err);
	if (row->has_arg != (p->ini.has_value && p->ini.value.len > 0))
		return err_set(err, EINVAL,
			row->has_arg ? "%s: [%s] needs a name: [%s NAME]"
				     : "%s: [%s] takes no name",
			p->origin, row->word, row->word);
	r = once_only(p, row, seen, err);
	if (r < 0)
		return r;
	p->arg = mem_strdup(buf_text(&p->ini.value));
	if (!p->arg)
		return no_memory(p, err);
	p->section = row;
	return row->begin ? row->begin(p, err) : 0;
}

static bool same_text(const void *p, const void *key)
{
	return !strcmp(p, key);
}

/* Refuses a name that this section has already: which of two was meant cannot be known. */
static int check_twice(struct parse *p, const char *origin, struct sfs_err *err)
{
	const char *name = buf_text(&p->ini.name);
	uint64_t hash = ptab_hash(name, p->ini.name.len, 0);
	char shown[64];
	if (ptab_find(&p->seen, hash, same_text, name))
		return err_set(err, EINVAL, "%s: %s stands twice in this section", origin,
			text_escaped(shown, sizeof(shown), name, p->ini.name.len));
	_cleanup_free_ char *copy = mem_strdup(name);
	if (!copy || ptab_add(&p->seen, hash, copy) < 0)
		return no_memory(p, err);
	take(copy);
	return 0;
}

static int pair(struct parse *p, struct sfs_err *err)
{
	_cleanup_free_ char *origin = origin_here(p);
	if (!origin)
		return no_memory(p, err);
	if (!p->section)
		return err_set(err, EINVAL,
			"%s: before the first section; start with [mount] or "
			"[backend NAME]",
			origin);
	int r = check_twice(p, origin, err);
	return r < 0 ? r : p->section->pair(p, origin, err);
}

static int parse_all(struct parse *p, struct sfs_err *err)
{
	enum ini_kind kind = INI_END;
	unsigned seen = 0;
	int r;
	do {
		r = ini_next(&p->ini, &kind, err);
		if (r == 0 && kind == INI_SECTION)
			r = begin_section(p, &seen, err);
		else if (r == 0 && kind == INI_PAIR)
			r = pair(p, err);
	} while (r == 0 && kind != INI_END);
	if (r == 0)
		r = end_section(p, err);
	if (r == 0)
		r = attach_values(p, err);
	if (r == 0 && p->c->nbackends == 0)
		r = err_set(err, EINVAL,
			"%s: no [backend NAME] section, so there is nothing to show", p->ini.file);
	return r;
}

int config_parse(
	const char *text, size_t len, const char *file, struct config *ret, struct sfs_err *err)
{
	struct config c = {0};
	struct parse p = {.c = &c};
	ini_open(&p.ini, text, len, file);
	int r = parse_all(&p, err);
	if (r == 0)
		r = config_check(&c, err);
	ini_close(&p.ini);
	clear_seen(&p);
	clear_pairs(&p);
	clear_values(&p);
	mem_free(p.arg);
	mem_free(p.origin);
	if (r < 0) {
		config_clear(&c);
		return r;
	}
	*ret = c;
	return 0;
}
