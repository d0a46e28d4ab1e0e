/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "base/secret.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* FIPS 180-2, appendix B.1 */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

Test(hash, known_answers)
{
	char out[65];
	cr_assert_eq(hash_hex("abc", 3, out, 64), 0);
	cr_assert_str_eq(out, ABC);
	cr_assert_eq(hash_hex("", 0, out, 8), 0);
	cr_assert_str_eq(out, "e3b0c442");
}

Test(hash, writes_digits_and_one_nul)
{
	char out[16];
	memset(out, '!', sizeof(out));
	cr_assert_eq(hash_hex("abc", 3, out, 6), 0);
	cr_assert_eq(memcmp(out, "ba7816\0!!!!!!!!!", 16), 0);
	cr_assert_eq(hash_hex("abc", 3, out, 0), 0);
	cr_assert_str_eq(out, "");
}

static void keyed(const char *a, size_t alen, const char *b, size_t blen, char out[65])
{
	struct hash_part parts[] = {{a, alen}, {b, blen}};
	memset(out, 0, 65);
	cr_assert_eq(hash_keyed_hex(parts, 2, out, 64), 0);
	cr_assert_eq(strlen(out), 64);
}

Test(hash, keyed_is_stable_and_tells_parts_apart)
{
	char x[65], y[65];
	keyed("ab", 2, "c", 1, x);
	keyed("ab", 2, "c", 1, y);
	cr_assert_str_eq(x, y);
	keyed("a", 1, "bc", 2, y);
	cr_assert_str_neq(x, y);
	keyed("abc", 3, "", 0, y);
	cr_assert_str_neq(x, y);
	keyed("", 0, "abc", 3, x);
	cr_assert_str_neq(x, y);
	keyed(NULL, 0, NULL, 0, y);
	cr_assert_str_neq(x, y);
}

Test(hash, keyed_is_not_the_plain_hash)
{
	struct hash_part part = {"abc", 3};
	char out[65];
	cr_assert_eq(hash_keyed_hex(&part, 1, out, 64), 0);
	cr_assert_str_neq(out, ABC);
}

Test(hash, key_lives_in_the_arena_and_can_be_forgotten)
{
	struct hash_part part = {"abc", 3};
	struct secret_stats before, with, after;
	char first[65], second[65];
	secret_stats(&before);
	cr_assert_eq(hash_keyed_hex(&part, 1, first, 64), 0);
	secret_stats(&with);
	cr_assert_eq(with.blocks, before.blocks + 1);
	hash_fini();
	secret_stats(&after);
	cr_assert_eq(after.blocks, before.blocks);
	cr_assert_eq(hash_keyed_hex(&part, 1, second, 64), 0);
	cr_assert_str_neq(first, second);
	hash_fini();
	secret_fini();
}

Test(hash, a_full_arena_is_no_memory_and_passes)
{
	struct hash_part part = {"abc", 3};
	void *blocks[4096], *last = NULL;
	size_t n = 0;
	char out[9] = "untouch";
	cr_assert_eq(secret_init(64 * 1024, SECRET_LOCK_TRY, NULL), 0);
	while (n < 4096 && (last = secret_alloc(40)))
		blocks[n++] = last;
	cr_assert_null(last);
	cr_assert_eq(hash_keyed_hex(&part, 1, out, 8), -ENOMEM);
	cr_assert_str_eq(out, "untouch");
	secret_free(blocks[--n]);
	cr_assert_eq(hash_keyed_hex(&part, 1, out, 8), 0);
}

/* The arena is empty after fork(2): the child must not hash under a key of zeros that everyone
 * knows. */
Test(hash, a_forked_child_has_a_key_of_its_own)
{
	struct hash_part part = {"abc", 3};
	char mine[65], first[65], second[65];
	int fds[2], status;
	cr_assert_eq(hash_keyed_hex(&part, 1, mine, 64), 0);
	cr_assert_eq(pipe(fds), 0);
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			char out[65];
			int r = hash_keyed_hex(&part, 1, out, 64);
			_exit(r == 0 && write(fds[1], out, 65) == 65 ? 0 : 1);
		}
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert_eq(status, 0);
		cr_assert_eq(read(fds[0], i ? second : first, 65), 65);
	}
	cr_assert_str_neq(first, mine);
	cr_assert_str_neq(second, mine);
	cr_assert_str_neq(first, second);
	char again[65];
	cr_assert_eq(hash_keyed_hex(&part, 1, again, 64), 0);
	cr_assert_str_eq(again, mine);
}

static void *hash_often(void *arg)
{
	struct hash_part part = {"abc", 3};
	for (int i = 0; i < 200; i++)
		if (hash_keyed_hex(&part, 1, arg, 64) < 0)
			return NULL;
	return arg;
}

Test(hash, many_threads_share_one_key)
{
	pthread_t t[8];
	char out[8][65];
	for (int i = 0; i < 8; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, hash_often, out[i]), 0);
	for (int i = 0; i < 8; i++) {
		void *ok;
		pthread_join(t[i], &ok);
		cr_assert_not_null(ok);
		cr_assert_str_eq(out[i], out[0]);
	}
}
