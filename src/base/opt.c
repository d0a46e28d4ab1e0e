/* SPDX-License-Identifier: Apache-2.0 */
#include "base/opt.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/opt_check.h"
#include "base/text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_SHOWN 48  /* longer than any option */
#define NAMES_MAX  512 /* options compared with an unknown one */

static bool row_has_name(const struct opt_row *row, const char *name)
{
	size_t len = strlen(row->name);
	if (len && row->name[len - 1] == '*')
		return !strncmp(row->name, name, len - 1);
	return !strcmp(row->name, name);
}

static const struct opt_row *find_row(
	const struct opt_table *const *tables, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		for (const struct opt_row *row = tables[i]->rows; row->name; row++)
			if (row_has_name(row, name))
				return row;
	return NULL;
}

static const char *nearest_name(
	const struct opt_table *const *tables, size_t ntables, const char *name)
{
	const char *names[NAMES_MAX];
	size_t n = 0;
	for (size_t i = 0; i < ntables; i++)
		for (const struct opt_row *row = tables[i]->rows; row->name && n < NAMES_MAX; row++)
			if (!strchr(row->name, '*'))
				names[n++] = row->name;
	return text_nearest(name, names, n);
}

/* A value with a comma in it that was not quoted arrives here as the name of an option. What cannot
 * be such a name is therefore not shown. */
static bool looks_like_name(const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	size_t len = strnlen(name, NAME_SHOWN + 1);
	return len > 0 && len <= NAME_SHOWN && name[strspn(name, letters)] == '\0';
}

/* The row that `name` would be without the blank before it, as in "ttl=3, mode=0440". */
static const struct opt_row *row_after_blank(
	const struct opt_table *const *tables, size_t ntables, const char *name)
{
	size_t blanks = strspn(name, " \t");
	return blanks ? find_row(tables, ntables, name + blanks) : NULL;
}

static int unknown(const struct opt_table *const *tables, size_t ntables, const char *name,
	const char *origin, struct sfs_err *err)
{
	const struct opt_row *row = row_after_blank(tables, ntables, name);
	if (row)
		return err_set(err, EINVAL,
			"a blank before option %s (%s): no blanks stand between options", row->name,
			origin);
	if (!*name)
		return err_set(err, EINVAL, "option without a name (%s): write NAME=VALUE", origin);
	if (!looks_like_name(name))
		return err_set(err, EINVAL,
			"unknown option of %zu bytes (%s): is a comma of a value not quoted? Write "
			"\\, for it",
			strlen(name), origin);
	const char *near = nearest_name(tables, ntables, name);
	if (near)
		return err_set(err, EINVAL, "unknown option %s (%s): did you mean %s?", name,
			origin, near);
	return err_set(err, EINVAL,
		"unknown option %s (%s): 'secretfs help mount' lists those there are", name,
		origin);
}

static struct opt_value *value_of_row(const struct opt_values *vals, const struct opt_row *row)
{
	for (size_t i = 0; i < vals->n; i++)
		if (vals->v[i].row == row)
			return &vals->v[i];
	return NULL;
}

/* The same; of a row that takes many names, the value of that name. */
static struct opt_value *value_of_name(
	const struct opt_values *vals, const struct opt_row *row, const char *name)
{
	if (row->type != OPT_VARIABLE)
		return value_of_row(vals, row);
	for (size_t i = 0; i < vals->n; i++) {
		const char *given = vals->v[i].name;
		if (vals->v[i].row == row && given && !strcmp(given, name))
			return &vals->v[i];
	}
	return NULL;
}

static size_t count_of_row(const struct opt_values *vals, const struct opt_row *row)
{
	size_t n = 0;
	for (size_t i = 0; i < vals->n; i++)
		n += vals->v[i].row == row;
	return n;
}

static void value_clear(struct opt_value *v)
{
	mem_free(v->name);
	mem_free(v->text);
	mem_free(v->origin);
}

/* Stores a checked value; the one given before for the name goes. Nothing changes on failure. */
static int store(struct opt_values *vals, const struct opt_row *row, const char *name,
	const char *text, const char *origin, int64_t num)
{
	bool named = row->type == OPT_VARIABLE;
	_cleanup_free_ char *name_copy = named ? mem_strdup(name) : NULL;
	_cleanup_free_ char *text_copy = mem_strdup(text ? text : "");
	_cleanup_free_ char *origin_copy = mem_strdup(origin);
	struct opt_value *v = value_of_name(vals, row, name);
	if (!text_copy || !origin_copy || (named && !name_copy))
		return -ENOMEM;
	if (named && !v && count_of_row(vals, row) == SFS_VARIABLES_MAX)
		return -E2BIG;
	if (v) {
		value_clear(v);
	} else {
		v = mem_realloc(vals->v, vals->n + 1, sizeof(*v));
		if (!v)
			return -ENOMEM;
		vals->v = v;
		v += vals->n++;
	}
	*v = (struct opt_value){.row = row,
		.name = take(name_copy),
		.text = take(text_copy),
		.origin = take(origin_copy),
		.num = num};
	return 0;
}

int opt_set(struct opt_values *vals, const struct opt_table *const *tables, size_t ntables,
	const char *name, const char *text, const char *origin, struct sfs_err *err)
{
	int64_t num;
	const struct opt_row *row = find_row(tables, ntables, name);
	if (!row)
		return unknown(tables, ntables, name, origin, err);
	int r = opt_check(row, name, text, origin, &num, err);
	if (r < 0)
		return r;
	r = store(vals, row, name, text, origin, num);
	if (r == -E2BIG)
		return err_set(err, EINVAL, "option %s (%s): at most %d variables can be set",
			row->name, origin, SFS_VARIABLES_MAX);
	return r < 0 ? err_set(err, ENOMEM, "option %s (%s): out of memory", row->name, origin) : 0;
}

int opt_copy(struct opt_values *dst, const struct opt_values *src)
{
	struct opt_values copy = {0};
	for (size_t i = 0; i < src->n; i++) {
		const struct opt_value *v = &src->v[i];
		if (store(&copy, v->row, v->name, v->text, v->origin, v->num) < 0) {
			opt_clear(&copy);
			return -ENOMEM;
		}
	}
	opt_clear(dst);
	*dst = copy;
	return 0;
}

void opt_clear(struct opt_values *vals)
{
	for (size_t i = 0; i < vals->n; i++)
		value_clear(&vals->v[i]);
	mem_free(vals->v);
	vals->v = NULL;
	vals->n = 0;
}

const char *opt_value_name(const struct opt_value *v)
{
	return v->name ? v->name : v->row->name;
}

const char *opt_variable(const struct opt_value *v)
{
	return v->row->type == OPT_VARIABLE ? v->name + strlen(v->row->name) - 1 : NULL;
}

bool opt_variable_secret(const char *variable)
{
	static const char *const ends[] = {"KEY", "TOKEN", "SECRET", "PASSWORD"};
	size_t len = strlen(variable);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t n = strlen(ends[i]);
		if (len >= n && !strcasecmp(variable + len - n, ends[i]))
			return true;
	}
	return false;
}

const char *opt_reference(const struct opt_value *v)
{
	const char *variable = opt_variable(v);
	if (v->row->type == OPT_SECRET || (variable && opt_variable_secret(variable)))
		return v->text;
	return NULL;
}

const struct opt_value *opt_find(const struct opt_values *vals, const char *name)
{
	for (size_t i = vals->n; i > 0; i--)
		if (!strcmp(opt_value_name(&vals->v[i - 1]), name))
			return &vals->v[i - 1];
	return NULL;
}

int64_t opt_find_number(const struct opt_values *vals, const char *name, int64_t fallback)
{
	const struct opt_value *v = opt_find(vals, name);
	return v ? v->num : fallback;
}

static const struct opt_row *row_of_type(
	const struct opt_table *t, const char *name, unsigned types)
{
	for (const struct opt_row *row = t->rows; row->name; row++)
		if (!strcmp(row->name, name) && (types & 1u << row->type))
			return row;
	abort(); /* a getter for an option that its table does not have */
}

/* The number given, else that of the default. False if there is neither, or the default does not
 * hold here (a user that this machine does not have). */
static bool number(const struct opt_values *vals, const struct opt_table *t, const char *name,
	enum opt_type type, int64_t *ret)
{
	const struct opt_row *row = row_of_type(t, name, 1u << type);
	const struct opt_value *v = value_of_row(vals, row);
	if (!v)
		return row->dflt && opt_check(row, row->name, row->dflt, "default", ret, NULL) == 0;
	*ret = v->num;
	return true;
}

const char *opt_str(const struct opt_values *vals, const struct opt_table *t, const char *name)
{
	const unsigned types =
		1u << OPT_STRING | 1u << OPT_CHOICE | 1u << OPT_PATH | 1u << OPT_SECRET;
	const struct opt_row *row = row_of_type(t, name, types);
	const struct opt_value *v = value_of_row(vals, row);
	return v ? v->text : row->dflt;
}

bool opt_flag(const struct opt_values *vals, const struct opt_table *t, const char *name)
{
	int64_t n;
	return number(vals, t, name, OPT_FLAG, &n) && n;
}

enum opt_globs opt_globs(const struct opt_values *vals, const struct opt_table *t, const char *name,
	const char **ret_text)
{
	int64_t n;
	if (!number(vals, t, name, OPT_GLOBS, &n))
		return OPT_GLOBS_NONE;
	if (n == OPT_GLOBS_SOME)
		*ret_text = value_of_row(vals, row_of_type(t, name, 1u << OPT_GLOBS))->text;
	return (enum opt_globs)n;
}

int64_t opt_duration(const struct opt_values *vals, const struct opt_table *t, const char *name)
{
	int64_t n;
	return number(vals, t, name, OPT_DURATION, &n) ? n : -1;
}

uint64_t opt_size(const struct opt_values *vals, const struct opt_table *t, const char *name)
{
	int64_t n;
	return number(vals, t, name, OPT_SIZE, &n) ? (uint64_t)n : 0;
}

uint64_t opt_number(const struct opt_values *vals, const struct opt_table *t, const char *name)
{
	int64_t n;
	return number(vals, t, name, OPT_NUMBER, &n) ? (uint64_t)n : 0;
}

bool opt_user(
	const struct opt_values *vals, const struct opt_table *t, const char *name, uid_t *ret)
{
	int64_t n;
	if (!number(vals, t, name, OPT_USER, &n))
		return false;
	*ret = (uid_t)n;
	return true;
}

bool opt_group(
	const struct opt_values *vals, const struct opt_table *t, const char *name, gid_t *ret)
{
	int64_t n;
	if (!number(vals, t, name, OPT_GROUP, &n))
		return false;
	*ret = (gid_t)n;
	return true;
}

bool opt_mode(
	const struct opt_values *vals, const struct opt_table *t, const char *name, mode_t *ret)
{
	int64_t n;
	if (!number(vals, t, name, OPT_MODE, &n))
		return false;
	*ret = (mode_t)n;
	return true;
}
