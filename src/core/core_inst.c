/* SPDX-License-Identifier: Apache-2.0 */
/* One opened back end: what the core keeps beside the instance. */
#include "core/core_priv.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void core_inst_ref(struct core_inst *ci)
{
	atomic_fetch_add(&ci->refs, 1);
}

void core_inst_unref(struct core_inst *ci)
{
	if (!ci || atomic_fetch_sub(&ci->refs, 1) != 1)
		return;
	for (size_t i = 0; i < ci->nnames; i++)
		mem_free(ci->names[i].name);
	mem_free(ci->names);
	inst_hashed_clear(ci);
	core_sync_forget(&ci->missing);
	core_sync_forget(&ci->kept);
	listing_unref(ci->listing);
	mem_free(ci->name);
	mem_free(ci->at);
	mem_free(ci->prefix);
	mem_free(ci->add_prefix);
	mem_free(ci);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct list_entry *)a)->name, ((const struct list_entry *)b)->name);
}

static void sort_names(struct core_inst *ci)
{
	size_t n = 0;
	if (!ci->nnames)
		return;
	qsort(ci->names, ci->nnames, sizeof(*ci->names), compare_names);
	for (size_t i = 0; i < ci->nnames; i++) {
		if (n && !strcmp(ci->names[n - 1].name, ci->names[i].name))
			mem_free(ci->names[i].name);
		else
			ci->names[n++] = ci->names[i];
	}
	ci->nnames = n;
}

/* names=a,b: blanks around a name do not count. */
static int parse_names(struct core_inst *ci, const char *text)
{
	while (text && *text) {
		text += strspn(text, " \t,");
		size_t len = strcspn(text, ","), used = len;
		while (used && (text[used - 1] == ' ' || text[used - 1] == '\t'))
			used--;
		if (used) {
			struct list_entry *v = mem_realloc(ci->names, ci->nnames + 1, sizeof(*v));
			if (!v)
				return -ENOMEM;
			ci->names = v;
			v[ci->nnames] = (struct list_entry){.name = mem_strndup(text, used)};
			if (!v[ci->nnames++].name)
				return -ENOMEM;
		}
		text += len;
	}
	sort_names(ci);
	return 0;
}

static char *option_copy(const struct backend_conf *conf, const char *name)
{
	const char *text = opt_str(&conf->common, &config_backend_options, name);
	return mem_strdup(text ? text : "");
}

static struct core_inst *new_inst(struct core *core, const struct backend_conf *conf)
{
	struct core_inst *ci = mem_calloc(1, sizeof(*ci));
	if (!ci)
		return NULL;
	atomic_init(&ci->refs, 1);
	ci->core = core;
	ci->current = (struct entry_tag){ci, false};
	ci->versions = (struct entry_tag){ci, true};
	ci->ops = conf->ops;
	ci->name = mem_strdup(conf->name);
	ci->at = mem_strdup(conf->at);
	ci->prefix = option_copy(conf, "prefix");
	ci->add_prefix = option_copy(conf, "add_prefix");
	if (!ci->name || !ci->at || !ci->prefix || !ci->add_prefix ||
		parse_names(ci, opt_str(&conf->common, &config_backend_options, "names")) < 0) {
		core_inst_unref(ci);
		return NULL;
	}
	return ci;
}

int core_inst_open(struct core *core, const struct backend_conf *conf, struct core_inst **ret,
	struct sfs_err *err)
{
	struct instance_events ev;
	struct core_inst *ci = new_inst(core, conf);
	if (!ci)
		return err_set(err, ENOMEM, "%s: out of memory", conf->name);
	core_list_events(&ev, ci);
	int r = instance_open(conf, core->machine, core->store, core->timeout, &ev, &ci->in, err);
	if (r < 0) {
		core_inst_unref(ci);
		return r;
	}
	*ret = ci;
	return 0;
}

void core_inst_set_rate(struct core_inst *ci, const struct config *c)
{
	source_set_rate(instance_source(ci->in), ci->ops->flags & BACKEND_LOCAL ? 0 : c->open_rate);
}

bool inst_enter(struct core_inst *ci)
{
	pthread_mutex_lock(&ci->core->lock);
	bool ok = !ci->closing;
	ci->busy += ok;
	pthread_mutex_unlock(&ci->core->lock);
	return ok;
}

void inst_leave(struct core_inst *ci)
{
	struct core *core = ci->core;
	pthread_mutex_lock(&core->lock);
	if (--ci->busy == 0 && ci->closing)
		pthread_cond_broadcast(&core->idle);
	pthread_mutex_unlock(&core->lock);
}

void core_inst_close(struct core_inst *ci)
{
	struct core *core = ci->core;
	pthread_mutex_lock(&core->lock);
	bool first = !ci->closing;
	ci->closing = true;
	while (ci->busy)
		pthread_cond_wait(&core->idle, &core->lock);
	pthread_mutex_unlock(&core->lock);
	if (first)
		instance_close(ci->in);
}
