/* SPDX-License-Identifier: Apache-2.0 */
/* Strings of options: "a=1,b,c=\"x,y\"". */
#include "base/opt.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <string.h>

struct scan {
	const char *start; /* of the whole string, to say where an error is */
	const char *at;
	char *item;  /* the current item, quotes and backslashes resolved; room for the whole string
		      */
	char *value; /* its value in `item`, or NULL */
};

/* True at a backslash that quotes the next byte. Before any other byte it stands for itself
 * (DOMAIN\user). */
static bool quotes_next(const char *s)
{
	return s[0] == '\\' && s[1] && strchr(",\"\\", s[1]);
}

/* Reads the next item into `item`. The first '=' ends the name, quoted or not, so that "filter=a,b"
 * as a whole may be quoted too. */
static int next_item(struct scan *s, const char *origin, struct sfs_err *err)
{
	char *to = s->item;
	const char *open = NULL;
	s->value = NULL;
	for (; *s->at && (open || *s->at != ','); s->at++) {
		if (*s->at == '"') {
			open = open ? NULL : s->at;
			continue;
		}
		if (*s->at == '=' && !s->value) {
			*to++ = '\0';
			s->value = to;
			continue;
		}
		if (quotes_next(s->at))
			s->at++;
		*to++ = *s->at;
	}
	*to = '\0';
	if (open)
		return err_set(err, EINVAL, "options (%s): the double quote at byte %zu has no end",
			origin, (size_t)(open - s->start) + 1);
	if (*s->at == ',')
		s->at++;
	return 0;
}

int opt_parse(struct opt_values *vals, const struct opt_table *const *tables, size_t ntables,
	const char *options, const char *origin, struct sfs_err *err)
{
	size_t len = strlen(options);
	if (len > SFS_OPTION_MAX)
		return err_set(err, E2BIG, "options (%s): %zu bytes, at most %d are taken", origin,
			len, SFS_OPTION_MAX);
	_cleanup_free_ char *item = mem_realloc(NULL, len + 1, 1);
	_cleanup_(opt_clear) struct opt_values all = {0};
	if (!item || opt_copy(&all, vals) < 0)
		return err_set(err, ENOMEM, "options (%s): out of memory", origin);

	struct scan s = {.start = options, .at = options, .item = item};
	while (*s.at) {
		int r = next_item(&s, origin, err);
		if (r == 0 &&
			(*s.item ||
				s.value)) /* ",," and a last comma are nothing, as in mount(8) */
			r = opt_set(&all, tables, ntables, s.item, s.value, origin, err);
		if (r < 0)
			return r;
	}
	struct opt_values old = *vals;
	*vals = all;
	all = old; /* freed at the end of the scope */
	return 0;
}
