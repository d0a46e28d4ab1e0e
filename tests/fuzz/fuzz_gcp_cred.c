/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that settings and credentials of Google Cloud come in: token answers and refusals ('t'),
 * credentials files with their keys ('f'), gcloud's configuration ('i'), settings that end in a URL
 * ('s'). What is accepted can stand in a header or a host, what is refused leaves nothing behind.
 */
#include "backends/gcp_conf.h"
#include "backends/gcp_doc.h"
#include "backends/gcp_jwt.h"
#include "backends/gcp_token.h"
#include "backends/members.h"
#include "base/cleanup.h"
#include "net/http_url.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

static size_t blocks(void)
{
	struct secret_stats st;
	secret_stats(&st);
	return st.blocks;
}

static void check_secret(const struct secret *s)
{
	for (size_t i = 0; s && i < secret_len(s); i++)
		check(secret_bytes(s)[i] >= 0x21 && secret_bytes(s)[i] <= 0x7e);
	check(!s || secret_len(s) > 0);
}

static void check_printable(const char *text)
{
	for (; *text; text++)
		check(*text >= 0x20 && *text <= 0x7e);
}

static void tokens(const char *text, size_t len)
{
	struct gcp_token t = {0};
	struct gcp_refusal why;
	struct sfs_err err = {0};
	int r = gcp_token_parse(text, len, &t, &err);
	check(r == 0 || err.code == -r);
	check((r == 0) == (t.access != NULL) && t.life >= 0);
	check_secret(t.access);
	check_secret(t.refresh);
	gcp_token_clear(&t);
	gcp_refusal_parse(len && text[0] & 1 ? 400 : 503, text, len, &why);
	check_printable(why.error);
	check_printable(why.subtype);
	check_printable(why.reason);
	check(gcp_refusal_sentence(&why, "x", "y", &err) < 0);
}

static void members(const struct gcp_doc *doc)
{
	char *text = NULL, *url = NULL;
	struct secret *secret = NULL;
	const struct json_node *obj = NULL;
	struct gcp_doc inner;
	struct http_url where;
	if (gcp_doc_text(doc, NULL, "client_email", GCP_MAY, &text, NULL) == 0 && text)
		check(*text && !strpbrk(text, "\n\r\t"));
	if (gcp_doc_url(doc, NULL, "token_uri", GCP_MUST, &url, NULL) == 0)
		check(http_url_parse(url, &where, NULL) == 0 &&
			(where.scheme == HTTP_TLS || where.local));
	gcp_doc_secret(doc, NULL, "refresh_token", GCP_MUST, &secret, NULL);
	check_secret(secret);
	if (gcp_doc_object(doc, NULL, "credential_source", GCP_MUST, &obj, NULL) == 0)
		check(json_kind(obj) == JSON_OBJECT);
	if (gcp_doc_nested(doc, "source_credentials", &inner, NULL) == 0)
		check(inner.nested && gcp_type_word(inner.type));
	secret_unref(secret);
	mem_free(text);
	mem_free(url);
}

static void key(const struct gcp_doc *doc)
{
	_cleanup_(buf_clear) struct buf pem = BUF_SECRET_INIT(GCP_FILE_MAX);
	struct crypto_rsa *rsa = NULL;
	struct sfs_err err = {0};
	if (member_string(doc->json, doc->node, "private_key", &pem) < 0)
		return;
	int r = gcp_key_load(buf_text(&pem), pem.len, "/k", &rsa, &err);
	check((r == 0) == (rsa != NULL));
	check(r == 0 || err.code == EBADMSG || err.code == ENOMEM);
	crypto_rsa_free(rsa);
}

static void files(const char *text, size_t len)
{
	struct gcp_doc doc = GCP_DOC_INIT;
	struct sfs_err err = {0};
	if (buf_add(&doc.text, text, len) < 0)
		return;
	if (gcp_doc_parse(&doc, "/c.json", &err) == 0) {
		members(&doc);
		key(&doc);
	} else {
		check(err.code == EBADMSG || err.code == ENOMEM);
		check_printable(err.msg);
	}
	gcp_doc_clear(&doc);
}

static void configuration(const char *text, size_t len)
{
	struct buf value = BUF_INIT(64);
	struct sfs_err err = {0};
	int r = gcp_gcloud_ini(text, len, "core", "project", &value, &err);
	check(r == 0 || r == 1 || err.code == -r);
	check(value.len <= 64 && !memchr(buf_text(&value), '\n', value.len));
	buf_clear(&value);
}

static void settings(const char *text, size_t len)
{
	static const char fine[] = "abcdefghijklmnopqrstuvwxyz0123456789-.:";
	char *s = mem_strndup(text, len);
	struct sfs_err err = {0};
	if (!s)
		return;
	if (gcp_check_project("p", s, &err) == 0)
		check(*s && strspn(s, fine) == strlen(s));
	if (gcp_check_universe("u", s, &err) == 0)
		check(strchr(s, '.') && strspn(s, fine) == strlen(s) && !strstr(s, ".."));
	if (gcp_check_email("e", s, &err) == 0)
		check(!strpbrk(s, "/:?#\\ ") && strchr(s, '@') == strrchr(s, '@'));
	check_printable(err.msg);
	mem_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 100000)
		return 0;
	size_t before = blocks();
	const char *text = (const char *)data + 1;
	switch (data[0]) {
	case 't':
		tokens(text, size - 1);
		break;
	case 'f':
		files(text, size - 1);
		break;
	case 'i':
		configuration(text, size - 1);
		break;
	default:
		settings(text, size - 1);
		break;
	}
	check(blocks() == before);
	return 0;
}
