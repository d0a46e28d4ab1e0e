/* SPDX-License-Identifier: Apache-2.0 */
#include "base/renmsg.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define HEADER offsetof(struct renamer_msg, text)

static bool is_request(uint32_t type)
{
	return type >= RENAMER_RENAME && type <= RENAMER_RMDIR;
}

static size_t text_len(const struct renamer_msg *m)
{
	return is_request(m->type) ? (size_t)m->from_len + 1 + m->to_len + 1 : 0;
}

int renmsg_request(struct renamer_msg *m, enum renamer_op op, const char *from, const char *to)
{
	size_t from_len = strlen(from), to_len = to ? strlen(to) : 0;
	bool rename = op == RENAMER_RENAME;
	if (!is_request(op) || !text_plain_path(from, from_len) || rename != (to != NULL) ||
		(rename && !text_plain_path(to, to_len)))
		return -EINVAL;
	m->type = op;
	m->id = m->generation = 0;
	m->code = 0;
	m->from_len = (uint32_t)from_len;
	m->to_len = (uint32_t)to_len;
	memcpy(m->text, from, from_len + 1);
	memcpy(m->text + from_len + 1, to ? to : "", to_len + 1);
	return 0;
}

int renmsg_send(int sock, const struct renamer_msg *m)
{
	for (;;) {
		if (send(sock, m, HEADER + text_len(m), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == ECONNRESET || errno == ECONNREFUSED || errno == ENOTCONN)
			return -EPIPE;
		if (errno != EINTR)
			return -errno;
	}
}

bool renmsg_well_formed(const struct renamer_msg *m, size_t size)
{
	if (size < HEADER || m->type < RENAMER_RENAME || m->type > RENAMER_REPLY ||
		m->from_len >= SFS_PATH_MAX || m->to_len >= SFS_PATH_MAX ||
		size != HEADER + text_len(m))
		return false;
	if (!is_request(m->type))
		return m->from_len == 0 && m->to_len == 0;
	const char *to = renmsg_to(m);
	return text_plain_path(renmsg_from(m), m->from_len) && to[-1] == '\0' &&
	       to[m->to_len] == '\0' &&
	       (m->type == RENAMER_RENAME ? text_plain_path(to, m->to_len) : m->to_len == 0);
}

int renmsg_recv(int sock, struct renamer_msg *m, int flags)
{
	ssize_t n;
	/* Without room for control data the kernel drops descriptors that somebody attached. */
	do
		n = recv(sock, m, sizeof(*m), flags | MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (n == 0)
		return 0;
	return (size_t)n <= sizeof(*m) && renmsg_well_formed(m, (size_t)n) ? 1 : -EBADMSG;
}
