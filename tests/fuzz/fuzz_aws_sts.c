/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of STS of any bytes: what is found lies inside the text, what is decoded is no longer
 * than its source, credentials are whole or not there. Also times. */
#include "backends/aws_sts.h"
#include "backends/aws_xml.h"
#include "backends/times.h"
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

static void check_path(const char *xml, size_t len, const char *path)
{
	struct aws_text t = {NULL, 0};
	struct buf b = BUF_SECRET_INIT(200000);
	if (aws_xml_find(xml, len, path, &t) == 0) {
		require(t.p >= xml && t.len <= len && t.p - xml <= (ptrdiff_t)(len - t.len));
		if (aws_xml_decode(t, AWS_XML_NO_BLANKS, &b) == 0)
			require(b.len <= t.len && !memchr(buf_text(&b), ' ', b.len));
		else
			require(b.len == 0);
	}
	buf_clear(&b);
}

static void check_answers(const char *xml, size_t len)
{
	struct aws_temp t = {0};
	struct buf a = BUF_INIT(200000), b = BUF_INIT(200000);
	struct sfs_err err = {0};
	if (aws_sts_credentials(xml, len, &t, &err) == 0)
		require(t.id && t.key && t.token && secret_len(t.id) && secret_len(t.token));
	else
		require(!t.id && !t.key && !t.token && !t.arn && err.msg[0]);
	aws_temp_clear(&t);
	aws_sts_identity(xml, len, &a, &b, &err);
	buf_reset(&a);
	buf_reset(&b);
	if (aws_xml_error(xml, len, &a, &b) == 0)
		require(a.len > 0);
	buf_clear(&a);
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *xml = (const char *)data;
	struct secret_stats stats;
	int64_t ns;
	if (size > 65536)
		return 0;
	check_path(xml, size, "a");
	check_path(xml, size, "*/b");
	check_path(xml, size, "*/*/Credentials/SessionToken");
	check_answers(xml, size);
	if (times_parse(xml, size, &ns) == 0)
		require(size >= 20);
	if (times_epoch(xml, size, &ns) == 0)
		require(ns >= 0);
	secret_stats(&stats);
	require(stats.blocks == 0);
	return 0;
}
