/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/hold.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER offsetof(struct hold_msg, text)

static int sv[2];

static void pair(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
}

static struct hold_msg message(uint32_t type, const char *text)
{
	struct hold_msg m = {
		.type = type, .id = 5, .code = -7, .arg = 9, .len = (uint32_t)strlen(text)};
	memcpy(m.text, text, m.len);
	return m;
}

static int open_descriptors(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

Test(hold, a_message_arrives_whole, .init = pair)
{
	struct hold_msg m = message(HOLD_OPEN_FILE, "/etc/x"), got;
	int fd = 99;
	memset(&got, 0xff, sizeof(got));
	cr_assert_eq(hold_send(sv[0], &m, -1), 0);
	cr_assert_eq(hold_recv(sv[1], &got, &fd), 1);
	cr_assert_eq(fd, -1);
	cr_assert(got.type == HOLD_OPEN_FILE && got.id == 5 && got.code == -7 && got.arg == 9);
	cr_assert_str_eq(got.text, "/etc/x");
}

Test(hold, a_descriptor_travels_and_is_close_on_exec, .init = pair)
{
	struct hold_msg m = message(HOLD_REPLY, ""), got;
	struct stat a, b;
	int fd = -1, file = open("/etc/passwd", O_RDONLY);
	cr_assert_eq(hold_send(sv[0], &m, file), 0);
	cr_assert_eq(hold_recv(sv[1], &got, &fd), 1);
	cr_assert_geq(fd, 0);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert(fstat(fd, &a) == 0 && fstat(file, &b) == 0 && a.st_ino == b.st_ino);
}

Test(hold, the_longest_text_passes_and_one_more_is_refused, .init = pair)
{
	struct hold_msg m = {.type = HOLD_REPLY, .len = SFS_HOLD_MSG_MAX - 1}, got;
	int fd;
	memset(m.text, 'a', sizeof(m.text));
	cr_assert_eq(hold_send(sv[0], &m, -1), 0);
	cr_assert_eq(hold_recv(sv[1], &got, &fd), 1);
	cr_assert_eq(strlen(got.text), SFS_HOLD_MSG_MAX - 1);
	m.len++;
	cr_assert_eq(hold_send(sv[0], &m, -1), -EMSGSIZE);
}

Test(hold, the_end_is_0_and_EPIPE, .init = pair)
{
	struct hold_msg m = message(HOLD_LIVE, "");
	int fd;
	close(sv[0]);
	cr_assert_eq(hold_recv(sv[1], &m, &fd), 0);
	m = message(HOLD_LIVE, "");
	cr_assert_eq(hold_send(sv[1], &m, -1), -EPIPE);
}

static void refuse(const void *data, size_t len)
{
	struct hold_msg got;
	int fd = 1234;
	cr_assert_eq(send(sv[0], data, len, 0), (ssize_t)len);
	cr_assert_eq(hold_recv(sv[1], &got, &fd), -EBADMSG);
	cr_assert_eq(fd, 1234, "the output is untouched");
}

Test(hold, malformed_messages_are_refused, .init = pair)
{
	struct {
		struct hold_msg m;
		char more[8];
	} big;
	struct hold_msg m = message(HOLD_OPEN_FILE, "/etc/x");
	refuse(&m, HEADER - 1);
	refuse(&m, 1);
	refuse(&m, HEADER + m.len - 1);
	refuse(&m, HEADER + m.len + 1);
	m.text[2] = '\0';
	refuse(&m, HEADER + m.len);
	m = message(0, "x");
	refuse(&m, HEADER + m.len);
	m = message(HOLD_REPLY + 1, "x");
	refuse(&m, HEADER + m.len);
	m = message(HOLD_REPLY, "x");
	m.len = UINT32_MAX;
	refuse(&m, HEADER + 1);
	memset(&big, 'a', sizeof(big));
	big.m.type = HOLD_REPLY;
	big.m.len = sizeof(big) - HEADER;
	refuse(&big, sizeof(big));
	big.m.len = SFS_HOLD_MSG_MAX;
	refuse(&big, sizeof(big.m));
}

/* Sends `len` bytes of `m` with `n` descriptors, as hold_send() never would. */
static void send_many(const struct hold_msg *m, size_t len, size_t n)
{
	union {
		char buf[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} ctl = {.buf = {0}};
	int fds[8] = {0};
	struct iovec iov = {(void *)(uintptr_t)m, len};
	struct msghdr h = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ctl.buf,
		.msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	cr_assert_geq(sendmsg(sv[0], &h, 0), 0);
}

Test(hold, descriptors_of_refused_messages_are_closed, .init = pair)
{
	struct hold_msg m = message(HOLD_REPLY, "x"), got;
	int fd = 1234, before = open_descriptors();
	for (size_t n = 2; n <= 8; n++) {
		send_many(&m, HEADER + m.len, n);
		cr_assert_eq(hold_recv(sv[1], &got, &fd), -EBADMSG, "%zu descriptors", n);
	}
	send_many(&m, HEADER - 1, 1);
	cr_assert_eq(hold_recv(sv[1], &got, &fd), -EBADMSG);
	cr_assert_eq(fd, 1234);
	cr_assert_eq(open_descriptors(), before);
}

/* the client */

static struct hold_client *client;
static pthread_t reader;
static int stops, reloads;

static void on_order(void *arg, enum hold_type t)
{
	cr_assert_eq(arg, (void *)&stops);
	stops += t == HOLD_STOP;
	reloads += t == HOLD_RELOAD;
}

static void *run(void *arg)
{
	(void)arg;
	hold_client_run(client, on_order, &stops);
	return NULL;
}

static void start_client(void)
{
	pair();
	cr_assert_eq(hold_client_new(sv[0], &client), 0);
	cr_assert_eq(pthread_create(&reader, NULL, run, NULL), 0);
}

static void stop_client(void)
{
	hold_client_stop(client);
	pthread_join(reader, NULL);
	hold_client_free(client);
}

/* The holder of a test: what it answers to the request it gets. */
static struct hold_msg receive(void)
{
	struct hold_msg m;
	int fd;
	cr_assert_eq(hold_recv(sv[1], &m, &fd), 1);
	return m;
}

static void answer(uint32_t id, int code, const char *text, bool with_fd)
{
	struct hold_msg m = message(HOLD_REPLY, text);
	int fd = with_fd ? open("/dev/null", O_RDONLY) : -1;
	m.id = id;
	m.code = code;
	cr_assert_eq(hold_send(sv[1], &m, fd), 0);
	if (fd >= 0)
		close(fd);
}

struct question {
	pthread_t thread;
	char path[32];
	char *text;
	int fd, r;
	struct sfs_err err;
};

static void *ask(void *arg)
{
	struct question *q = arg;
	q->fd = 1234;
	q->r = hold_ask_path(client, HOLD_OPEN_FILE, q->path, 3, &q->text, &q->fd, &q->err);
	return NULL;
}

static void begin(struct question *q, const char *path)
{
	*q = (struct question){.text = NULL};
	snprintf(q->path, sizeof(q->path), "%s", path);
	cr_assert_eq(pthread_create(&q->thread, NULL, ask, q), 0);
}

Test(hold_client, an_answer_brings_descriptor_and_text, .init = start_client, .fini = stop_client)
{
	struct question q;
	begin(&q, "/a");
	struct hold_msg m = receive();
	cr_assert_eq(m.type, HOLD_OPEN_FILE);
	cr_assert_eq(m.arg, 3);
	cr_assert_str_eq(m.text, "/a");
	answer(m.id, 0, "/real/a", true);
	pthread_join(q.thread, NULL);
	cr_assert_eq(q.r, 0);
	cr_assert_str_eq(q.text, "/real/a");
	cr_assert_geq(fcntl(q.fd, F_GETFD), 0);
	close(q.fd);
	mem_free(q.text);
}

Test(hold_client, a_refusal_brings_its_sentence_and_leaves_outputs, .init = start_client,
	.fini = stop_client)
{
	struct question q;
	begin(&q, "/a");
	answer(receive().id, EACCES, "outside", false);
	pthread_join(q.thread, NULL);
	cr_assert_eq(q.r, -EACCES);
	cr_assert_str_eq(q.err.msg, "outside");
	cr_assert(q.fd == 1234 && !q.text);
}

Test(hold_client, an_answer_without_descriptor_is_malformed, .init = start_client,
	.fini = stop_client)
{
	struct question q;
	begin(&q, "/a");
	answer(receive().id, 0, "", false);
	pthread_join(q.thread, NULL);
	cr_assert_eq(q.r, -EBADMSG);
	cr_assert_eq(q.fd, 1234);
}

static void *ask_exe(void *arg)
{
	struct question *q = arg;
	q->r = hold_ask_text(client, HOLD_EXE, "", 4711, &q->text, &q->err);
	return NULL;
}

Test(hold_client, an_answer_of_text_alone, .init = start_client, .fini = stop_client)
{
	struct question q = {.text = NULL};
	cr_assert_eq(pthread_create(&q.thread, NULL, ask_exe, &q), 0);
	struct hold_msg m = receive();
	cr_assert(m.type == HOLD_EXE && m.arg == 4711 && m.len == 0);
	answer(m.id, 0, "/bin/x", false);
	pthread_join(q.thread, NULL);
	cr_assert_eq(q.r, 0);
	cr_assert_str_eq(q.text, "/bin/x");
	mem_free(q.text);
}

Test(hold_client, a_descriptor_that_nobody_wanted_is_closed, .init = start_client,
	.fini = stop_client)
{
	struct question q = {.text = NULL};
	int before = open_descriptors();
	cr_assert_eq(pthread_create(&q.thread, NULL, ask_exe, &q), 0);
	answer(receive().id, ESRCH, "gone", true);
	pthread_join(q.thread, NULL);
	cr_assert_eq(q.r, -ESRCH);
	cr_assert_null(q.text);
	cr_assert_eq(open_descriptors(), before);
}

Test(hold_client, many_threads_each_get_their_own_answer, .init = start_client, .fini = stop_client)
{
	enum { N = 32 };
	struct question q[N];
	struct hold_msg m[N];
	for (int i = 0; i < N; i++) {
		char path[16];
		snprintf(path, sizeof(path), "/%d", i);
		begin(&q[i], path);
	}
	for (int i = 0; i < N; i++)
		m[i] = receive();
	for (int i = N - 1; i >= 0; i--)
		answer(m[i].id, 0, m[i].text, true);
	for (int i = 0; i < N; i++) {
		pthread_join(q[i].thread, NULL);
		cr_assert_eq(q[i].r, 0);
		cr_assert_str_eq(q[i].text, q[i].path);
		close(q[i].fd);
		mem_free(q[i].text);
	}
}

Test(hold_client, answers_to_nobody_are_dropped_with_their_descriptor, .init = start_client,
	.fini = stop_client)
{
	struct question q;
	int before = open_descriptors();
	answer(4711, 0, "", true);
	begin(&q, "/a"); /* answered after it: the other one is through by then */
	answer(receive().id, ENOENT, "none", false);
	pthread_join(q.thread, NULL);
	cr_assert_eq(q.r, -ENOENT);
	cr_assert_eq(open_descriptors(), before);
}

Test(hold_client, a_holder_that_ends_wakes_all, .init = start_client, .fini = stop_client)
{
	struct question q[3];
	for (int i = 0; i < 3; i++)
		begin(&q[i], "/a");
	for (int i = 0; i < 3; i++)
		receive();
	close(sv[1]);
	for (int i = 0; i < 3; i++) {
		pthread_join(q[i].thread, NULL);
		cr_assert_eq(q[i].r, -EPIPE);
	}
	int fd = 1234;
	struct sfs_err err = {0};
	cr_assert_eq(
		hold_ask(client, HOLD_ENV, "", 0, &fd, &err), -EPIPE, "and later ones at once");
	cr_assert(strstr(err.msg, "has ended"), "%s", err.msg);
	cr_assert_eq(fd, 1234);
}

Test(hold_client, orders_are_passed_on_and_rubbish_is_not)
{
	start_client();
	struct hold_msg m = message(HOLD_RELOAD, "");
	cr_assert_eq(hold_send(sv[1], &m, -1), 0);
	cr_assert_eq(send(sv[1], "rubbish", 7, 0), 7);
	m = message(HOLD_LIVE, "");
	cr_assert_eq(hold_send(sv[1], &m, -1), 0);
	m = message(HOLD_STOP, "");
	cr_assert_eq(hold_send(sv[1], &m, -1), 0);
	close(sv[1]);
	pthread_join(reader, NULL);
	cr_assert_eq(reloads, 1);
	cr_assert_eq(stops, 1);
	hold_client_free(client);
}

Test(hold_client, tell_needs_no_answer, .init = start_client, .fini = stop_client)
{
	cr_assert_eq(hold_tell(client, HOLD_FAILED, EIO, "no luck"), 0);
	struct hold_msg m = receive();
	cr_assert(m.type == HOLD_FAILED && m.code == EIO);
	cr_assert_str_eq(m.text, "no luck");
}

Test(hold_client, a_path_too_long_is_not_sent, .init = start_client, .fini = stop_client)
{
	static char path[SFS_HOLD_MSG_MAX + 1];
	int fd = 1234;
	memset(path, 'a', SFS_HOLD_MSG_MAX);
	cr_assert_eq(hold_ask(client, HOLD_OPEN_FILE, path, 0, &fd, NULL), -EMSGSIZE);
	cr_assert_eq(fd, 1234);
}

Test(hold_client, no_memory)
{
	struct hold_client *c = (struct hold_client *)&sv;
	alloc_fail_at(1);
	cr_assert_eq(hold_client_new(0, &c), -ENOMEM);
	alloc_fail_at(0);
	cr_assert_eq((void *)c, (void *)&sv);
	hold_client_free(NULL);
}
