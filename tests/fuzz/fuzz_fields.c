/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a value: each name that is shown leads to its field, at every depth. */
#include "base/limits.h"
#include "core/fields.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
	struct fields *f;
	char path[SFS_PATH_MAX];
	int depth;
};

static void check(int ok)
{
	if (!ok)
		abort();
}

static int on_field(void *arg, const char *name, enum field_kind kind)
{
	struct walk *w = arg;
	size_t old = strlen(w->path), len = strlen(name);
	struct secret *s = NULL;
	check(len > 0 && len <= SFS_COMPONENT_MAX && !strchr(name, '/'));
	if (w->depth == 4 || old + len + 2 > sizeof(w->path))
		return 0;
	if (old)
		strcat(w->path, "/");
	strcat(w->path, name);
	check(fields_kind(w->f, w->path) == kind);
	check(fields_get(w->f, w->path, &s, NULL) == 0);
	secret_unref(s);
	w->depth++;
	if (kind == FIELD_OBJECT)
		check(fields_each(w->f, w->path, on_field, w) == 0);
	w->depth--;
	w->path[old] = '\0';
	return 0;
}

/* The input doubles as a path. */
static void try_path(struct fields *f, const uint8_t *data, size_t size)
{
	char path[300];
	struct secret *s = NULL;
	size_t n = size < sizeof(path) ? size : sizeof(path) - 1;
	memcpy(path, data, n);
	path[n] = '\0';
	check((fields_kind(f, path) == FIELD_NONE) == (fields_get(f, path, &s, NULL) != 0));
	secret_unref(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct walk w = {0};
	struct sfs_err err = {0};
	if (size > 20000)
		return 0;
	struct secret *v = secret_new(data, size);
	check(v != NULL);
	if (fields_parse(v, &w.f, &err) == 0) {
		check(fields_each(w.f, "", on_field, &w) == 0);
		try_path(w.f, data, size);
		fields_free(w.f);
	} else {
		check(err.code == ENOENT && !w.f);
	}
	secret_unref(v);
	return 0;
}
