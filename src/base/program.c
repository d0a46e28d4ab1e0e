/* SPDX-License-Identifier: Apache-2.0 */
#include "base/program.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/harden.h"
#include "base/limits.h"
#include "base/ref.h"
#include "base/text.h"
#include "base/words.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS	   50 /* how late a cancelled call is seen */
#define READ_CHUNK 4096

static const char *const path_dirs[] = {
	"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"};
#define PATH   "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define N_DIRS (sizeof(path_dirs) / sizeof(path_dirs[0]))

/* ---- the environment ---- */

static int put_secret(const struct command_var *v, const struct path_env *paths,
	const struct envstore *vars, struct envstore *to, struct sfs_err *err)
{
	struct secret *s = NULL;
	int r = ref_read(paths, vars, v->value, SFS_REF_MAX, &s, err);
	if (r == 0)
		r = envstore_put(to, v->name, s, err);
	secret_unref(s);
	return r < 0 ? err_prefix(err, "variable %s", v->name) : 0;
}

int program_secrets(const struct command *c, const struct path_env *paths,
	const struct envstore *vars, struct envstore **ret, struct sfs_err *err)
{
	struct envstore *s = NULL;
	int r = envstore_take(NULL, NULL, 0, &s, err);
	for (size_t i = 0; r == 0 && i < c->nvars; i++)
		if (c->vars[i].ref)
			r = put_secret(&c->vars[i], paths, vars, s, err);
	if (r == 0)
		*ret = s;
	else
		envstore_free(s);
	return r;
}

/* Not in the arena, which is empty in a forked child, but locked and wiped like it. */
struct env_area {
	char **v, *to;
	size_t size, n;
};

static bool given(const struct command *c, const char *name)
{
	for (size_t i = 0; i < c->nvars; i++)
		if (strcmp(c->vars[i].name, name) == 0)
			return true;
	return false;
}

static void put(struct env_area *a, const char *name, const void *value, size_t len)
{
	a->v[a->n++] = a->to;
	a->to = stpcpy(a->to, name);
	*a->to++ = '=';
	memcpy(a->to, value, len);
	a->to += len;
	*a->to++ = '\0';
}

static void put_default(
	struct env_area *a, const struct command *c, const char *name, const char *value)
{
	if (*value && !given(c, name))
		put(a, name, value, strlen(value));
}

static int put_var(struct env_area *a, const struct command_var *v, const struct envstore *secrets,
	struct sfs_err *err)
{
	if (!v->ref) {
		put(a, v->name, v->value, strlen(v->value));
		return 0;
	}
	struct secret *s = secrets ? envstore_get(secrets, v->name) : NULL;
	if (!s)
		return err_set(err, EINVAL, "the value of variable %s is not there", v->name);
	bool fits = !memchr(secret_bytes(s), '\0', secret_len(s));
	if (fits)
		put(a, v->name, secret_bytes(s), secret_len(s));
	secret_unref(s);
	if (!fits)
		return err_set(err, EINVAL, "the value of variable %s has a NUL in it", v->name);
	return 0;
}

static size_t env_size(const struct command *c, const struct envstore *secrets)
{
	size_t n = sizeof(PATH) + strlen(c->home) + 64;
	n += (c->nvars + 4) * sizeof(char *);
	for (size_t i = 0; i < c->nvars; i++) {
		struct secret *s = NULL;
		if (c->vars[i].ref && secrets)
			s = envstore_get(secrets, c->vars[i].name);
		n += strlen(c->vars[i].name) + 2 + (s ? secret_len(s) : strlen(c->vars[i].value));
		secret_unref(s);
	}
	return n;
}

int program_env(const struct command *c, const struct envstore *secrets, char ***ret,
	size_t *ret_size, struct sfs_err *err)
{
	size_t size = env_size(c, secrets);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return err_set(err, ENOMEM, "no memory for the environment of the program");
	madvise(p, size, MADV_DONTDUMP);
	(void)!mlock(p, size); /* as far as it goes: it lives for a moment */
	struct env_area a = {.v = p, .to = (char *)p + (c->nvars + 4) * sizeof(char *)};
	put_default(&a, c, "PATH", PATH);
	put_default(&a, c, "LANG", "C.UTF-8");
	put_default(&a, c, "HOME", c->home);
	int r = 0;
	for (size_t i = 0; r == 0 && i < c->nvars; i++)
		r = put_var(&a, &c->vars[i], secrets, err);
	if (r < 0) {
		program_env_free(p, size);
		return r;
	}
	*ret = a.v;
	*ret_size = size;
	return 0;
}

void program_env_free(char **env, size_t size)
{
	if (!env)
		return;
	secret_wipe(env, size);
	munmap(env, size);
}

/* ---- the start ---- */

struct start {
	char **argv, **env;
	size_t env_size;
	char *tries[N_DIRS + 1]; /* owned: where the program may be */
	size_t ntries;
	int null, out, err, failed;
	pid_t parent;
};

static int find_places(struct start *s)
{
	if (strchr(s->argv[0], '/'))
		return (s->tries[s->ntries++] = mem_strdup(s->argv[0])) ? 0 : -ENOMEM;
	for (size_t i = 0; i < N_DIRS; i++)
		if (!(s->tries[s->ntries++] = mem_asprintf("%s/%s", path_dirs[i], s->argv[0])))
			return -ENOMEM;
	return 0;
}

static void start_clear(struct start *s)
{
	for (size_t i = 0; i < s->ntries; i++)
		mem_free(s->tries[i]);
	mem_free(s->argv);
	program_env_free(s->env, s->env_size);
	const int fds[] = {s->null, s->out, s->err, s->failed};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void try_places(const struct start *s)
{
	int worst = ENOENT;
	for (size_t i = 0; i < s->ntries; i++) {
		execve(s->tries[i], s->argv, s->env);
		if (errno != ENOENT && errno != ENOTDIR)
			worst = errno;
	}
	errno = worst;
}

/* Between fork and exec, perhaps of a process that has threads: nothing that takes a lock. */
__attribute__((noreturn)) static void child(const struct start *s)
{
	int why;
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	harden_signals();
	umask(077);
	if (getppid() != s->parent || chdir("/") < 0 || dup2(s->null, 0) < 0 ||
		dup2(s->out, 1) < 0 || dup2(s->err, 2) < 0)
		_exit(126);
	harden_descriptors(&s->failed, 1);
	try_places(s);
	why = errno;
	_exit(write(s->failed, &why, sizeof(why)) == sizeof(why) ? 127 : 126);
}

/* The ends are above 2, so that the child's dup2(2) overwrites none: harden_stdio() was called. */
static int make_pipe(int *ret_ours, int *ret_theirs)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ret_ours = ends[0];
	*ret_theirs = ends[1];
	return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int make_ends(struct start *s, struct program *p)
{
	s->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (s->null < 0)
		return -errno;
	int r = make_pipe(&p->out, &s->out);
	if (r == 0)
		r = make_pipe(&p->err, &s->err);
	return r < 0 ? r : make_pipe(&p->failed, &s->failed);
}

static int prepare(const struct command *c, struct start *s, struct program *p)
{
	size_t n;
	int r = words_split(c->line, &s->argv, &n);
	if (r == 0)
		r = find_places(s);
	return r < 0 ? r : make_ends(s, p);
}

int program_start(const struct command *c, const struct envstore *secrets, struct program *ret,
	struct sfs_err *err)
{
	_cleanup_(start_clear) struct start s = {.null = -1, .out = -1, .err = -1, .failed = -1};
	struct program p = {.out = -1, .err = -1, .failed = -1};
	int r = program_env(c, secrets, &s.env, &s.env_size, err);
	if (r < 0)
		return r;
	r = prepare(c, &s, &p);
	s.parent = getpid();
	p.pid = r < 0 ? -1 : fork();
	if (p.pid == 0)
		child(&s);
	if (p.pid < 0) {
		r = r < 0 ? r : -errno;
		program_close(&p);
		return err_errno(err, -r, "start the program");
	}
	*ret = p;
	return 0;
}

int program_failed(const struct program *p)
{
	int why = 0;
	return read(p->failed, &why, sizeof(why)) == sizeof(why) && why > 0 ? why : 0;
}

void program_kill(const struct program *p)
{
	kill(-p->pid, SIGKILL);
	kill(p->pid, SIGKILL); /* it may not lead its group yet */
}

void program_close(struct program *p)
{
	int *const fds[] = {&p->out, &p->err, &p->failed};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/* ---- what it writes ---- */

/* 1 = there may be more, 0 = the end or nothing for now, or -errno of the buffer. */
static int take_out(struct program_io *io)
{
	char more; /* when it is full: is there one byte too many? */
	size_t left = io->text->max - io->text->len;
	size_t len = left < READ_CHUNK ? left : READ_CHUNK;
	char *room = len ? buf_reserve(io->text, len) : &more;
	if (!room)
		return -io->text->failed;
	ssize_t n = read(io->out, room, len ? len : 1);
	if (n < 0 && errno == EINTR)
		return 1;
	if (n == 0 || (n < 0 && errno != EAGAIN))
		io->out = -1;
	if (n <= 0)
		return 0;
	if (!len)
		return -EFBIG;
	buf_advance(io->text, (size_t)n);
	return 1;
}

static int take_err(struct program_io *io)
{
	char chunk[512];
	ssize_t n = read(io->err, chunk, sizeof(chunk));
	if (n < 0 && errno == EINTR)
		return 1;
	if (n == 0 || (n < 0 && errno != EAGAIN))
		io->err = -1;
	if (n <= 0)
		return 0;
	size_t room = sizeof(io->said) - io->nsaid;
	size_t len = (size_t)n < room ? (size_t)n : room;
	memcpy(io->said + io->nsaid, chunk, len);
	io->nsaid += len;
	return 1;
}

/* What is left in the pipes; what the program left running may still write, and is not waited for.
 */
static int drain(struct program_io *io)
{
	int r = 1;
	while (r > 0 && io->out >= 0)
		r = take_out(io);
	for (size_t i = 0; r >= 0 && i < sizeof(io->said) / 512 && io->err >= 0; i++)
		if (take_err(io) == 0)
			break;
	return r < 0 ? r : 0;
}

static int64_t limit(const struct call *call)
{
	int64_t own = clock_after(clock_boot(), SFS_RUN_SECONDS);
	return call->deadline < own ? call->deadline : own;
}

static int check_call(const struct call *call, int64_t until, struct sfs_err *err)
{
	if (call_cancelled(call))
		return err_set(err, ECANCELED, "the program was ended: nobody waits for it");
	if (clock_boot() >= until)
		return err_set(err, ETIMEDOUT, "the program was ended: it took too long");
	return 0;
}

static int refuse_output(int r, const struct buf *text, struct sfs_err *err)
{
	if (r == -EFBIG)
		return err_set(err, EFBIG, "the program writes more than %zu bytes", text->max);
	return err_errno(err, -r, "read what the program writes");
}

int program_follow(struct program_io *io, int done_fd, const struct call *call, struct sfs_err *err)
{
	int64_t until = limit(call);
	for (;;) {
		struct pollfd p[] = {{.fd = done_fd, .events = POLLIN},
			{.fd = io->out, .events = POLLIN}, {.fd = io->err, .events = POLLIN}};
		int r = check_call(call, until, err);
		if (r < 0)
			return r;
		if (poll(p, 3, TICK_MS) <= 0)
			continue;
		if (p[0].revents)
			r = drain(io);
		else if (p[1].revents)
			r = take_out(io);
		if (r >= 0 && !p[0].revents && p[2].revents)
			take_err(io);
		if (r < 0)
			return refuse_output(r, io->text, err);
		if (p[0].revents)
			return 0;
	}
}

int program_said(const struct program_io *io, struct buf *out)
{
	char shown[SFS_RUN_STDERR];
	size_t len = io->nsaid;
	while (len && strchr("\r\n\t ", io->said[len - 1]))
		len--;
	return buf_str(out, text_escaped(shown, sizeof(shown), io->said, len));
}

int program_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}
