/* SPDX-License-Identifier: Apache-2.0 */
/* config_parse(): any bytes give a configuration or one sentence, and a configuration can be shown
 * and used. */
#include "base/buf.h"
#include "core/config_priv.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sfs_err err = {0};
	struct config c = {0};
	struct policy p;
	struct buf out = BUF_INIT(1 << 24);
	int r = config_parse((const char *)data, size, "f", &c, &err);
	if (r < 0) {
		if (!*err.msg || err.code != -r || c.nbackends)
			abort();
		return 0;
	}
	config_policy(&c, "prod/db/password", &p);
	config_policy_alias(&c, "a", "b/c", &p);
	config_text(&c, &out);
	for (size_t i = 0; i < out.len; i++)
		if (out.data[i] != '\n' && (out.data[i] < 0x20 || out.data[i] > 0x7e))
			abort();
	buf_clear(&out);
	config_clear(&c);
	return 0;
}
