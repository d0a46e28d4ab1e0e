/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/mountinfo.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const char sample[] =
	"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
	"22 21 0:5 / /run rw,nosuid shared:2 master:1 - tmpfs tmpfs rw,size=10%\n"
	"30 22 0:44 / /run/my\\040secrets\\134x rw,nosuid,nodev,noexec - fuse.secretfs "
	"file:/etc/a\\040b.env rw\n"
	"31 30 0:45 / /run/my\\040secrets\\134x rw - fuse.secretfs second rw\n"
	"40 21 0:50 /sub/dir /mnt rw -  fuse.secretfs  rw\n"
	"41 21 0:51 / /empty rw - tmpfs  rw\n";

static struct mount_entry *m;
static size_t n;

static void parse(const char *text)
{
	cr_assert_eq(mountinfo_parse(text, strlen(text), &m, &n), 0);
}

static int top(const char *point)
{
	const struct mount_entry *e = mountinfo_top(m, n, point);
	return e ? e->id : 0;
}

static void done(void)
{
	mountinfo_free(m, n);
}

Test(mountinfo, fields_are_decoded)
{
	parse(sample);
	cr_assert_geq(n, 5);
	cr_assert_eq(m[2].id, 30);
	cr_assert_eq(m[2].parent, 22);
	cr_assert_eq(m[2].dev, makedev(0, 44));
	cr_assert_str_eq(m[2].root, "/");
	cr_assert_str_eq(m[2].point, "/run/my secrets\\x");
	cr_assert_str_eq(m[2].type, MOUNT_TYPE);
	cr_assert_str_eq(m[2].source, "file:/etc/a b.env");
	cr_assert_eq(m[0].dev, makedev(8, 1));
	cr_assert_str_eq(m[4].root, "/sub/dir");
	done();
}

Test(mountinfo, an_empty_source_stays_a_field)
{
	parse(sample);
	cr_assert_str_eq(m[n - 1].point, "/empty");
	cr_assert_str_eq(m[n - 1].type, "tmpfs");
	cr_assert_str_eq(m[n - 1].source, "");
	done();
}

Test(mountinfo, malformed_lines_are_skipped)
{
	parse("\nrubbish\n1 2 3\n21 1 8:1 / / rw no-dash ext4 x rw\nx 1 8:1 / / rw - a b c\n"
	      "1 1 81 / / rw - a b c\n1 1 99999:1 / / rw - a b c\n1 1 8:1 / / rw -\n"
	      "7 1 8:1 / /ok rw - a b c");
	cr_assert_eq(n, 1);
	cr_assert_eq(m[0].id, 7);
	done();
}

Test(mountinfo, escapes_that_are_none_stay)
{
	parse("7 1 8:1 / /a\\09\\400\\04 rw - a b c\n");
	cr_assert_str_eq(m[0].point, "/a\\09\\400\\04");
	done();
}

Test(mountinfo, empty_text_gives_nothing)
{
	parse("");
	cr_assert_eq(n, 0);
	cr_assert_null(mountinfo_top(m, n, "/"));
	done();
}

Test(mountinfo, no_memory_leaves_the_outputs_alone)
{
	struct mount_entry *p = (struct mount_entry *)&n;
	size_t k = 77;
	int failures = 0;
	for (unsigned long at = 1;; at++) {
		alloc_fail_at(at);
		int r = mountinfo_parse(sample, sizeof(sample) - 1, &p, &k);
		alloc_fail_at(0);
		if (r == 0)
			break;
		cr_assert_eq(r, -ENOMEM);
		cr_assert_eq(k, 77);
		cr_assert_eq((void *)p, (void *)&n);
		failures++;
	}
	cr_assert_gt(failures, 10);
	mountinfo_free(p, k);
}

Test(mountinfo, top_is_the_last_one_stacked)
{
	parse(sample);
	cr_assert_eq(top("/run/my secrets\\x"), 31);
	cr_assert_eq(top("/"), 21);
	cr_assert_eq(top("/run"), 22);
	done();
}

Test(mountinfo, below_or_beside_a_mount_is_not_at_it)
{
	parse(sample);
	cr_assert_eq(top("/run/my secrets\\x/deeper"), 0);
	cr_assert_eq(top("/run/my"), 0);
	cr_assert_eq(top("/runner"), 0);
	done();
}

Test(mountinfo, what_another_mount_hides_does_not_count)
{
	parse("1 1 8:1 / / rw - ext4 r rw\n2 1 0:9 / /a/b rw - fuse.secretfs s rw\n3 1 0:10 / /a "
	      "rw - tmpfs t rw\n");
	cr_assert_eq(top("/a"), 3);
	cr_assert_eq(top("/a/b"), 0);
	done();
}

Test(mountinfo, order_of_the_lines_does_not_matter)
{
	parse("31 30 0:2 / /a rw - tmpfs t rw\n30 1 0:1 / /a rw - tmpfs t rw\n1 0 8:1 / / rw - "
	      "ext4 r rw\n");
	cr_assert_eq(top("/a"), 31);
	done();
}

Test(mountinfo, in_a_chroot_without_root_mount_the_last_line_wins)
{
	parse("30 9 0:1 / /a rw - tmpfs t rw\n31 9 0:2 / /a rw - tmpfs t rw\n");
	cr_assert_eq(top("/a"), 31);
	cr_assert_eq(top("/b"), 0);
	done();
}

Test(mountinfo, circles_in_a_forged_list_end, .timeout = 10)
{
	parse("1 1 8:1 / / rw - a b c\n1 1 8:2 / / rw - a b c\n2 1 8:2 / / rw - a b c\n1 2 8:2 / / "
	      "rw - a b c\n");
	top("/");
	top("/x");
	done();
}

Test(mountinfo, the_kernels_own_list_is_read)
{
	struct sfs_err err = {0};
	cr_assert_eq(mountinfo_read(&m, &n, &err), 0, "%s", err.msg);
	cr_assert_gt(n, 0);
	done();
}

/* mountpoint_canonical() */

static char dir[] = "/tmp/sfs-mountinfo.XXXXXX";

static void enter(void)
{
	cr_assert(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	cr_assert_eq(mkdir("real", 0755), 0);
	cr_assert_eq(mkdir("real/m", 0755), 0);
	cr_assert_eq(symlink("real/m", "link"), 0);
	cr_assert_eq(symlink("real", "up"), 0);
	cr_assert_eq(symlink("loop", "loop"), 0);
}

static void leave(void)
{
	char cmd[128];
	cr_assert_eq(chdir("/"), 0);
	snprintf(cmd, sizeof(cmd), "umount -l %s/real/m 2>/dev/null; rm -rf %s", dir, dir);
	cr_assert_eq(system(cmd), 0);
}

static void leads_to(const char *path, const char *below)
{
	struct sfs_err err = {0};
	char want[256], *got = NULL;
	snprintf(want, sizeof(want), "%s%s", dir, below);
	cr_assert_eq(mountpoint_canonical(path, &got, &err), 0, "%s: %s", path, err.msg);
	cr_assert_str_eq(got, want);
	mem_free(got);
}

Test(mountpoint, many_spellings_one_path, .init = enter, .fini = leave)
{
	char abs[256];
	leads_to("real/m", "/real/m");
	leads_to("./real//m/", "/real/m");
	leads_to("real/m/.", "/real/m");
	leads_to("real/m/././/", "/real/m");
	leads_to("real/../real/m", "/real/m");
	leads_to("up/m", "/real/m");
	leads_to("link", "/real/m");
	leads_to("link/", "/real/m");
	leads_to("real/m/..", "/real");
	leads_to(".", "");
	snprintf(abs, sizeof(abs), "%s/real/m", dir);
	leads_to(abs, "/real/m");
}

Test(mountpoint, the_root_directory)
{
	char *got = NULL;
	cr_assert_eq(mountpoint_canonical("//.", &got, NULL), 0);
	cr_assert_str_eq(got, "/");
	mem_free(got);
}

Test(mountpoint, refusals_leave_the_output_alone, .init = enter, .fini = leave)
{
	struct sfs_err err = {0};
	char *got = dir;
	static char endless[5000];
	memset(endless, 'a', sizeof(endless) - 1);
	cr_assert_eq(mountpoint_canonical("real/none", &got, &err), -ENOENT);
	cr_assert(strstr(err.msg, "real/none"), "%s", err.msg);
	cr_assert_eq(mountpoint_canonical("none/m", &got, &err), -ENOENT);
	cr_assert_eq(mountpoint_canonical("", &got, &err), -ENOENT);
	cr_assert_eq(mountpoint_canonical("loop", &got, &err), -ELOOP);
	cr_assert_eq(mountpoint_canonical(endless, &got, &err), -ENAMETOOLONG);
	cr_assert_eq((void *)got, (void *)dir);
}

Test(mountpoint, no_memory_is_an_error_everywhere, .init = enter, .fini = leave)
{
	char *got = dir;
	int failures = 0;
	for (unsigned long at = 1;; at++, failures++) {
		alloc_fail_at(at);
		int r = mountpoint_canonical("link", &got, NULL);
		alloc_fail_at(0);
		if (r == 0)
			break;
		cr_assert_eq(r, -ENOMEM);
		cr_assert_eq((void *)got, (void *)dir);
	}
	cr_assert_gt(failures, 3);
	mem_free(got);
}

/* A dead mount answers every request with ENOTCONN: that none is made shows in that it works. */
Test(mountpoint, R19_a_dead_mount_is_asked_nothing, .init = enter, .fini = leave)
{
	char data[128];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(data, sizeof(data), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd < 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("dead", "real/m", MOUNT_TYPE, 0, data) < 0)
		cr_skip_test("needs root and /dev/fuse");
	close(fd);
	struct stat st;
	cr_assert(stat("real/m", &st) < 0 && errno == ENOTCONN);
	leads_to("real/m", "/real/m");
	leads_to("link/", "/real/m");
	cr_assert_eq(mountinfo_read(&m, &n, NULL), 0);
	char point[256];
	snprintf(point, sizeof(point), "%s/real/m", dir);
	const struct mount_entry *e = mountinfo_top(m, n, point);
	cr_assert(e);
	cr_assert_str_eq(e->type, MOUNT_TYPE);
	cr_assert_str_eq(e->source, "dead");
	done();
}

Test(mountinfo, an_object_is_in_the_mount_it_is_in, .init = enter, .fini = leave)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mkdir("m", 0700) < 0 ||
		mount("t", "m", "tmpfs", 0, NULL) < 0)
		cr_skip_test("needs root");
	cr_assert(
		mkdir("m/d", 0700) == 0 && mkdir("m/over", 0700) == 0 && mkdir("bind", 0700) == 0);
	cr_assert_eq(mount("m", "bind", NULL, MS_BIND, NULL), 0);
	cr_assert_eq(mount("u", "m/over", "tmpfs", 0, NULL), 0);
	struct mount_entry *e;
	struct mount_id id = {0};
	size_t count;
	cr_assert_eq(mountinfo_read(&e, &count, NULL), 0);
	for (size_t i = 0; i < count; i++)
		if (strcmp(e[i].source, "t") == 0 && strcmp(strrchr(e[i].point, '/'), "/m") == 0)
			id = (struct mount_id){.dev = e[i].dev, .id = e[i].id};
	mountinfo_free(e, count);
	for (int round = 0; round < 2; round++) {
		int root = open("m", O_PATH), deep = open("m/d", O_PATH);
		int over = open("m/over", O_PATH), bound = open("bind/d", O_PATH);
		cr_assert(mount_has(&id, root) && mount_has(&id, deep));
		cr_assert(!mount_has(&id, over), "another file system on top");
		cr_assert(!mount_has(&id, bound), "a bind mount of it");
		cr_assert(!mount_has(&id, -1));
		id.unique = mount_unique_id("m"); /* 0 before Linux 6.8 */
		close(root);
		close(deep);
		close(over);
		close(bound);
	}
	cr_assert(umount("m/over") == 0 && umount("bind") == 0 && umount("m") == 0);
}
