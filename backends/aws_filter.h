/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters of ListSecrets and DescribeParameters, in three spellings of one thing:
 *
 *   Key=tag-key,Values=Dev,Ray Key=name,Values='prod/'     as the AWS CLI takes them
 *   tag-key=Dev,Ray name=prod/                             short
 *   [{"Key": "tag-key", "Values": ["Dev", "Ray"]}]         JSON, as boto3 takes them
 *
 * Filters stand beside each other (all must hold) with blanks between, values of one (any may hold)
 * with commas. A value with a blank, a comma or a quote stands in '...' or "...". Pure functions.
 */
#ifndef SFS_BACKENDS_AWS_FILTER_H
#define SFS_BACKENDS_AWS_FILTER_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

struct aws_filter_kind {
	const char *const *keys; /* ended by NULL; one that ends in ':' is the start of a key */
	bool options;		 /* Option= is known (Parameter Store) */
	size_t max_filters, max_values, max_value_len;
};
extern const struct aws_filter_kind aws_filter_secrets, aws_filter_parameters;

/* Appends the filters of `text` as JSON objects with commas between, without the brackets of the
 * array, and adds their number to *n. EINVAL with a sentence that says what is wrong and what is
 * possible; E2BIG; ENOMEM. Nothing is appended on failure. */
int aws_filter_parse(const struct aws_filter_kind *kind, const char *text, struct buf *ret,
	size_t *n, struct sfs_err *err);

#endif
