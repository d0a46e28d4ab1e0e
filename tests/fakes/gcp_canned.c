/* SPDX-License-Identifier: Apache-2.0 */
#include "fakes/gcp_canned.h"

#include "net/http.h"
#include <errno.h>
#include <string.h>

#define BASE "https://secretmanager.googleapis.com/v1/projects/my-proj/secrets"
#define NAME "projects/123456/secrets/"
#define SECRET(id)                                                                          \
	"{\"name\":\"" NAME id "\",\"createTime\":\"2024-01-02T03:04:05Z\",\"replication\"" \
	":{\"automatic\":{}}}"

struct canned {
	const char *url; /* one that ends in * is the beginning */
	int status;
	const char *answer;
};

/* The first row that fits. */
static const struct canned rows[] = {
	{BASE "?*", 200, "{\"secrets\":[" SECRET("one") "," SECRET("two-three") "]}"},
	{BASE "/one", 200, SECRET("one")},
	{BASE "/one/versions?*", 200,
		"{\"versions\":[{\"name\":\"" NAME "one/versions/1\",\"state\":\"ENABLED\"}]}"},
	{BASE "/one/versions/latest:access", 200,
		"{\"name\":\"" NAME "one/versions/1\",\"payload\":{\"data\":\"Y2FuYXJ5\","
		"\"dataCrc32c\":\"2690314880\"}}"},
	{BASE "/two-three/versions/latest:access", 200,
		"{\"name\":\"" NAME "two-three/versions/7\",\"payload\":{\"data\":"
		"\"Y2FuYXJ5AP8=\"}}"},
	{BASE "/*", 404,
		"{\"error\":{\"code\":404,\"message\":\"Secret [" NAME
		"x] not found or has no versions.\",\"status\":\"NOT_FOUND\"}}"},
};

static bool fits(const struct canned *row, const char *url)
{
	size_t len = strlen(row->url);
	return row->url[len - 1] == '*' ? !strncmp(url, row->url, len - 1) : !strcmp(url, row->url);
}

static int perform(void *arg, const struct http_attempt *a, const struct call *call,
	struct http_reply *ret, struct sfs_err *err)
{
	(void)arg;
	(void)call;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!fits(&rows[i], a->url))
			continue;
		ret->status = rows[i].status;
		int rc = buf_str(&ret->body, rows[i].answer);
		return rc ? err_set(err, -rc, "no memory for an answer") : 0;
	}
	return err_set(err, EHOSTUNREACH, "nothing is canned for %s", a->url);
}

void gcp_canned_start(void)
{
	static const struct http_transport transport = {.perform = perform};
	http_fake(&transport);
}

void gcp_canned_end(void)
{
	http_fake(NULL);
}
