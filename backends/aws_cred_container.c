/* SPDX-License-Identifier: Apache-2.0 */
/* The service beside a container: ECS, EKS Pod Identity, Greengrass. */
#include "backends/aws_cred_impl.h"

#include "base/cleanup.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>

#define ECS_HOST      "http://169.254.170.2"
#define ASK_TIMEOUT   (2 * NSEC_PER_SEC)
#define ASK_ATTEMPTS  3
#define VAR_RELATIVE  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
#define VAR_FULL      "AWS_CONTAINER_CREDENTIALS_FULL_URI"
#define VAR_TOKEN     "AWS_CONTAINER_AUTHORIZATION_TOKEN"
#define VAR_TOKENFILE "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"

/* Without https only addresses that stay on this machine or its link: the request carries a token,
 * and whoever answers chooses who we are. */
static bool host_allowed(const char *host)
{
	static const char *const hosts[] = {
		"localhost", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
	size_t len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if (len == strlen(hosts[i]) && strncmp(host, hosts[i], len) == 0)
			return true;
	return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == len;
}

static int check_full(const char *url, struct sfs_err *err)
{
	_cleanup_(buf_clear) struct buf host = BUF_INIT(1024);
	char shown[128];
	int r = http_url_check(url, true, err);
	if (r == 0)
		r = http_url_host(url, &host, err);
	if (r < 0)
		return err_prefix(err, "environment variable " VAR_FULL);
	if (strncmp(url, "https:", 6) == 0 || host_allowed(buf_text(&host)))
		return 0;
	text_escaped(shown, sizeof(shown), buf_text(&host), host.len);
	return err_set(err, EINVAL,
		"environment variable " VAR_FULL " names %s: without https only loopback and the "
		"addresses of ECS and EKS are asked for credentials",
		shown);
}

static int container_url(struct aws_cred *a, char **ret, struct sfs_err *err)
{
	_cleanup_free_ char *relative = NULL, *full = NULL;
	int r = setting_env(a->env, VAR_RELATIVE, &relative, err);
	if (r == 0 && !relative)
		r = setting_env(a->env, VAR_FULL, &full, err);
	if (r < 0)
		return r;
	if (!relative && !full)
		return err_set(err, ENODATA, "AWS_CONTAINER_CREDENTIALS_... is not set");
	if (relative && *relative != '/')
		return err_set(err, EINVAL,
			"environment variable " VAR_RELATIVE " must start with a slash");
	r = full ? check_full(full, err) : 0;
	if (r < 0)
		return r;
	*ret = full ? take(full) : mem_asprintf("%s%s", ECS_HOST, relative);
	return *ret ? 0 : aws_no_memory(err);
}

/* Verbatim, so nothing is cut off: who wrote a newline behind the token is told. */
static int check_token(const struct buf *token, const char *from, struct sfs_err *err)
{
	size_t bad = 0;
	while (bad < token->len && token->data[bad] >= 0x20 && token->data[bad] <= 0x7e)
		bad++;
	if (!token->len)
		return err_set(err, EINVAL, "the authorization token of %s is empty", from);
	if (bad == token->len)
		return 0;
	bool newline = token->data[bad] == '\n' || token->data[bad] == '\r';
	return err_set(err, EINVAL,
		newline ? "the authorization token of %s has a line break at offset %zu: write it "
			  "without (printf %%s, not echo)"
			: "the authorization token of %s has a byte at offset %zu that no token "
			  "has",
		from, bad);
}

static int token_of_file(
	struct aws_cred *a, const char *text, struct buf *token, struct sfs_err *err)
{
	_cleanup_free_ char *path = NULL;
	struct credfile_stamp stamp = {0};
	int r = setting_path(a->env, VAR_TOKENFILE, text, &path, err);
	if (r < 0)
		return r;
	r = credfile_read(a->env->paths, path, 0, token, &stamp, err);
	if (r == 0)
		r = check_token(token, path, err);
	if (r < 0)
		credwatch_add(&a->watch, path, &stamp);
	return r;
}

/* *ret_there is false where no token is wanted. */
static int read_token(struct aws_cred *a, struct buf *token, bool *ret_there, struct sfs_err *err)
{
	_cleanup_free_ char *file = NULL;
	int r = setting_env(a->env, VAR_TOKENFILE, &file, err);
	if (r < 0)
		return r;
	*ret_there = true;
	if (file)
		return token_of_file(a, file, token, err);
	struct secret *s = envstore_get(a->env->env, VAR_TOKEN);
	*ret_there = s && secret_len(s);
	if (*ret_there && aws_secret_add(token, s) < 0)
		r = aws_no_memory(err);
	secret_unref(s);
	if (r == 0 && *ret_there)
		r = check_token(token, "environment variable " VAR_TOKEN, err);
	return r;
}

static int refused(const struct http_reply *reply, struct sfs_err *err)
{
	char why[160];
	aws_refusal_text(buf_text(&reply->body), reply->body.len, why, sizeof(why));
	return err_set(err, aws_status_errno(reply->status),
		"the container's credential service answered with status %d%s%s", reply->status,
		*why ? ": " : "", why);
}

int aws_find_container(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err)
{
	_cleanup_(http_reply_clear) struct http_reply reply = HTTP_REPLY_INIT;
	_cleanup_(buf_clear) struct buf token = BUF_SECRET_INIT(AWS_KEY_MAX);
	_cleanup_free_ char *url = NULL;
	bool authorized = false;
	int r = container_url(a, &url, err);
	if (r == 0)
		r = read_token(a, &token, &authorized, err);
	if (r < 0)
		return r;
	struct ask ask = {.method = "GET",
		.url = url,
		.flags = HTTP_DIRECT | HTTP_NO_BREAKER,
		.attempts = ASK_ATTEMPTS,
		.timeout = ASK_TIMEOUT};
	ask_header(&ask, "Accept", "application/json");
	if (authorized)
		ask_secret(&ask, "Authorization", &token);
	r = ask_do(a->http, call, &ask, &reply, err);
	if (r < 0)
		return err_prefix(err, "the container's credential service");
	if (reply.status != 200)
		return refused(&reply, err);
	r = aws_keys_parse(buf_text(&reply.body), reply.body.len, AWS_KEYS_CONTAINER, ret, err);
	if (r < 0)
		return err_prefix(err, "the answer of the container's credential service");
	return aws_found_about(ret, NULL, err, "container credentials");
}
