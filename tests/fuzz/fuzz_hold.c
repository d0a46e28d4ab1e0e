/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker in hostile hands may send to the holder: one message a time, taken whole or
 * refused. */
#include "base/hold.h"
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int sv[2] = {-1, -1};
	struct hold_msg *m =
		malloc(sizeof(*m)); /* its own block, so that ASan sees a write past the end */
	int fd = -1;
	if (!m || (sv[0] < 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0))
		abort();
	if (size == 0 || size > 65536 || send(sv[0], data, size, 0) < 0) {
		free(m);
		return 0;
	}
	int r = hold_recv(sv[1], m, &fd);
	if (r != 1 && r != -EBADMSG)
		abort();
	if (r == 1) {
		size_t header = offsetof(struct hold_msg, text);
		if (fd != -1 || m->len != size - header || strlen(m->text) != m->len)
			abort();
		if (hold_send(sv[0], m, -1) < 0 || hold_recv(sv[1], m, &fd) != 1)
			abort();
	}
	free(m);
	return 0;
}
