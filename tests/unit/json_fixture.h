/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that read JSON: one document at a time. Include once in a program. */
#ifndef SFS_TESTS_JSON_FIXTURE_H
#define SFS_TESTS_JSON_FIXTURE_H

#include "net/json.h"
#include <criterion/criterion.h>
#include <string.h>

static struct json *doc;

static void doc_end(void)
{
	json_free(doc);
	doc = NULL;
}

/* The root of a document that replaces the one before. */
static const struct json_node *parse(const char *text)
{
	struct sfs_err err = {0};
	doc_end();
	cr_assert_eq(json_parse(text, strlen(text), JSON_STRICT, &doc, &err), 0, "%s", err.msg);
	return json_root(doc);
}

#endif
