/* SPDX-License-Identifier: Apache-2.0 */
#include "mount/progress.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STEP_MSEC 150
#define WIDTH	  40

bool progress_draw(unsigned long done, unsigned long total)
{
	static const char marks[WIDTH + 1] = "########################################";
	if (total == 0 || done > total)
		return false;
	int filled = (int)(done * WIDTH / total);
	fprintf(stderr, "\r[%-*.*s] %lu/%lu ", WIDTH, filled, marks, done, total);
	return true;
}

void progress_erase(void)
{
	fprintf(stderr, "\r%*s\r", WIDTH + 48, "");
}

static void draw(struct progress *p)
{
	_cleanup_(buf_clear) struct buf text = BUF_INIT(CLIENT_TEXT_MAX);
	unsigned long done, total;
	if (client_read(p->c, p->control, &text, NULL) < 0 ||
		sscanf(buf_text(&text), "%lu/%lu", &done, &total) != 2)
		return;
	p->drawn |= progress_draw(done, total);
}

static void *run(void *arg)
{
	struct progress *p = arg;
	struct pollfd wait = {.fd = p->stop_fd[0], .events = POLLIN};
	while (poll(&wait, 1, STEP_MSEC) == 0 || errno == EINTR) {
		if (wait.revents)
			break;
		draw(p);
	}
	return NULL;
}

int progress_start(struct progress *p, const struct client *c, const char *control)
{
	*p = (struct progress){.c = c, .control = control};
	if (pipe2(p->stop_fd, O_CLOEXEC) < 0)
		return -errno;
	int r = pthread_create(&p->thread, NULL, run, p);
	if (r) {
		close(p->stop_fd[0]);
		close(p->stop_fd[1]);
	}
	return -r;
}

void progress_stop(struct progress *p)
{
	close(p->stop_fd[1]);
	pthread_join(p->thread, NULL);
	close(p->stop_fd[0]);
	if (p->drawn)
		progress_erase();
}
