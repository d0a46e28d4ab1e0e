/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of Criterion's interface that our tests use, for ThreadSanitizer builds: Criterion
 * shares a mapping with its workers at an address that TSan does not allow. One test = one child
 * process, as there.
 */
#ifndef SFS_TESTS_TSAN_CRITERION_H
#define SFS_TESTS_TSAN_CRITERION_H

/* The macros take no or one more argument, as Criterion's; -Wpedantic would not have that. */
#pragma GCC system_header

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct cr_options {
	int signal, exit_code;
	unsigned timeout;
	void (*init)(void);
	void (*fini)(void);
};
struct cr_test {
	const char *suite, *name;
	void (*run)(void);
	struct cr_options opt;
	struct cr_test *next;
};
static struct cr_test *cr_tests;

/* Options of all tests of a suite. */
struct cr_suite {
	const char *name;
	struct cr_options opt;
	struct cr_suite *next;
};
static struct cr_suite *cr_suites;

#define TestSuite(s, ...)                                            \
	static struct cr_suite s##_suite = {#s, {__VA_ARGS__}, 0};   \
	__attribute__((constructor)) static void s##_suite_add(void) \
	{                                                            \
		s##_suite.next = cr_suites;                          \
		cr_suites = &s##_suite;                              \
	}                                                            \
	struct cr_suite

#define cr_skip_test(...) exit(0)
#define cr_log_info(...)  (printf(__VA_ARGS__), putchar('\n'))
#define cr_log_error(...) (printf(__VA_ARGS__), putchar('\n'))

#define Test(s, n, ...)                                                                   \
	static void s##_##n##_run(void);                                                  \
	static struct cr_test s##_##n##_test = {#s, #n, s##_##n##_run, {__VA_ARGS__}, 0}; \
	__attribute__((constructor)) static void s##_##n##_add(void)                      \
	{                                                                                 \
		s##_##n##_test.next = cr_tests;                                           \
		cr_tests = &s##_##n##_test;                                               \
	}                                                                                 \
	static void s##_##n##_run(void)

__attribute__((format(printf, 4, 5), unused)) static void cr_fail_at(
	const char *file, int line, const char *what, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "%s:%d: failed: %s: ", file, line, what);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	_exit(1);
}

#define cr_assert_(cond, what, ...) \
	((cond) ? (void)0 : cr_fail_at(__FILE__, __LINE__, what, " " __VA_ARGS__))
#define cr_assert(c, ...)		cr_assert_((c), #c, __VA_ARGS__)
#define cr_assert_not(c, ...)		cr_assert_(!(c), "not " #c, __VA_ARGS__)
#define cr_assert_eq(a, b, ...)		cr_assert_((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...)	cr_assert_((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...)		cr_assert_((a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...)	cr_assert_((a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...)		cr_assert_((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...)	cr_assert_((a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_null(a, ...)		cr_assert_((a) == NULL, #a " is null", __VA_ARGS__)
#define cr_assert_not_null(a, ...)	cr_assert_((a) != NULL, #a " is not null", __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)	cr_assert_(!strcmp((a), (b)), #a " eq " #b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)	cr_assert_(strcmp((a), (b)), #a " ne " #b, __VA_ARGS__)
#define cr_assert_str_empty(a, ...)	cr_assert_(!*(a), #a " is empty", __VA_ARGS__)
#define cr_assert_str_not_empty(a, ...) cr_assert_(*(a), #a " is not empty", __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...)	cr_assert_(!memcmp((a), (b), (n)), #a " eq " #b, __VA_ARGS__)
#define cr_assert_float_eq(a, b, e, ...) \
	cr_assert_((a) - (b) <= (e) && (b) - (a) <= (e), #a " is near " #b, __VA_ARGS__)
#define cr_assert_fail(...) cr_assert_(0, "fail", __VA_ARGS__)

/* The first failure ends a test here. */
#define cr_expect		cr_assert
#define cr_expect_not		cr_assert_not
#define cr_expect_eq		cr_assert_eq
#define cr_expect_neq		cr_assert_neq
#define cr_expect_lt		cr_assert_lt
#define cr_expect_leq		cr_assert_leq
#define cr_expect_gt		cr_assert_gt
#define cr_expect_null		cr_assert_null
#define cr_expect_not_null	cr_assert_not_null
#define cr_expect_geq		cr_assert_geq
#define cr_expect_fail		cr_assert_fail
#define cr_expect_float_eq	cr_assert_float_eq
#define cr_expect_str_eq	cr_assert_str_eq
#define cr_expect_str_neq	cr_assert_str_neq
#define cr_expect_str_empty	cr_assert_str_empty
#define cr_expect_str_not_empty cr_assert_str_not_empty
#define cr_expect_arr_eq	cr_assert_arr_eq

static void cr_inherit(struct cr_test *t)
{
	for (const struct cr_suite *s = cr_suites; s; s = s->next) {
		if (strcmp(s->name, t->suite) != 0)
			continue;
		t->opt.timeout = t->opt.timeout ? t->opt.timeout : s->opt.timeout;
		t->opt.init = t->opt.init ? t->opt.init : s->opt.init;
		t->opt.fini = t->opt.fini ? t->opt.fini : s->opt.fini;
	}
}

static int cr_run(struct cr_test *t)
{
	int status;
	cr_inherit(t);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		if (t->opt.timeout)
			alarm(t->opt.timeout * 10); /* TSan is slow */
		if (t->opt.init)
			t->opt.init();
		t->run();
		if (t->opt.fini)
			t->opt.fini();
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 1;
	bool ok = t->opt.signal ? WIFSIGNALED(status) && WTERMSIG(status) == t->opt.signal
				: WIFEXITED(status) && WEXITSTATUS(status) == t->opt.exit_code;
	printf("%s %s::%s\n", ok ? "ok  " : "FAIL", t->suite, t->name);
	return !ok;
}

int main(void)
{
	int bad = 0, n = 0;
	for (struct cr_test *t = cr_tests; t; t = t->next, n++)
		bad += cr_run(t);
	printf("%d tests, %d failed\n", n, bad);
	return bad != 0;
}

#endif
