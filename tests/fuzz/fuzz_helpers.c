/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker in hostile hands may send to the renamer ('r' and a message) and to the spawner
 * ('c' and lines of changes). */
#include "base/changes.h"
#include "base/limits.h"
#include "base/renmsg.h"
#include "base/text.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *path, size_t len)
{
	if (strlen(path) != len || path[0] == '/' || strncmp(path, "../", 3) == 0 ||
		strstr(path, "/../") || strcmp(path, "..") == 0)
		abort();
}

static void try_message(const uint8_t *data, size_t size)
{
	if (size > sizeof(struct renamer_msg))
		return;
	/* Its own block, so that ASan sees a read past the end. */
	size_t room = size > offsetof(struct renamer_msg, text)
			      ? size
			      : offsetof(struct renamer_msg, text);
	struct renamer_msg *m = malloc(room);
	if (!m)
		abort();
	memcpy(m, data, size);
	if (renmsg_well_formed(m, size) && m->type <= RENAMER_RMDIR) {
		check_path(renmsg_from(m), m->from_len);
		if (m->type == RENAMER_RENAME)
			check_path(renmsg_to(m), m->to_len);
	}
	free(m);
}

static void try_lines(const char *text, size_t size)
{
	static char out[SFS_CHANGES_MAX], again[SFS_CHANGES_MAX];
	struct changes c = CHANGES_INIT, d = CHANGES_INIT;
	char *copy = malloc(size ? size : 1);
	if (!copy)
		abort();
	memcpy(copy, text, size);
	if (changes_add_lines(&c, copy, size) == 0) {
		size_t n = changes_take(&c, out, sizeof(out));
		if (n > size + strlen("changed *\n") || (n && out[n - 1] != '\n') ||
			changes_any(&c) || memchr(out, '\0', n) || memchr(out, 0x1b, n))
			abort();
		/* What comes out is legal, and as it is. */
		if (changes_add_lines(&d, out, n) < 0 ||
			changes_take(&d, again, sizeof(again)) != n || memcmp(out, again, n) != 0)
			abort();
	} else if (changes_any(&c)) {
		abort();
	}
	changes_clear(&c);
	changes_clear(&d);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0 && data[0] == 'r')
		try_message(data + 1, size - 1);
	else if (size > 0 && data[0] == 'c')
		try_lines((const char *)data + 1, size - 1);
	return 0;
}
