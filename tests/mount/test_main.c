/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build/tests/secretfs-test: secretfs itself, plus what only tests need: the back end `fault:`, a
 * clock that a test can push forward (R37), a RENAME that gets no answer (R23), and the settings of
 * the sanitizers, which cannot come from the environment because the worker is started with an
 * empty one.
 */
#include "fault_backend.h"
#include "mount/fs.h"
#include "mount/rename.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* struct knobs, which tests turn. The runner makes the file; without it all of them are 0. */
#define KNOB_FILE "/tmp/w/knobs"
#define SAN_LOG	  "log_path=/tmp/w/log/sanitizer"

int secretfs_main(int argc, char **argv); /* main() of mount/main.c */
int64_t __real_clock_boot(void);
int64_t __real_clock_wall(void);
int64_t __wrap_clock_boot(void);
int64_t __wrap_clock_wall(void);
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__tsan_default_options(void);

struct knobs {
	_Atomic int64_t boot, wall;   /* added to the clocks, ns */
	_Atomic int64_t stall_rename; /* RENAME requests wait */
	_Atomic int64_t frozen;	      /* the boot time at which the clock stands still, or 0 */
};
static const struct knobs no_knobs;
static const struct knobs *knobs = &no_knobs;

/* The linker sends every call of clock_boot() and clock_wall() here (--wrap). */
int64_t __wrap_clock_boot(void)
{
	int64_t frozen = atomic_load(&knobs->frozen);
	return (frozen ? frozen : __real_clock_boot()) + atomic_load(&knobs->boot);
}

int64_t __wrap_clock_wall(void)
{
	return __real_clock_wall() + atomic_load(&knobs->wall);
}

void __real_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags);
void __wrap_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags);

void __wrap_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	while (atomic_load(&knobs->stall_rename))
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	__real_op_rename(req, parent, name, newparent, newname, flags);
}

/* The leak check stops the process with ptrace, which an undumpable process without capabilities
 * cannot do. */
const char *__asan_default_options(void)
{
	return SAN_LOG ":detect_leaks=0:detect_stack_use_after_return=1";
}

const char *__ubsan_default_options(void)
{
	return SAN_LOG ":print_stacktrace=1";
}

const char *__tsan_default_options(void)
{
	return SAN_LOG ":halt_on_error=0:second_deadlock_stack=1";
}

#ifdef __SANITIZE_THREAD__
/*
 * A reply written to /dev/fuse comes before every request that the kernel sends because of it (a
 * RELEASE after the OPEN it closes). The thread sanitizer cannot see that order through the kernel,
 * so it is told here, where requests are read and replies written.
 */
#define FUSE_FD 3
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __real_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_read(int fd, void *buf, size_t len);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n);
static char through_the_kernel;

ssize_t __wrap_read(int fd, void *buf, size_t len)
{
	ssize_t r = __real_read(fd, buf, len);
	if (fd == FUSE_FD)
		__tsan_acquire(&through_the_kernel);
	return r;
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
	if (fd == FUSE_FD)
		__tsan_release(&through_the_kernel);
	return __real_writev(fd, iov, n);
}
#endif

static void map_knobs(void)
{
	int fd = open(KNOB_FILE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	void *p = mmap(NULL, sizeof(no_knobs), PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		knobs = p;
	close(fd);
}

int main(int argc, char **argv)
{
	map_knobs();
	backend_register(&fault_backend);
	return secretfs_main(argc, argv);
}
