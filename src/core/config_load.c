/* SPDX-License-Identifier: Apache-2.0 */
/* SOURCE and -o: from what mount was given to a checked configuration. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/name.h"
#include "base/text.h"
#include "core/config_priv.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int config_word(
	const char *name, bool has_value, const char *origin, bool *ret_skip, struct sfs_err *err)
{
	static const char *const refused[] = {"suid", "dev", "exec"};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (!strcmp(name, refused[i]))
			return err_set(err, EINVAL,
				"option %s (%s): a secretfs mount is always nosuid, nodev and "
				"noexec; "
				"remove the word",
				name, origin);
	if (!strcmp(name, "remount"))
		return err_set(err, EINVAL,
			"option remount (%s): a secretfs mount is not remounted: unmount it and "
			"mount "
			"it again, or change its configuration file and send SIGHUP to the holder",
			origin);
	*ret_skip = !strcmp(name, "user") && !has_value;
	return 0;
}

static void join_names(struct buf *out)
{
	size_t n;
	const struct backend_ops *const *all = backend_all(&n);
	for (size_t i = 0; i < n; i++)
		if (!(all[i]->flags & BACKEND_HIDDEN))
			buf_printf(out, "%s%s", out->len ? ", " : "", all[i]->name);
}

static const char *nearest_backend(const char *word)
{
	const char *names[128];
	size_t n, used = 0;
	const struct backend_ops *const *all = backend_all(&n);
	for (size_t i = 0; i < n && used < sizeof(names) / sizeof(names[0]); i++)
		if (!(all[i]->flags & BACKEND_HIDDEN))
			names[used++] = all[i]->name;
	return text_nearest(word, names, used);
}

int config_find_backend(
	const char *type, const char *origin, const struct backend_ops **ret, struct sfs_err *err)
{
	const struct backend_ops *ops = backend_find(type);
	if (ops) {
		*ret = ops;
		return 0;
	}
	_cleanup_(buf_clear) struct buf list = BUF_INIT(SFS_ERR_MAX);
	char shown[64];
	join_names(&list);
	text_escaped(shown, sizeof(shown), type, strlen(type));
	const char *near = nearest_backend(type);
	if (near)
		return err_set(err, EINVAL,
			"%s: unknown back end %s: did you mean %s? There are %s", origin, shown,
			near, buf_text(&list));
	return err_set(err, EINVAL, "%s: unknown back end %s: there are %s", origin, shown,
		buf_text(&list));
}

/* --- one back end --- */

static int check_location(const struct backend_conf *b, const char *origin, struct sfs_err *err)
{
	if (!b->ops->location && *b->location)
		return err_set(
			err, EINVAL, "%s: the back end %s takes no location", origin, b->ops->name);
	if (!(b->ops->flags & BACKEND_LOCATION_PATH))
		return 0;
	if (!*b->location)
		return err_set(err, EINVAL,
			"%s: the back end %s needs a path: %s:/PATH, or location = /PATH in its "
			"section",
			origin, b->ops->name, b->ops->name);
	if (b->location[0] != '/')
		return err_set(err, EINVAL,
			"%s: location of the back end %s must be an absolute path", origin,
			b->ops->name);
	return 0;
}

/* Takes the slashes off both ends and refuses what is no directory under the mount. */
static int check_at(const char *at, const char *origin, char **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf name = BUF_INIT(SFS_PATH_MAX);
	_cleanup_(buf_clear) struct buf again = BUF_INIT(SFS_PATH_MAX);
	at += strspn(at, "/");
	size_t len = strlen(at);
	while (len && at[len - 1] == '/')
		len--;
	if (len == 1 && at[0] == '.')
		len = 0;
	_cleanup_free_ char *text = mem_strndup(at, len);
	if (!text)
		return err_set(err, ENOMEM, "%s: out of memory", origin);
	int r = len ? name_decode(&name, text, len) : 0;
	if (r == 0 && len)
		r = name_encode(&again, buf_text(&name), name.len);
	if (r == -ENOMEM)
		return err_set(err, ENOMEM, "%s: out of memory", origin);
	if (r < 0 || strcmp(buf_text(&again), text) != 0)
		return err_set(err, EINVAL,
			"option at (%s): no directory under the mount: no reserved name, unusual "
			"bytes "
			"as %%XX",
			origin);
	*ret = take(text);
	return 0;
}

int backend_conf_finish(
	struct backend_conf *b, const char *at, const char *origin, struct sfs_err *err)
{
	const struct opt_value *given = opt_find(&b->common, "at");
	const char *location = opt_str(&b->common, &config_backend_options, "location");
	if (!b->location)
		b->location = mem_strdup(location ? location : "");
	if (!b->location)
		return err_set(err, ENOMEM, "%s: out of memory", origin);
	int r = check_location(b, origin, err);
	if (r < 0)
		return r;
	return check_at(given ? given->text : at, given ? given->origin : origin, &b->at, err);
}

/* --- checks over everything --- */

static int check_range(const struct config *c, const char *name, int64_t min, int64_t max,
	const char *allowed, struct sfs_err *err)
{
	const struct opt_value *v = opt_find(&c->mount, name);
	if (!v)
		return 0;
	int64_t n = opt_duration(&c->mount, &config_mount_options, name);
	if (n >= min && n <= max)
		return 0;
	return err_set(err, EINVAL, "option %s (%s): must be %s", name, v->origin, allowed);
}

static int check_log(const struct config *c, struct sfs_err *err)
{
	const struct opt_value *v = opt_find(&c->mount, "log");
	if (!v || v->text[0] == '/' || !strcmp(v->text, "stderr") || !strcmp(v->text, "syslog"))
		return 0;
	return err_set(err, EINVAL,
		"option log (%s): must be stderr, syslog, or the absolute path of a file",
		v->origin);
}

/* A shell would take other control characters in silence; a tab is a blank to it. */
static int check_command(const struct config *c, struct sfs_err *err)
{
	const struct opt_value *v = opt_find(&c->mount, "on_change");
	if (!v)
		return 0;
	if (v->text[strspn(v->text, " \t")] == '\0')
		return err_set(
			err, EINVAL, "option on_change (%s): the command is empty", v->origin);
	if (strlen(v->text) >= SFS_COMMAND_MAX)
		return err_set(err, EINVAL,
			"option on_change (%s): the command is longer than %d bytes: put it into a "
			"script",
			v->origin, SFS_COMMAND_MAX - 1);
	for (const char *s = v->text; *s; s++)
		if ((unsigned char)*s < 0x20 && *s != '\t')
			return err_set(err, EINVAL,
				"option on_change (%s): there is a control character in the "
				"command",
				v->origin);
	return 0;
}

static int check_arena(const struct config *c, struct sfs_err *err)
{
	const struct opt_value *v = opt_find(&c->mount, "arena");
	if (!v || opt_size(&c->mount, &config_mount_options, "arena") >= 65536)
		return 0;
	return err_set(err, EINVAL, "option arena (%s): must be 64k or more", v->origin);
}

/* A value that a provider does not confirm is served for a bounded time, always (R61). */
static int check_rules(const struct config *c, struct sfs_err *err)
{
	for (size_t i = 0; i < c->nrules; i++) {
		const struct opt_value *v = opt_find(&c->rules[i].opts, "stale");
		if (v && opt_duration(&c->rules[i].opts, &config_rule_options, "stale") < 0)
			return err_set(err, EINVAL, "option stale (%s): must be 0 seconds or more",
				v->origin);
	}
	return 0;
}

int config_check(struct config *c, struct sfs_err *err)
{
	static const int64_t forever = INT32_MAX;
	int r = check_range(c, "negative_ttl", 1, 300, "1s to 5m", err);
	if (r == 0)
		r = check_range(c, "timeout", 1, 3600, "1s to 1h", err);
	if (r == 0)
		r = check_range(c, "wait", 0, forever, "0 seconds or more", err);
	if (r == 0)
		r = check_range(c, "list_ttl", 0, forever, "0 seconds or more", err);
	if (r == 0)
		r = check_range(c, "stale", 0, forever, "0 seconds or more", err);
	if (r == 0)
		r = check_rules(c, err);
	if (r == 0)
		r = check_log(c, err);
	if (r == 0)
		r = config_check_audit(c, err);
	if (r == 0)
		r = check_arena(c, err);
	if (r == 0)
		r = check_range(c, "on_change_delay", 0, 3600, "0s to 1h", err);
	if (r == 0)
		r = check_range(c, "on_change_timeout", 1, 3600, "1s to 1h", err);
	if (r == 0)
		r = check_command(c, err);
	if (r == 0)
		config_compile(c, getuid(), getgid());
	if (r == 0)
		r = config_compile_hydrate(c, err);
	return r;
}

/* --- -o --- */

/* Length of the item at the start of `s`: to the next comma that is not quoted (the rules of
 * opt_parse()). */
static size_t item_length(const char *s)
{
	bool open = false;
	size_t i = 0;
	for (; s[i] && (open || s[i] != ','); i++) {
		if (s[i] == '\\' && s[i + 1] && strchr(",\"\\", s[i + 1]))
			i++;
		else if (s[i] == '"')
			open = !open;
	}
	return i;
}

/* Copies `options` without the words that are no options. */
static int strip_words(const char *options, struct buf *out, struct sfs_err *err)
{
	while (*options) {
		size_t len = item_length(options);
		size_t word = strcspn(options, "=,");
		bool has_value = word < len, skip = false;
		char name[16] = "";
		if (word < sizeof(name))
			memcpy(name, options, word);
		int r = config_word(name, has_value, CONFIG_ORIGIN_OPTION, &skip, err);
		if (r < 0)
			return r;
		if (!skip && len) {
			if (out->len)
				buf_char(out, ',');
			buf_add(out, options, len);
		}
		options += len + (options[len] == ',');
	}
	if (out->failed)
		return err_set(err, out->failed == EFBIG ? E2BIG : ENOMEM,
			"options (-o): out of memory, or longer than %d bytes", SFS_OPTION_MAX);
	return 0;
}

static bool table_has(const struct opt_table *t, const struct opt_row *row)
{
	for (const struct opt_row *r = t->rows; r->name; r++)
		if (r == row)
			return true;
	return false;
}

/* Moves each value to the set of the table that its row belongs to. */
static int distribute(const struct opt_values *all, const struct opt_table *const *tables,
	struct opt_values *const *sets, size_t n, struct sfs_err *err)
{
	int r = 0;
	for (size_t i = 0; i < all->n && r == 0; i++) {
		const struct opt_value *v = &all->v[i];
		const char *text = opt_type_bare(v->row->type) && !*v->text ? NULL : v->text;
		for (size_t t = 0; t < n && r == 0; t++)
			if (table_has(tables[t], v->row) && v->row->type != OPT_IGNORED)
				r = opt_set(sets[t], &tables[t], 1, opt_value_name(v), text,
					v->origin, err);
	}
	return r;
}

/* Puts -o into the configuration; `b` NULL: only options of the mount. */
static int parse_options(
	struct config *c, struct backend_conf *b, const char *options, struct sfs_err *err)
{
	static const struct opt_row none = {0};
	const struct opt_table own = {
		b ? b->ops->name : "", b && b->ops->options ? b->ops->options : &none};
	const struct opt_table *const tables[] = {
		&config_mount_options, &config_backend_options, &own};
	struct opt_values *const sets[] = {&c->mount, b ? &b->common : NULL, b ? &b->own : NULL};
	_cleanup_(buf_clear) struct buf text = BUF_INIT(SFS_OPTION_MAX);
	_cleanup_(opt_clear) struct opt_values all = {0};
	size_t n = b ? 3 : 1;
	if (!options || !*options)
		return 0;
	int r = strip_words(options, &text, err);
	if (r == 0)
		r = opt_parse(&all, tables, n, buf_text(&text), CONFIG_ORIGIN_OPTION, err);
	if (r == 0)
		r = distribute(&all, tables, sets, n, err);
	if (r == 0 && b && (opt_find(&b->common, "type") || opt_find(&b->common, "location")))
		r = err_set(err, EINVAL,
			"options type and location (-o) belong to config files; SOURCE says both: "
			"BACKEND:LOCATION");
	return r;
}

/* --- SOURCE --- */

static int load_bare(struct config *c, const char *source, const char *options, struct sfs_err *err)
{
	size_t word = strcspn(source, ":");
	_cleanup_free_ char *type = mem_strndup(source, word);
	c->backends = mem_calloc(1, sizeof(*c->backends));
	if (!type || !c->backends)
		return err_set(err, ENOMEM, "SOURCE: out of memory");
	c->nbackends = 1;
	struct backend_conf *b = &c->backends[0];
	if (!word)
		return err_set(err, EINVAL,
			"SOURCE is empty before the colon: write BACKEND:LOCATION "
			"or the path of a .conf file");
	int r = config_find_backend(type, "SOURCE", &b->ops, err);
	if (r < 0)
		return r;
	b->name = mem_strdup(b->ops->name);
	b->location = mem_strdup(source[word] ? source + word + 1 : "");
	if (!b->name || !b->location)
		return err_set(err, ENOMEM, "SOURCE: out of memory");
	r = parse_options(c, b, options, err);
	return r < 0 ? r : backend_conf_finish(b, "", "SOURCE", err);
}

/* What decides over all secrets must not be writable by others (R55). */
static int check_owner(int fd, const char *file, struct stat *ret, struct sfs_err *err)
{
	struct stat st = {0};
	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "config file %s", file);
	if (st.st_uid != 0 && st.st_uid != getuid())
		return err_set(err, EPERM,
			"config file %s belongs to uid %u: it must belong to root or to you (uid "
			"%u)",
			file, (unsigned)st.st_uid, (unsigned)getuid());
	if (st.st_mode & 022)
		return err_set(err, EPERM,
			"config file %s has mode %04o: others may write it; chmod go-w it", file,
			(unsigned)(st.st_mode & 07777));
	*ret = st;
	return 0;
}

static void warn_readable(const struct config *c, const struct stat *st)
{
	size_t values = 0;
	for (size_t i = 0; i < c->nbackends; i++)
		values += c->backends[i].nvalues;
	if (values && (st->st_mode & 044))
		log_warn("config file %s holds values and others may read it (mode %04o): chmod "
			 "0600 "
			 "it",
			c->file, (unsigned)(st->st_mode & 07777));
}

static int load_file(struct config *c, const char *source, const char *options,
	const struct path_env *paths, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(SFS_CONFIG_MAX);
	_cleanup_free_ char *canonical = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st = {0};
	int r = path_open_file(paths, source, &canonical, &fd, err);
	if (r < 0)
		return err_prefix(err, "config file");
	r = check_owner(fd, canonical, &st, err);
	if (r < 0)
		return r;
	r = path_read(fd, canonical, &text, err);
	if (r < 0)
		return err_prefix(err, "config file");
	r = config_parse(buf_text(&text), text.len, canonical, c, err);
	if (r < 0)
		return r;
	c->file = take(canonical);
	r = parse_options(c, NULL, options, err);
	if (r == 0)
		warn_readable(c, &st);
	return r;
}

static bool is_path(const char *source)
{
	return source[0] == '/' || !strncmp(source, "./", 2) || !strncmp(source, "../", 3) ||
	       (!strchr(source, ':') && strpbrk(source, "./"));
}

/* Who forgets the word before a path would else be told that his secrets are no INI file. */
static int refuse_path(const char *source, struct sfs_err *err)
{
	char shown[SFS_ERR_MAX];
	text_escaped(shown, sizeof(shown), source, strlen(source));
	return err_set(err, EINVAL,
		"SOURCE is a path: write file:PATH for the secrets of a file or directory, or "
		"give a configuration file, whose name ends in .conf: %s",
		shown);
}

static int load_source(struct config *c, const char *source, const char *options,
	const struct path_env *paths, struct sfs_err *err)
{
	size_t len = strlen(source);
	if (!is_path(source))
		return load_bare(c, source, options, err);
	if (len <= 5 || strcmp(source + len - 5, ".conf") != 0)
		return refuse_path(source, err);
	return load_file(c, source, options, paths, err);
}

int config_load(const char *source, const char *options, const struct path_env *paths,
	struct config **ret, struct sfs_err *err)
{
	struct config *c = mem_calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, ENOMEM, "out of memory");
	int r = load_source(c, source, options, paths, err);
	if (r == 0)
		r = config_check(c, err);
	if (r == 0 && !(c->source = mem_strdup(source)))
		r = err_set(err, ENOMEM, "out of memory");
	if (r < 0) {
		config_free(c);
		return r;
	}
	*ret = c;
	return 0;
}
