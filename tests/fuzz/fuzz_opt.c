/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a string of -o options. Users and groups are left out: they would ask the machine's
 * user data base. */
#include "base/opt.h"
#include "base/ref.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct opt_row rows[] = {
	{"ttl", OPT_DURATION, "SECONDS", "300", NULL, "Duration."},
	{"arena", OPT_SIZE, "BYTES", "64m", NULL, "Size."},
	{"threads", OPT_NUMBER, "N", "8", NULL, "Number."},
	{"mode", OPT_MODE, "MODE", "0400", NULL, "Mode."},
	{"lazy", OPT_FLAG, NULL, NULL, NULL, "Flag."},
	{"hydrate", OPT_GLOBS, "GLOB", NULL, NULL, "Flag or patterns."},
	{"format", OPT_CHOICE, NULL, "auto", "auto|dotenv|json", "Choice."},
	{"cacert", OPT_PATH, "FILE", NULL, NULL, "Path."},
	{"token", OPT_SECRET, "REF", NULL, NULL, "Reference."},
	{"filter", OPT_STRING, "TEXT", NULL, NULL, "Text."},
	{"env.*", OPT_VARIABLE, "VALUE", NULL, NULL, "Variable."},
	{"x-systemd.*", OPT_IGNORED, NULL, NULL, NULL, ""},
	{0},
};
static const struct opt_table table = {"fuzz", rows};
static const struct opt_table *const tables[] = {&table};

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* What was accepted has the shape its type promises. */
static void check_values(const struct opt_values *v)
{
	mode_t mode = 0777;
	const char *token = opt_str(v, &table, "token"), *path = opt_str(v, &table, "cacert");
	int64_t ttl = opt_duration(v, &table, "ttl");
	require(ttl >= -1 && ttl <= INT32_MAX);
	require(opt_size(v, &table, "arena") <= INT64_MAX);
	require(opt_number(v, &table, "threads") <= INT32_MAX);
	require(opt_mode(v, &table, "mode", &mode) && !(mode & ~0555U));
	require(!token || !strncmp(token, "file:/", 6) || !strncmp(token, "env:", 4) ||
		!strncmp(token, "fd:", 3));
	require(!path || path[0] == '/');
	opt_flag(v, &table, "lazy");
	const char *globs = NULL;
	enum opt_globs kind = opt_globs(v, &table, "hydrate", &globs);
	require((kind == OPT_GLOBS_SOME) == (globs != NULL) && (!globs || *globs));
}

/* A variable has a name a shell would take, and a secret one no value but a reference. */
static void check_variables(const struct opt_values *v)
{
	for (size_t i = 0; i < v->n; i++) {
		const char *name = opt_variable(&v->v[i]);
		if (!name)
			continue;
		require(*name && !strpbrk(name, "=*. ") && (*name < '0' || *name > '9'));
		require(!opt_variable_secret(name) || ref_is(opt_reference(&v->v[i])));
		require(opt_find(v, opt_value_name(&v->v[i])) == &v->v[i]);
	}
}

/* The filter, quoted, gives the same value again. */
static void check_round_trip(const struct opt_values *v)
{
	const char *filter = opt_str(v, &table, "filter");
	struct buf b = BUF_INIT(1 << 20);
	struct opt_values again = {0};
	if (!filter)
		return;
	buf_str(&b, "filter=");
	for (const char *p = filter; *p; p++) {
		if (strchr(",\"\\", *p))
			buf_char(&b, '\\');
		buf_char(&b, *p);
	}
	int r = opt_parse(&again, tables, 1, buf_text(&b), "again", NULL);
	require(r == -E2BIG || (r == 0 && !strcmp(opt_str(&again, &table, "filter"), filter)));
	opt_clear(&again);
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct opt_values v = {0};
	struct sfs_err err = {0};
	char *text = malloc(size + 1);
	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (opt_parse(&v, tables, 1, text, "-o", &err) == 0) {
		check_values(&v);
		check_variables(&v);
		check_round_trip(&v);
	} else {
		require(v.n == 0 && err.code > 0 && err.msg[0]);
		for (const char *p = err.msg; *p; p++)
			require(*p >= 0x20 && *p <= 0x7e);
	}
	opt_clear(&v);
	free(text);
	return 0;
}
