/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/gcp_answer.h"

#include "backends/gcp_conf.h"
#include "backends/members.h"
#include "backends/times.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "net/crypto.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LETTERS	      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS	      "0123456789"
#define ID_BYTES      LETTERS DIGITS "_-"
#define PROJECT_BYTES LETTERS DIGITS "-.:"
#define LABEL_BYTES   "abcdefghijklmnopqrstuvwxyz" DIGITS "-"
#define RESOURCE_MAX  1024 /* of a resource name in an answer */

/* --- names --- */

/* A part of a path: its bytes up to the next slash, at most `max` of `allowed`. */
static bool part(const char **at, const char *allowed, char *out, size_t max)
{
	size_t len = strspn(*at, allowed);
	if (len == 0 || len > max || ((*at)[len] && (*at)[len] != '/'))
		return false;
	memcpy(out, *at, len);
	out[len] = '\0';
	*at += len + ((*at)[len] == '/');
	return true;
}

static bool word(const char **at, const char *w)
{
	size_t len = strlen(w);
	if (strncmp(*at, w, len) != 0)
		return false;
	*at += len;
	return true;
}

static bool full_name(const char *at, struct gcp_name *n)
{
	const char *end = at + strlen(at);
	if (!part(&at, PROJECT_BYTES, n->project, sizeof(n->project) - 1))
		return false;
	if (word(&at, "locations/") && !part(&at, LABEL_BYTES, n->location, 63))
		return false;
	if (!word(&at, "secrets/") || !part(&at, ID_BYTES, n->id, GCP_ID_MAX))
		return false;
	if (word(&at, "versions/") && !part(&at, ID_BYTES, n->version, GCP_VERSION_MAX))
		return false;
	return at == end && end[-1] != '/' && (!*n->version || gcp_version_ok(n->version)) &&
	       gcp_check_project("project", n->project, NULL) == 0;
}

bool gcp_name_parse(const char *name, struct gcp_name *ret)
{
	struct gcp_name n = {0};
	const char *at = name;
	if (word(&at, "projects/")
			? !full_name(at, &n)
			: !part(&at, ID_BYTES, n.id, GCP_ID_MAX) || *at || strchr(name, '/'))
		return false;
	*ret = n;
	return true;
}

uint64_t gcp_version_number(const char *text, size_t len)
{
	uint64_t n = 0;
	if (len == 0 || text[0] == '0')
		return 0;
	for (size_t i = 0; i < len; i++)
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, text[i] - '0', &n) || n > INT64_MAX)
			return 0;
	return n;
}

bool gcp_version_ok(const char *version)
{
	size_t len = strlen(version);
	if (strspn(version, DIGITS) == len)
		return gcp_version_number(version, len) > 0;
	return len <= GCP_ALIAS_MAX && strspn(version, ID_BYTES) == len &&
	       strspn(version, LETTERS) > 0 && strcmp(version, "NEW") != 0;
}

/* --- members --- */

const struct json_node *gcp_member(struct json *doc, const struct json_node *obj, const char *key)
{
	const struct json_node *n = member(doc, obj, key);
	char snake[64];
	size_t len = 0;
	if (n)
		return n;
	for (; *key && len + 3 < sizeof(snake); key++) {
		bool upper = *key >= 'A' && *key <= 'Z';
		if (upper)
			snake[len++] = '_';
		snake[len++] = (char)(upper ? *key - 'A' + 'a' : *key);
	}
	snake[len] = '\0';
	return member(doc, obj, snake);
}

int64_t gcp_when(struct json *doc, const struct json_node *obj, const char *key)
{
	const struct json_node *n = gcp_member(doc, obj, key);
	_cleanup_(buf_clear) struct buf text = BUF_INIT(64);
	int64_t ns;
	if (!n || member_text_of(doc, n, &text) < 0 || times_parse(buf_text(&text), text.len, &ns))
		return 0;
	return ns > 0 ? ns : 0;
}

/* The text behind the last `/KIND/` of a resource name; "" = it has none. */
static const char *tail_of(const struct buf *name, const char *kind)
{
	const char *at = NULL, *next = buf_text(name);
	while ((next = strstr(next, kind))) {
		next += strlen(kind);
		at = next;
	}
	return at ? at : "";
}

/* --- listings --- */

void gcp_line_clear(struct gcp_line *l)
{
	buf_clear(&l->id);
	buf_clear(&l->meta);
}

int gcp_facts(struct json *doc, const struct json_node *secret, struct buf *out)
{
	static const char *const values[] = {"payload", "data", NULL};
	return member_facts(doc, secret, NULL, values, out);
}

int gcp_line(struct json *doc, const struct json_node *entry, struct gcp_line *ret)
{
	_cleanup_(buf_clear) struct buf name = BUF_INIT(RESOURCE_MAX);
	buf_reset(&ret->id);
	buf_reset(&ret->meta);
	int rc = json_kind(entry) == JSON_OBJECT ? member_string(doc, entry, "name", &name)
						 : -EBADMSG;
	if (rc)
		return rc == -ENOMEM ? rc : -EBADMSG;
	const char *id = tail_of(&name, "/secrets/");
	if (!*id || strspn(id, ID_BYTES) != strlen(id))
		return -EBADMSG;
	rc = buf_str(&ret->id, id);
	if (rc)
		return rc == -ENOMEM ? rc : -EBADMSG;
	ret->created = gcp_when(doc, entry, "createTime");
	ret->expires = gcp_when(doc, entry, "expireTime");
	rc = gcp_facts(doc, entry, &ret->meta);
	if (rc == -EFBIG) /* it can be listed all the same */
		buf_reset(&ret->meta);
	return rc == -EFBIG ? 0 : rc;
}

/* --- values --- */

static int bad(struct sfs_err *err, const char *what)
{
	return err_set(err, EBADMSG, "the answer of Secret Manager %s", what);
}

static int no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for a value");
}

static int check_name(struct json *doc, const struct json_node *root, const struct gcp_name *asked,
	uint64_t *ret_number, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf name = BUF_INIT(RESOURCE_MAX);
	int rc = member_string(doc, root, "name", &name);
	const char *id = tail_of(&name, "/secrets/");
	const char *slash = strchr(id, '/');
	if (rc == -ENOMEM)
		return no_memory(err);
	if (rc || !slash || strncmp(slash, "/versions/", strlen("/versions/")) != 0)
		return bad(err, "names no version of a secret");
	size_t len = (size_t)(slash - id);
	if (len != strlen(asked->id) || memcmp(id, asked->id, len) != 0)
		return bad(err, "is for another secret than the one asked for");
	const char *version = slash + strlen("/versions/");
	uint64_t got = gcp_version_number(version, strlen(version));
	uint64_t want = gcp_version_number(asked->version, strlen(asked->version));
	if (!got)
		return bad(err, "names a version that is no number");
	if (want && want != got)
		return bad(err, "is for another version than the one asked for");
	*ret_number = got;
	return 0;
}

/* Both alphabets, with padding or without. */
static int decode(
	struct json *doc, const struct json_node *data, struct buf *out, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(2 * GCP_SECRET_MAX);
	int rc = json_kind(data) == JSON_STRING ? json_string(doc, data, &text) : -EBADMSG;
	if (rc == 0) {
		bool url = text.len &&
			   (memchr(text.data, '-', text.len) || memchr(text.data, '_', text.len));
		rc = base64_decode(
			out, buf_text(&text), text.len, BASE64_NO_PAD | (url ? BASE64_URL : 0));
	}
	if (rc == -ENOMEM)
		return no_memory(err);
	if (rc == -EFBIG)
		return err_set(err, EFBIG, "the value has more than %d bytes", GCP_SECRET_MAX);
	return rc ? bad(err, "holds a value that is no base64") : 0;
}

/* CRC-32C of the decoded bytes, as a decimal number or (int64 in JSON) a text of one. Absent is
 * fine: emulators have none. */
static int check_sum(struct json *doc, const struct json_node *payload, const struct buf *bytes,
	struct sfs_err *err)
{
	const struct json_node *n = gcp_member(doc, payload, "dataCrc32c");
	_cleanup_(buf_clear) struct buf text = BUF_INIT(64);
	if (!n)
		return 0;
	int rc = json_kind(n) == JSON_STRING   ? member_text_of(doc, n, &text)
		 : json_kind(n) == JSON_NUMBER ? json_compact(doc, n, &text)
					       : -EBADMSG;
	const char *s = buf_text(&text);
	bool zero = !strcmp(s, "0");
	uint64_t told = gcp_version_number(s, text.len);
	if (rc == -ENOMEM)
		return no_memory(err);
	if (rc || (!told && !zero) || told > UINT32_MAX)
		return bad(err, "holds a checksum that is no number of 32 bits");
	if (told != crc32c(buf_text(bytes), bytes->len))
		return bad(err, "was damaged on the way: the checksum does not fit the value");
	return 0;
}

static int value_bytes(
	struct json *doc, const struct json_node *root, struct buf *out, struct sfs_err *err)
{
	const struct json_node *payload = member(doc, root, "payload");
	if (!payload || json_kind(payload) != JSON_OBJECT)
		return bad(err, "holds no payload");
	const struct json_node *data = member(doc, payload, "data");
	int rc = data ? decode(doc, data, out, err) : 0;
	return rc ? rc : check_sum(doc, payload, out, err);
}

int gcp_payload(struct json *doc, const struct json_node *root, const struct gcp_name *asked,
	struct payload **ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf bytes = BUF_SECRET_INIT(GCP_SECRET_MAX);
	uint64_t number = 0;
	int rc = check_name(doc, root, asked, &number, err);
	if (!rc)
		rc = value_bytes(doc, root, &bytes, err);
	if (rc)
		return rc;
	struct payload *p = payload_new();
	struct secret *s = p ? secret_new(buf_text(&bytes), bytes.len) : NULL;
	if (!s || payload_add(p, NULL, s) < 0 || !(p->version = mem_asprintf("%" PRIu64, number))) {
		payload_unref(p);
		return no_memory(err);
	}
	p->ordinal = number;
	*ret = p;
	return 0;
}
