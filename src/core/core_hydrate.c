/* SPDX-License-Identifier: Apache-2.0 */
/* Hydration: which secrets are fetched and kept fresh though nobody reads them, and how far that
 * is. The work itself is the store's (store_keep.c). */
#include "core/core_hydrate.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/name.h"
#include "base/text.h"
#include <inttypes.h>
#include <string.h>

#define FAILURES_SHOWN 1000 /* lines of .control/hydrate */

/* --- which --- */

/* A glob means the secret, or one of the files that show it. */
static bool dent_matches(const struct config *c, const struct dent *d)
{
	bool value = d->kind == CORE_SECRET && !strcmp(dent_basename(d), NAME_VALUE);
	return config_hydrates(c, value ? d->parent->path : d->path);
}

static bool hydrates(const struct core *core, const struct subject *s)
{
	enum config_hydrate mode = config_hydration(core->conf);
	if (mode == HYDRATE_NONE || !s->shown || (s->pol && s->pol->ttl == 0))
		return false;
	if (mode == HYDRATE_ALL)
		return true;
	for (const struct dent *d = s->shown; d; d = d->same_next)
		if (dent_matches(core->conf, d))
			return true;
	return false;
}

void core_hydrate_subject(struct core *core, struct subject *s)
{
	bool yes = hydrates(core, s);
	struct entry *e = yes ? core_entry(core, s) : s->entry ? entry_ref(s->entry) : NULL;
	if (!e)
		return; /* no memory: it is fetched when read */
	entry_keep(e, yes);
	entry_unref(e);
}

/* --- how far --- */

void core_hydrate_look(struct core *core, struct hydrate_view *ret)
{
	core_lock(core);
	ret->mode = config_hydration(core->conf);
	bool pending = ret->mode != HYDRATE_NONE && core_list_pending(core, NULL);
	core_unlock(core);
	store_kept(core->store, &ret->kept);
	ret->kept.running = ret->kept.running || pending;
}

void core_hydration(struct core *core, size_t *ret_done, size_t *ret_total, size_t *ret_failed,
	bool *ret_running)
{
	struct hydrate_view v;
	core_hydrate_look(core, &v);
	*ret_done = v.kept.tried;
	*ret_total = v.kept.total;
	*ret_failed = v.kept.failed;
	*ret_running = v.kept.running;
}

void core_hydrate_problem(struct core *core, const struct store_kept *kept, struct buf *out)
{
	core_lock(core);
	bool cache = !kept->arena && opt_find(&core->conf->mount, "cache_size");
	const char *option = cache ? "cache_size" : "arena";
	uint64_t size = opt_size(&core->conf->mount, &config_mount_options, option);
	core_unlock(core);
	buf_printf(out,
		"%zu of %zu secrets, about %zu KiB, do not fit into %s=%" PRIu64
		"k and are fetched when read; raise %s to hydrate them too",
		kept->missing, kept->total, kept->missing_bytes / 1024 + 1, option, size / 1024,
		option);
}

void core_hydrate_full(void *arg)
{
	static struct log_rate rate = LOG_RATE(60);
	struct core *core = arg;
	char sentence[SFS_ERR_MAX];
	struct buf text = BUF_INIT(sizeof(sentence));
	struct store_kept kept;
	store_kept(core->store, &kept);
	if (kept.full && log_due(&rate)) {
		core_hydrate_problem(core, &kept, &text);
		log_warn("hydration stops: %s", buf_text(&text));
	}
	buf_clear(&text);
}

/* The line of one secret that could not be fetched. Tree lock. */
static bool add_failure(const struct subject *s, struct buf *out)
{
	struct entry_info info;
	if (!s->entry || !s->shown)
		return false;
	entry_info(s->entry, &info);
	if (info.state != ENTRY_FAILED)
		return false;
	text_to_arg(out, core_face(s)->path);
	buf_printf(out, ": %s\n", info.error.msg);
	return true;
}

static void add_failures(struct core *core, size_t failed, struct buf *out)
{
	size_t pos = 0, n = 0;
	const struct subject *s;
	core_lock(core);
	while (n < failed && n < FAILURES_SHOWN && (s = ptab_next(&core->tree.subjects, &pos)))
		n += add_failure(s, out);
	core_unlock(core);
	if (failed > n && n == FAILURES_SHOWN)
		buf_printf(out, "%zu more failures\n", failed - n);
}

void core_hydrate_text(struct core *core, const struct store_kept *kept, struct buf *out)
{
	buf_printf(out, "%zu/%zu\n", kept->tried, kept->total);
	if (kept->failed)
		add_failures(core, kept->failed, out);
	if (!kept->missing)
		return;
	buf_str(out, "*: ");
	core_hydrate_problem(core, kept, out);
	buf_char(out, '\n');
}

void core_hydrate_news(struct core *core)
{
	struct hydrate_view v;
	if (!atomic_load(&core->hydrating))
		return;
	core_hydrate_look(core, &v);
	if (v.kept.running || !atomic_exchange(&core->hydrating, false))
		return;
	core_tell_hydrated(core, "hydrated", v.kept.tried, v.kept.total, v.kept.failed);
	log_info("hydrated %zu of %zu secrets in %.1f s, %zu failed%s",
		v.kept.tried - v.kept.failed, v.kept.total,
		(double)(clock_boot() - core->started_boot) / (double)NSEC_PER_SEC, v.kept.failed,
		v.kept.failed ? "; .control/hydrate has them" : "");
}
