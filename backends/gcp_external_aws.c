/* SPDX-License-Identifier: Apache-2.0 */
/* The subject token of an AWS role: a request for its identity, signed here and sent by Google. */
#include "backends/gcp_external.h"

#include "backends/gcp_cred_impl.h"
#include "backends/percent.h"
#include "base/cleanup.h"
#include "net/http.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUERY_PARTS 32

static int no_room(int r, struct sfs_err *err)
{
	return err_errno(err, -r, "sign the request for AWS");
}

/* The URL with the region in it. */
static int fill_region(const struct gcp_aws_request *rq, struct buf *url, struct sfs_err *err)
{
	static const char hole[] = "{region}";
	struct sfs_err why = {0};
	const char *rest = rq->url;
	for (const char *at; (at = strstr(rest, hole)); rest = at + sizeof(hole) - 1) {
		buf_add(url, rest, (size_t)(at - rest));
		buf_str(url, rq->region);
	}
	if (buf_str(url, rest) < 0)
		return no_room(-url->failed, err);
	if (http_url_check(buf_text(url), false, &why) == 0)
		return 0;
	return err_set(err, EBADMSG, "regional_cred_verification_url: %s", why.msg);
}

/* By name, then by the whole: a name may be the start of another. */
static int by_name(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	size_t nx = strcspn(x, "="), ny = strcspn(y, "=");
	int order = memcmp(x, y, nx < ny ? nx : ny);
	if (order == 0 && nx != ny)
		order = nx < ny ? -1 : 1;
	return order ? order : strcmp(x, y);
}

/* A query in the order it is signed in, which is by name. */
static int sort_query(char *query, struct buf *out)
{
	char *part[QUERY_PARTS], *rest = query;
	size_t n = 0;
	while (rest && n < QUERY_PARTS)
		part[n++] = strsep(&rest, "&");
	if (rest)
		return -EBADMSG;
	qsort(part, n, sizeof(part[0]), by_name);
	for (size_t i = 0; i < n; i++) {
		buf_str(out, i ? "&" : "");
		buf_str(out, part[i]);
	}
	return -out->failed;
}

/* Path and query of a URL. */
static int split_url(const char *url, char **ret_path, struct buf *query)
{
	const char *rest = strstr(url, "://") + 3;
	rest += strcspn(rest, "/?");
	size_t len = strcspn(rest, "?");
	_cleanup_free_ char *text = mem_strdup(rest[len] ? rest + len + 1 : "");
	int r = text ? sort_query(text, query) : -ENOMEM;
	if (r < 0)
		return r;
	*ret_path = len ? mem_strndup(rest, len) : mem_strdup("/");
	return *ret_path ? 0 : -ENOMEM;
}

/* "{"key":NAME,"value":VALUE}" */
static void add_header(struct buf *json, const char *name, const void *value, size_t len)
{
	buf_str(json, json->data[json->len - 1] == '[' ? "{\"key\":\"" : ",{\"key\":\"");
	buf_str(json, name);
	buf_str(json, "\",\"value\":");
	if (json_quote(json, value, len) < 0 && !json->failed)
		json->failed = EBADMSG;
	buf_char(json, '}');
}

/* What Google sends: in the order of names, as Google's own libraries write it. */
static int request_json(const char *url, const struct aws_header *headers, size_t n,
	const struct buf *token, struct buf *json)
{
	if (buf_str(json, "{\"headers\":[") < 0)
		return -json->failed;
	for (size_t i = 0; i < n; i++)
		add_header(json, headers[i].name, headers[i].value, strlen(headers[i].value));
	if (token->len)
		add_header(json, "x-amz-security-token", token->data, token->len);
	buf_str(json, "],\"method\":\"POST\",\"url\":");
	if (json_quote(json, url, strlen(url)) < 0 && !json->failed)
		json->failed = EBADMSG;
	buf_char(json, '}');
	return -json->failed;
}

static int sign(const struct gcp_aws_request *rq, const char *host, const char *url,
	struct buf *authorization, char date[AWS_DATE], struct sfs_err *err)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_(buf_clear) struct buf query = BUF_INIT(SFS_HTTP_URL_MAX);
	int r = split_url(url, &path, &query);
	if (r < 0)
		return err_errno(err, -r, "regional_cred_verification_url");
	const struct aws_header target = {"x-goog-cloud-target-resource", rq->audience};
	const struct aws_sign_request sr = {.method = "POST",
		.host = host,
		.path = path,
		.query = buf_text(&query),
		.headers = &target,
		.n_headers = 1,
		.body = "",
		.region = rq->region,
		.service = "sts",
		.now = rq->now};
	return aws_sign(&rq->keys, &sr, date, authorization, err);
}

int gcp_aws_subject(const struct gcp_aws_request *rq, struct buf *ret, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf url = BUF_INIT(SFS_HTTP_URL_MAX);
	_cleanup_(buf_clear) struct buf host = BUF_INIT(SFS_HTTP_URL_MAX);
	_cleanup_(buf_clear) struct buf authorization = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	_cleanup_(buf_clear) struct buf token = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	_cleanup_(buf_clear) struct buf json = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	char date[AWS_DATE];
	int r = fill_region(rq, &url, err);
	if (r == 0)
		r = http_url_host(buf_text(&url), &host, err);
	if (r == 0)
		r = sign(rq, buf_text(&host), buf_text(&url), &authorization, date, err);
	if (r < 0)
		return r;
	const struct aws_header headers[] = {{"Authorization", buf_text(&authorization)},
		{"host", buf_text(&host)}, {"x-amz-date", date},
		{"x-goog-cloud-target-resource", rq->audience}};
	r = rq->keys.token ? gcp_secret_add(&token, rq->keys.token) : 0;
	if (r == 0)
		r = request_json(buf_text(&url), headers, sizeof(headers) / sizeof(headers[0]),
			&token, &json);
	if (r == 0)
		r = percent_add(ret, json.data, json.len);
	return r < 0 ? no_room(r, err) : 0;
}
