/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's calls to the renamer, and the messages. The test stands for renamer and holder. */
#include "base/alloc.h"
#include "base/renmsg.h"
#include "mount/renamer.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER offsetof(struct renamer_msg, text)
#define SOON   5000 /* ms; nothing here waits so long */

static struct renamer *r;
static struct hold_client *hold;
static int theirs, holder; /* the renamer's end, the holder's end */

static void setup(void)
{
	int a[2], b[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, a), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, b), 0);
	theirs = a[1];
	holder = b[1];
	cr_assert_eq(hold_client_new(b[0], &hold), 0);
	cr_assert_eq(renamer_new(a[0], hold, &r), 0);
}

static void teardown(void)
{
	renamer_free(r);
	hold_client_free(hold);
}

TestSuite(renamer, .init = setup, .fini = teardown);

static void say(enum renamer_op type, uint32_t generation, uint32_t id, int code)
{
	const struct renamer_msg m = {
		.type = type, .generation = generation, .id = id, .code = code};
	cr_assert_eq(renmsg_send(theirs, &m), 0);
}

static struct renamer_msg hear(void)
{
	struct renamer_msg m;
	cr_assert_eq(renmsg_recv(theirs, &m, 0), 1);
	return m;
}

/* A renamer that answers `n` requests with these codes. */
struct peer {
	pthread_t thread;
	size_t n;
	int codes[16];
	struct renamer_msg last;
};

static void *answer(void *arg)
{
	struct peer *p = arg;
	for (size_t i = 0; i < p->n; i++) {
		p->last = hear();
		say(RENAMER_REPLY, p->last.generation, p->last.id, p->codes[i]);
	}
	return NULL;
}

static void begin(struct peer *p)
{
	cr_assert_eq(pthread_create(&p->thread, NULL, answer, p), 0);
}

Test(renamer, without_one_nothing_is_asked)
{
	cr_assert(!renamer_ready(r));
	cr_assert_not_null(renamer_trouble(r));
	cr_assert_eq(renamer_do(r, RENAMER_UNLINK, "a", NULL, SOON), -EPIPE);
	cr_assert(!renamer_tid(r, 0));
	struct renamer_msg m;
	cr_assert_eq(renmsg_recv(theirs, &m, MSG_DONTWAIT), -EAGAIN);
}

Test(renamer, an_operation_and_its_answer)
{
	struct peer p = {.n = 2, .codes = {0, ENOENT}};
	say(RENAMER_HELLO, 3, 0, 4711);
	cr_assert(renamer_ready(r));
	cr_assert_null(renamer_trouble(r));
	cr_assert(renamer_tid(r, 4711) && !renamer_tid(r, 4712) && !renamer_tid(r, 0));
	begin(&p);
	cr_assert_eq(renamer_do(r, RENAMER_RENAME, ".next/7", "a/b", SOON), 0);
	cr_assert_eq(renamer_do(r, RENAMER_MKDIR, "d e", NULL, SOON), -ENOENT);
	pthread_join(p.thread, NULL);
	cr_assert_eq(p.last.type, RENAMER_MKDIR);
	cr_assert_eq(p.last.generation, 3);
	cr_assert_str_eq(renmsg_from(&p.last), "d e");
}

Test(renamer, illegal_paths_are_not_sent)
{
	say(RENAMER_HELLO, 1, 0, 4711);
	cr_assert_eq(renamer_do(r, RENAMER_UNLINK, "../a", NULL, SOON), -EINVAL);
	cr_assert_eq(renamer_do(r, RENAMER_UNLINK, "", NULL, SOON), -EINVAL);
	cr_assert_eq(renamer_do(r, RENAMER_UNLINK, "a", "b", SOON), -EINVAL);
	cr_assert_eq(renamer_do(r, RENAMER_RENAME, "a", NULL, SOON), -EINVAL);
	cr_assert_eq(renamer_do(r, RENAMER_RENAME, "a", "/b", SOON), -EINVAL);
	cr_assert_eq(renamer_do(r, RENAMER_HELLO, "a", NULL, SOON), -EINVAL);
}

Test(renamer, R23_one_that_does_not_answer_is_given_up_and_told_to_the_holder)
{
	struct hold_msg m;
	int fd;
	say(RENAMER_HELLO, 5, 0, 4711);
	cr_assert_eq(renamer_do(r, RENAMER_UNLINK, "a", NULL, 0), -ETIMEDOUT);
	cr_assert(!renamer_tid(r, 4711), "what it still sends is a stranger's");
	cr_assert_not_null(renamer_trouble(r));
	cr_assert_eq(hold_recv(holder, &m, &fd), 1);
	cr_assert(m.type == HOLD_RENAMER_STUCK && m.code == 5);
	struct renamer_msg late = hear();
	say(RENAMER_REPLY, 5, late.id, 0);
	cr_assert(!renamer_ready(r));
	cr_assert_eq(renamer_do(r, RENAMER_UNLINK, "b", NULL, SOON), -EPIPE);
	say(RENAMER_GONE, 5, 0, 0);
	say(RENAMER_HELLO, 6, 0, 4712);
	cr_assert(renamer_ready(r), "its successor is used");
	cr_assert(renamer_tid(r, 4712) && !renamer_tid(r, 4711));
}

Test(renamer, a_holder_that_does_not_read_is_told_later)
{
	struct hold_msg m;
	int fd, full = 0;
	say(RENAMER_HELLO, 5, 0, 4711);
	while (hold_tell_now(hold, HOLD_LIVE, 0, "") == 0)
		full++;
	cr_assert_eq(renamer_do(r, RENAMER_UNLINK, "a", NULL, 0), -ETIMEDOUT);
	while (full--)
		cr_assert_eq(hold_recv(holder, &m, &fd), 1);
	cr_assert(!renamer_ready(r));
	cr_assert_eq(hold_recv(holder, &m, &fd), 1);
	cr_assert(m.type == HOLD_RENAMER_STUCK && m.code == 5);
}

Test(renamer, late_and_foreign_answers_are_ignored)
{
	struct peer p = {.n = 1, .codes = {EBUSY}};
	say(RENAMER_HELLO, 2, 0, 4711);
	say(RENAMER_REPLY, 2, 0, 0);
	say(RENAMER_REPLY, 2, 1, 0); /* before it was asked */
	cr_assert(renamer_ready(r));
	say(RENAMER_REPLY, 1, 1, 0); /* of another generation */
	say(RENAMER_REPLY, 2, 77, 0);
	cr_assert_eq(send(theirs, "rubbish", 7, 0), 7);
	begin(&p);
	cr_assert_eq(renamer_do(r, RENAMER_UNLINK, "a", NULL, SOON), -EBUSY);
	pthread_join(p.thread, NULL);
}

static void *end_instead(void *arg)
{
	struct renamer_msg m = hear();
	say(RENAMER_GONE, m.generation, 0, 0);
	return arg;
}

Test(renamer, one_that_ends_meanwhile)
{
	pthread_t t;
	say(RENAMER_HELLO, 1, 0, 4711);
	cr_assert_eq(pthread_create(&t, NULL, end_instead, NULL), 0);
	cr_assert_eq(renamer_do(r, RENAMER_UNLINK, "a", NULL, SOON), -EPIPE);
	pthread_join(t, NULL);
	cr_assert(!renamer_tid(r, 4711));
}

static void *replace_instead(void *arg)
{
	struct renamer_msg m = hear();
	say(RENAMER_HELLO, m.generation + 1, 0, 4712);
	return arg;
}

Test(renamer, one_that_is_replaced_meanwhile)
{
	pthread_t t;
	say(RENAMER_HELLO, 1, 0, 4711);
	cr_assert_eq(pthread_create(&t, NULL, replace_instead, NULL), 0);
	cr_assert_eq(renamer_do(r, RENAMER_UNLINK, "a", NULL, SOON), -EPIPE);
	pthread_join(t, NULL);
	cr_assert(renamer_tid(r, 4712));
	cr_assert(renamer_ready(r));
}

Test(renamer, the_end_of_an_older_one_is_no_news)
{
	say(RENAMER_HELLO, 2, 0, 4712);
	say(RENAMER_GONE, 1, 0, 0);
	cr_assert(renamer_ready(r));
}

Test(renamer, one_that_cannot_run_is_said)
{
	say(RENAMER_HELLO, 1, 0, 4711);
	say(RENAMER_GONE, 1, 0, EPERM);
	cr_assert(!renamer_ready(r));
	cr_assert(strstr(renamer_trouble(r), "cannot run here"));
}

Test(renamer, refusals_alone_mean_that_we_do_not_know_it)
{
	struct peer p = {.n = 8, .codes = {EROFS, EROFS, EROFS, EROFS, EROFS, EROFS, EROFS, EROFS}};
	say(RENAMER_HELLO, 1, 0, 4711);
	begin(&p);
	for (int i = 0; i < 8; i++)
		cr_assert_eq(renamer_do(r, RENAMER_UNLINK, "a", NULL, SOON), -EROFS);
	pthread_join(p.thread, NULL);
	cr_assert(!renamer_ready(r));
	cr_assert(strstr(renamer_trouble(r), "foreign process id"));
	say(RENAMER_HELLO, 2, 0, 4712);
	cr_assert(!renamer_ready(r), "and another one would be no better");
}

Test(renamer, a_refusal_now_and_then_is_none)
{
	struct peer p = {.n = 10,
		.codes = {0, EROFS, EROFS, EROFS, EROFS, EROFS, EROFS, EROFS, EROFS, EROFS}};
	say(RENAMER_HELLO, 1, 0, 4711);
	begin(&p);
	for (int i = 0; i < 10; i++)
		renamer_do(r, RENAMER_UNLINK, "a", NULL, SOON);
	pthread_join(p.thread, NULL);
	cr_assert(renamer_ready(r));
}

static void *ask(void *arg)
{
	*(int *)arg = renamer_do(r, RENAMER_UNLINK, "a", NULL, SOON);
	return NULL;
}

Test(renamer, stop_wakes_the_one_that_waits)
{
	pthread_t t;
	int code = 0;
	say(RENAMER_HELLO, 1, 0, 4711);
	cr_assert_eq(pthread_create(&t, NULL, ask, &code), 0);
	hear();
	renamer_stop(r);
	pthread_join(t, NULL);
	cr_assert_eq(code, -EPIPE);
	cr_assert(!renamer_ready(r) && !renamer_tid(r, 4711));
}

Test(renamer, the_end_of_the_holder)
{
	say(RENAMER_HELLO, 1, 0, 4711);
	close(theirs);
	cr_assert(!renamer_ready(r));
	cr_assert_eq(renamer_do(r, RENAMER_UNLINK, "a", NULL, SOON), -EPIPE);
}

Test(renamer, no_memory)
{
	struct renamer *x = (struct renamer *)&theirs;
	alloc_fail_at(1);
	cr_assert_eq(renamer_new(0, hold, &x), -ENOMEM);
	alloc_fail_at(0);
	cr_assert_eq((void *)x, (void *)&theirs);
	renamer_free(NULL);
}

/* ---- messages ---- */

Test(renmsg, what_is_sent_arrives)
{
	static struct renamer_msg m, got;
	int sv[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	cr_assert_eq(renmsg_request(&m, RENAMER_RENAME, "a/b", "c"), 0);
	m.id = 5;
	cr_assert_eq(renmsg_send(sv[0], &m), 0);
	cr_assert_eq(renmsg_recv(sv[1], &got, 0), 1);
	cr_assert(got.type == RENAMER_RENAME && got.id == 5);
	cr_assert_str_eq(renmsg_from(&got), "a/b");
	cr_assert_str_eq(renmsg_to(&got), "c");
	close(sv[0]);
	cr_assert_eq(renmsg_recv(sv[1], &got, 0), 0);
	cr_assert_eq(renmsg_send(sv[1], &m), -EPIPE);
}

Test(renmsg, the_longest_paths)
{
	static struct renamer_msg m;
	static char path[SFS_PATH_MAX + 1];
	for (size_t i = 0; i < SFS_PATH_MAX - 1; i++)
		path[i] = i % 256 == 255 ? '/' : 'a';
	cr_assert_eq(renmsg_request(&m, RENAMER_RENAME, path, path), 0);
	cr_assert(renmsg_well_formed(&m, HEADER + 2 * SFS_PATH_MAX));
	path[SFS_PATH_MAX - 1] = 'a';
	cr_assert_eq(renmsg_request(&m, RENAMER_UNLINK, path, NULL), -EINVAL);
}

Test(renmsg, malformed_ones_are_refused)
{
	static struct renamer_msg good, m;
	cr_assert_eq(renmsg_request(&good, RENAMER_RENAME, "a", "b"), 0);
	size_t size = HEADER + 4;
	cr_assert(renmsg_well_formed(&good, size));
	cr_assert(!renmsg_well_formed(&good, size - 1) && !renmsg_well_formed(&good, size + 1));
	cr_assert(!renmsg_well_formed(&good, 0) && !renmsg_well_formed(&good, HEADER - 1));
	m = good;
	m.type = 0;
	cr_assert(!renmsg_well_formed(&m, size));
	m.type = RENAMER_REPLY + 1;
	cr_assert(!renmsg_well_formed(&m, size));
	m.type = RENAMER_REPLY;
	cr_assert(!renmsg_well_formed(&m, size), "an answer has no paths");
	cr_assert(!renmsg_well_formed(&m, HEADER));
	m.from_len = m.to_len = 0;
	cr_assert(renmsg_well_formed(&m, HEADER));
	m = good;
	m.type = RENAMER_UNLINK;
	cr_assert(!renmsg_well_formed(&m, size), "one path too many");
	m = good;
	m.from_len = UINT32_MAX;
	cr_assert(!renmsg_well_formed(&m, size));
	m.from_len = SFS_PATH_MAX;
	cr_assert(!renmsg_well_formed(&m, sizeof(m)));
	m = good;
	memcpy(m.text, "axb", 4);
	cr_assert(!renmsg_well_formed(&m, size), "no NUL between the paths");
	memcpy(m.text, "a\0bx", 4);
	cr_assert(!renmsg_well_formed(&m, size), "no NUL behind them");
	memcpy(m.text, "/\0b", 4);
	cr_assert(!renmsg_well_formed(&m, size), "not a path");
}

static int open_descriptors(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(renmsg, descriptors_do_not_get_in)
{
	static struct renamer_msg m = {.type = RENAMER_REPLY}, got;
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl = {.buf = {0}};
	struct iovec iov = {&m, HEADER};
	struct msghdr h = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ctl.buf,
		.msg_controllen = sizeof(ctl.buf)};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&h);
	int sv[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	int before = open_descriptors();
	cr_assert_geq(sendmsg(sv[0], &h, 0), 0);
	cr_assert_eq(renmsg_recv(sv[1], &got, 0), 1);
	cr_assert_eq(open_descriptors(), before);
}
