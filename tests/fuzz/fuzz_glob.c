/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a pattern and, after the first newline, a path. */
#include "base/text.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* A path whose every byte is quoted is a pattern for itself alone. */
static void check_quoted(const char *path)
{
	size_t len = strlen(path), n = 0;
	char *pattern = malloc(2 * len + 3);
	if (!pattern || len > 2000) {
		free(pattern);
		return;
	}
	for (const char *p = path; *p; p++) {
		if (strchr("*?[\\", *p))
			pattern[n++] = '\\';
		pattern[n++] = *p;
	}
	pattern[n] = '\0';
	require(glob_match(pattern, path));
	strcpy(pattern + n, "**");
	require(glob_match(pattern, path));
	free(pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 2);
	if (!text || size > 20000) {
		free(text);
		return 0;
	}
	if (size)
		memcpy(text, data, size);
	text[size] = text[size + 1] = '\0';
	char *path = text + strcspn(text, "\n");
	if (*path)
		*path++ = '\0';
	bool match = glob_match(text, path);
	/* Two stars and a slash in front also match nothing, so that what matched still does. */
	char *deeper = malloc(strlen(text) + 4);
	if (deeper) {
		strcpy(deeper, "**/");
		strcat(deeper, text);
		require(!match || !strcmp(text, "*") || glob_match(deeper, path));
	}
	check_quoted(path);
	free(deeper);
	free(text);
	return 0;
}
