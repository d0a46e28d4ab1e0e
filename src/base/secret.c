/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of up to 2 KiB are slots of equal size in 4 KiB slabs, larger ones are runs of units
 * (base/arena.h). One lock guards all of it. In a child after fork(2) the blocks read as zeros and
 * must not be used: helpers call execve(2).
 */
#include "base/secret.h"
#include "base/arena.h"
#include "base/limits.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

/* Multiples of 16 that leave less than 3 % of a unit over. */
static const uint16_t class_size[] = {16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 288,
	336, 400, 448, 512, 576, 672, 816, 1024, 1360, 2048};
#define CLASSES	  (sizeof(class_size) / sizeof(class_size[0]))
#define SLOT_MAX  2048U
#define BLOCK_MAX ((size_t)SFS_SOURCE_MAX)

static struct {
	pthread_mutex_t lock;
	bool open;
	struct arena arena;
	uint32_t partial[CLASSES]; /* slabs with at least one free slot */
	size_t used, blocks;
	uint64_t failed;
} heap = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct secret {
	_Atomic uint32_t refs;
	uint32_t len;
	unsigned char bytes[];
};

/* The state of the arena can no longer be trusted: going on could hand one secret to the reader of
 * another. */
__attribute__((noreturn)) static void die(const char *why)
{
	static const char head[] = "secretfs: bug in the use of secret memory: ";
	ssize_t n = write(STDERR_FILENO, head, sizeof(head) - 1);
	n += write(STDERR_FILENO, why, strlen(why));
	n += write(STDERR_FILENO, "\n", 1);
	(void)n;
	abort();
}

void secret_wipe(void *p, size_t len)
{
	if (len)
		explicit_bzero(p, len); /* several times as fast as OPENSSL_cleanse() */
}

static unsigned class_of(size_t size)
{
	unsigned c = 0;
	while (class_size[c] < size)
		c++;
	return c;
}

static uint32_t units_of(size_t size)
{
	return (uint32_t)((size + ARENA_UNIT - 1) / ARENA_UNIT);
}

/* ---- with heap.lock held ---- */

static int open_locked(size_t cap, enum secret_lock lock, struct sfs_err *err)
{
	int r = arena_open(&heap.arena, cap, lock, err);
	if (r < 0)
		return r;
	for (size_t c = 0; c < CLASSES; c++)
		heap.partial[c] = ARENA_NONE;
	POISON(heap.arena.base, (size_t)heap.arena.units * ARENA_UNIT);
	heap.open = true;
	return 0;
}

static bool slab_new(unsigned c)
{
	uint32_t i = arena_take(&heap.arena, 1);
	if (i == ARENA_NONE)
		return false;
	struct arena_unit *u = &heap.arena.unit[i];
	u->kind = UNIT_SLAB;
	u->class = (uint8_t)c;
	u->live = 0;
	memset(u->used, 0, sizeof(u->used));
	arena_link(&heap.arena, &heap.partial[c], i);
	return true;
}

static unsigned slab_take_bit(struct arena_unit *u)
{
	for (unsigned w = 0;; w++) {
		if (u->used[w] == UINT64_MAX)
			continue;
		unsigned b = (unsigned)__builtin_ctzll(~u->used[w]);
		u->used[w] |= UINT64_C(1) << b;
		return w * 64 + b;
	}
}

static void *slot_take(unsigned c)
{
	if (heap.partial[c] == ARENA_NONE && !slab_new(c))
		return NULL;
	uint32_t i = heap.partial[c];
	struct arena_unit *u = &heap.arena.unit[i];
	unsigned slot = slab_take_bit(u);
	if (++u->live == ARENA_UNIT / class_size[c])
		arena_unlink(&heap.arena, &heap.partial[c], i);
	heap.used += class_size[c];
	return arena_at(&heap.arena, i) + (size_t)slot * class_size[c];
}

static void *run_take(size_t size)
{
	uint32_t n = units_of(size);
	uint32_t i = arena_take(&heap.arena, n);
	if (i == ARENA_NONE)
		return NULL;
	heap.used += (size_t)n * ARENA_UNIT;
	return arena_at(&heap.arena, i);
}

static void slot_give(uint32_t i, size_t offset)
{
	struct arena_unit *u = &heap.arena.unit[i];
	unsigned c = u->class;
	unsigned max = ARENA_UNIT / class_size[c];
	size_t slot = offset / class_size[c];
	u->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
	heap.used -= class_size[c];
	if (u->live == max)
		arena_link(&heap.arena, &heap.partial[c], i);
	if (--u->live == 0) {
		arena_unlink(&heap.arena, &heap.partial[c], i);
		arena_give(&heap.arena, i, 1);
	}
}

/* A live block, found from a pointer that the caller claims is one. */
struct block {
	uint32_t unit;
	size_t offset; /* in its slab; 0 for a run */
	size_t size;   /* usable bytes */
	bool slab;
};

static struct block block_of(const void *p)
{
	const struct arena *a = &heap.arena;
	uintptr_t at = (uintptr_t)p - (uintptr_t)a->base;
	if (!heap.open || (uintptr_t)p < (uintptr_t)a->base || at >= (size_t)a->usable * ARENA_UNIT)
		die("a pointer outside of the arena was freed");
	struct block b = {.unit = (uint32_t)(at / ARENA_UNIT), .offset = at % ARENA_UNIT};
	const struct arena_unit *u = &a->unit[b.unit];
	if (u->kind == UNIT_RUN && b.offset == 0) {
		b.size = (size_t)u->len * ARENA_UNIT;
		return b;
	}
	if (u->kind != UNIT_SLAB || b.offset % class_size[u->class] != 0)
		die("a pointer that is no block was freed, or a block twice");
	size_t slot = b.offset / class_size[u->class];
	if (!(u->used[slot / 64] >> slot % 64 & 1))
		die("a block was freed twice");
	b.slab = true;
	b.size = class_size[u->class];
	return b;
}

static void *take_locked(size_t size)
{
	if (!heap.open && open_locked(SFS_ARENA_DEFAULT, SECRET_LOCK_TRY, NULL) < 0)
		return NULL;
	void *p = size <= SLOT_MAX ? slot_take(class_of(size)) : run_take(size);
	if (!p) {
		heap.failed++;
		return NULL;
	}
	heap.blocks++;
	return p;
}

static void give_locked(struct block b)
{
	heap.blocks--;
	if (b.slab) {
		slot_give(b.unit, b.offset);
	} else {
		heap.used -= b.size;
		arena_give(&heap.arena, b.unit, (uint32_t)(b.size / ARENA_UNIT));
	}
}

/* Changes the size where the block stands; its free tail is zero before and after. */
static bool resize_locked(struct block b, unsigned char *p, size_t size)
{
	bool run = !b.slab && size > SLOT_MAX;
	size_t new_size = run ? (size_t)units_of(size) * ARENA_UNIT : b.size;
	if (!run && (!b.slab || size > b.size || class_size[class_of(size)] != b.size))
		return false;
	if (size < b.size)
		secret_wipe(p + size, b.size - size);
	if (new_size == b.size)
		return true;
	if (!arena_resize(&heap.arena, b.unit, (uint32_t)(new_size / ARENA_UNIT)))
		return false;
	heap.used += new_size - b.size; /* wraps back down when it shrinks */
	return true;
}

/* ---- public ---- */

int secret_init(size_t cap, enum secret_lock lock, struct sfs_err *err)
{
	int r;
	pthread_mutex_lock(&heap.lock);
	if (heap.open)
		r = err_set(err, EALREADY,
			"secret memory is in use already: its size is fixed at start");
	else
		r = open_locked(cap, lock, err);
	pthread_mutex_unlock(&heap.lock);
	return r;
}

void secret_fini(void)
{
	pthread_mutex_lock(&heap.lock);
	if (heap.open) {
		if (heap.blocks)
			die("it ends while blocks are in use");
		UNPOISON(heap.arena.base, (size_t)heap.arena.units * ARENA_UNIT);
		arena_close(&heap.arena);
		heap.open = false;
		heap.failed = 0;
	}
	pthread_mutex_unlock(&heap.lock);
}

void secret_stats(struct secret_stats *ret)
{
	pthread_mutex_lock(&heap.lock);
	*ret = (struct secret_stats){
		.cap = (size_t)heap.arena.units * ARENA_UNIT,
		.used = heap.used,
		.blocks = heap.blocks,
		.failed = heap.failed,
		.locked = heap.open && heap.arena.locked,
	};
	pthread_mutex_unlock(&heap.lock);
}

void *secret_alloc(size_t size)
{
	if (size > BLOCK_MAX)
		return NULL;
	if (size == 0)
		size = 1;
	pthread_mutex_lock(&heap.lock);
	void *p = take_locked(size);
	if (p)
		UNPOISON(p, size);
	pthread_mutex_unlock(&heap.lock);
	return p;
}

void secret_free(void *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&heap.lock);
	struct block b = block_of(p);
	UNPOISON(p, b.size);
	if (b.slab) {
		secret_wipe(p, b.size);
	} else { /* may take milliseconds: others go on meanwhile */
		pthread_mutex_unlock(&heap.lock);
		secret_wipe(p, b.size);
		pthread_mutex_lock(&heap.lock);
		b = block_of(p);
	}
	POISON(p, b.size);
	give_locked(b);
	pthread_mutex_unlock(&heap.lock);
}

void *secret_realloc(void *p, size_t size)
{
	if (!p)
		return secret_alloc(size);
	if (size > BLOCK_MAX)
		return NULL;
	if (size == 0)
		size = 1;
	pthread_mutex_lock(&heap.lock);
	struct block b = block_of(p);
	UNPOISON(p, b.size);
	bool in_place = resize_locked(b, p, size);
	if (in_place) {
		struct block now = block_of(p);
		UNPOISON(p, size);
		size_t end = now.size > b.size ? now.size : b.size;
		POISON((unsigned char *)p + size, end - size);
	}
	pthread_mutex_unlock(&heap.lock);
	if (in_place)
		return p;
	void *q = secret_alloc(size);
	if (!q)
		return NULL;
	memcpy(q, p, size < b.size ? size : b.size);
	secret_free(p);
	return q;
}

struct secret *secret_new_uninit(size_t len, unsigned char **ret_data)
{
	if (len > BLOCK_MAX - sizeof(struct secret))
		return NULL;
	struct secret *s = secret_alloc(sizeof(*s) + len);
	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	s->len = (uint32_t)len;
	*ret_data = s->bytes;
	return s;
}

struct secret *secret_new(const void *data, size_t len)
{
	unsigned char *bytes;
	struct secret *s = secret_new_uninit(len, &bytes);
	if (s && len)
		memcpy(bytes, data, len);
	return s;
}

struct secret *secret_ref(struct secret *s)
{
	if (atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed) == 0)
		die("a reference was taken to a freed secret");
	return s;
}

void secret_unref(struct secret *s)
{
	if (!s)
		return;
	uint32_t before = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel);
	if (before == 0)
		die("a secret lost more references than it had");
	if (before == 1)
		secret_free(s);
}

size_t secret_len(const struct secret *s)
{
	return s->len;
}

const unsigned char *secret_bytes(const struct secret *s)
{
	return s->bytes;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
	return a->len == b->len && CRYPTO_memcmp(a->bytes, b->bytes, a->len) == 0;
}
