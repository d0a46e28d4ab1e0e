/* SPDX-License-Identifier: Apache-2.0 */
/* commands_parse(): the first byte chooses the file. What is accepted is a legal argument, what is
 * not leaves nothing behind. */
#include "core/control.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sfs_err err = {0};
	struct command *v = NULL;
	size_t n = 0;
	if (!size)
		return 0;
	enum control_file f = data[0] % CONTROL_N;
	int r = commands_parse(f, (const char *)data + 1, size - 1, &v, &n, &err);
	if (r < 0) {
		if (v || n || err.code != -r)
			abort();
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		if ((v[i].kind == COMMAND_ALL) != !v[i].arg || v[i].line == 0)
			abort();
		if (v[i].kind == COMMAND_NAME &&
			(!*v[i].arg || v[i].arg[0] == '/' || strstr(v[i].arg, "//")))
			abort();
	}
	commands_free(v, n);
	return 0;
}
