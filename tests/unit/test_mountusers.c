/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mountusers.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/sfs-users.XXXXXX";
static dev_t dev;
static struct mount_user *users;
static size_t n;

/* A tmpfs stands for the mount. The clock ends a test that waits for a process which does not
 * answer in /proc: Criterion's own limit does not.
 */
static void enter(void)
{
	struct stat st;
	alarm(60);
	cr_assert(mkdtemp(dir));
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		cr_skip_test("needs root");
	cr_assert_eq(mount("tmpfs", dir, "tmpfs", 0, NULL), 0);
	cr_assert_eq(stat(dir, &st), 0);
	dev = st.st_dev;
}

static void leave(void)
{
	mount_users_free(users, n);
	cr_assert_eq(chdir("/"), 0);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

TestSuite(mountusers, .init = enter, .fini = leave);

static const struct mount_user *find(const char *how)
{
	for (size_t i = 0; i < n; i++)
		if (users[i].pid == getpid() && strcmp(users[i].how, how) == 0)
			return &users[i];
	return NULL;
}

static void look(void)
{
	struct sfs_err err = {0};
	mount_users_free(users, n);
	users = NULL;
	n = 0;
	cr_assert_eq(mount_users(dir, dev, &users, &n, &err), 0, "%s", err.msg);
}

static int make(const char *name)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

Test(mountusers, nobody)
{
	look();
	cr_assert_eq(n, 0);
}

Test(mountusers, R30_descriptor_directory_and_mapping_are_named)
{
	char how[16], path[64];
	int fd = make("file\033[1m");
	cr_assert_eq(ftruncate(fd, 4096), 0);
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	cr_assert_neq(p, MAP_FAILED);
	cr_assert_eq(chdir(dir), 0);
	look();
	snprintf(how, sizeof(how), "fd %d", fd);
	snprintf(path, sizeof(path), "%s/file", dir);
	cr_assert(find(how) && find("cwd") && find("map"));
	cr_assert_eq(strncmp(find(how)->path, path, strlen(path)), 0);
	cr_assert_not(strchr(find(how)->path, '\033'), "R54: no terminal sequence");
	cr_assert_str_eq(find("cwd")->path, dir);
	cr_assert_str_not_empty(find("cwd")->comm);
	munmap(p, 4096);
	close(fd);
}

Test(mountusers, the_covered_directory_is_no_user)
{
	umount2(dir, 0);
	int covered = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(mount("tmpfs", dir, "tmpfs", 0, NULL), 0);
	struct stat st;
	cr_assert_eq(stat(dir, &st), 0);
	dev = st.st_dev;
	look();
	cr_assert_eq(n, 0);
	close(covered);
}

Test(mountusers, the_list_ends_at_its_maximum)
{
	for (int i = 0; i < MOUNT_USERS_MAX + 10; i++) {
		char name[16];
		snprintf(name, sizeof(name), "f%d", i);
		cr_assert_geq(make(name), 0);
	}
	look();
	cr_assert_eq(n, MOUNT_USERS_MAX);
}

Test(mountusers, another_device_is_not_that_mount)
{
	struct sfs_err err = {0};
	struct mount_user *u = (struct mount_user *)&err;
	size_t k = 77;
	cr_assert_eq(mount_users(dir, dev + 1, &u, &k, &err), -EINVAL);
	cr_assert(strstr(err.msg, dir));
	cr_assert(k == 77 && (void *)u == (void *)&err);
}

/* The worker: says that it runs, and stops. */
static void serve(const char *arg, int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(ready, 1);
	execl("/bin/sh", "sh", "-c", "echo x; kill -STOP $$; exit", "worker", arg, (char *)NULL);
	_exit(1);
}

/* A process whose last argument is the device, under one with the holder's name or not. Both wait
 * for nothing but a signal, and none of them outlives the test.
 */
static pid_t serve_as(const char *comm, dev_t d)
{
	int ready[2];
	char arg[32], c;
	snprintf(arg, sizeof(arg), "%u:%u", major(d), minor(d));
	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, comm);
		if (fork() == 0)
			serve(arg, ready[1]);
		close(ready[1]);
		wait(NULL);
		_exit(0);
	}
	close(ready[1]);
	ssize_t said = read(ready[0], &c, 1); /* 0: it could not be started */
	close(ready[0]);
	cr_assert(pid > 0 && said == 1);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL); /* takes the worker along */
	waitpid(pid, NULL, 0);
}

/* A number that no mount and no other run of this test has. */
static dev_t some_device(void)
{
	return makedev(4001, 100000 + (unsigned)getpid() % 900000);
}

Test(mountusers, the_server_is_the_holder_above_the_worker)
{
	dev_t d = some_device();
	pid_t pid = serve_as("secretfs-holder", d);
	cr_assert_eq(mount_server(d), pid);
	cr_assert_eq(mount_server(makedev(4001, minor(d) / 10)), 0);
	cr_assert_eq(mount_server(makedev(1, minor(d))), 0);
	end(pid);
}

Test(mountusers, or_the_worker_itself)
{
	dev_t d = some_device();
	pid_t pid = serve_as("something", d);
	pid_t server = mount_server(d);
	cr_assert(server > 0 && server != pid);
	end(pid);
}
