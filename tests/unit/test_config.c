/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/core_fixture.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void setup(void)
{
	fakes_register();
}

TestSuite(config, .init = setup);

#define BACK "[backend x]\ntype = fake\nlocation = 0\n"

static int parse(const char *text, struct config *c, struct sfs_err *err)
{
	return config_parse(text, strlen(text), "t.conf", c, err);
}

/* Parsing fails with a sentence that holds `want`, and leaves the result alone. */
static void refused(const char *text, const char *want)
{
	struct sfs_err err = {0};
	struct config c, before;
	memset(&c, 0x5a, sizeof(c));
	before = c;
	int r = parse(text, &c, &err);
	cr_assert_lt(r, 0, "accepted: %s", text);
	cr_assert_eq(-r, err.code);
	cr_assert(strstr(err.msg, want), "%s: %s", text, err.msg);
	cr_assert_eq(memcmp(&c, &before, sizeof(c)), 0);
}

static int load(const char *source, const char *options, struct config **ret, struct sfs_err *err)
{
	return config_load(source, options, &fx_paths, ret, err);
}

static void load_refused(const char *source, const char *options, const char *want)
{
	struct sfs_err err = {0};
	struct config *c = NULL;
	cr_assert_lt(load(source, options, &c, &err), 0, "%s -o %s", source, options);
	cr_assert_null(c);
	cr_assert(strstr(err.msg, want), "%s", err.msg);
}

static struct config *loaded(const char *source, const char *options)
{
	struct sfs_err err = {0};
	struct config *c = NULL;
	cr_assert_eq(load(source, options, &c, &err), 0, "%s", err.msg);
	return c;
}

Test(config, whole_file)
{
	struct config c = {0};
	struct sfs_err err = {0};
	cr_assert_eq(parse("# comment\n; another\n[mount]\nttl = 5m\nnonempty\n\n" BACK "at = a/b\n"
			   "[rule prod/[ab]*]\nttl = 0\nmode = 0440\n[map]\nnew/name = old#field\n",
			     &c, &err),
		0, "%s", err.msg);
	cr_assert_eq(c.policy.ttl, 300);
	cr_assert(opt_flag(&c.mount, &config_mount_options, "nonempty"));
	cr_assert_eq(c.nbackends, 1);
	cr_assert_str_eq(c.backends[0].at, "a/b");
	cr_assert_str_eq(c.rules[0].glob, "prod/[ab]*");
	cr_assert_str_eq(c.rules[0].origin, "t.conf:11");
	cr_assert_str_eq(c.maps[0].path, "new/name");
	cr_assert_str_eq(c.maps[0].name, "old");
	cr_assert_str_eq(c.maps[0].field, "field");
	config_clear(&c);
}

Test(config, errors_name_file_and_line)
{
	refused("[mount]\nttl = soon\n", "t.conf:2");
	refused("ttl = 3\n", "t.conf:1");
	refused("[mount]\n\n\ntll = 3\n", "ttl");
	refused("[mont]\n", "[mount]");
	refused("[backend]\n", "needs a name");
	refused("[mount x]\n", "takes no name");
	refused("[mount]\n[mount]\n" BACK, "already");
	refused(BACK BACK, "already");
	refused("[mount]\nttl = 1\nttl = 2\n" BACK, "twice");
	refused("[backend x]\nlocation = 0\n", "type");
	refused("[backend x]\ntype = fke\n", "fake");
	refused("[backend x]\ntype = fake\nlocaton = 0\n", "location");
	refused("[mount]\nttl = 3\n", "nothing to show");
	refused("", "nothing to show");
	refused("[rule /]\n" BACK, "needs a glob");
	refused("[mount\n", "t.conf:1");
	refused("[ ]\n", "has a name");
	refused("= x\n", "t.conf:1");
	refused("[mount]\nlog = relative\n" BACK, "absolute");
	refused("[mount]\nsuid\n" BACK, "nosuid");
	refused("[mount]\nmode = 0600\n" BACK, "write");
	refused("[mount]\narena = 1k\n" BACK, "64k");
	refused("[mount]\nhydrat\n" BACK, "hydrate");
}

Test(config, ranges)
{
	refused("[mount]\nnegative_ttl = 0\n" BACK, "1s to 5m");
	refused("[mount]\nnegative_ttl = 6m\n" BACK, "1s to 5m");
	refused("[mount]\ntimeout = -1\n" BACK, "1s to 1h");
	refused("[mount]\nwait = never\n" BACK, "0 seconds");
	refused("[mount]\nstale = never\n" BACK, "0 seconds");
	refused(BACK "[rule a]\nstale = -1\n", "0 seconds");
}

Test(config, at_names_a_directory_under_the_mount)
{
	static const char *const bad[] = {".control", "a//b", "a/../b", "%41", "x/.value"};
	struct config c = {0};
	struct sfs_err err;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[256];
		snprintf(text, sizeof(text), BACK "at = %s\n", bad[i]);
		refused(text, "option at");
	}
	static const char *const root[] = {"/", ".", "//"};
	for (size_t i = 0; i < 3; i++) {
		char text[256];
		snprintf(text, sizeof(text), BACK "at = %s\n", root[i]);
		cr_assert_eq(parse(text, &c, &err), 0);
		cr_assert_str_eq(c.backends[0].at, "");
		config_clear(&c);
	}
	cr_assert_eq(parse(BACK, &c, &err), 0);
	cr_assert_str_eq(c.backends[0].at, "x", "its own name");
	config_clear(&c);
	refused("[backend .control]\ntype = fake\n", "directory");
	refused("[backend a/b]\ntype = fake\n", "directory");
}

/* Exactly these bytes: what would be a comment or an escape elsewhere is part of a password. */
Test(config, values_arrive_byte_for_byte)
{
	static const struct {
		const char *line, *name, *value;
	} v[] = {
		{"a = p;w #x", "a", "p;w #x"},
		{"b=  spaced out  ", "b", "spaced out"},
		{"c = \"  kept  \"", "c", "  kept  "},
		{"d = a\"b", "d", "a\"b"},
		{"e = \"q\\\"\\\\\\n\\r\\t\"", "e", "q\"\\\n\r\t"},
		{"f = \\n", "f", "\\n"},
		{"g =", "g", ""},
		{"\"h=i\" = k=l", "h=i", "k=l"},
		{"caf\xc3\xa9 = \xff\xfe", "caf\xc3\xa9", "\xff\xfe"},
		{"  indented = x", "indented", "x"},
		{"crlf = y\r", "crlf", "y"},
	};
	struct config c = {0};
	struct sfs_err err = {0};
	struct buf text = BUF_INIT(8192);
	const size_t n = sizeof(v) / sizeof(v[0]);
	buf_str(&text, "\xef\xbb\xbf[backend x]\ntype = inline\n[values x]\n");
	for (size_t i = 0; i < n; i++)
		buf_printf(&text, "%s\n", v[i].line);
	cr_assert_eq(config_parse(buf_text(&text), text.len, "t.conf", &c, &err), 0, "%s", err.msg);
	cr_assert_eq(c.backends[0].nvalues, n);
	for (size_t i = 0; i < n; i++) {
		const struct inline_value *iv = &c.backends[0].values[i];
		cr_assert_str_eq(iv->name, v[i].name);
		cr_assert_eq(secret_len(iv->value), strlen(v[i].value), "%s", v[i].name);
		cr_assert_eq(memcmp(secret_bytes(iv->value), v[i].value, strlen(v[i].value)), 0,
			"%s", v[i].name);
	}
	config_clear(&c);
	buf_clear(&text);
}

Test(config, long_lines_are_whole_or_refused)
{
	struct config c = {0};
	struct sfs_err err = {0};
	struct buf text = BUF_INIT(200000);
	buf_str(&text, "[backend x]\ntype = inline\n[values x]\nlong = ");
	for (int i = 0; i < 60000; i++)
		buf_char(&text, 'x');
	cr_assert_eq(config_parse(buf_text(&text), text.len, "t.conf", &c, &err), 0, "%s", err.msg);
	cr_assert_eq(secret_len(c.backends[0].values[0].value), 60000);
	config_clear(&c);
	for (int i = 0; i < 10000; i++)
		buf_char(&text, 'x');
	cr_assert_eq(config_parse(buf_text(&text), text.len, "t.conf", &c, &err), -EINVAL);
	cr_assert(strstr(err.msg, "t.conf:4"));
	cr_assert_null(strstr(err.msg, "xxx"));
	buf_clear(&text);
}

Test(config, bad_quotes_and_bytes)
{
	refused("[backend x]\ntype = inline\n[values x]\na = \"open\n", "no end");
	refused("[backend x]\ntype = inline\n[values x]\na = \"x\" y\n", "after the closing");
	refused("[backend x]\ntype = inline\n[values x]\na = \"\\x\"\n", "backslash");
	refused("[backend x]\ntype = inline\n[values x]\n\"a\" b\n", "comes =");
	refused("[backend x]\ntype = inline\n[values x]\nflag\n", "NAME = VALUE");
	refused("[backend x]\ntype = inline\n[values x]\na = CANARY\na = CANARY\n", "twice");
	struct config c;
	struct sfs_err err;
	static const char nul[] = "[mount]\nlog = st\0err\n";
	cr_assert_eq(config_parse(nul, sizeof(nul) - 1, "t.conf", &c, &err), -EINVAL);
	cr_assert(strstr(err.msg, "NUL"));
}

Test(config, values_belong_to_an_inline_back_end)
{
	refused(BACK "[values x]\na = b\n", "inline");
	refused(BACK "[values y]\na = b\n", "no [backend y]");
	refused("[backend x]\ntype = inline\n[values x]\n[values x]\n", "already");
}

Test(config, secret_in_an_option_is_refused_and_not_repeated)
{
	struct sfs_err err = {0};
	struct config c;
	cr_assert_eq(parse(BACK "token = CANARY-1\n", &c, &err), -EINVAL);
	cr_assert_null(strstr(err.msg, "CANARY"));
	cr_assert(strstr(err.msg, "file:"));
}

Test(config, map_paths)
{
	refused(BACK "[map]\n.control/x = a\n", "new path");
	refused(BACK "[map]\n/x = a\n", "new path");
	refused(BACK "[map]\nx =\n", "NEWPATH");
	refused(BACK "[map]\nx = a#\n", "NEWPATH");
	refused(BACK "[map]\nx = a\nx = b\n", "twice");
	refused(BACK "[map]\nx\n", "NAME = VALUE");
}

Test(config, rules_first_match_wins_for_each_word)
{
	struct config c = {0};
	struct sfs_err err;
	struct policy p;
	cr_assert_eq(parse("[mount]\nttl = 100\nuid = 7\n" BACK
			   "[rule a/*]\nttl = 10\n[rule a/b]\nttl = 20\n"
			   "mode = 0444\n[rule **]\nstale = 1\nhidden = no\n",
			     &c, &err),
		0, "%s", err.msg);
	config_policy(&c, "a/b", &p);
	cr_assert_eq(p.ttl, 10);
	cr_assert_eq(p.mode, 0444);
	cr_assert_eq(p.stale, 1);
	cr_assert_eq(p.uid, 7);
	cr_assert_not(p.hidden);
	config_policy(&c, "z", &p);
	cr_assert_eq(p.ttl, 100);
	cr_assert_eq(p.mode, 0400);
	config_policy_alias(&c, "new", "a/b", &p);
	cr_assert_eq(p.ttl, 10);
	config_clear(&c);
}

Test(config, dmode_opens_when_a_rule_sets_an_owner)
{
	static const struct {
		const char *text;
		mode_t want;
	} t[] = {
		{BACK, 0500},
		{BACK "[rule a]\nttl = 1\n", 0500},
		{BACK "[rule a]\nuid = 1\n", 0511},
		{BACK "[rule a]\nmode = 0440\n", 0511},
		{"[mount]\ndmode = 0500\n" BACK "[rule a]\nuid = 1\n", 0500},
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct config c = {0};
		struct sfs_err err;
		uid_t uid;
		gid_t gid;
		mode_t mode;
		cr_assert_eq(parse(t[i].text, &c, &err), 0);
		config_dir_policy(&c, &uid, &gid, &mode);
		cr_assert_eq(mode, t[i].want, "%zu: %o", i, (unsigned)mode);
		config_clear(&c);
	}
}

Test(config, owner_is_the_callers_unless_given)
{
	struct config *c = loaded("fake:0", "uid=5");
	config_set_owner(c, 77, 88);
	cr_assert_eq(c->policy.uid, 5);
	cr_assert_eq(c->policy.gid, 88);
	config_free(c);
}

Test(config, bare_source)
{
	struct config *c = loaded("fake:3", "ttl=9,at=/x/,names=\"a,b\",cafile=/etc/ca,prefix=p/");
	cr_assert_str_eq(c->source, "fake:3");
	cr_assert_str_eq(c->backends[0].name, "fake");
	cr_assert_str_eq(c->backends[0].location, "3");
	cr_assert_str_eq(c->backends[0].at, "x");
	cr_assert_eq(c->policy.ttl, 9);
	cr_assert_str_eq(opt_str(&c->backends[0].common, &config_backend_options, "names"), "a,b");
	config_free(c);
	c = loaded("fake:0", NULL);
	cr_assert_str_eq(c->backends[0].at, "", "a bare source is the root");
	config_free(c);
}

Test(config, bare_source_refusals)
{
	load_refused("fkae:0", "", "did you mean fake");
	load_refused(":0", "", "empty");
	load_refused("", "", "empty");
	load_refused("fake:0", "tll=3", "ttl");
	load_refused("fake:0", "type=fake", "SOURCE says both");
	load_refused("fake:0", "exec", "noexec");
	load_refused("fake:0", "ttl=1,suid", "nosuid");
	load_refused("fake:0", "ttl=1, ttl=2", "a blank before option ttl");
	load_refused("fake:0", "remount", "not remounted");
	load_refused("/etc/app/secrets.env", "", "file:PATH");
	load_refused("./secrets.env", "", "file:PATH");
	load_refused("secrets.env", "", "file:PATH");
	load_refused("dir/secrets", "", "file:PATH");
	load_refused("file:relative", "", "absolute");
	load_refused("fake:0", "negative_ttl=1h", "1s to 5m");
	load_refused("nosuch.conf", "", "absolute");
	load_refused("/nonexistent/x.conf", "", "/nonexistent");
}

Test(config, words_of_fstab)
{
	struct config *c =
		loaded("fake:0", "rw,ro,user,_netdev,nofail,noauto,x-systemd.automount,"
				 "x-mount.mkdir=0755,comment=x,nodev,"
				 "nosuid,noexec,defaults,users,ttl=5,relatime,nosymfollow,silent");
	cr_assert_eq(c->policy.ttl, 5);
	cr_assert_null(opt_find(&c->mount, "user"));
	config_free(c);
	c = loaded("fake:0", "user=root");
	uid_t uid = 1;
	cr_assert(opt_user(&c->mount, &config_mount_options, "user", &uid));
	cr_assert_eq(uid, 0);
	config_free(c);
}

static char *write_file(const char *text, mode_t mode)
{
	static char path[] = "/tmp/sfs-config-XXXXXX.conf";
	strcpy(path, "/tmp/sfs-config-XXXXXX.conf");
	int fd = mkstemps(path, 5);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	fchmod(fd, mode);
	close(fd);
	return path;
}

Test(config, file_and_options_together)
{
	char *path = write_file("[mount]\nttl = 1\nstale = 2\n" BACK, 0600);
	struct config *c = loaded(path, "ttl=9");
	cr_assert_eq(c->policy.ttl, 9, "-o goes before the file");
	cr_assert_eq(c->policy.stale, 2);
	cr_assert_str_eq(c->file, path);
	config_free(c);
	load_refused(path, "at=x", "at");
	unlink(path);
}

Test(config, file_that_others_may_write_is_refused)
{
	char *path = write_file(BACK, 0666);
	load_refused(path, "", "chmod go-w");
	chmod(path, 0600);
	if (getuid() == 0) {
		cr_assert_eq(chown(path, 12345, 0), 0);
		load_refused(path, "", "belongs to uid 12345");
	}
	unlink(path);
}

Test(config, file_must_be_a_regular_file)
{
	char dir[] = "/tmp/sfs-config-XXXXXX", path[64];
	cr_assert(mkdtemp(dir));
	load_refused(dir, "", "file:PATH");
	snprintf(path, sizeof(path), "%s/d.conf", dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	load_refused(path, "", "config file");
	rmdir(path);
	snprintf(path, sizeof(path), "%s/fifo.conf", dir);
	cr_assert_eq(mkfifo(path, 0600), 0);
	load_refused(path, "", "config file");
	unlink(path);
	rmdir(dir);
}

Test(config, log_in_the_mount_is_refused)
{
	struct sfs_err err = {0};
	struct config *c = loaded("fake:0", "log=/run/secrets/log");
	cr_assert_eq(config_check_mountpoint(c, "/run/secrets", &err), -EINVAL);
	cr_assert(strstr(err.msg, "log"));
	cr_assert_eq(config_check_mountpoint(c, "/run/secret", &err), 0);
	config_free(c);
	c = loaded("fake:0", "log=/usr/../run/secrets/log");
	mkdir("/tmp/sfs-logdir", 0700);
	config_free(c);
	c = loaded("fake:0", "log=/tmp/../tmp/sfs-logdir/log");
	cr_assert_eq(
		config_check_mountpoint(c, "/tmp/sfs-logdir", &err), -EINVAL, "also by a detour");
	rmdir("/tmp/sfs-logdir");
	config_free(c);
}

static bool in(char **v, const char *s)
{
	for (; *v; v++)
		if (!strcmp(*v, s))
			return true;
	return false;
}

static void free_list(char **v)
{
	for (char **p = v; *p; p++)
		mem_free(*p);
	mem_free(v);
}

Test(config, paths_and_variables)
{
	struct sfs_err err = {0};
	char **v;
	char dir[] = "/tmp/sfs-paths-XXXXXX", file[64], link[64], source[80];
	cr_assert(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/env", dir);
	snprintf(link, sizeof(link), "/tmp/sfs-link-%d", getpid());
	close(open(file, O_CREAT | O_WRONLY, 0600));
	cr_assert_eq(symlink(file, link), 0);
	snprintf(source, sizeof(source), "file:%s", link);
	struct config *c = loaded(source, NULL);
	cr_assert_eq(config_paths(c, &v, &err), 0);
	cr_assert(in(v, "/tmp"), "where the link lies");
	cr_assert(in(v, dir), "where it leads");
	free_list(v);
	config_free(c);
	c = loaded("fake:0", "cafile=/etc/ssl/ca.pem,token=env:TOKEN_X");
	cr_assert_eq(config_paths(c, &v, &err), 0);
	cr_assert(in(v, "/etc/ssl"));
	free_list(v);
	cr_assert_eq(config_env(c, &v, &err), 0);
	cr_assert(in(v, "TOKEN_X"));
	free_list(v);
	config_free(c);
	c = loaded("env:DB_*,API_KEY", NULL);
	cr_assert_eq(config_env(c, &v, &err), 0);
	cr_assert(in(v, "DB_*"));
	cr_assert(in(v, "API_KEY"));
	free_list(v);
	config_free(c);
	unlink(link);
	unlink(file);
	rmdir(dir);
}

static enum config_hydrate mode_of(const char *mount)
{
	struct config c = {0};
	struct sfs_err err = {0};
	char text[256];
	snprintf(text, sizeof(text), "[mount]\n%s\n" BACK, mount);
	cr_assert_eq(parse(text, &c, &err), 0, "%s", err.msg);
	enum config_hydrate mode = config_hydration(&c);
	config_clear(&c);
	return mode;
}

Test(config, hydrate_and_lazy)
{
	cr_assert_eq(mode_of(""), HYDRATE_NONE);
	cr_assert_eq(mode_of("hydrate"), HYDRATE_ALL);
	cr_assert_eq(mode_of("hydrate = no"), HYDRATE_NONE);
	cr_assert_eq(mode_of("hydrate = yes\nlazy = no"), HYDRATE_ALL);
	cr_assert_eq(mode_of("hydrate = prod/**"), HYDRATE_GLOBS);
	cr_assert_eq(mode_of("hydrate\nttl = 0"), HYDRATE_NONE);
	refused("[mount]\nhydrate\nlazy\n" BACK,
		"options lazy (t.conf:3) and hydrate (t.conf:2) exclude each other");
	refused("[mount]\nhydrate = :\n" BACK, "must be patterns");
	load_refused("fake:0", "lazy,hydrate", "exclude each other");
}

Test(config, hydrate_globs_are_paths_under_the_mount)
{
	struct config *c = loaded("fake:0", "hydrate=/prod/**:a\\:b:x*");
	cr_assert_eq(c->nhydrate_globs, 3);
	cr_assert(config_hydrates(c, "prod/db/password"));
	cr_assert(config_hydrates(c, "a:b"));
	cr_assert(config_hydrates(c, "x"));
	cr_assert_not(config_hydrates(c, "a"));
	cr_assert_not(config_hydrates(c, "dev/x"));
	config_free(c);
}

Test(config, the_command_line_decides_between_hydrate_and_lazy)
{
	char file[] = "/tmp/hydrateXXXXXX.conf";
	static const char text[] = "[mount]\nhydrate = a:b\n" BACK;
	int fd = mkstemps(file, 5);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	struct config *c = loaded(file, "");
	cr_assert_eq(config_hydration(c), HYDRATE_GLOBS);
	cr_assert_eq(c->nhydrate_globs, 2);
	config_free(c);
	c = loaded(file, "lazy");
	cr_assert_eq(config_hydration(c), HYDRATE_NONE);
	config_free(c);
	c = loaded(file, "hydrate");
	cr_assert_eq(config_hydration(c), HYDRATE_ALL);
	cr_assert(config_hydrates(c, "anything"));
	config_free(c);
	unlink(file);
}

Test(config, a_reload_may_change_globs_but_not_whether_the_kernel_asks)
{
	struct sfs_err err = {0};
	struct config *lazy = loaded("fake:0", "lazy"), *all = loaded("fake:0", "hydrate"),
		      *a = loaded("fake:0", "hydrate=a"), *off = loaded("fake:0", "hydrate,ttl=0");
	cr_assert_eq(config_check_reload(a, lazy, &err), 0);
	cr_assert_eq(config_check_reload(lazy, a, &err), 0);
	cr_assert_eq(config_check_reload(all, all, &err), 0);
	cr_assert_eq(config_check_reload(all, a, &err), -EINVAL);
	cr_assert(strstr(err.msg, "this mount is hydrated, and would be lazy because of hydrate"),
		"%s", err.msg);
	cr_assert_eq(config_check_reload(lazy, all, &err), -EINVAL);
	cr_assert(strstr(err.msg, "mount it anew"), "%s", err.msg);
	cr_assert_eq(config_check_reload(all, off, &err), -EINVAL);
	cr_assert(strstr(err.msg, "because of ttl"), "%s", err.msg);
	config_free(lazy);
	config_free(all);
	config_free(a);
	config_free(off);
}

Test(config, text_shows_no_value)
{
	struct buf out = BUF_INIT(65536);
	struct config c = {0};
	struct sfs_err err;
	cr_assert_eq(
		parse("[mount]\nttl = 5\n[backend x]\ntype = inline\n[values x]\nname = CANARY-1\n"
		      "[backend y]\ntype = fake\nlocation = 0\ntoken = env:CANARY2\n[rule a]\nttl "
		      "= 1\n"
		      "[map]\nn = o#f\n",
			&c, &err),
		0, "%s", err.msg);
	cr_assert_eq(config_text(&c, &out), 0);
	cr_assert(strstr(buf_text(&out), "ttl = 5  # t.conf:2\n"));
	cr_assert(strstr(buf_text(&out), "stale = 3600  # default\n"));
	cr_assert(strstr(buf_text(&out), "name = (a value that is not shown)"));
	cr_assert(strstr(buf_text(&out), "n = o#f"));
	cr_assert_null(strstr(buf_text(&out), "CANARY"));
	for (const char *p = buf_text(&out); *p; p++)
		cr_assert((*p >= 0x20 && *p < 0x7f) || *p == '\n');
	config_clear(&c);
	buf_clear(&out);
}

Test(config, every_allocation_may_fail)
{
	static const char text[] =
		"[mount]\nttl = 1\n" BACK "[backend y]\ntype = inline\n[values y]\na = b\n"
		"[rule r]\nttl = 0\n[map]\nx = y#z\n";
	struct sfs_err err;
	unsigned long n = 1;
	for (;; n++) {
		struct config c = {0};
		alloc_fail_at(n);
		int r = parse(text, &c, &err);
		alloc_fail_at(0);
		config_clear(&c);
		if (r == 0)
			break;
		cr_assert_eq(r, -ENOMEM, "%lu: %s", n, err.msg);
	}
	cr_assert_gt(n, 30);
}
