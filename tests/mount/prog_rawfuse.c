/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prog_rawfuse WORKER SOURCE SEED COUNT: starts the worker with a socket in the place of /dev/fuse
 * and plays both the kernel and the holder. Sends COUNT well-formed requests with random
 * operations, node ids, handles, names and sizes. Checks that
 *   - every request gets exactly one reply, FORGET none;
 *   - an unknown node id is answered ESTALE, an unknown handle EBADF or ESTALE (R21), a write EROFS
 * or EACCES (or ESTALE);
 *   - no reply carries an errno that the kernel refuses;
 *   - the worker is alive at the end and leaves with status 0 when the holder says so.
 * Prints "requests N replies N" and a histogram of errnos.
 */
#include "base/hold.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGE_MAX (256 * 1024)
#define NODES_MAX   (1 << 20) /* node ids are counted up from 1 */
#define HANDLES_MAX 256
#define WAITING_MAX 64
#define REPLY_MSEC  20000
#define ERRNO_MAX   512 /* what the kernel takes */

struct request {
	struct fuse_in_header h;
	char body[8192];
};

struct waiting {
	uint64_t unique, nodeid, fh;
	uint32_t opcode;
	int known; /* the node id was handed out */
};

static int device, holder;
static uint64_t rng_state, unique = 2; /* odd ones are INTERRUPTs, as the kernel has it */
/* What the kernel would remember: how often a node was handed out, in a list of ids without holes.
 * An id leaves the list with its last FORGET. */
static uint32_t lookups[NODES_MAX];
static unsigned char
	seen[NODES_MAX]; /* handed out once: then a handle may keep it although it was forgotten */
static uint64_t nodes[NODES_MAX], handles[HANDLES_MAX];
static size_t nnodes, nhandles;
static struct waiting waiting[WAITING_MAX];
static size_t nwaiting;
static unsigned long sent, replies, errors[ERRNO_MAX];

static uint64_t rnd(uint64_t n)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state % n;
}

static void die(const char *what)
{
	fprintf(stderr, "prog_rawfuse: %s (after %lu requests)\n", what, sent);
	exit(1);
}

/* --- the holder's side --- */

static void answer_holder(void)
{
	static struct hold_msg m;
	int fd = -1, out = -1;
	int r = hold_recv(holder, &m, &fd);
	if (r <= 0)
		die("the worker closed the holder's socket");
	if (m.type == HOLD_FAILED) {
		fprintf(stderr, "prog_rawfuse: worker: %s\n", m.text);
		die("the worker did not start");
	}
	if (m.type == HOLD_ENV)
		out = memfd_create("env", MFD_CLOEXEC);
	else if (m.type == HOLD_LIVE)
		return;
	struct hold_msg *reply = calloc(1, sizeof(*reply));
	if (!reply)
		die("no memory");
	reply->type = HOLD_REPLY;
	reply->id = m.id;
	reply->code = out < 0 ? EACCES : 0;
	hold_send(holder, reply, out);
	free(reply);
	if (out >= 0)
		close(out);
	if (fd >= 0)
		close(fd);
}

static void start_worker(const char *worker, const char *source)
{
	int dev[2], hold[2], size = MESSAGE_MAX * 4;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, dev) ||
		socketpair(AF_UNIX, SOCK_SEQPACKET, 0, hold))
		die("socketpair");
	setsockopt(dev[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(dev[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (fork() == 0) {
		int dir = open("/", O_RDONLY | O_DIRECTORY);
		int d = fcntl(dev[1], F_DUPFD, 20), h = fcntl(hold[1], F_DUPFD, 20),
		    c = fcntl(dir, F_DUPFD, 20);
		if (dup2(d, 3) < 0 || dup2(h, 4) < 0 || dup2(c, 5) < 0)
			_exit(127);
		for (int fd = 6; fd < 64; fd++)
			close(fd);
		execl(worker, worker, "worker", source, "/nonexistent/mount", "timeout=5", "stderr",
			"4194304", "try", "0:0", "", "0:9999", (char *)NULL);
		_exit(127);
	}
	close(dev[1]);
	close(hold[1]);
	device = dev[0];
	holder = hold[0];
}

/* --- the kernel's side --- */

static void remember_node(uint64_t id)
{
	if (id >= NODES_MAX)
		die("a node id beyond a million: this program counts on small ones");
	seen[id] = 1;
	if (lookups[id]++ == 0)
		nodes[nnodes++] = id;
}

static void remember_handle(uint64_t fh)
{
	handles[nhandles < HANDLES_MAX ? nhandles++ : (size_t)rnd(HANDLES_MAX)] = fh;
}

static int is_known(uint64_t id)
{
	return id < NODES_MAX && seen[id];
}

/* READDIRPLUS hands out nodes too, but for "." and "..". */
static void remember_entries(const char *data, size_t len)
{
	while (len >= FUSE_NAME_OFFSET_DIRENTPLUS) {
		struct fuse_direntplus e;
		memcpy(&e, data, sizeof(e));
		if (e.entry_out.nodeid)
			remember_node(e.entry_out.nodeid);
		size_t step = FUSE_DIRENTPLUS_SIZE(&e);
		if (step > len)
			die("an entry of READDIRPLUS reaches over the end");
		data += step;
		len -= step;
	}
}

static void check_error(const struct waiting *w, int code)
{
	if (code <= 0 || code >= ERRNO_MAX)
		die("an errno that the kernel refuses");
	errors[code]++;
	if (code == ENOSYS && w->opcode != FUSE_ACCESS && w->opcode != FUSE_FLUSH &&
		w->opcode != FUSE_FSYNC) {
		fprintf(stderr, "opcode %u\n", w->opcode);
		die("ENOSYS for an operation that it has");
	}
}

static void on_reply(const char *data, size_t len)
{
	const struct fuse_out_header *h = (const void *)data;
	size_t i = 0;
	if (len < sizeof(*h) || h->len != len)
		die("a reply of a wrong length");
	if (h->unique == 0)
		return; /* a notification */
	if (h->unique & 1) {
		if (h->error != -EAGAIN)
			die("an INTERRUPT was answered with something else than EAGAIN");
		return;
	}
	while (i < nwaiting && waiting[i].unique != h->unique)
		i++;
	if (i == nwaiting)
		die("a reply nobody waits for: answered twice");
	struct waiting w = waiting[i];
	waiting[i] = waiting[--nwaiting];
	replies++;
	if (h->error) {
		check_error(&w, -h->error);
		return;
	}
	errors[0]++;
	if (!w.known && w.opcode != FUSE_STATFS && w.opcode != FUSE_RELEASE &&
		w.opcode != FUSE_RELEASEDIR) {
		fprintf(stderr, "opcode %u node %llu\n", w.opcode, (unsigned long long)w.nodeid);
		die("an unknown node id was served");
	}
	const char *body = data + sizeof(*h);
	if (w.opcode == FUSE_LOOKUP && len >= sizeof(*h) + sizeof(struct fuse_entry_out)) {
		const struct fuse_entry_out *e = (const void *)body;
		if (e->nodeid)
			remember_node(e->nodeid);
	} else if (w.opcode == FUSE_OPEN || w.opcode == FUSE_OPENDIR) {
		remember_handle(((const struct fuse_open_out *)(const void *)body)->fh);
	} else if (w.opcode == FUSE_READDIRPLUS) {
		remember_entries(body, len - sizeof(*h));
	}
}

/* Takes what has come; waits until fewer than `max` requests are open. */
static void drain(size_t max)
{
	static char data[MESSAGE_MAX];
	for (;;) {
		struct pollfd p[] = {
			{.fd = device, .events = POLLIN}, {.fd = holder, .events = POLLIN}};
		int n = poll(p, 2, nwaiting > max ? REPLY_MSEC : 0);
		if (n == 0 && nwaiting > max) {
			fprintf(stderr, "opcode %u\n", waiting[0].opcode);
			die("a request got no reply");
		}
		if (n <= 0)
			return;
		if (p[1].revents)
			answer_holder();
		if (!p[0].revents)
			continue;
		ssize_t len = read(device, data, sizeof(data));
		if (len <= 0)
			die("the worker closed the device");
		on_reply(data, (size_t)len);
	}
}

static void send_request(
	uint32_t opcode, uint64_t nodeid, const void *body, size_t len, int wants_reply)
{
	struct request rq = {.h = {.len = (uint32_t)(sizeof(rq.h) + len),
				     .opcode = opcode,
				     .unique = (unique += 2) | (opcode == FUSE_INTERRUPT),
				     .nodeid = nodeid}};
	rq.h.uid = rnd(2) ? 0 : 1000;
	rq.h.pid = (uint32_t)getpid();
	memcpy(rq.body, body, len);
	if (wants_reply)
		waiting[nwaiting++] =
			(struct waiting){rq.h.unique, nodeid, 0, opcode, is_known(nodeid)};
	if (write(device, &rq, rq.h.len) != (ssize_t)rq.h.len)
		die("write to the device");
	sent++;
}

static void handshake(void)
{
	struct fuse_init_in in = {
		.major = 7, .minor = 39, .max_readahead = 131072, .flags = 0x00ffffff};
	struct pollfd p = {.fd = holder, .events = POLLIN};
	poll(&p, 1, REPLY_MSEC);
	answer_holder();
	send_request(FUSE_INIT, 0, &in, sizeof(in), 1);
	waiting[0].known = 1;
	drain(0);
}

static uint64_t any_node(void)
{
	switch (rnd(10)) {
	case 0:
		return rnd(UINT64_MAX);
	case 1: /* perhaps forgotten, perhaps never handed out; not one that a reply on its way
		   brings */
		return nwaiting ? FUSE_ROOT_ID : rnd(NODES_MAX);
	case 2:
		return nwaiting ? FUSE_ROOT_ID : rnd(nodes[nnodes - 1] + 1);
	default:
		return nodes[rnd(nnodes)];
	}
}

static uint64_t any_handle(void)
{
	return rnd(3) && nhandles ? handles[rnd(nhandles)] : rnd(2) ? rnd(100) : rnd(UINT64_MAX);
}

static size_t any_name(char *out)
{
	static const char *const good[] = {"one", "two", "dir", "x", "app", "k", ".fields",
		".versions", ".control", "list", "all", "status", "purge", ".meta", ".nocache",
		".json", "hydrate", "ttl", ".value", ".next", "doc", "a", "1", "%2E", "nothing"};
	if (rnd(4)) {
		const char *name = good[rnd(sizeof(good) / sizeof(good[0]))];
		return strlen(strcpy(out, name)) + 1;
	}
	size_t len = 1 + rnd(rnd(8) ? 20 : 1000);
	for (size_t i = 0; i < len; i++)
		out[i] = (char)(1 + rnd(255));
	for (size_t i = 0; i < len; i++)
		if (out[i] == '/')
			out[i] = '_';
	out[len] = 0;
	return len + 1;
}

struct operation {
	uint32_t opcode;
	size_t fixed; /* bytes of the structure before the names */
	int names, weight;
};

static const struct operation operations[] = {
	{FUSE_LOOKUP, 0, 1, 30},
	{FUSE_GETATTR, sizeof(struct fuse_getattr_in), 0, 10},
	{FUSE_SETATTR, sizeof(struct fuse_setattr_in), 0, 4},
	{FUSE_OPEN, sizeof(struct fuse_open_in), 0, 15},
	{FUSE_OPENDIR, sizeof(struct fuse_open_in), 0, 10},
	{FUSE_READ, sizeof(struct fuse_read_in), 0, 15},
	{FUSE_READDIR, sizeof(struct fuse_read_in), 0, 10},
	{FUSE_READDIRPLUS, sizeof(struct fuse_read_in), 0, 8},
	{FUSE_RELEASE, sizeof(struct fuse_release_in), 0, 4},
	{FUSE_RELEASEDIR, sizeof(struct fuse_release_in), 0, 3},
	{FUSE_WRITE, sizeof(struct fuse_write_in), 0, 5},
	{FUSE_STATFS, 0, 0, 1},
	{FUSE_GETXATTR, sizeof(struct fuse_getxattr_in), 1, 4},
	{FUSE_LISTXATTR, sizeof(struct fuse_getxattr_in), 0, 2},
	{FUSE_REMOVEXATTR, 0, 1, 1},
	{FUSE_MKNOD, sizeof(struct fuse_mknod_in), 1, 1},
	{FUSE_MKDIR, sizeof(struct fuse_mkdir_in), 1, 1},
	{FUSE_UNLINK, 0, 1, 1},
	{FUSE_RMDIR, 0, 1, 1},
	{FUSE_SYMLINK, 0, 2, 1},
	{FUSE_RENAME, sizeof(struct fuse_rename_in), 2, 1},
	{FUSE_LINK, sizeof(struct fuse_link_in), 1, 1},
	{FUSE_CREATE, sizeof(struct fuse_create_in), 1, 1},
	{FUSE_ACCESS, sizeof(struct fuse_access_in), 0, 1},
	{FUSE_FLUSH, sizeof(struct fuse_flush_in), 0, 1},
	{FUSE_FSYNC, sizeof(struct fuse_fsync_in), 0, 1},
	{FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in), 0, 1},
};
#define NOPERATIONS (sizeof(operations) / sizeof(operations[0]))

static const struct operation *any_operation(void)
{
	int total = 0;
	size_t at = 0;
	for (size_t i = 0; i < NOPERATIONS; i++)
		total += operations[i].weight;
	for (int pick = (int)rnd((uint64_t)total); pick >= operations[at].weight; at++)
		pick -= operations[at].weight;
	return &operations[at];
}

static void fill_read(char *body)
{
	struct fuse_read_in in = {
		.fh = any_handle(),
		.offset = rnd(2)   ? 0
			  : rnd(2) ? rnd(500)
				   : rnd(INT64_MAX),
		.size = (uint32_t)rnd(131072),
	};
	memcpy(body, &in, sizeof(in));
}

/* Returns the bytes of data after the structure. */
static size_t fill_write(char *body)
{
	struct fuse_write_in in = {.fh = any_handle(),
		.offset = rnd(3) ? 0 : rnd(INT64_MAX),
		.size = (uint32_t)rnd(200)};
	memcpy(body, &in, sizeof(in));
	for (uint32_t i = 0; i < in.size; i++)
		body[sizeof(in) + i] = "one two *?\n%#x0"[rnd(16)];
	return in.size;
}

/* Fills the structure with values that lead somewhere. Returns the bytes added after it. */
static size_t fill_fixed(const struct operation *op, char *body)
{
	struct fuse_getxattr_in xattr = {.size = (uint32_t)(rnd(2) ? 0 : rnd(70000))};
	struct fuse_open_in open_in = {.flags = rnd(4) ? O_RDONLY : (uint32_t)rnd(4)};
	uint64_t fh = any_handle();
	switch (op->opcode) {
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		fill_read(body);
		return 0;
	case FUSE_WRITE:
		return fill_write(body);
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
		memcpy(body, &fh, sizeof(fh));
		return 0;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		memcpy(body, &xattr, sizeof(xattr));
		return 0;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		memcpy(body, &open_in, sizeof(open_in));
		return 0;
	default:
		return 0;
	}
}

/* The structure of an operation with random fields, then its names. */
static void random_request(void)
{
	const struct operation *op = any_operation();
	char body[4096];
	size_t len = op->fixed;
	for (size_t i = 0; i < len; i++)
		body[i] = (char)(rnd(3) ? 0 : rnd(256));
	len += fill_fixed(op, body);
	for (int i = 0; i < op->names; i++)
		len += any_name(body + len);
	send_request(op->opcode, any_node(), body, len, 1);
}

static void random_forget(void)
{
	drain(0); /* the kernel forgets no node that a request uses */
	size_t at = 1 + (size_t)rnd(nnodes);
	uint64_t id = at < nnodes ? nodes[at] : rnd(UINT64_MAX);
	struct fuse_forget_in in = {.nlookup = rnd(3)};
	if (at < nnodes && in.nlookup > lookups[id])
		in.nlookup = lookups[id];
	send_request(FUSE_FORGET, id, &in, sizeof(in), 0);
	if (at < nnodes && in.nlookup && (lookups[id] -= (uint32_t)in.nlookup) == 0)
		nodes[at] = nodes[--nnodes];
}

static void random_interrupt(void)
{
	struct fuse_interrupt_in in = {
		.unique = nwaiting ? waiting[rnd(nwaiting)].unique : rnd(1000)};
	send_request(FUSE_INTERRUPT, 0, &in, sizeof(in), 0);
}

int main(int argc, char **argv)
{
	int status;
	if (argc != 5) {
		fprintf(stderr, "usage: prog_rawfuse WORKER SOURCE SEED COUNT\n");
		return 2;
	}
	rng_state = strtoull(argv[3], NULL, 10) * 2654435761u + 88172645463325252u;
	unsigned long count = strtoul(argv[4], NULL, 10);
	start_worker(argv[1], argv[2]);
	remember_node(FUSE_ROOT_ID);
	handshake();
	while (sent < count) {
		if (rnd(20) == 0)
			random_forget();
		else if (rnd(20) == 0)
			random_interrupt();
		else
			random_request();
		drain(rnd(WAITING_MAX - 1));
	}
	drain(0);
	static struct hold_msg stop = {.type = HOLD_STOP};
	hold_send(holder, &stop, -1);
	if (wait(&status) < 0 || status != 0)
		die(WIFSIGNALED(status) ? "the worker was killed" : "the worker did not end well");
	printf("requests %lu replies %lu\n", sent, replies);
	for (int e = 0; e < ERRNO_MAX; e++)
		if (errors[e])
			printf("%s %lu\n", e ? strerrorname_np(e) : "ok", errors[e]);
	return 0;
}
