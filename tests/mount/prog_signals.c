/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prog_signals FILE: opens and reads FILE while a timer sends SIGALRM every 20 ms and children end
 * (SIGCHLD), both caught without SA_RESTART. Prints "signals N" and then the value's length as "ok
 * N", or "errno N" of open(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t seen;

static void on_signal(int sig)
{
	(void)sig;
	seen = seen + 1;
}

static void arm(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	struct itimerval every = {{0, 20000}, {0, 20000}};
	sigaction(SIGALRM, &sa, NULL);
	sigaction(SIGCHLD, &sa, NULL);
	if (fork() == 0) {
		usleep(50000);
		_exit(0);
	}
	setitimer(ITIMER_REAL, &every, NULL);
}

int main(int argc, char **argv)
{
	char data[65536];
	if (argc != 2)
		return 2;
	arm();
	int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	int code = errno;
	struct itimerval off;
	memset(&off, 0, sizeof(off));
	setitimer(ITIMER_REAL, &off, NULL);
	printf("signals %d\n", (int)seen);
	if (fd < 0) {
		printf("errno %d\n", code);
		return 1;
	}
	printf("ok %zd\n", read(fd, data, sizeof(data)));
	return 0;
}
