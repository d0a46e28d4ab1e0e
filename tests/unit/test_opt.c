/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/opt.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CANARY	 "s3cr3t-CANARY-7f3a"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct opt_row mount_rows[] = {
	{"ttl", OPT_DURATION, "SECONDS", "300", NULL,
		"How long a value is served before it is fetched again. -1 never expires, 0 is "
		"never cached."},
	{"arena", OPT_SIZE, "BYTES", "64m", NULL, "Locked memory for values."},
	{"threads", OPT_NUMBER, "N", NULL, NULL, "Fetches at once."},
	{"uid", OPT_USER, "USER", NULL, NULL, "Owner of the files."},
	{"gid", OPT_GROUP, "GROUP", NULL, NULL, "Group of the files."},
	{"user", OPT_USER, "USER", "no-such-user-here", NULL, "Who the worker runs as."},
	{"mode", OPT_MODE, "MODE", "0400", NULL, "Mode of the files."},
	{"lazy", OPT_FLAG, NULL, NULL, NULL, "Fetch at open."},
	{"atime", OPT_FLAG, NULL, "yes", NULL, "A flag that is on."},
	{"hydrate", OPT_GLOBS, "GLOB:GLOB", NULL, NULL, "Fetch at mount."},
	{"nofail", OPT_IGNORED, NULL, NULL, NULL, ""},
	{"x-systemd.*", OPT_IGNORED, NULL, NULL, NULL, ""},
	{0},
};
static const struct opt_row file_rows[] = {
	{"format", OPT_CHOICE, "FORMAT", "auto", "auto|dotenv|json|mlrun-list",
		"How the file is read."},
	{"cacert", OPT_PATH, "FILE", NULL, NULL,
		".pem file with 'trusted' CAs; \"quoted\" C:\\x ~ ^ `"},
	{"token", OPT_SECRET, "REF", NULL, NULL, "The token."},
	{"filter", OPT_STRING, "FILTER", NULL, NULL, "The provider's own filter."},
	{"env.*", OPT_VARIABLE, "VALUE", NULL, NULL, "Set the variable NAME."},
	{"ttl", OPT_STRING, NULL, NULL, NULL, "Hidden behind the row of the first table."},
	{0},
};
static const struct opt_table mount_table = {"mount", mount_rows};
static const struct opt_table file_table = {"file", file_rows};
static const struct opt_table *const tables[] = {&mount_table, &file_table};

static struct sfs_err err;

static int set(struct opt_values *v, const char *name, const char *text)
{
	err_clear(&err);
	return opt_set(v, tables, 2, name, text, "-o", &err);
}

static int parse(struct opt_values *v, const char *s)
{
	err_clear(&err);
	return opt_parse(v, tables, 2, s, "-o", &err);
}

static const char *filter(const struct opt_values *v)
{
	return opt_str(v, &file_table, "filter");
}

Test(opt, defaults_hold_until_something_is_given)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	mode_t mode = 7;
	cr_assert_eq(opt_duration(&v, &mount_table, "ttl"), 300);
	cr_assert_eq(opt_size(&v, &mount_table, "arena"), 64 << 20);
	cr_assert_eq(opt_number(&v, &mount_table, "threads"), 0);
	cr_assert_not(opt_flag(&v, &mount_table, "lazy"));
	cr_assert(opt_flag(&v, &mount_table, "atime"));
	cr_assert(opt_mode(&v, &mount_table, "mode", &mode));
	cr_assert_eq(mode, 0400);
	cr_assert_str_eq(opt_str(&v, &file_table, "format"), "auto");
	cr_assert_null(opt_str(&v, &file_table, "cacert"));
	cr_assert_null(opt_find(&v, "ttl"));
}

Test(opt, values_replace_defaults_and_the_last_wins)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	mode_t mode = 7;
	cr_assert_eq(parse(&v, "ttl=5m,arena=1g,threads=7,lazy,atime=no,mode=0440,format=json,ttl="
			       "2h,filter="),
		0, "%s", err.msg);
	cr_assert_eq(opt_duration(&v, &mount_table, "ttl"), 7200);
	cr_assert_eq(opt_size(&v, &mount_table, "arena"), 1 << 30);
	cr_assert_eq(opt_number(&v, &mount_table, "threads"), 7);
	cr_assert(opt_flag(&v, &mount_table, "lazy"));
	cr_assert_not(opt_flag(&v, &mount_table, "atime"));
	cr_assert(opt_mode(&v, &mount_table, "mode", &mode));
	cr_assert_eq(mode, 0440);
	cr_assert_str_eq(opt_str(&v, &file_table, "format"), "json");
	cr_assert_str_eq(filter(&v), "");
	const struct opt_value *ttl = opt_find(&v, "ttl");
	cr_assert_str_eq(ttl->text, "2h");
	cr_assert_str_eq(ttl->origin, "-o");
	cr_assert_eq(ttl->row, &mount_rows[0]);
	cr_assert_eq(v.n, 8);
}

/* R36 */
Test(opt, unknown_options_name_the_nearest)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	cr_assert_eq(parse(&v, "tll=3"), -EINVAL);
	cr_assert_eq(err.code, EINVAL);
	cr_assert_str_eq(err.msg, "unknown option tll (-o): did you mean ttl?");
	cr_assert_eq(parse(&v, "fromat=json"), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "did you mean format?"));
	cr_assert_eq(parse(&v, "banana"), -EINVAL);
	cr_assert_null(strstr(err.msg, "mean"));
	cr_assert_not_null(strstr(err.msg, "banana"));
	cr_assert_eq(parse(&v, "=3"), -EINVAL);
	cr_assert_eq(set(&v, "", "x"), -EINVAL);
	cr_assert_eq(v.n, 0);
}

/* token=file:/x,SECRET: the tail of a value with an unquoted comma is no name and is not shown. */
Test(opt, what_is_no_option_name_is_not_repeated)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	static const char *const odd[] = {CANARY "/+", CANARY "\x1b[2J", CANARY " " CANARY,
		CANARY CANARY CANARY CANARY CANARY};
	for (size_t i = 0; i < COUNT(odd); i++) {
		cr_assert_eq(set(&v, odd[i], NULL), -EINVAL);
		cr_assert_null(strstr(err.msg, "CANARY"), "%s", err.msg);
		cr_assert_not_null(strstr(err.msg, "comma"));
	}
}

static void check_refused(const char *name, const char *const *bad, size_t n)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	char where[64];
	snprintf(where, sizeof(where), "option %s (-o): ", name);
	for (size_t i = 0; i < n; i++) {
		cr_assert_eq(set(&v, name, bad[i]), -EINVAL, "%s=%s", name, bad[i]);
		cr_assert_eq(strncmp(err.msg, where, strlen(where)), 0, "%s", err.msg);
		cr_assert_eq(v.n, 0);
		/* The value may be a secret that was given to the wrong option. */
		cr_assert_null(strstr(err.msg, "CANARY"), "%s", err.msg);
	}
	cr_assert_eq(set(&v, name, NULL), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "needs a value"));
}

#define REFUSED(name, ...)                                      \
	check_refused(name, (const char *const[]){__VA_ARGS__}, \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

Test(opt, bad_numbers)
{
	REFUSED("ttl", "", "x", CANARY, "1h30m", "2147483648", "-2", " 5");
	REFUSED("arena", "", "-1", "64q", CANARY, "99999999999g", "9223372036854775808");
	REFUSED("threads", "", "-1", "2147483648", "1k", CANARY);
}

Test(opt, range_errors_say_the_limit)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	set(&v, "ttl", "2147483648");
	cr_assert_not_null(strstr(err.msg, "at most 2147483647"));
	set(&v, "arena", "9223372036854775808");
	cr_assert_not_null(strstr(err.msg, "8 EiB"));
}

Test(opt, number_limit_is_exact)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	cr_assert_eq(set(&v, "threads", "2147483647"), 0);
	cr_assert_eq(opt_number(&v, &mount_table, "threads"), 2147483647);
	cr_assert_eq(set(&v, "ttl", "never"), 0);
	cr_assert_eq(opt_duration(&v, &mount_table, "ttl"), -1);
}

Test(opt, flags)
{
	static const char *const on[] = {"yes", "true", "on", "1", "YES", NULL};
	static const char *const off[] = {"no", "false", "off", "0", "No"};
	_cleanup_(opt_clear) struct opt_values v = {0};
	for (size_t i = 0; i < COUNT(on); i++) {
		cr_assert_eq(set(&v, "lazy", on[i]), 0);
		cr_assert(opt_flag(&v, &mount_table, "lazy"));
		cr_assert_str_eq(opt_find(&v, "lazy")->text, on[i] ? on[i] : "");
	}
	for (size_t i = 0; i < COUNT(off); i++) {
		cr_assert_eq(set(&v, "lazy", off[i]), 0);
		cr_assert_not(opt_flag(&v, &mount_table, "lazy"));
	}
	cr_assert_eq(set(&v, "lazy", "maybe"), -EINVAL);
	cr_assert_eq(set(&v, "lazy", ""), -EINVAL);
	cr_assert_eq(set(&v, "nolazy", NULL), -EINVAL);
}

Test(opt, choices)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	cr_assert_eq(set(&v, "format", "auto"), 0);
	cr_assert_eq(set(&v, "format", "mlrun-list"), 0);
	REFUSED("format", "", "Json", "jso", "jsonx", "auto|dotenv", "|", CANARY);
	set(&v, "format", "yaml");
	cr_assert_not_null(strstr(err.msg, "auto|dotenv|json|mlrun-list"));
}

Test(opt, modes_have_no_write_bit)
{
	static const char *const good[] = {"0400", "440", "0444", "555", "0", "0111"};
	_cleanup_(opt_clear) struct opt_values v = {0};
	mode_t mode = 7;
	for (size_t i = 0; i < COUNT(good); i++) {
		cr_assert_eq(set(&v, "mode", good[i]), 0, "%s", good[i]);
		cr_assert(opt_mode(&v, &mount_table, "mode", &mode));
		cr_assert_eq(mode, (mode_t)strtoul(good[i], NULL, 8));
	}
	opt_clear(&v);
	REFUSED("mode", "", "0600", "0644", "222", "0777", "4555", "1000", "8", "0x1", "r--", "-1",
		"04000", "77777777777777777777777", CANARY);
	set(&v, "mode", "0640");
	cr_assert_not_null(strstr(err.msg, "use 0440"), "%s", err.msg);
}

Test(opt, users_and_groups)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	uid_t uid = 77;
	gid_t gid = 77;
	cr_assert_not(opt_user(&v, &mount_table, "uid", &uid));
	cr_assert_not(
		opt_user(&v, &mount_table, "user", &uid), "a default that does not exist here");
	cr_assert_not(opt_group(&v, &mount_table, "gid", &gid));
	cr_assert_eq(uid, 77);
	cr_assert_eq(gid, 77);
	cr_assert_eq(set(&v, "uid", "daemon"), 0, "%s", err.msg);
	cr_assert_eq(set(&v, "gid", "daemon"), 0, "%s", err.msg);
	cr_assert(opt_user(&v, &mount_table, "uid", &uid));
	cr_assert(opt_group(&v, &mount_table, "gid", &gid));
	cr_assert_eq(uid, getpwnam("daemon")->pw_uid);
	cr_assert_eq(gid, getgrnam("daemon")->gr_gid);
	cr_assert_eq(set(&v, "uid", "4294967294"), 0);
	cr_assert(opt_user(&v, &mount_table, "uid", &uid));
	cr_assert_eq(uid, 4294967294U);
	opt_clear(&v);
	REFUSED("uid", "", "no-such-user-here", "4294967295", "-1", CANARY);
	REFUSED("gid", "", "no-such-group-here", "4294967296", "99999999999999999999", CANARY);
}

Test(opt, paths_are_absolute)
{
	static char longest[SFS_PATH_MAX + 1];
	_cleanup_(opt_clear) struct opt_values v = {0};
	memset(longest, 'a', SFS_PATH_MAX);
	longest[0] = '/';
	REFUSED("cacert", "", "ca.pem", "./x", "~/x", CANARY, longest);
	longest[SFS_PATH_MAX - 1] = '\0';
	cr_assert_eq(set(&v, "cacert", longest), 0);
	cr_assert_eq(set(&v, "cacert", "/etc/ssl/ca.pem"), 0);
	cr_assert_str_eq(opt_str(&v, &file_table, "cacert"), "/etc/ssl/ca.pem");
}

Test(opt, secrets_are_references_only)
{
	static const char *const good[] = {
		"file:/etc/token", "env:TOKEN", "env:_x9", "fd:3", "fd:0"};
	_cleanup_(opt_clear) struct opt_values v = {0};
	for (size_t i = 0; i < COUNT(good); i++) {
		cr_assert_eq(set(&v, "token", good[i]), 0, "%s: %s", good[i], err.msg);
		cr_assert_str_eq(opt_str(&v, &file_table, "token"), good[i]);
	}
	opt_clear(&v);
	REFUSED("token", "", CANARY, "file:" CANARY, "file:", "env:", "env:9" CANARY, "env:" CANARY,
		"env:a=" CANARY, "fd:", "fd:-1", "fd:x" CANARY, "fd:2147483648", "FILE:/" CANARY,
		"File:/" CANARY);
	set(&v, "token", CANARY);
	cr_assert_not_null(strstr(err.msg, "file:/PATH, env:NAME or fd:NUMBER"), "%s", err.msg);
}

Test(opt, words_of_fstab_are_accepted)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	cr_assert_eq(parse(&v, "nofail,x-systemd.automount,x-systemd.idle-timeout=5min,nofail=1"),
		0, "%s", err.msg);
	cr_assert_not_null(opt_find(&v, "nofail"));
	cr_assert_eq(parse(&v, "x-systemd"), -EINVAL);
	cr_assert_eq(parse(&v, "x-systemd.x,nofial"), -EINVAL);
	cr_assert_not_null(strstr(err.msg, "did you mean nofail?"));
}

Test(opt, the_first_table_that_has_the_name_is_meant)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	cr_assert_eq(set(&v, "ttl", "7"), 0);
	cr_assert_eq(opt_duration(&v, &mount_table, "ttl"), 7);
	cr_assert_null(opt_str(&v, &file_table, "ttl"));
}

Test(opt, getters_of_the_wrong_type_abort, .signal = SIGABRT)
{
	struct opt_values v = {0};
	opt_flag(&v, &mount_table, "ttl");
}

Test(opt, getters_of_an_unknown_name_abort, .signal = SIGABRT)
{
	struct opt_values v = {0};
	opt_str(&v, &file_table, "tll");
}

Test(opt, errors_say_the_origin)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	cr_assert_eq(opt_set(&v, tables, 2, "ttl", "x", "/etc/secretfs/x.conf:12", &err), -EINVAL);
	cr_assert_not_null(
		strstr(err.msg, "option ttl (/etc/secretfs/x.conf:12): must be seconds"));
	cr_assert_eq(opt_set(&v, tables, 2, "ttl", "7", "/etc/secretfs/x.conf:12", &err), 0);
	cr_assert_str_eq(opt_find(&v, "ttl")->origin, "/etc/secretfs/x.conf:12");
	cr_assert_eq(opt_set(&v, tables, 2, "ttl", "x", "-o", NULL), -EINVAL, "no error wanted");
}

Test(parse, quotes_and_backslashes)
{
	static const struct {
		const char *options, *value;
	} rows[] = {{"filter=a\\,b", "a,b"}, {"filter=\"a,b\"", "a,b"}, {"\"filter=a,b\"", "a,b"},
		{"filter=a\"b,c\"d", "ab,cd"}, {"filter=\"\"", ""}, {"filter=\\\"a", "\"a"},
		{"filter=\"a\\\"b\"", "a\"b"}, {"filter=a\\\\", "a\\"}, {"filter=\"a\\\\\"", "a\\"},
		{"filter=DOM\\user", "DOM\\user"}, {"filter=a\\", "a\\"},
		{"filter=Key=tag-key\\,Values=Dev", "Key=tag-key,Values=Dev"},
		{"filter=\"Key=tag-key,Values=Dev,Ray Key=name\"",
			"Key=tag-key,Values=Dev,Ray Key=name"},
		{"filter=[{\"\\\"Key\\\":1\"}]", "[{\"Key\":1}]"}, {"filter==", "="}};
	for (size_t i = 0; i < COUNT(rows); i++) {
		_cleanup_(opt_clear) struct opt_values v = {0};
		char more[128];
		cr_assert_eq(parse(&v, rows[i].options), 0, "%s: %s", rows[i].options, err.msg);
		cr_assert_str_eq(filter(&v), rows[i].value);
		snprintf(more, sizeof(more), "ttl=5,%s", rows[i].options);
		opt_clear(&v);
		cr_assert_eq(parse(&v, more), 0);
		cr_assert_str_eq(filter(&v), rows[i].value);
		cr_assert_eq(opt_duration(&v, &mount_table, "ttl"), 5);
	}
}

Test(parse, empty_items_are_nothing)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	cr_assert_eq(parse(&v, ""), 0);
	cr_assert_eq(parse(&v, ",,\"\",,"), 0);
	cr_assert_eq(v.n, 0);
	cr_assert_eq(parse(&v, ",ttl=5,,lazy,"), 0);
	cr_assert_eq(v.n, 2);
}

Test(parse, a_quote_without_end_is_an_error)
{
	static const char *const bad[] = {
		"filter=\"a", "filter=a\"", "filter=\"a\\\"", "\"", "lazy,filter=\"a,b"};
	_cleanup_(opt_clear) struct opt_values v = {0};
	for (size_t i = 0; i < COUNT(bad); i++) {
		cr_assert_eq(parse(&v, bad[i]), -EINVAL, "%s", bad[i]);
		cr_assert_not_null(strstr(err.msg, "has no end"));
	}
	cr_assert_not_null(strstr(err.msg, "at byte 13"), "%s", err.msg);
	cr_assert_eq(v.n, 0);
}

Test(parse, all_or_nothing)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	cr_assert_eq(parse(&v, "ttl=5,filter=x"), 0);
	cr_assert_eq(parse(&v, "ttl=6,lazy,filter=y,mode=0777"), -EINVAL);
	cr_assert_eq(parse(&v, "ttl=6,filter=\""), -EINVAL);
	cr_assert_eq(v.n, 2);
	cr_assert_str_eq(opt_find(&v, "ttl")->text, "5");
	cr_assert_str_eq(filter(&v), "x");
}

Test(parse, overlong_strings_are_refused)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	_cleanup_free_ char *s = mem_calloc(SFS_OPTION_MAX + 2, 1);
	memset(s, 'x', SFS_OPTION_MAX + 1);
	memcpy(s, "filter=", 7);
	cr_assert_eq(parse(&v, s), -E2BIG);
	s[SFS_OPTION_MAX] = '\0';
	cr_assert_eq(parse(&v, s), 0);
	cr_assert_eq(strlen(filter(&v)), SFS_OPTION_MAX - 7);
}

Test(opt, every_allocation_may_fail)
{
	_cleanup_(opt_clear) struct opt_values v = {0};
	int r = -ENOMEM, failures = 0;
	cr_assert_eq(parse(&v, "ttl=1,filter=old"), 0);
	for (unsigned long n = 1; r < 0; n++, failures++) {
		alloc_fail_at(n);
		r = parse(&v, "ttl=2,lazy,filter=\"a,b\",uid=daemon");
		alloc_fail_at(0);
		if (r == 0)
			break;
		cr_assert_eq(r, -ENOMEM);
		cr_assert_eq(err.code, ENOMEM);
		cr_assert_eq(v.n, 2);
		cr_assert_str_eq(opt_find(&v, "ttl")->text, "1");
		cr_assert_str_eq(filter(&v), "old");
	}
	cr_assert_geq(failures, 10);
	cr_assert_str_eq(filter(&v), "a,b");
}

Test(opt, copies_are_independent)
{
	_cleanup_(opt_clear) struct opt_values a = {0}, b = {0};
	parse(&a, "ttl=5,filter=x,lazy");
	parse(&b, "arena=1k");
	cr_assert_eq(opt_copy(&b, &a), 0);
	cr_assert_eq(b.n, 3);
	parse(&a, "ttl=6");
	cr_assert_eq(opt_duration(&b, &mount_table, "ttl"), 5);
	cr_assert_str_eq(filter(&b), "x");
	cr_assert_null(opt_find(&b, "arena"));
	for (unsigned long n = 1; n <= 4; n++) {
		alloc_fail_at(n);
		cr_assert_eq(opt_copy(&b, &a), -ENOMEM);
		alloc_fail_at(0);
		cr_assert_eq(opt_duration(&b, &mount_table, "ttl"), 5, "untouched on failure");
	}
}

static char *printed(void (*print)(FILE *, const struct opt_table *), const struct opt_table *t)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	print(f, t);
	fclose(f);
	return text;
}

Test(globs, a_flag_or_patterns)
{
	static const char *const bad[] = {"", ":", "a:", ":a", "a::b", "a\\::"};
	const char *text = NULL;
	_cleanup_(opt_clear) struct opt_values v = {0};
	cr_assert_eq(opt_globs(&v, &mount_table, "hydrate", &text), OPT_GLOBS_NONE);
	cr_assert_eq(set(&v, "hydrate", NULL), 0);
	cr_assert_eq(opt_globs(&v, &mount_table, "hydrate", &text), OPT_GLOBS_ALL);
	cr_assert_eq(set(&v, "hydrate", "no"), 0);
	cr_assert_eq(opt_globs(&v, &mount_table, "hydrate", &text), OPT_GLOBS_NONE);
	cr_assert_eq(set(&v, "hydrate", "Yes"), 0);
	cr_assert_eq(opt_globs(&v, &mount_table, "hydrate", &text), OPT_GLOBS_ALL);
	cr_assert_null(text);
	for (size_t i = 0; i < COUNT(bad); i++) {
		cr_assert_eq(set(&v, "hydrate", bad[i]), -EINVAL, "%s", bad[i]);
		cr_assert(strstr(err.msg, "option hydrate (-o): must be patterns"), "%s", err.msg);
	}
	cr_assert_eq(parse(&v, "hydrate=prod/**:a\\:b,lazy"), 0, "%s", err.msg);
	cr_assert_eq(opt_globs(&v, &mount_table, "hydrate", &text), OPT_GLOBS_SOME);
	cr_assert_str_eq(text, "prod/**:a\\:b");
}

Test(help, fits_80_columns_and_shows_every_row)
{
	for (size_t i = 0; i < 2; i++) {
		char *text = printed(opt_print_help, tables[i]);
		for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
			size_t len = strcspn(line, "\n");
			cr_assert_leq(len, 80, "%s", line);
			cr_assert(len == 0 || line[len - 1] != ' ', "trailing blank");
			cr_assert_eq(strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
						  "WXYZ0123456789 .,;:'\"=-_~^`\\[]"),
				len);
		}
		for (const struct opt_row *row = tables[i]->rows; row->name; row++) {
			char want[64];
			snprintf(want, sizeof(want), "\n  %.*s", (int)strcspn(row->name, "*"),
				row->name);
			cr_assert_eq(strstr(text, want) != NULL, row->type != OPT_IGNORED, "%s",
				row->name);
		}
		free(text);
	}
}

Test(help, exact)
{
	static const struct opt_row rows[] = {
		{"ttl", OPT_DURATION, "SECONDS", "300", NULL,
			"How long a value is served before it is fetched again. -1 never expires, "
			"0 is never cached."},
		{"a_very_long_option_name", OPT_STRING, "WORD", NULL, NULL, "Short."},
		{"format", OPT_CHOICE, NULL, "auto", "auto|json", "Plain."},
		{"kind", OPT_CHOICE, "KIND", NULL, "a|b", "Plain."},
		{"lazy", OPT_FLAG, NULL, NULL, NULL, "Fetch at open."},
		{"hydrate", OPT_GLOBS, "GLOB", NULL, NULL, "Fetch at mount."},
		{"env.*", OPT_VARIABLE, "VALUE", NULL, NULL, "Set it."},
		{"nofail", OPT_IGNORED, NULL, NULL, NULL, ""},
		{0},
	};
	static const struct opt_table t = {"mount", rows};
	char *text = printed(opt_print_help, &t);
	cr_assert_str_eq(text,
		"Options of mount:\n"
		"  ttl=SECONDS             How long a value is served before it is fetched again.\n"
		"                          -1 never expires, 0 is never cached. Default: 300.\n"
		"  a_very_long_option_name=WORD\n"
		"                          Short.\n"
		"  format=auto|json        Plain. Default: auto.\n"
		"  kind=KIND               Plain. One of a, b.\n"
		"  lazy                    Fetch at open.\n"
		"  hydrate[=GLOB]          Fetch at mount.\n"
		"  env.NAME=VALUE          Set it.\n");
	free(text);
}

Test(help, man_escapes_what_troff_would_take)
{
	char *text = printed(opt_print_man, &file_table);
	cr_assert_not_null(
		strstr(text,
			".TP\n\\fBformat\\fR=\\fIFORMAT\\fR\nHow the file is read.\n"
			"One of \\fBauto|dotenv|json|mlrun\\-list\\fR.\nDefault: \\fBauto\\fR.\n"),
		"%s", text);
	cr_assert_not_null(
		strstr(text, ".TP\n\\fBenv.\\fR\\fINAME\\fR=\\fIVALUE\\fR\nSet the"), "%s", text);
	cr_assert_not_null(strstr(text, "\n\\&.pem file with \\(aqtrusted\\(aq CAs; "
					"\\(dqquoted\\(dq C:\\ex \\(ti \\(ha \\(ga\n"),
		"%s", text);
	free(text);
	text = printed(opt_print_man, &mount_table);
	cr_assert_not_null(strstr(text, "\\-1 never expires"));
	cr_assert_not_null(strstr(text, ".PP\nAccepted and without effect, as fstab(5) has them: "
					"\\fBnofail\\fR, \\fBx\\-systemd.*\\fR.\n"),
		"%s", text);
	/* A line of ours that starts with a dot is one of the two macros. */
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		cr_assert(*line != '\'' && (*line != '.' || !strncmp(line, ".TP\n", 4) ||
						   !strncmp(line, ".PP\n", 4)));
	free(text);
}
