/* SPDX-License-Identifier: Apache-2.0 */
/* Profile files of any bytes: values lie inside the secret copy, errors name a line, and a file
 * that is read once is read again in the same way. */
#include "backends/aws_profile.h"
#include "base/secret.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_value(const struct aws_value *v, size_t lines)
{
	if (!v)
		return;
	require(v->text.len > 0 && v->line > 0 && v->line <= lines);
	require(!memchr(v->text.p, '\0', v->text.len));
	require(v->text.p[0] != ' ' && v->text.p[v->text.len - 1] != ' ');
}

static void check(const uint8_t *data, size_t size, enum aws_file kind)
{
	static const char *const keys[] = {"region", "a", "aws_access_key_id", "endpoint_url"};
	struct aws_files *f = NULL;
	struct sfs_err err = {0};
	size_t lines = 1;
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	require(aws_files_new(&f) == 0);
	int rc = aws_files_add(f, data, size, kind, "x", &err);
	if (rc < 0)
		require(err.code == -rc && strncmp(err.msg, "x line ", 7) == 0 &&
			atoi(err.msg + 7) > 0 && (size_t)atoi(err.msg + 7) <= lines);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		check_value(aws_files_value(f, "default", keys[i]), lines);
		check_value(aws_files_value(f, "a", keys[i]), lines);
		check_value(aws_files_session(f, "a", keys[i]), lines);
		check_value(aws_files_service(f, "a", "ssm", keys[i]), lines);
	}
	require(aws_files_no_profile(f, "defalt", &err) < 0 && err.msg[0]);
	aws_files_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct secret_stats stats;
	if (size > 100000)
		return 0;
	check(data, size, AWS_FILE_CONFIG);
	check(data, size, AWS_FILE_CREDENTIALS);
	secret_stats(&stats);
	require(stats.blocks == 0);
	return 0;
}
