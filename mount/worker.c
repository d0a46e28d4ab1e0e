/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/worker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/harden.h"
#include "base/hold.h"
#include "base/log.h"
#include "base/text.h"
#include "mount/audit.h"
#include "mount/eventfile.h"
#include "mount/notify.h"
#include "mount/onchange.h"
#include "mount/park.h"
#include "mount/rename.h"
#include "mount/renamer.h"
#include "mount/runs.h"
#include "mount/session.h"
#include "net/http.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
	ARG_COMMAND,
	ARG_SOURCE,
	ARG_MOUNTPOINT,
	ARG_OPTIONS,
	ARG_LOG,
	ARG_ARENA,
	ARG_MEMLOCK,
	ARG_OWNER,
	ARG_HOME,
	ARG_COMMANDS /* any number; the last argument is the device */
};

struct worker {
	char **argv;
	uid_t uid; /* the caller of mount */
	gid_t gid;
	struct fs fs;
	struct path_env paths;
	struct envstore *env;
	struct runs runs;
	struct runner runner;
	struct machine machine;
	pthread_t hold_thread, order_thread;

	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t wake;
	bool reload, stop, ended;
};

static void ignore(int sig)
{
	(void)sig;
}

/* The holder decides when the worker ends: what reaches a whole process group (Ctrl-C, a stopping
 * service) must not end it before the file system is unmounted. SIGUSR1 interrupts the serving
 * threads. */
static void set_signals(void)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT, SIGXFSZ};
	struct sigaction sa = {.sa_handler = ignore};
	sigemptyset(&sa.sa_mask);
	sigaction(SIGUSR1, &sa, NULL);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

static void wake(struct worker *w, bool *flag)
{
	pthread_mutex_lock(&w->lock);
	*flag = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

/* In the thread that reads the holder's socket: it must stay free to pass on replies, so orders are
 * carried out elsewhere. */
static void on_order(void *arg, enum hold_type t)
{
	struct worker *w = arg;
	if (t == HOLD_RELOAD)
		wake(w, &w->reload);
	else if (t == HOLD_STOP)
		wake(w, &w->stop);
}

static void *read_orders(void *arg)
{
	struct worker *w = arg;
	bool ended;
	hold_client_run(w->paths.hold, on_order, w);
	pthread_mutex_lock(&w->lock);
	ended = w->ended || w->stop;
	pthread_mutex_unlock(&w->lock);
	if (!ended) {
		log_warn("the holder process is gone: this mount is served until it is unmounted, "
			 "but files only root may read cannot "
			 "be opened any more");
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
	}
	return NULL;
}

static int load(struct worker *w, struct config **ret, struct sfs_err *err)
{
	int r = config_load(w->argv[ARG_SOURCE], w->argv[ARG_OPTIONS], &w->paths, ret, err);
	if (r == 0)
		config_set_owner(*ret, w->uid, w->gid);
	return r;
}

static void reload(struct worker *w)
{
	struct config *c = NULL;
	struct sfs_err err;
	audit_reopen(&w->fs); /* whatever the configuration: logrotate waits for it */
	int r = load(w, &c, &err);
	if (r == 0)
		r = core_reload(w->fs.core, c, &err);
	const struct event e = {.what = r == 0 ? "reloaded" : "error", .err = r < 0 ? &err : NULL};
	events_add(core_event_ring(w->fs.core), &e);
	if (r == 0) {
		log_info("%s: configuration read again", w->argv[ARG_MOUNTPOINT]);
		return;
	}
	log_error("%s: the old configuration stays: %s", w->argv[ARG_MOUNTPOINT], err.msg);
	config_free(c);
}

#define STOP_EVERY_NS (50 * NSEC_PER_MSEC)

static void *carry_out_orders(void *arg)
{
	struct worker *w = arg;
	pthread_mutex_lock(&w->lock);
	while (!w->ended) {
		if (w->stop) {
			struct timespec ts;
			session_stop(&w->fs);
			clock_gettime(CLOCK_REALTIME, &ts);
			ts.tv_nsec += STOP_EVERY_NS;
			ts.tv_sec += ts.tv_nsec / NSEC_PER_SEC;
			ts.tv_nsec %= NSEC_PER_SEC;
			pthread_cond_timedwait(&w->wake, &w->lock, &ts);
		} else if (w->reload) {
			w->reload = false;
			pthread_mutex_unlock(&w->lock);
			reload(w);
			pthread_mutex_lock(&w->lock);
		} else {
			pthread_cond_wait(&w->wake, &w->lock);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static int take_environment(struct worker *w, struct sfs_err *err)
{
	_cleanup_close_ int fd = -1;
	int r = hold_ask(w->paths.hold, HOLD_ENV, "", 0, &fd, err);
	return r < 0 ? r : envstore_read(fd, &w->env, err);
}

static void on_pressure(void *arg)
{
	struct fs *fs = arg;
	if (atomic_load(&fs->serving))
		inodes_drop_held(fs);
}

static void on_gauges(void *arg, struct core_gauges *ret)
{
	struct fs *fs = arg;
	if (!atomic_load(&fs->serving))
		return;
	inodes_count(fs, &ret->inodes, &ret->handles);
	audit_gauges(fs, ret);
}

static void on_status(void *arg, struct buf *out)
{
	struct fs *fs = arg;
	if (!atomic_load(&fs->serving))
		return;
	const char *trouble = renamer_trouble(fs->renamer);
	buf_str(out, ",\n \"renamer\":");
	text_json(out, trouble ? trouble : "ok", strlen(trouble ? trouble : "ok"));
	if (fs->why_open)
		buf_printf(out, ",\n \"asked_at_open\":\"%s\"", fs->why_open);
	else
		buf_str(out, ",\n \"asked_at_open\":null");
	audit_status(fs, out);
}

/* Why the kernel asks at each open; NULL if it does not. Who must hear of each, or fetches at each,
 * keeps that round trip; so does a mount of which only a part is hydrated. */
static const char *why_open(const struct config *c)
{
	if (opt_duration(&c->mount, &config_mount_options, "ttl") == 0)
		return "ttl=0";
	if (config_hydration(c) == HYDRATE_GLOBS)
		return "hydrate= names a part";
	if (config_hydration(c) == HYDRATE_NONE)
		return "lazy";
	return config_audit(c) ? "audit=" : NULL;
}

static int open_core(struct worker *w, struct sfs_err *err)
{
	const struct core_events ev = {.changed = notify_changed,
		.pressure = on_pressure,
		.gauges = on_gauges,
		.status = on_status,
		.arg = &w->fs};
	struct config *c = NULL;
	int64_t timeout, wait;
	int r = load(w, &c, err);
	if (r < 0)
		return r;
	if (opt_flag(&c->mount, &config_mount_options, "debug"))
		log_set_level(LOG_LEVEL_DEBUG);
	timeout = opt_duration(&c->mount, &config_mount_options, "timeout");
	wait = opt_find(&c->mount, "wait") ? opt_duration(&c->mount, &config_mount_options, "wait")
					   : 0;
	w->fs.timeout = timeout * NSEC_PER_SEC;
	w->fs.why_open = why_open(c);
	w->fs.no_open = !w->fs.why_open;
	r = core_open(c, &w->machine, &ev, &w->fs.core, err);
	if (r < 0) {
		config_free(c);
		return r;
	}
	core_set_mount_dir(w->fs.core, w->argv[ARG_MOUNTPOINT]);
	/* What is local lists now; the others are waited for only if asked. */
	return core_wait_listed(
		w->fs.core, wait != 0, clock_after(clock_boot(), wait ? wait : timeout), err);
}

static int start(struct worker *w, struct sfs_err *err)
{
	struct fs *fs = &w->fs;
	int r = take_environment(w, err);
	if (r < 0)
		return r;
	w->machine.env = w->env;
	if ((r = session_new(fs, WORKER_FUSE_FD, err)) < 0)
		return r;
	if ((r = open_core(w, err)) < 0)
		return r;
	fs->hold = w->paths.hold;
	if ((r = audit_new(fs, w->argv[ARG_MOUNTPOINT], err)) < 0)
		return r;
	if ((r = renamer_new(WORKER_RENAMER_FD, fs->hold, &fs->renamer)) < 0 ||
		(r = inodes_new(fs)) < 0 || (r = eventfile_new(fs)) < 0 ||
		(r = parks_new(fs)) < 0 || (r = jobs_new(&fs->notifier)) < 0 ||
		(r = renames_new(fs)) < 0 || (r = jobs_new(&fs->asker)) < 0)
		return err_errno(err, -r, "cannot start serving");
	if (opt_find(&core_config(fs->core)->mount, "on_change") &&
		(r = onchange_new(w->paths.hold, &fs->onchange)) < 0)
		return err_errno(err, -r, "cannot start serving");
	/* So the file is never empty, which would keep `tail` waiting for a first line. */
	events_add(core_event_ring(fs->core), &(struct event){.what = "mounted"});
	atomic_store(&fs->serving, true);
	return session_start(fs, err);
}

/* Everybody who waits is answered, then everything is freed, so that memory checkers see what was
 * forgotten. */
static void finish(struct worker *w)
{
	struct fs *fs = &w->fs;
	if (fs->core)
		core_shutdown(fs->core);
	atomic_store(&fs->serving, false);
	audit_stop_asking(fs);
	eventfile_end(fs);
	parks_free(fs);
	onchange_free(fs->onchange);
	jobs_free(take(fs->asker));
	renames_free(fs);
	jobs_free(take(fs->notifier));
	renamer_free(fs->renamer);
	audit_stop_writing(fs);
	audit_free(fs);
	eventfile_free(fs);
	if (fs->inodes)
		inodes_free(fs);
	if (fs->core)
		core_free(fs->core);
	session_free(fs);
	envstore_free(w->env);
}

static void tell_holder(enum hold_type t, const struct sfs_err *err)
{
	static struct hold_msg m;
	m = (struct hold_msg){.type = t};
	if (err) {
		m.code = err->code;
		m.len = (uint32_t)strlen(err->msg);
		memcpy(m.text, err->msg, m.len);
	}
	hold_send(WORKER_HOLD_FD, &m, -1);
}

static int parse_arguments(struct worker *w, int argc, char **argv, struct sfs_err *err)
{
	unsigned major_no, minor_no, uid, gid;
	uint64_t arena;
	if (argc <= ARG_COMMANDS || sscanf(argv[argc - 1], "%u:%u", &major_no, &minor_no) != 2 ||
		sscanf(argv[ARG_OWNER], "%u:%u", &uid, &gid) != 2 ||
		parse_u64(argv[ARG_ARENA], SIZE_MAX, &arena) < 0)
		return err_set(err, EINVAL,
			"`secretfs worker` is started by secretfs-holder, not by hand");
	argv[argc - 1] = NULL; /* the end of the commands */
	w->argv = argv;
	w->uid = uid;
	w->gid = gid;
	w->paths.covered_fd = WORKER_COVERED_FD;
	w->paths.mount_dev = makedev(major_no, minor_no);
	w->fs.mounted = clock_wall();
	log_open("secretfs", strcmp(argv[ARG_LOG], "syslog") == 0, LOG_LEVEL_INFO);
	return secret_init((size_t)arena,
		strcmp(argv[ARG_MEMLOCK], "require") == 0 ? SECRET_LOCK_REQUIRE : SECRET_LOCK_TRY,
		err);
}

static void stop_listening(struct worker *w)
{
	hold_client_stop(w->paths.hold);
	pthread_join(w->hold_thread, NULL);
	hold_client_free(w->paths.hold);
}

static int serve(struct worker *w, struct sfs_err *err)
{
	int r = hold_client_new(WORKER_HOLD_FD, &w->paths.hold);
	w->runs = (struct runs){
		.hold = w->paths.hold, .commands = (const char *const *)&w->argv[ARG_COMMANDS]};
	w->runner = (struct runner){.run = runs_run, .arg = &w->runs};
	w->machine = (struct machine){.paths = &w->paths,
		.home = *w->argv[ARG_HOME] ? w->argv[ARG_HOME] : NULL,
		.runner = &w->runner,
		.commands = w->runs.commands};
	if (r < 0 || (r = -pthread_create(&w->hold_thread, NULL, read_orders, w)) < 0) {
		r = err_errno(err, -r, "cannot listen to the holder");
		tell_holder(HOLD_FAILED, err);
		return r;
	}
	r = start(w, err);
	if (r == 0 && (r = -pthread_create(&w->order_thread, NULL, carry_out_orders, w)) == 0) {
		tell_holder(HOLD_LIVE, NULL);
		session_wait();
		wake(w, &w->ended);
		pthread_join(w->order_thread, NULL);
	}
	wake(w, &w->ended);
	if (r < 0)
		tell_holder(HOLD_FAILED, err);
	finish(w);
	stop_listening(w);
	return r;
}

int worker_main(int argc, char **argv)
{
	static struct worker w = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
	struct sfs_err err = {0};
	int r;
	set_signals();
	harden_environment();
	for (int fd = WORKER_FUSE_FD; fd <= WORKER_RENAMER_FD; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC); /* nothing we start inherits them (R8) */
	r = harden_no_dump(&err);
	if (r == 0)
		r = parse_arguments(&w, argc, argv, &err);
	if (r == 0)
		r = http_init(&err);
	if (r < 0)
		tell_holder(HOLD_FAILED, &err);
	else
		r = serve(&w, &err);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
