/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes hold where the kernel sends no OPEN. */
#include "base/alloc.h"
#include "inode_fixture.h"
#include "mount/inode.h"

static void setup(void)
{
	fs_setup(true);
}

static struct inode *node(const char *sub, bool follows)
{
	struct inode_key key = {.view = VIEW_VERSIONS,
		.dent = core_root(fs.core),
		.sub = sub,
		.control = -1,
		.follows = follows};
	struct inode *in = inode_obtain(&fs, &key, follows);
	dent_unref(fs.core, key.dent);
	return in;
}

static bool put(struct inode *in, const char *text, const char *version, uint64_t serial)
{
	struct secret *s = secret_new(text, strlen(text));
	bool other = inode_put_bytes(&fs, in, s, version, serial, 7);
	secret_unref(s);
	return other;
}

/* Binds a version, as GETATTR does. */
static void bind(struct inode *in, const char *text, uint64_t serial)
{
	struct secret *s = secret_new(text, strlen(text));
	cr_assert_eq(inode_bind(&fs, in, serial, s, 0, false), BIND_SAME);
	secret_unref(s);
}

static bool reads(struct inode *in, const char *text, uint64_t end)
{
	struct secret *s = inode_read(&fs, in, end);
	bool same = s ? text && secret_len(s) == strlen(text) &&
				    memcmp(secret_bytes(s), text, strlen(text)) == 0
		      : !text;
	secret_unref(s);
	return same;
}

static void wait_seconds(int64_t n)
{
	clock_fake_advance(n * NSEC_PER_SEC);
	inodes_sweep(&fs);
}

Test(content, a_node_that_follows_shows_what_was_put_there, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", true);
	struct inode_state s;
	inode_state(&fs, in, &s);
	cr_assert(!s.filled);
	cr_assert(reads(in, NULL, 10));
	cr_assert(!put(in, "twelve bytes", "1", 3), "it showed nothing before");
	inode_state(&fs, in, &s);
	cr_assert(s.filled && s.held && !s.used);
	cr_assert_eq(s.size, 12);
	cr_assert_eq(s.mtime, 7);
	cr_assert(reads(in, "twelve bytes", 4));
	inode_state(&fs, in, &s);
	cr_assert(s.used);
	cr_assert(put(in, "other", "2", 4), "the kernel may have pages");
	inode_state(&fs, in, &s);
	cr_assert(!s.used);
	cr_assert_eq(s.size, 5);
	inode_put(&fs, in);
}

Test(content, goes_a_second_after_its_end_was_read, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", true);
	put(in, "twelve bytes", "1", 3);
	cr_assert(reads(in, "twelve bytes", 4));
	wait_seconds(4);
	cr_assert(reads(in, "twelve bytes", 100), "not idle for long, and not at its end");
	wait_seconds(2);
	cr_assert(reads(in, NULL, 4));
	inode_put(&fs, in);
}

Test(content, goes_when_nobody_uses_it, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", true);
	put(in, "twelve bytes", "1", 3);
	wait_seconds(6);
	cr_assert(reads(in, NULL, 4));
	cr_assert(!inodes_sweep(&fs), "nothing is left to sweep");
	inode_put(&fs, in);
}

Test(content, a_reader_goes_on_with_the_same_only, .init = setup, .fini = teardown)
{
	struct inode *follows = node("v", true), *version = node("w", false);
	cr_assert(inode_is_same(&fs, follows, "1", 3), "nothing shown: all are the same");
	put(follows, "a", "1", 3);
	cr_assert(inode_is_same(&fs, follows, "1", 99), "by version");
	cr_assert(!inode_is_same(&fs, follows, "2", 3));
	cr_assert(!inode_is_same(&fs, follows, NULL, 3));
	bind(version, "a", 3);
	cr_assert(inode_is_same(&fs, version, "other", 3), "by serial");
	cr_assert(!inode_is_same(&fs, version, "1", 4));
	inode_put(&fs, follows);
	inode_put(&fs, version);
}

Test(content, a_version_stays_until_it_is_dropped_and_a_second, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	bind(in, "abc", 5);
	wait_seconds(100);
	cr_assert(reads(in, "abc", 3));
	inode_drop_held(&fs, in);
	cr_assert(reads(in, "abc", 3), "who reads may finish");
	wait_seconds(2);
	cr_assert(reads(in, NULL, 3));
	bind(in, "abc", 5);
	wait_seconds(100);
	cr_assert(reads(in, "abc", 3), "fetched again");
	inode_put(&fs, in);
}

Test(content, what_came_back_in_the_meantime_is_not_dropped, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	bind(in, "abc", 5);
	inode_drop_held(&fs, in);
	bind(in, "abc", 5);
	wait_seconds(2);
	cr_assert(reads(in, "abc", 3));
	inode_put(&fs, in);
}

Test(content, for_room_goes_first_what_can_be_fetched_again, .init = setup, .fini = teardown)
{
	struct inode *current = node("v", false), *old = node("w", false);
	bind(current, "new", 6);
	bind(old, "old", 5);
	inode_supersede(&fs, old);
	inodes_drop_held(&fs);
	cr_assert(reads(current, NULL, 3));
	cr_assert(reads(old, "old", 3));
	inodes_drop_held(&fs);
	cr_assert(reads(old, NULL, 3));
	inode_put(&fs, current);
	inode_put(&fs, old);
}

Test(content, text_is_put_once, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", true);
	struct buf a = BUF_INIT(SFS_TEXT_MAX), b = BUF_INIT(SFS_TEXT_MAX);
	struct inode_state s;
	buf_str(&a, "first");
	buf_str(&b, "the second");
	inode_put_text(&fs, in, &a);
	inode_put_text(&fs, in, &b);
	inode_state(&fs, in, &s);
	cr_assert_eq(s.size, 5);
	cr_assert_str_eq(buf_text(&in->text), "first");
	cr_assert_eq(a.len, 0, "moved");
	cr_assert_eq(b.len, 10, "the caller's still");
	buf_clear(&a);
	buf_clear(&b);
	inode_put(&fs, in);
}

Test(content, without_memory_for_its_version_nothing_is_the_same, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", true);
	struct secret *s = secret_new("a", 1);
	alloc_fail_at(1);
	inode_put_bytes(&fs, in, s, "1", 3, 0);
	alloc_fail_at(0);
	cr_assert(!inode_is_same(&fs, in, "1", 3), "ESTALE rather than mixed bytes");
	cr_assert(reads(in, "a", 1));
	secret_unref(s);
	inode_put(&fs, in);
}
