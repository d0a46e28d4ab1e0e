/* SPDX-License-Identifier: Apache-2.0 */
/* A purge of names that are not in the tree. */
#include "tests/unit/core_fixture.h"

TestSuite(missing, .timeout = 30);

static void purge(struct core *core, const char *line)
{
	cr_assert_eq(fx_control(core, CONTROL_PURGE, line, NULL), 0);
}

Test(missing, purge_makes_the_next_open_ask)
{
	static const char *const lines[] = {"a", "a*", "*"};
	clock_fake(1000 * NSEC_PER_SEC, 1700000000 * NSEC_PER_SEC);
	for (size_t i = 0; i < 3; i++) {
		struct core *core = fx_open("[mount]\nnegative_ttl = 300\n" CONF_ONE);
		assert_read(core, "a", "-ENOENT");
		cr_assert_eq(fakes[0].gets, 0, "the listing is fresh");
		clock_fake_advance(301 * NSEC_PER_SEC);
		assert_read(core, "a", "-ENOENT");
		unsigned asked = fakes[0].gets;
		cr_assert_geq(asked, 1);
		fake_set(0, "a", "1")->unlisted = true;
		assert_read(core, "a", "-ENOENT");
		cr_assert_eq(fakes[0].gets, asked, "remembered");
		purge(core, lines[i]);
		assert_read(core, "a", "1");
		assert_tree(core, "a");
		cr_assert_eq(fakes[0].gets, asked + 1);
		fx_close(core);
		fakes[0].gets = 0;
	}
	clock_real();
}

Test(missing, purge_overrules_a_fresh_listing)
{
	clock_fake(1000 * NSEC_PER_SEC, 1700000000 * NSEC_PER_SEC);
	struct core *core = fx_open(CONF_ONE);
	fake_set(0, "dir/a", "1");
	assert_read(core, "dir/a", "-ENOENT");
	purge(core, "dir%2Fa");
	assert_read(core, "dir%2Fa", "1");
	assert_tree(core, "dir/ dir/a");
	unsigned asked = fakes[0].gets;
	clock_fake_advance(NSEC_PER_SEC);
	fx_relist(core, 0);
	assert_read(core, "b", "-ENOENT");
	cr_assert_eq(fakes[0].gets, asked, "a new listing counts again");
	clock_real();
	fx_close(core);
}
