/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ptab.h"

#include "base/alloc.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define CAP_MIN 16

static uint64_t key[2];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
	struct timespec ts;
	if (getrandom(key, sizeof(key), GRND_NONBLOCK) == (ssize_t)sizeof(key))
		return;
	/* Early boot without entropy: the table still works, only its order can be foreseen. */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	key[0] = (uint64_t)ts.tv_nsec;
	key[1] = (uint64_t)ts.tv_sec;
}

static uint64_t rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sip_round(v);
	v[0] ^= m;
}

uint64_t ptab_hash(const void *data, size_t len, uint64_t seed)
{
	pthread_once(&key_once, make_key);
	const unsigned char *p = data;
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ seed ^ 0x646f72616e646f6d,
		key[0] ^ 0x6c7967656e657261, key[1] ^ seed ^ 0x7465646279746573};
	uint64_t m = 0;
	size_t left = len;
	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&m, p, 8);
		sip_word(v, m);
	}
	m = 0;
	if (left)
		memcpy(&m, p, left);
	sip_word(v, m | (uint64_t)len << 56);
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void *ptab_find(const struct ptab *t, uint64_t hash, bool (*same)(const void *p, const void *key),
	const void *k)
{
	if (!t->cap)
		return NULL;
	for (size_t i = hash & (t->cap - 1); t->slots[i].p; i = (i + 1) & (t->cap - 1))
		if (t->slots[i].hash == hash && same(t->slots[i].p, k))
			return t->slots[i].p;
	return NULL;
}

/* There is a free slot: at most three quarters are in use. */
static void put(struct ptab_slot *slots, size_t cap, uint64_t hash, void *p)
{
	size_t i = hash & (cap - 1);
	while (slots[i].p)
		i = (i + 1) & (cap - 1);
	slots[i] = (struct ptab_slot){.hash = hash, .p = p};
}

static int grow(struct ptab *t)
{
	size_t cap = t->cap ? t->cap * 2 : CAP_MIN;
	struct ptab_slot *slots = mem_calloc(cap, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->cap; i++)
		if (t->slots[i].p)
			put(slots, cap, t->slots[i].hash, t->slots[i].p);
	mem_free(t->slots);
	t->slots = slots;
	t->cap = cap;
	return 0;
}

int ptab_add(struct ptab *t, uint64_t hash, void *p)
{
	if (t->n + 1 > t->cap / 4 * 3 && grow(t) < 0)
		return -ENOMEM;
	put(t->slots, t->cap, hash, p);
	t->n++;
	return 0;
}

/* Moves later elements of the run into the hole, so that no marks of deleted ones are needed. */
static void close_hole(struct ptab *t, size_t hole)
{
	size_t mask = t->cap - 1;
	for (size_t i = (hole + 1) & mask; t->slots[i].p; i = (i + 1) & mask) {
		size_t home = t->slots[i].hash & mask;
		if (((i - home) & mask) < ((i - hole) & mask))
			continue; /* its home lies behind the hole */
		t->slots[hole] = t->slots[i];
		hole = i;
	}
	t->slots[hole].p = NULL;
}

bool ptab_del(struct ptab *t, uint64_t hash, const void *p)
{
	if (!t->cap)
		return false;
	for (size_t i = hash & (t->cap - 1); t->slots[i].p; i = (i + 1) & (t->cap - 1)) {
		if (t->slots[i].p != p)
			continue;
		close_hole(t, i);
		t->n--;
		return true;
	}
	return false;
}

void *ptab_next(const struct ptab *t, size_t *pos)
{
	while (*pos < t->cap) {
		void *p = t->slots[(*pos)++].p;
		if (p)
			return p;
	}
	return NULL;
}

void ptab_clear(struct ptab *t)
{
	mem_free(t->slots);
	*t = (struct ptab){0};
}
