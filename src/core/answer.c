/* SPDX-License-Identifier: Apache-2.0 */
#include "core/answer.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/text.h"
#include "net/json.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* What open(2) of a secret may fail with (design section 4), and what a full process adds. Others
 * mean something else to the kernel or to the reader: ENOSYS would switch OPEN off for the whole
 * mount, ESTALE starts the path walk anew, ENOTCONN says that the mount is dead. */
static bool is_errno(int code)
{
	static const int table[] = {ENOENT, EACCES, ENOKEY, EKEYEXPIRED, EKEYREJECTED, EKEYREVOKED,
		EBUSY, EHOSTUNREACH, ETIMEDOUT, EREMOTEIO, EPROTO, EBADMSG, EFBIG, EINTR, ENOMEM,
		EOPNOTSUPP, EINVAL, EAGAIN, EIO, ELOOP, EMFILE, ENFILE, ECANCELED};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i] == code)
			return true;
	return false;
}

int answer_code(int r, struct sfs_err *err)
{
	struct sfs_err said;

	if (r == 0)
		return 0;
	if (r > 0 || r == INT_MIN || !is_errno(-r))
		return err_set(err, EIO,
			"the back end returned %d, which is no error a reader can get", r);
	said = *err;
	said.msg[sizeof(said.msg) - 1] = 0;
	if (said.msg[0])
		return err_set(err, -r, "%s", said.msg);
	return err_errno(err, -r, "the back end failed");
}

bool answer_name(const char *name)
{
	return name && name[0] && strnlen(name, SFS_NAME_MAX + 1) <= SFS_NAME_MAX;
}

bool answer_meta(const char *text)
{
	size_t len = strnlen(text, SFS_META_MAX + 1);
	struct json *doc = NULL;
	struct sfs_err err;
	bool ok;

	if (len > SFS_META_MAX || json_parse(text, len, JSON_STRICT, &doc, &err) < 0)
		return false;
	ok = json_kind(json_root(doc)) == JSON_OBJECT;
	json_free(doc);
	return ok;
}

/* A key nobody can name spoils itself only. */
static size_t drop_bad_keys(struct payload *p)
{
	size_t kept = 0, n = p->nparts;

	for (size_t i = 0; i < n; i++) {
		struct part *part = &p->parts[i];

		if (answer_name(part->key)) {
			p->parts[kept++] = *part;
			continue;
		}
		mem_free(part->key);
		secret_unref(part->bytes);
	}
	p->nparts = kept;
	return n - kept;
}

static int check_sizes(const struct payload *p, struct sfs_err *err)
{
	size_t total = 0;
	char key[128];

	for (size_t i = 0; i < p->nparts; i++) {
		const char *k = p->parts[i].key;
		size_t len = secret_len(p->parts[i].bytes);

		total += len;
		if (len > SFS_VALUE_MAX)
			return err_set(err, EFBIG,
				"the value%s%s has %zu bytes; at most %d are allowed",
				k ? " of key " : "",
				k ? text_escaped(key, sizeof(key), k, strlen(k)) : "", len,
				SFS_VALUE_MAX);
	}
	if (total > SFS_PAYLOAD_MAX)
		return err_set(err, EFBIG,
			"the keys of this secret have %zu bytes together; at most %d are allowed",
			total, SFS_PAYLOAD_MAX);
	return 0;
}

/* One part without key, or any number of parts with sorted, different keys. */
static int check_shape(const struct payload *p, struct sfs_err *err)
{
	if (atomic_load(&p->refs) != 1)
		return err_set(err, EBADMSG, "the back end still holds the answer it gave away");
	if (p->nparts > SFS_KEYS_MAX)
		return err_set(err, EBADMSG, "the answer claims %zu keys; at most %d are allowed",
			p->nparts, SFS_KEYS_MAX);
	for (size_t i = 0; i < p->nparts; i++) {
		const char *key = p->parts[i].key;

		if (!p->parts[i].bytes || (!key && p->nparts > 1))
			return err_set(err, EBADMSG, "part %zu of the answer has no %s", i + 1,
				key ? "value" : "key");
		if (i > 0 && strcmp(p->parts[i - 1].key, key) >= 0)
			return err_set(
				err, EBADMSG, "keys of the answer are not in order or given twice");
	}
	if (p->version && strnlen(p->version, SFS_VERSION_MAX + 1) > SFS_VERSION_MAX)
		return err_set(
			err, EBADMSG, "the version id has more than %d bytes", SFS_VERSION_MAX);
	return 0;
}

static void mend(const char *who, const char *name, struct payload *p)
{
	static struct log_rate keys_rate = LOG_RATE(60), meta_rate = LOG_RATE(60);
	char text[128];
	size_t bad = p->nparts > 0 && p->parts[0].key ? drop_bad_keys(p) : 0;

	if (bad > 0 && log_due(&keys_rate))
		log_warn("%s: get %s: skipped %zu keys that are empty or longer than %d bytes", who,
			text_escaped(text, sizeof(text), name, strlen(name)), bad, SFS_NAME_MAX);
	if (p->version && !p->version[0]) {
		mem_free(p->version);
		p->version = NULL;
	}
	if (p->created < 0)
		p->created = 0;
	if (p->ttl_hint < -1)
		p->ttl_hint = -1;
	if (!p->meta || answer_meta(p->meta))
		return;
	if (log_due(&meta_rate))
		log_warn("%s: get %s: its metadata is no JSON object of at most %d bytes and was "
			 "dropped",
			who, text_escaped(text, sizeof(text), name, strlen(name)), SFS_META_MAX);
	mem_free(p->meta);
	p->meta = NULL;
}

int answer_payload(const char *who, const char *name, struct payload **p, struct sfs_err *err)
{
	int r;

	if (!*p)
		return err_set(err, EBADMSG, "the back end reported success without a value");
	r = check_shape(*p, err);
	if (r == 0) {
		mend(who, name, *p);
		r = check_sizes(*p, err);
	}
	if (r < 0) {
		payload_unref(*p);
		*p = NULL;
	}
	return r;
}
