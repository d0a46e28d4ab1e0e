/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subject token of an AWS role: keys and region from the environment, else from the instance
 * metadata at the URLs that the credentials file names, as Google's own libraries do. Minted at
 * each exchange: what is signed is good for a quarter of an hour.
 */
#include "backends/aws_cred_impl.h"
#include "backends/aws_endpoint.h"
#include "backends/gcp_cred_external.h"

#include "base/cleanup.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SESSION_LIFE "300" /* s */
#define SESSION_MAX  1024
#define NAME_MAX_LEN 128

struct aws_source {
	const struct gcp_subject_ask *ask;
	struct buf session; /* BUF_SECRET; of the metadata service, empty = none */
	bool asked;	    /* for it */
	struct aws_found keys;
	char region[64];
};

static void aws_source_clear(struct aws_source *a)
{
	buf_clear(&a->session);
	aws_found_clear(&a->keys);
}

static int missing(
	const struct aws_source *a, const char *variables, const char *key, struct sfs_err *err)
{
	return err_set(err, ENOKEY,
		"the AWS role of %s: neither %s nor credential_source.%s is set", a->ask->path,
		variables, key);
}

/* ---- the metadata service ---- */

/* What is printable of a text answer. */
static int first_word(const struct http_reply *reply, struct buf *out, struct sfs_err *err)
{
	const char *text = buf_text(&reply->body);
	size_t len = strcspn(text, "\r\n");
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x21 || text[i] > 0x7e || text[i] == '<')
			len = 0;
	if (!len || buf_add(out, text, len) < 0)
		return err_set(err, EBADMSG,
			"what answers at the metadata address of AWS gave nothing usable");
	return 0;
}

/* Version 2 of the service wants a session; only asked for when the service is asked at all. */
static int begin_session(struct aws_source *a, struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	const char *url = a->ask->x->source.session_url;
	if (!url || a->asked)
		return 0;
	struct ask request = {.method = "PUT", .url = url};
	ask_header(&request, "X-aws-ec2-metadata-token-ttl-seconds", SESSION_LIFE);
	int r = gcp_subject_get(a->ask, &request, &reply, err);
	if (r == 0)
		r = first_word(&reply, &a->session, err);
	a->asked = r == 0;
	return r;
}

static int metadata(
	struct aws_source *a, const char *url, struct http_reply *reply, struct sfs_err *err)
{
	struct ask request = {.url = url};
	int r = begin_session(a, err);
	if (r < 0)
		return r;
	if (a->session.len)
		ask_secret(&request, "X-aws-ec2-metadata-token", &a->session);
	return gcp_subject_get(a->ask, &request, reply, err);
}

/* ---- region and keys ---- */

/* "us-east-2b" is a zone of us-east-2. */
static int zone_region(struct aws_source *a, struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	_cleanup_(buf_clear) struct buf zone = BUF_INIT(sizeof(a->region));
	int r = metadata(a, a->ask->x->source.region_url, &reply, err);
	if (r == 0)
		r = first_word(&reply, &zone, err);
	if (r < 0)
		return r;
	size_t len = zone.len - (isalpha((unsigned char)zone.data[zone.len - 1]) ? 1 : 0);
	snprintf(a->region, sizeof(a->region), "%.*s", (int)len, zone.data);
	return 0;
}

static int find_region(struct aws_source *a, struct sfs_err *err)
{
	static const char *const names[] = {"AWS_REGION", "AWS_DEFAULT_REGION"};
	_cleanup_free_ char *text = NULL;
	int r = 0;
	for (size_t i = 0; i < 2 && r == 0 && !text; i++)
		r = setting_env(a->ask->g->env, names[i], &text, err);
	if (r < 0)
		return r;
	if (text)
		snprintf(a->region, sizeof(a->region), "%s", text);
	else if (a->ask->x->source.region_url)
		r = zone_region(a, err);
	else
		r = missing(a, "AWS_REGION", "region_url", err);
	return r < 0 ? r : aws_region_check(a->region, err);
}

static int keys_of_role(struct aws_source *a, struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	_cleanup_(http_reply_clear) struct http_reply keys = HTTP_REPLY_INIT;
	_cleanup_(buf_clear) struct buf role = BUF_INIT(NAME_MAX_LEN);
	const char *base = a->ask->x->source.url;
	int r = metadata(a, base, &reply, err);
	if (r == 0)
		r = first_word(&reply, &role, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *url = mem_asprintf("%s/%s", base, buf_text(&role));
	r = url ? metadata(a, url, &keys, err) : gcp_no_memory(err);
	if (r < 0)
		return r;
	r = aws_keys_parse(buf_text(&keys.body), keys.body.len, AWS_KEYS_CONTAINER, &a->keys, err);
	return r < 0 ? err_prefix(err, "what the metadata service of AWS gives for its role") : 0;
}

static int find_keys(struct aws_source *a, struct sfs_err *err)
{
	static const char *const names[] = {
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"};
	static const size_t fields[] = {AWS_CRED_ID, AWS_CRED_KEY, AWS_CRED_TOKEN};
	int r = 0;
	for (size_t i = 0; i < 3 && r == 0; i++)
		r = aws_env_secret(a->ask->g->env, names[i], &a->keys.field[fields[i]], err);
	if (r < 0 || (a->keys.field[AWS_CRED_ID] && a->keys.field[AWS_CRED_KEY]))
		return r;
	aws_found_clear(&a->keys);
	if (!a->ask->x->source.url)
		return missing(a, "AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY", "url", err);
	return keys_of_role(a, err);
}

int gcp_subject_aws(const struct gcp_subject_ask *ask, struct secret **ret, struct sfs_err *err)
{
	_cleanup_(aws_source_clear) struct aws_source a = {
		.ask = ask, .session = BUF_SECRET_INIT(SESSION_MAX)};
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	int r = find_region(&a, err);
	if (r == 0)
		r = find_keys(&a, err);
	if (r < 0)
		return r;
	const struct gcp_aws_request rq = {.keys = {.id = a.keys.field[AWS_CRED_ID],
						   .key = a.keys.field[AWS_CRED_KEY],
						   .token = a.keys.field[AWS_CRED_TOKEN]},
		.region = a.region,
		.url = ask->x->source.verification_url,
		.audience = ask->x->audience,
		.now = gcp_now(ask->g)};
	r = gcp_aws_subject(&rq, &text, err);
	if (r < 0)
		return r;
	struct secret *token = secret_new(text.data, text.len);
	if (!token)
		return gcp_no_memory(err);
	*ret = token;
	return 0;
}
