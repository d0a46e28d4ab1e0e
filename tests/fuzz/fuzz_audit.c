/* SPDX-License-Identifier: Apache-2.0 */
/* What a process can call itself, and where it can be: nothing of it ends a line or a string. */
#include "base/alloc.h"
#include "base/limits.h"
#include "mount/audit_line.h"
#include "mount/audit_who.h"
#include "mount/cli.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

const struct cli_command *const cli_commands[] = {NULL};

static void check_line(const char *comm, const char *cgroup, const char *exe)
{
	const struct audit_line l = {.wall = 1,
		.mount = "/m",
		.comm = comm,
		.cgroup = cgroup,
		.exe = exe,
		.name = "n",
		.view = "tree",
		.cache = "hit"};
	struct buf b = BUF_INIT(SFS_AUDIT_LINE);
	if (audit_line_add(&l, &b) < 0)
		abort();
	for (size_t i = 0; i + 1 < b.len; i++)
		if (b.data[i] < 0x20 || b.data[i] > 0x7e)
			abort();
	if (b.data[b.len - 1] != '\n' || !strstr(b.data, "\",\"name\":\"n\","))
		abort();
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char comm[AUDIT_COMM_MAX + 1] = "";
	uint64_t start;
	size_t len;
	if (size > 3000)
		return 0;
	char *text = mem_strndup((const char *)data, size), *cgroup = NULL;
	if (!text)
		abort();
	audit_parse_stat(text, size, comm, &start);
	const char *path = audit_parse_cgroup(text, &len);
	if (path)
		cgroup = mem_strndup(path, len);
	check_line(comm, cgroup, text);
	mem_free(cgroup);
	mem_free(text);
	return 0;
}
