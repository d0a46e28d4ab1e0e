/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/inode.h"

#include "inode_fixture.h"

static void setup(void)
{
	fs_setup(false);
}

static struct inode *node(const char *sub, bool fresh)
{
	struct inode_key key = {
		.view = VIEW_VERSIONS, .dent = core_root(fs.core), .sub = sub, .control = -1};
	struct inode *in = inode_obtain(&fs, &key, fresh);
	dent_unref(fs.core, key.dent);
	return in;
}

Test(inode, the_root_has_the_number_of_the_protocol, .init = setup, .fini = teardown)
{
	struct inode *root = inode_get(&fs, FUSE_ROOT_ID);
	cr_assert_not_null(root);
	cr_assert(root->is_dir);
	inode_put(&fs, root);
}

Test(inode, an_unknown_number_is_no_inode_and_no_handle, .init = setup, .fini = teardown)
{
	cr_assert_null(inode_get(&fs, 0));
	cr_assert_null(inode_get(&fs, 77));
	cr_assert_null(inode_get(&fs, UINT64_MAX));
	cr_assert_null(handle_get(&fs, 0));
	cr_assert_null(handle_get(&fs, UINT64_MAX));
	inode_forget(&fs, 77, 3);
	handle_close(&fs, 77);
}

Test(inode, one_name_is_one_inode_until_superseded, .init = setup, .fini = teardown)
{
	struct inode *a = node("v", false), *b = node("v", false), *c;
	cr_assert_eq(a, b);
	inode_supersede(&fs, a);
	c = node("v", false);
	cr_assert_neq(a->ino, c->ino);
	inode_put(&fs, a);
	inode_put(&fs, b);
	inode_put(&fs, c);
}

Test(inode, an_empty_and_an_absent_part_differ, .init = setup, .fini = teardown)
{
	struct inode *a = node("", false), *b = node(NULL, false);
	cr_assert_neq(a->ino, b->ino);
	inode_put(&fs, a);
	inode_put(&fs, b);
}

Test(inode, a_fresh_one_is_found_by_number_only, .init = setup, .fini = teardown)
{
	struct inode *a = node("v", true), *b = node("v", true);
	cr_assert_neq(a->ino, b->ino);
	inode_put(&fs, a);
	inode_put(&fs, b);
}

Test(inode, lives_exactly_as_long_as_the_kernel_counts, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	uint64_t ino = in->ino;
	inode_remember(&fs, in);
	inode_remember(&fs, in);
	inode_put(&fs, in);
	inode_forget(&fs, ino, 1);
	in = inode_get(&fs, ino);
	cr_assert_not_null(in, "one lookup is left");
	inode_put(&fs, in);
	inode_forget(&fs, ino, 1);
	cr_assert_null(inode_get(&fs, ino));
}

Test(inode, a_forget_of_too_many_is_harmless, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	uint64_t ino = in->ino;
	inode_remember(&fs, in);
	inode_forget(&fs, ino, 1000000);
	cr_assert_not_null(inode_get(&fs, ino), "a pin holds it");
	inode_put(&fs, in);
	inode_put(&fs, in);
	cr_assert_null(inode_get(&fs, ino));
}

Test(inode, numbers_are_never_used_again, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	uint64_t first = in->ino;
	inode_put(&fs, in);
	in = node("v", false);
	cr_assert_gt(in->ino, first);
	inode_put(&fs, in);
}

Test(inode, is_bound_to_the_first_version_it_sees, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	struct secret *one = secret_new("one", 3), *other = secret_new("other", 5);
	struct inode_state s;
	cr_assert_eq(inode_bind(&fs, in, 7, one, 42, false), BIND_SAME);
	cr_assert_eq(inode_bind(&fs, in, 8, other, 43, false), BIND_OTHER);
	inode_state(&fs, in, &s);
	cr_assert_eq(s.serial, 7);
	cr_assert_eq(s.size, 3);
	cr_assert_eq(s.mtime, 42);
	secret_unref(one);
	secret_unref(other);
	inode_put(&fs, in);
}

Test(inode, who_comes_back_to_the_same_node_is_a_retry_once, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	cr_assert_eq(inode_retry(&fs, in, 100), RETRY_NO);
	inode_send_away(&fs, in, 100);
	cr_assert_eq(inode_retry(&fs, in, 101), RETRY_NO, "another thread");
	cr_assert_eq(inode_retry(&fs, in, 100), RETRY_SAME_NODE);
	cr_assert_eq(inode_retry(&fs, in, 100), RETRY_NO, "used up");
	inode_put(&fs, in);
}

Test(inode, after_a_second_it_is_no_retry_any_more, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	inode_send_away(&fs, in, 100);
	clock_fake_advance(NSEC_PER_SEC + 1);
	cr_assert_eq(inode_retry(&fs, in, 100), RETRY_NO);
	inode_put(&fs, in);
}

/* Otherwise rotations between LOOKUP and OPEN, twice in a row, would show as "Stale file handle".
 */
Test(inode, what_lookup_gave_after_that_is_the_retry, .init = setup, .fini = teardown)
{
	struct inode *old = node("v", true), *next = node("v", false), *other = node("w", false);
	struct secret *bytes = secret_new("next", 4), *held;
	inode_send_away(&fs, old, 100);
	cr_assert_eq(inode_bind(&fs, next, 9, bytes, 0, true), BIND_SAME);
	inode_looked_up(&fs, other, 100); /* on the way, or for something else */
	cr_assert_eq(inode_retry(&fs, other, 100), RETRY_NO);
	inode_looked_up(&fs, next, 100);
	cr_assert_eq(inode_retry(&fs, next, 100), RETRY_LOOKED_UP);
	held = inode_held(&fs, next);
	cr_assert_eq(held, bytes);
	secret_unref(held);
	secret_unref(bytes);
	inode_put(&fs, old);
	inode_put(&fs, next);
	inode_put(&fs, other);
}

Test(inode, many_threads_sent_away_at_once_all_come_back, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	for (pid_t tid = 1000; tid < 2000; tid++)
		inode_send_away(&fs, in, tid);
	for (pid_t tid = 1000; tid < 2000; tid++)
		cr_assert_eq(inode_retry(&fs, in, tid), RETRY_SAME_NODE, "thread %d", (int)tid);
	inode_put(&fs, in);
}

Test(inode, recent_bytes_are_wiped_after_their_second, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	struct secret *bytes = secret_new("v", 1);
	struct secret_stats before, after;
	inode_bind(&fs, in, 9, bytes, 0, true);
	secret_unref(bytes);
	secret_stats(&before);
	cr_assert(inodes_sweep(&fs), "not yet");
	clock_fake_advance(NSEC_PER_SEC + 1);
	cr_assert_not(inodes_sweep(&fs));
	secret_stats(&after);
	cr_assert_eq(after.blocks, before.blocks - 1);
	cr_assert_null(inode_held(&fs, in));
	inode_put(&fs, in);
}

Test(inode, opening_the_same_version_again_does_not_keep_bytes_recent, .init = setup,
	.fini = teardown)
{
	struct inode *in = node("v", false);
	struct secret *bytes = secret_new("v", 1);
	inode_bind(&fs, in, 9, bytes, 0, true);
	clock_fake_advance(NSEC_PER_SEC + 1);
	inodes_sweep(&fs);
	inode_bind(&fs, in, 9, bytes, 0, false);
	cr_assert_not(inodes_sweep(&fs));
	cr_assert_null(in->held);
	secret_unref(bytes);
	inode_put(&fs, in);
}

Test(inode, a_purge_leaves_recent_bytes_their_second, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	struct secret *bytes = secret_new("v", 1);
	inode_bind(&fs, in, 9, bytes, 0, true);
	inode_drop_held(&fs, in);
	cr_assert_not_null(in->held, "who looked it up just before may open it");
	clock_fake_advance(NSEC_PER_SEC);
	inodes_sweep(&fs);
	cr_assert_null(in->held);
	secret_unref(bytes);
	inode_put(&fs, in);
}

Test(handle, keeps_its_bytes_until_the_last_use_ends, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	struct handle *h = handle_new(&fs, in, secret_new("abc", 3), true), *again;
	uint64_t id = h->id;
	inode_put(&fs, in); /* the handle pins it */
	again = handle_get(&fs, id);
	handle_close(&fs, id);
	cr_assert_null(handle_get(&fs, id), "closed: its number is unknown");
	cr_assert_eq(memcmp(secret_bytes(again->bytes), "abc", 3), 0);
	handle_put(&fs, again);
}

/* The kernel would cut off what an open file reads. */
Test(handle, a_file_open_as_a_version_keeps_the_size_of_its_node, .init = setup, .fini = teardown)
{
	struct inode *in = node("v", false);
	struct secret *bytes = secret_new("twenty bytes of text", 20);
	struct handle *h = handle_new(&fs, in, secret_ref(bytes), true);
	struct inode_state s;
	inode_bind(&fs, in, 9, bytes, 0, false);
	inode_show(&fs, in, 5, 0);
	inode_state(&fs, in, &s);
	cr_assert_eq(s.size, 20);
	handle_close(&fs, h->id);
	inode_state(&fs, in, &s);
	cr_assert_eq(s.size, 5, "shown when the last of them closes");
	secret_unref(bytes);
	inode_put(&fs, in);
}
