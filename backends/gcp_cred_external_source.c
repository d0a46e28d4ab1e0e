/* SPDX-License-Identifier: Apache-2.0 */
/* Subject tokens of files and URLs: read at each exchange, since others renew them. */
#include "backends/gcp_cred_external.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "base/words.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define GET_TIMEOUT  (5 * NSEC_PER_SEC)
#define GET_ATTEMPTS 3

int gcp_subject_file(const struct gcp_subject_ask *ask, struct secret **ret, struct sfs_err *err)
{
	const struct gcp_source *s = &ask->x->source;
	const struct backend_env *env = ask->g->env;
	_cleanup_(buf_clear) struct buf text = BUF_SECRET_INIT(GCP_SUBJECT_MAX);
	_cleanup_free_ char *path = NULL;
	struct credfile_stamp stamp = {0};
	int r = setting_path(env, "credential_source.file", s->file, &path, err);
	if (r < 0)
		return err_prefix(err, "%s", ask->path);
	/* Not as a secret: kubelet lets the group of the pod read it, and it is good for an hour.
	 */
	r = credfile_read(env->paths, path, 0, &text, &stamp, err);
	if (r < 0)
		r = gcp_file_error(r, "the subject token", err);
	else if ((r = gcp_subject_parse(s, buf_text(&text), text.len, ret, err)) < 0)
		err_prefix(err, "the subject token file %s", path);
	if (r < 0) /* a better one is worth an exchange at once; another good one is not */
		credwatch_add(&ask->g->watch, path, &stamp);
	return r;
}

static int status_errno(int status)
{
	if (status == 429)
		return EBUSY;
	if (status >= 500)
		return EREMOTEIO;
	return status == 401 ? EKEYREJECTED : status == 403 ? EACCES : ENOKEY;
}

int gcp_subject_get(const struct gcp_subject_ask *ask, struct ask *request, struct http_reply *ret,
	struct sfs_err *err)
{
	char host[128];
	request->method = request->method ? request->method : "GET";
	request->attempts = GET_ATTEMPTS;
	request->timeout = GET_TIMEOUT;
	if (strncasecmp(request->url, "http:", 5) == 0)
		request->flags = HTTP_DIRECT | HTTP_NO_BREAKER;
	gcp_host_shown(request->url, host, sizeof(host));
	int r = ask_do(ask->g->http, ask->call, request, ret, err);
	if (r < 0)
		return err_prefix(err, "the source of the subject token at %s", host);
	if (ret->status == 200)
		return 0;
	return err_set(err, status_errno(ret->status),
		"the source of the subject token at %s answered with status %d", host, ret->status);
}

int gcp_subject_url(const struct gcp_subject_ask *ask, struct secret **ret, struct sfs_err *err)
{
	const struct gcp_source *s = &ask->x->source;
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	struct ask request = {.url = s->url, .cap = GCP_SUBJECT_MAX};
	char host[128];
	for (size_t i = 0; i < s->n_headers; i++)
		ask_secret(&request, s->header[i].name, &s->header[i].value);
	int r = gcp_subject_get(ask, &request, &reply, err);
	if (r < 0)
		return r;
	r = gcp_subject_parse(s, buf_text(&reply.body), reply.body.len, ret, err);
	return r < 0 ? err_prefix(err, "the subject token that %s gives",
			       gcp_host_shown(s->url, host, sizeof(host)))
		     : 0;
}

/* Without its arguments, which may be anything. */
static void program_shown(const char *line, char *out, size_t size)
{
	_cleanup_free_ char **words = NULL;
	size_t n;
	if (words_split(line, &words, &n) == 0)
		text_escaped(out, size, words[0], strlen(words[0]));
	else
		snprintf(out, size, "?");
}

const char *gcp_subject_shown(const struct gcp_external *x, char *out, size_t size)
{
	const struct gcp_source *s = &x->source;
	char text[256];
	switch (s->kind) {
	case GCP_SOURCE_FILE:
		text_escaped(text, sizeof(text), s->file, strlen(s->file));
		snprintf(out, size, "file %s", text);
		break;
	case GCP_SOURCE_URL:
		snprintf(out, size, "URL of %s", gcp_host_shown(s->url, text, sizeof(text)));
		break;
	case GCP_SOURCE_PROGRAM:
		program_shown(s->command, text, sizeof(text));
		snprintf(out, size, "program %s", text);
		break;
	case GCP_SOURCE_AWS:
		snprintf(out, size, "AWS role");
		break;
	}
	return out;
}
