/* SPDX-License-Identifier: Apache-2.0 */
/* The option tables, and what a loaded configuration says. */
#include "core/config.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/secret.h"
#include "base/text.h"
#include "core/config_priv.h"
#include <errno.h>
#include <string.h>

#define IGNORED(word)                                                              \
	{                                                                          \
		.name = word, .type = OPT_IGNORED, .help = "Accepted and ignored." \
	}

static const struct opt_row mount_rows[] = {
	{"ttl", OPT_DURATION, "TIME", "300", NULL,
		"How long a value is served after it was fetched. -1 means for ever, 0 that "
		"nothing "
		"is cached, whatever rules or control files say. Rules set it for some secrets."},
	{"stale", OPT_DURATION, "TIME", "3600", NULL,
		"How long after its ttl a value is still served while the provider cannot be "
		"reached. "
		"Never after the provider said that the secret is gone or not allowed."},
	{"negative_ttl", OPT_DURATION, "TIME", "5", NULL,
		"How long it is remembered that a secret does not exist, and how long a listing is "
		"believed about the names it lacks: 1s to 5m."},
	{"list_ttl", OPT_DURATION, "TIME", "60", NULL,
		"Age at which a listing is renewed in the background when somebody looks."},
	{"timeout", OPT_DURATION, "TIME", "10", NULL,
		"Longest time a reader waits for a provider: 1s to 1h."},
	{"open_rate", OPT_NUMBER, "N", "50", NULL,
		"Fetches a second that one user may cause by opening files of one source, and ten "
		"times as many at once; further opens of that user wait for their turn, and fail "
		"with EBUSY when their timeout is over first. What is cached, refreshed in the "
		"background or fetched by hydrate does not count, nor do local sources. 0 means "
		"no limit."},
	{"cache_size", OPT_SIZE, "SIZE", NULL, NULL,
		"Sum of the values kept; above, the least recently read ones are dropped. The "
		"default "
		"is the size of the arena."},
	{"arena", OPT_SIZE, "SIZE", "64m", NULL,
		"Locked memory for values and credentials: 64k or more."},
	{"memlock", OPT_CHOICE, "try|require", "try", "try|require",
		"What to do when the arena cannot be locked: go on and show it in status, or "
		"refuse to "
		"mount."},
	{"uid", OPT_USER, "USER", NULL, NULL,
		"Owner of files and directories. The default is the caller of mount."},
	{"gid", OPT_GROUP, "GROUP", NULL, NULL,
		"Group of files and directories. The default is the caller's."},
	{"mode", OPT_MODE, "MODE", "0400", NULL, "Mode of files, octal, without write bits."},
	{"dmode", OPT_MODE, "MODE", "0500", NULL,
		"Mode of directories. It is 0511 when a rule sets uid, gid or mode and this option "
		"is "
		"not given, so that other owners reach their files."},
	{"user", OPT_USER, "USER", NULL, NULL,
		"Account that talks to the provider, without capabilities. The default is the "
		"account "
		"secretfs if there is one, else the caller. The bare word user of fstab means "
		"nothing."},
	{"wait", OPT_DURATION, "TIME", NULL, NULL,
		"Wait so long for the first listing, and fail the mount without it. Otherwise a "
		"mount succeeds when its provider is down."},
	{"nonempty", OPT_FLAG, NULL, NULL, NULL, "Mount over a directory that is not empty."},
	{"hydrate", OPT_GLOBS, "GLOB:GLOB", NULL, NULL,
		"Fetch all values at mount, or those of the paths that a glob matches, and keep "
		"them fresh in the background, read or not. Without globs a value that is held is "
		"read from the kernel's memory. It is the default where all sources are local "
		"(file:, env:, inline:). See HYDRATION."},
	{"lazy", OPT_FLAG, NULL, NULL, NULL,
		"Fetch values when they are opened. It is the default of sources on a network, "
		"and turns a hydrate of the config file off."},
	{"debug", OPT_FLAG, NULL, NULL, NULL, "Log more. Values are never logged."},
	{"log", OPT_STRING, "stderr|syslog|FILE", NULL, NULL,
		"Where log lines go: standard error, syslog, or a file named by its absolute path, "
		"which must not lie in the mount; lines in a file start with the time. The default "
		"is syslog, or stderr in the foreground."},
	{"audit", OPT_STRING, "syslog|FILE", NULL, NULL,
		"Write a line for each open of a secret: to syslog, or to a file named by its "
		"absolute path, which must not lie in the mount. See AUDIT."},
	{"audit_required", OPT_FLAG, NULL, NULL, NULL,
		"An open whose audit line cannot be written fails with EIO."},
	{"on_change", OPT_STRING, "COMMAND", NULL, NULL,
		"Shell command that is run as the caller of mount after secrets were created, "
		"rotated or "
		"deleted; standard input tells which. See ON CHANGE."},
	{"on_change_delay", OPT_DURATION, "TIME", "1", NULL,
		"Shortest time between two starts of the command: 0s to 1h. What changes meanwhile "
		"is told to the next run."},
	{"on_change_timeout", OPT_DURATION, "TIME", "60", NULL,
		"Longest time the command may run: 1s to 1h. Then it is ended with all that it "
		"started."},
	IGNORED("defaults"), IGNORED("ro"), IGNORED("rw"), IGNORED("auto"), IGNORED("noauto"),
	IGNORED("_netdev"), IGNORED("nofail"), IGNORED("users"), IGNORED("nouser"),
	IGNORED("nousers"), IGNORED("owner"), IGNORED("group"), IGNORED("comment"),
	IGNORED("x-systemd.*"), IGNORED("x-mount.*"), IGNORED("X-mount.*"), IGNORED("x-gvfs-*"),
	IGNORED("sync"), IGNORED("async"), IGNORED("dirsync"), IGNORED("atime"), IGNORED("noatime"),
	IGNORED("relatime"), IGNORED("norelatime"), IGNORED("strictatime"), IGNORED("lazytime"),
	IGNORED("nolazytime"), IGNORED("iversion"), IGNORED("noiversion"), IGNORED("mand"),
	IGNORED("nomand"), IGNORED("silent"), IGNORED("loud"), IGNORED("symfollow"),
	IGNORED("nosymfollow"), IGNORED("diratime"), IGNORED("nodiratime"), IGNORED("nosuid"),
	IGNORED("nodev"), IGNORED("noexec"), IGNORED("allow_other"), IGNORED("default_permissions"),
	{0}};

const struct opt_table config_mount_options = {"mount", mount_rows};

static const struct opt_row rule_rows[] = {
	{"ttl", OPT_DURATION, "TIME", NULL, NULL, "As the option of the mount."},
	{"stale", OPT_DURATION, "TIME", NULL, NULL, "As the option of the mount."},
	{"uid", OPT_USER, "USER", NULL, NULL, "Owner of the file, in every view of the secret."},
	{"gid", OPT_GROUP, "GROUP", NULL, NULL, "Group of the file."},
	{"mode", OPT_MODE, "MODE", NULL, NULL, "Mode of the file, octal, without write bits."},
	{"dmode", OPT_MODE, "MODE", NULL, NULL, "Mode of directories that the glob matches."},
	{"hidden", OPT_FLAG, NULL, NULL, NULL,
		"The secret does not exist under this mount, in no view."},
	{0}};

const struct opt_table config_rule_options = {"rule", rule_rows};

static const struct opt_row backend_rows[] = {
	{"type", OPT_STRING, "BACKEND", NULL, NULL,
		"Which back end, as before the colon of a SOURCE. Config files only."},
	{"location", OPT_STRING, "LOCATION", NULL, NULL,
		"What stands after the colon of a SOURCE. Config files only."},
	{"at", OPT_STRING, "DIR", NULL, NULL,
		"Directory under the mount that holds the names; / is the mount itself. The "
		"default is "
		"the name of the section. Where two back ends share names, the first one wins."},
	{"prefix", OPT_STRING, "TEXT", NULL, NULL,
		"Show only names that start with these bytes, without them. Usually ends in /."},
	{"add_prefix", OPT_STRING, "TEXT", NULL, NULL,
		"Put these bytes before every name. A / in it makes a directory."},
	{"names", OPT_STRING, "NAME,NAME", NULL, NULL,
		"Names that are shown even if the provider does not list them, as it spells them: "
		"for "
		"who may read but not list."},
	{0}};

const struct opt_table config_backend_options = {"backend", backend_rows};

static void policy_word(struct policy *p, unsigned *missing, const struct rule *r)
{
	unsigned take = *missing & r->words;
	if (take & RULE_TTL)
		p->ttl = r->policy.ttl;
	if (take & RULE_STALE)
		p->stale = r->policy.stale;
	if (take & RULE_UID)
		p->uid = r->policy.uid;
	if (take & RULE_GID)
		p->gid = r->policy.gid;
	if (take & RULE_MODE)
		p->mode = r->policy.mode;
	if (take & RULE_HIDDEN)
		p->hidden = r->policy.hidden;
	*missing &= ~r->words;
}

void config_policy_alias(
	const struct config *c, const char *path, const char *alias, struct policy *ret)
{
	unsigned missing = RULE_TTL | RULE_STALE | RULE_UID | RULE_GID | RULE_MODE | RULE_HIDDEN;
	struct policy p = c->policy;
	for (size_t i = 0; i < c->nrules && missing; i++) {
		const struct rule *r = &c->rules[i];
		if ((r->words & missing) &&
			(glob_match(r->glob, path) || (alias && glob_match(r->glob, alias))))
			policy_word(&p, &missing, r);
	}
	if (c->policy.ttl == 0)
		p.ttl = 0;
	*ret = p;
}

void config_policy(const struct config *c, const char *path, struct policy *ret)
{
	config_policy_alias(c, path, NULL, ret);
}

mode_t config_dir_mode(const struct config *c, const char *path)
{
	for (size_t i = 0; i < c->nrules; i++)
		if ((c->rules[i].words & RULE_DMODE) && glob_match(c->rules[i].glob, path))
			return c->rules[i].dmode;
	return c->dmode;
}

void config_dir_policy(const struct config *c, uid_t *ret_uid, gid_t *ret_gid, mode_t *ret_dmode)
{
	*ret_uid = c->policy.uid;
	*ret_gid = c->policy.gid;
	*ret_dmode = c->dmode;
}

void config_set_owner(struct config *c, uid_t uid, gid_t gid)
{
	if (!opt_user(&c->mount, &config_mount_options, "uid", &c->policy.uid))
		c->policy.uid = uid;
	if (!opt_group(&c->mount, &config_mount_options, "gid", &c->policy.gid))
		c->policy.gid = gid;
}

/* 1 if the file would lie at or below `dir`, links and ".." in its directory resolved; 0 if not, or
 * -ENOMEM. */
static int file_below(const char *path, const char *dir)
{
	static const struct path_env outside = {.covered_fd = -1};
	_cleanup_free_ char *parent = mem_strndup(path, (size_t)(strrchr(path, '/') - path) + 1);
	_cleanup_free_ char *canonical = NULL;
	_cleanup_close_ int fd = -1;
	if (path_below(path, dir))
		return 1;
	int r = parent ? path_open_dir(&outside, parent, &canonical, &fd, NULL) : -ENOMEM;
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	return path_below(canonical, dir);
}

static int check_outside(
	const struct config *c, const char *option, const char *mountpoint, struct sfs_err *err)
{
	const struct opt_value *v = opt_find(&c->mount, option);
	int r = v && v->text[0] == '/' ? file_below(v->text, mountpoint) : 0;
	if (r < 0)
		return err_errno(err, -r, "option %s", option);
	if (r > 0)
		return err_set(err, EINVAL,
			"option %s (%s): %s lies below the mount point %s: the %s of a mount "
			"cannot be written through it; choose a file elsewhere",
			option, v->origin, v->text, mountpoint, option);
	return 0;
}

int config_check_mountpoint(const struct config *c, const char *mountpoint, struct sfs_err *err)
{
	int r = check_outside(c, "log", mountpoint, err);
	return r < 0 ? r : check_outside(c, "audit", mountpoint, err);
}

static void compile_rule(struct rule *r)
{
	static const struct {
		const char *name;
		unsigned word;
	} words[] = {{"ttl", RULE_TTL}, {"stale", RULE_STALE}, {"uid", RULE_UID}, {"gid", RULE_GID},
		{"mode", RULE_MODE}, {"hidden", RULE_HIDDEN}, {"dmode", RULE_DMODE}};
	const struct opt_table *t = &config_rule_options;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (opt_find(&r->opts, words[i].name))
			r->words |= words[i].word;
	r->policy.ttl = opt_duration(&r->opts, t, "ttl");
	r->policy.stale = opt_duration(&r->opts, t, "stale");
	r->policy.hidden = opt_flag(&r->opts, t, "hidden");
	opt_user(&r->opts, t, "uid", &r->policy.uid);
	opt_group(&r->opts, t, "gid", &r->policy.gid);
	opt_mode(&r->opts, t, "mode", &r->policy.mode);
	opt_mode(&r->opts, t, "dmode", &r->dmode);
}

void config_compile(struct config *c, uid_t uid, gid_t gid)
{
	const struct opt_table *t = &config_mount_options;
	unsigned owners = 0;
	for (size_t i = 0; i < c->nrules; i++) {
		compile_rule(&c->rules[i]);
		owners |= c->rules[i].words & (RULE_UID | RULE_GID | RULE_MODE);
	}
	c->policy.ttl = opt_duration(&c->mount, t, "ttl");
	c->policy.stale = opt_duration(&c->mount, t, "stale");
	c->list_ttl = opt_duration(&c->mount, t, "list_ttl");
	c->negative_ttl = opt_duration(&c->mount, t, "negative_ttl");
	c->open_rate = (uint32_t)opt_number(&c->mount, t, "open_rate");
	opt_mode(&c->mount, t, "mode", &c->policy.mode);
	opt_mode(&c->mount, t, "dmode", &c->dmode);
	if (owners && !opt_find(&c->mount, "dmode"))
		c->dmode = 0511;
	config_set_owner(c, uid, gid);
}

void backend_conf_clear(struct backend_conf *b)
{
	for (size_t i = 0; i < b->nvalues; i++) {
		mem_free((char *)b->values[i].name);
		secret_unref(b->values[i].value);
	}
	mem_free(b->values);
	mem_free(b->name);
	mem_free(b->location);
	mem_free(b->at);
	opt_clear(&b->common);
	opt_clear(&b->own);
	*b = (struct backend_conf){0};
}

void config_clear(struct config *c)
{
	for (size_t i = 0; i < c->nbackends; i++)
		backend_conf_clear(&c->backends[i]);
	for (size_t i = 0; i < c->nrules; i++) {
		mem_free(c->rules[i].glob);
		mem_free(c->rules[i].origin);
		opt_clear(&c->rules[i].opts);
	}
	for (size_t i = 0; i < c->nmaps; i++) {
		mem_free(c->maps[i].path);
		mem_free(c->maps[i].name);
		mem_free(c->maps[i].field);
		mem_free(c->maps[i].origin);
	}
	config_clear_globs(c);
	mem_free(c->backends);
	mem_free(c->rules);
	mem_free(c->maps);
	mem_free(c->source);
	mem_free(c->file);
	opt_clear(&c->mount);
	*c = (struct config){0};
}

void config_free(struct config *c)
{
	if (!c)
		return;
	config_clear(c);
	mem_free(c);
}
