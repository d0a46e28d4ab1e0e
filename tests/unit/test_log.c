/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

/* Standard error becomes a SOCK_SEQPACKET socket: each record read from it is one write(2). */
static int records = -1;

static void capture(void)
{
	int fds[2];
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	cr_assert_geq(dup2(fds[1], STDERR_FILENO), 0);
	close(fds[1]);
	records = fds[0];
}

static const char *next_record(void)
{
	static char text[8192];
	ssize_t n = recv(records, text, sizeof(text) - 1, MSG_DONTWAIT);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

/* These take the place of libc's, under both names that the compiler may call (with and without
 * FORTIFY). */
static char sys_text[8192];
static int sys_priority = -1, sys_option, sys_facility;
static const char *sys_ident;
void __syslog_chk(int priority, int flag, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

void openlog(const char *ident, int option, int facility)
{
	sys_ident = ident;
	sys_option = option;
	sys_facility = facility;
}

void syslog(int priority, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(sys_text, sizeof(sys_text), fmt, ap);
	va_end(ap);
	sys_priority = priority;
}

void __syslog_chk(int priority, int flag, const char *fmt, ...)
{
	va_list ap;
	(void)flag;
	va_start(ap, fmt);
	vsnprintf(sys_text, sizeof(sys_text), fmt, ap);
	va_end(ap);
	sys_priority = priority;
}

Test(log, default_is_info_on_standard_error)
{
	capture();
	log_info("mounted %s", "/run/secrets");
	cr_assert_str_eq(next_record(), "secretfs: info: mounted /run/secrets\n");
	log_debug("hidden");
	cr_assert_str_eq(next_record(), "");
}

Test(log, levels)
{
	capture();
	log_open("probe", false, LOG_LEVEL_DEBUG);
	log_error("a");
	cr_assert_str_eq(next_record(), "probe: error: a\n");
	log_warn("b");
	cr_assert_str_eq(next_record(), "probe: warning: b\n");
	log_debug("c");
	cr_assert_str_eq(next_record(), "probe: debug: c\n");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("d");
	cr_assert_str_eq(next_record(), "");
}

Test(log, a_file_has_times)
{
	char path[] = "/tmp/test_log.XXXXXX", text[256] = "";
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	unlink(path);
	cr_assert_geq(dup2(fd, STDERR_FILENO), 0);
	clock_fake(0, INT64_C(1700000000) * NSEC_PER_SEC);
	log_info("a command says it without");
	log_open("probe", false, LOG_LEVEL_INFO);
	log_info("a");
	cr_assert_geq(pread(fd, text, sizeof(text) - 1, 0), 0);
	cr_assert_str_eq(text, "secretfs: info: a command says it without\n"
			       "2023-11-14T22:13:20Z probe: info: a\n");
	close(fd);
}

Test(log, err_logs_its_sentence)
{
	struct sfs_err e = {0};
	capture();
	err_set(&e, ENOENT, "get 100%%s: no such secret");
	log_err(LOG_LEVEL_ERROR, &e);
	cr_assert_str_eq(next_record(), "secretfs: error: get 100%s: no such secret\n");
}

/* R54 */
Test(log, control_bytes_never_reach_the_output)
{
	capture();
	log_open("pro\x1b"
		 "be",
		false, LOG_LEVEL_INFO);
	log_error("name a\x1b[2J\r\nb \xe2\x80\xae"
		  "c \\x41 \x7f \xff");
	cr_assert_str_eq(next_record(), "pro\\x1bbe: error: name a\\x1b[2J\\x0d\\x0ab "
					"\\xe2\\x80\\xaec \\x41 \\x7f \\xff\n");
	for (int c = 1; c < 256; c++) {
		log_error("%c", c);
		const char *line = next_record();
		size_t len = strlen(line);
		cr_assert_eq(line[len - 1], '\n');
		for (size_t i = 0; i + 1 < len; i++)
			cr_assert(line[i] >= 0x20 && line[i] <= 0x7e);
	}
}

Test(log, long_lines_are_one_write_and_cut)
{
	static char big[3 * SFS_LOG_LINE_MAX];
	capture();
	for (int c = 'x'; c; c = c == 'x' ? '\x01' : 0) {
		memset(big, c, sizeof(big) - 1);
		log_error("%s", big);
		const char *line = next_record();
		cr_assert_leq(strlen(line), SFS_LOG_LINE_MAX);
		cr_assert_gt(strlen(line), SFS_LOG_LINE_MAX - 8);
		cr_assert_str_eq(line + strlen(line) - 4, "...\n");
		cr_assert_str_eq(next_record(), "");
	}
}

Test(log, errno_is_kept)
{
	capture();
	close(STDERR_FILENO);
	errno = E2BIG;
	log_error("nobody hears this");
	cr_assert_eq(errno, E2BIG);
}

static void *log_many(void *arg)
{
	for (int i = 0; i < 20; i++)
		log_error("thread %s says %d", (const char *)arg, i);
	return NULL;
}

Test(log, lines_of_threads_do_not_mix)
{
	static const char *const names[] = {"aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbb",
		"cccccccccccccccccccc", "dddddddddddddddddddd"};
	pthread_t t[4];
	int lines = 0;
	capture();
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, log_many, (void *)(uintptr_t)names[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (const char *line = next_record(); *line; line = next_record(), lines++) {
		char name[32];
		int n, end = 0;
		cr_assert_eq(
			sscanf(line, "secretfs: error: thread %31s says %d%n", name, &n, &end), 2);
		cr_assert_eq(strspn(name, (char[]){name[0], 0}), 20);
		cr_assert_str_eq(line + end, "\n");
	}
	cr_assert_eq(lines, 80);
}

Test(log, syslog_gets_facility_pid_and_escaped_text)
{
	capture();
	log_open("probe", true, LOG_LEVEL_INFO);
	cr_assert_str_eq(sys_ident, "probe");
	cr_assert_eq(sys_facility, LOG_DAEMON);
	cr_assert_eq(sys_option & LOG_PID, LOG_PID);
	log_warn("name %s 100%%n", "a\x1b[2J");
	cr_assert_str_eq(sys_text, "name a\\x1b[2J 100%n");
	cr_assert_eq(sys_priority, LOG_WARNING);
	log_error("x");
	cr_assert_eq(sys_priority, LOG_ERR);
	cr_assert_str_eq(next_record(), "");
}

Test(log, rate)
{
	struct log_rate r = LOG_RATE(60);
	clock_fake(5, 5);
	cr_assert(log_due(&r));
	cr_assert_not(log_due(&r));
	clock_fake_advance(59 * NSEC_PER_SEC);
	cr_assert_not(log_due(&r));
	clock_fake_advance(1 * NSEC_PER_SEC);
	cr_assert(log_due(&r));
	cr_assert_not(log_due(&r));
}

static struct log_rate shared = LOG_RATE(60);
static atomic_int due;

static void *ask(void *arg)
{
	for (int i = 0; i < 1000; i++)
		due += log_due(&shared);
	return arg;
}

Test(log, rate_lets_one_thread_through)
{
	pthread_t t[4];
	clock_fake(5, 5);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, ask, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(due, 1);
}
