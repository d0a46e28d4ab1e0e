/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build/tests/secretfs-test: secretfs itself, plus what only tests need: the back end `fault:`, a
 * clock that a test can push forward (R37), and the settings of the sanitizers, which cannot come
 * from the environment because the worker is started with an empty one.
 */
#include "fault_backend.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* Two numbers of eight bytes: what to add to the boot clock and to the wall clock, ns. The runner
 * makes the file; without it nothing is added. */
#define CLOCK_FILE "/tmp/w/clock"
#define SAN_LOG	   "log_path=/tmp/w/log/sanitizer"

int secretfs_main(int argc, char **argv); /* main() of mount/main.c */
int64_t __real_clock_boot(void);
int64_t __real_clock_wall(void);
int64_t __wrap_clock_boot(void);
int64_t __wrap_clock_wall(void);
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__tsan_default_options(void);

static const _Atomic int64_t no_offsets[2];
static const _Atomic int64_t *offsets = no_offsets;

/* The linker sends every call of clock_boot() and clock_wall() here (--wrap). */
int64_t __wrap_clock_boot(void)
{
	return __real_clock_boot() + atomic_load(&offsets[0]);
}

int64_t __wrap_clock_wall(void)
{
	return __real_clock_wall() + atomic_load(&offsets[1]);
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

static void map_clock(void)
{
	int fd = open(CLOCK_FILE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	void *p = mmap(NULL, sizeof(no_offsets), PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		offsets = p;
	close(fd);
}

int main(int argc, char **argv)
{
	map_clock();
	backend_register(&fault_backend);
	return secretfs_main(argc, argv);
}
