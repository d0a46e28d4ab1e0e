/* SPDX-License-Identifier: Apache-2.0 */
/* Files and answers of identity federation of any bytes: what is accepted is whole and can be sent,
 * what is refused leaves nothing behind. The first byte says which text it is. */
#include "backends/gcp_external.h"
#include "backends/gcp_token.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
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

static void check_text(const char *s)
{
	for (; s && *s; s++)
		require((unsigned char)*s >= 0x20 && *s != 0x7f);
}

static void check_error(int r, const struct sfs_err *err)
{
	require(r == 0 || (err->code == -r && err->msg[0]));
}

static void check_source(const struct gcp_external *x)
{
	const struct gcp_source *s = &x->source;
	struct buf form = BUF_SECRET_INIT(GCP_EXCHANGE_MAX);
	struct secret *token = secret_new("t", 1);
	check_text(s->url);
	check_text(s->file);
	require(s->n_headers <= GCP_SOURCE_HEADERS);
	require(s->kind != GCP_SOURCE_FILE || s->file);
	require(s->kind != GCP_SOURCE_URL || s->url);
	require(s->kind != GCP_SOURCE_AWS || s->verification_url);
	require(s->kind != GCP_SOURCE_PROGRAM || (s->command && s->timeout > 0));
	if (s->kind == GCP_SOURCE_PROGRAM) {
		char *line = gcp_program_line(x, "/o");
		require(line && strncmp(line, s->command, strlen(s->command)) == 0);
		free(line);
	}
	require(gcp_exchange_form(x, "s", token, &form, NULL) == 0);
	check_text(buf_text(&form));
	buf_clear(&form);
	secret_unref(token);
}

static void documents(const char *text, size_t len)
{
	struct gcp_doc doc = GCP_DOC_INIT;
	struct gcp_external x = {0};
	struct gcp_account a = {0};
	struct sfs_err err = {0};
	int r = buf_add(&doc.text, text, len);
	if (r == 0)
		r = gcp_doc_parse(&doc, "/f", &err);
	if (r == 0) {
		r = gcp_external_parse(&doc, &x, &err);
		check_error(r, &err);
		require((r == 0) == (x.token_url && x.audience && x.token_type));
		if (r == 0)
			check_source(&x);
		err.code = 0;
		r = gcp_account_parse(&doc, &a, &err);
		check_error(r, &err);
		require((r == 0) == (a.url != NULL));
	}
	gcp_account_clear(&a);
	gcp_external_clear(&x);
	gcp_doc_clear(&doc);
}

static void subjects(const char *text, size_t len)
{
	static char field[] = "t";
	const struct gcp_source plain = {0}, member = {.field = field};
	struct secret *token = NULL;
	struct sfs_err err = {0};
	int r = gcp_subject_parse(&plain, text, len, &token, &err);
	check_error(r, &err);
	require((r == 0) == (token && secret_len(token) > 0 && secret_len(token) <= len));
	secret_unref(token);
	token = NULL;
	err.code = 0;
	r = gcp_subject_parse(&member, text, len, &token, &err);
	check_error(r, &err);
	require((r == 0) == (token && secret_len(token) > 0));
	secret_unref(token);
}

static void programs(const char *text, size_t len)
{
	struct secret *token = NULL;
	struct sfs_err err = {0};
	int64_t expires = 1, now = INT64_C(1700000000) * 1000000000;
	int r = gcp_program_parse(text, len, now, &token, &expires, &err);
	check_error(r, &err);
	require((r == 0) == (token && secret_len(token) > 0));
	require(r == 0 ? expires == 0 || expires > now : expires == 1);
	secret_unref(token);
}

static void answers(const char *text, size_t len)
{
	struct secret *token = NULL;
	struct sfs_err err = {0};
	int64_t expires = 1;
	int r = gcp_generate_parse(text, len, &token, &expires, &err);
	check_error(r, &err);
	require((r == 0) == (token != NULL));
	require(!token || secret_len(token) <= GCP_TOKEN_MAX);
	secret_unref(token);
	for (int status = 400; status < 405; status++) {
		err.code = 0;
		r = gcp_generate_refused(status, text, len, "sa", &err);
		require(r < 0);
		check_error(r, &err);
		check_text(err.msg);
	}
}

/* The text is the URL with {region}. */
static void requests(const char *text, size_t len)
{
	struct buf out = BUF_SECRET_INIT(GCP_EXCHANGE_MAX);
	struct secret *id = secret_new("AKID", 4), *key = secret_new("k", 1);
	struct sfs_err err = {0};
	char *url = strndup(text, len);
	const struct gcp_aws_request rq = {.keys = {.id = id, .key = key},
		.region = "us-east-1",
		.url = url,
		.audience = "//iam"};
	int r = gcp_aws_subject(&rq, &out, &err);
	check_error(r, &err);
	require((r == 0) == (out.len > 0));
	require(!strpbrk(buf_text(&out), "{}\" /"));
	free(url);
	buf_clear(&out);
	secret_unref(id);
	secret_unref(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const texts[])(const char *text, size_t len) = {
		documents, subjects, programs, answers, requests};
	if (size < 1 || size > 60000)
		return 0;
	size_t before = blocks();
	texts[data[0] % 5]((const char *)data + 1, size - 1);
	require(blocks() == before);
	return 0;
}
