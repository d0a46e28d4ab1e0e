/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of a mount over a source that holds still, with nothing mounted. */
#ifndef SFS_TESTS_INODE_FIXTURE_H
#define SFS_TESTS_INODE_FIXTURE_H

#include "base/clock.h"
#include "mount/inode.h"
#include "mount/jobs.h"
#include "mount/notify.h"
#include "mount/park.h"
#include <criterion/criterion.h>
#include <string.h>

static struct fs fs;
static struct envstore *env;

static inline void changed(void *arg, struct dent *d, enum core_change what)
{
	(void)arg, (void)d, (void)what;
}

static inline void fs_setup(bool no_open)
{
	static const struct path_env paths = {.covered_fd = -1};
	static struct machine machine = {.paths = &paths};
	const struct core_events ev = {.changed = changed};
	struct config *c = NULL;
	struct sfs_err err;
	clock_fake(1000 * NSEC_PER_SEC, 5000 * NSEC_PER_SEC);
	cr_assert_eq(envstore_parse("", 0, &env, &err), 0);
	machine.env = env;
	cr_assert_eq(config_load("example:", "lazy", &paths, &c, &err), 0, "%s", err.msg);
	cr_assert_eq(core_open(c, &machine, &ev, &fs.core, &err), 0, "%s", err.msg);
	fs.no_open = no_open;
	cr_assert_eq(inodes_new(&fs), 0);
	cr_assert_eq(jobs_new(&fs.notifier), 0);
	cr_assert_eq(parks_new(&fs), 0);
}

static inline void teardown(void)
{
	core_shutdown(fs.core);
	parks_free(&fs);
	jobs_free(fs.notifier);
	inodes_free(&fs);
	core_free(fs.core);
	envstore_free(env);
}

#endif
