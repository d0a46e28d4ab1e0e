/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/credwatch.h"

#include "base/alloc.h"
#include "base/cleanup.h"

void credwatch_init(struct credwatch *w)
{
	*w = (struct credwatch){0};
	pthread_mutex_init(&w->lock, NULL);
}

void credwatch_clear(struct credwatch *w)
{
	credwatch_reset(w);
	pthread_mutex_destroy(&w->lock);
}

void credwatch_reset(struct credwatch *w)
{
	pthread_mutex_lock(&w->lock);
	for (; w->n; w->n--)
		mem_free(take(w->file[w->n - 1].path));
	pthread_mutex_unlock(&w->lock);
}

void credwatch_add(struct credwatch *w, const char *path, const struct credfile_stamp *stamp)
{
	pthread_mutex_lock(&w->lock);
	struct credwatch_file *f = w->file + w->n;
	if (w->n < CREDWATCH_MAX && (f->path = mem_strdup(path))) {
		f->stamp = *stamp;
		w->n++;
	}
	pthread_mutex_unlock(&w->lock);
}

/* A copy of the n-th file; false: there is none. */
static bool file_at(struct credwatch *w, size_t i, struct credwatch_file *ret)
{
	pthread_mutex_lock(&w->lock);
	bool there = i < w->n;
	if (there) {
		*ret = w->file[i];
		ret->path = mem_strdup(ret->path);
	}
	pthread_mutex_unlock(&w->lock);
	return there;
}

bool credwatch_changed(struct credwatch *w, const struct path_env *paths)
{
	struct credwatch_file f;
	bool changed = false;
	for (size_t i = 0; !changed && file_at(w, i, &f); i++) {
		changed = f.path && credfile_changed(paths, f.path, &f.stamp);
		mem_free(f.path);
	}
	return changed;
}
