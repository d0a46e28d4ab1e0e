/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/mount_bar.h"

#include "base/cleanup.h"
#include "mount/client.h"
#include "mount/progress.h"
#include "net/json.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define STEP_NSEC 150000000L
#define IDLE_MAX  67 /* steps without progress: ten seconds, the default timeout of a fetch */

struct state {
	int64_t done, total, failed, missing;
	bool running;
};

static const struct json_node *member(
	struct json *doc, const struct json_node *obj, const char *name)
{
	return json_member(doc, obj, name, strlen(name));
}

static int64_t number(struct json *doc, const struct json_node *obj, const char *name)
{
	const struct json_node *n = member(doc, obj, name);
	int64_t value = 0;
	return n && json_int64(doc, n, &value) == 0 ? value : 0;
}

/* False: the mount does not tell. */
static bool look(const struct client *c, struct state *ret)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(CLIENT_TEXT_MAX);
	struct json *doc;
	if (client_read(c, "status", &text, NULL) < 0 ||
		json_parse(buf_text(&text), text.len, JSON_STRICT, &doc, NULL) < 0)
		return false;
	const struct json_node *h = member(doc, json_root(doc), "hydration");
	const struct json_node *running = h ? member(doc, h, "running") : NULL;
	if (running)
		*ret = (struct state){.done = number(doc, h, "done"),
			.total = number(doc, h, "total"),
			.failed = number(doc, h, "failed"),
			.missing = number(doc, h, "missing"),
			.running = json_kind(running) == JSON_TRUE};
	json_free(doc);
	return running;
}

/* True: Ctrl-C. */
static bool pause_step(const sigset_t *interrupt)
{
	const struct timespec step = {.tv_nsec = STEP_NSEC};
	return sigtimedwait(interrupt, NULL, &step) == SIGINT;
}

/* Until nothing is left to show. The last state; `running` in it: hydration goes on without us. */
static bool follow(const struct client *c, const sigset_t *interrupt, struct state *ret)
{
	int64_t last = -1;
	bool drawn = false, known;
	for (int idle = 0; (known = look(c, ret)) && ret->running && idle < IDLE_MAX; idle++) {
		if (ret->done != last)
			idle = 0;
		last = ret->done;
		drawn |= progress_draw((unsigned long)ret->done, (unsigned long)ret->total);
		if (pause_step(interrupt))
			break;
	}
	if (drawn)
		progress_erase();
	return known;
}

static void report(const char *mountpoint, const struct state *s)
{
	if (s->running)
		fprintf(stderr,
			"secretfs: hydration goes on in the background: %s/.control/hydrate\n",
			mountpoint);
	else if (s->failed || s->missing)
		fprintf(stderr,
			"secretfs: %lld of %lld secrets could not be fetched: %s/.control/hydrate "
			"says why\n",
			(long long)s->failed + s->missing, (long long)s->total, mountpoint);
}

void mount_bar(const char *mountpoint)
{
	const struct client c = {.point = (char *)mountpoint};
	struct state s = {0};
	sigset_t interrupt, old;
	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	sigprocmask(SIG_BLOCK, &interrupt, &old);
	if (follow(&c, &interrupt, &s))
		report(mountpoint, &s);
	sigprocmask(SIG_SETMASK, &old, NULL);
}
