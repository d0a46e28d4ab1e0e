/* SPDX-License-Identifier: Apache-2.0 */
#include "fakes/aws_canned.h"

#include "net/http.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define SECRET(name, text)                                                                 \
	"{\"Name\":\"" name "\",\"ARN\":\"arn:aws:secretsmanager:us-east-1:1:secret:" name \
	"-AbCdEf\",\"VersionId\":\"0123456789abcdef0123456789abcdef\",\"VersionStages\":[" \
	"\"AWSCURRENT\"],\"CreatedDate\":1.5E9" text "}"
#define PARAMETER(name, text) \
	"{\"Name\":\"" name "\",\"Type\":\"SecureString\",\"Version\":1" text "}"

struct canned {
	const char *target, *needle; /* what the body holds; NULL = anything */
	int status;
	const char *answer;
};

/* The first row that fits. */
static const struct canned rows[] = {
	{"secretsmanager.ListSecrets", NULL, 200,
		"{\"SecretList\":[" SECRET("one", "") "," SECRET("two/three", "") "]}"},
	{"secretsmanager.BatchGetSecretValue", "\"one\"", 200,
		"{\"SecretValues\":[" SECRET("one",
			",\"SecretString\":\"canary\"") "],"
							"\"Errors\":[{\"SecretId\":\"no-such-"
							"secret\",\"ErrorCode\":"
							"\"ResourceNotFoundException\",\"Message\":"
							"\"Secrets Manager can't find it.\"}]}"},
	{"secretsmanager.GetSecretValue", "VersionStage", 400,
		"{\"__type\":\"ResourceNotFoundException\",\"Message\":\"Secrets Manager can't "
		"find the specified secret value for staging label: x\"}"},
	{"secretsmanager.GetSecretValue", "\"one\"", 200,
		SECRET("one", ",\"SecretString\":\"canary\"")},
	{"secretsmanager.GetSecretValue", "\"two/three\"", 200,
		SECRET("two/three", ",\"SecretBinary\":\"Y2FuYXJ5AP8=\"")},
	{"secretsmanager.DescribeSecret", "\"one\"", 200, SECRET("one", ",\"Tags\":[]")},
	{"secretsmanager.", NULL, 400,
		"{\"__type\":\"ResourceNotFoundException\",\"Message\":\"Secrets Manager can't "
		"find the specified secret.\"}"},
	{"AmazonSSM.DescribeParameters", "no-such-secret", 200, "{\"Parameters\":[]}"},
	{"AmazonSSM.DescribeParameters", "ParameterFilters", 200,
		"{\"Parameters\":[" PARAMETER("one", "") "]}"},
	{"AmazonSSM.DescribeParameters", NULL, 200,
		"{\"Parameters\":[" PARAMETER("one", "") "," PARAMETER("/two/three", "") "]}"},
	{"AmazonSSM.GetParameters", "\"one\"", 200,
		"{\"Parameters\":[" PARAMETER("one",
			",\"Value\":\"canary\"") "],"
						 "\"InvalidParameters\":[\"no-such-secret\"]}"},
	{"AmazonSSM.GetParameter", "\"one\"", 200,
		"{\"Parameter\":" PARAMETER("one", ",\"Value\":\"canary\"") "}"},
	{"AmazonSSM.GetParameter", "\"/two/three\"", 200,
		"{\"Parameter\":" PARAMETER("/two/three", ",\"Value\":\"canary 2\"") "}"},
	{"AmazonSSM.", NULL, 400, "{\"__type\":\"ParameterNotFound\"}"},
};

static const char *target_of(const struct http_attempt *a)
{
	const char *name, *value;
	for (size_t i = 0; http_header_at(a->headers, i, &name, &value); i++)
		if (!strcasecmp(name, "x-amz-target"))
			return value;
	return "";
}

static bool fits(const struct canned *row, const char *target, const struct http_attempt *a)
{
	size_t len = strlen(row->target);
	if (strncmp(row->target, target, len) != 0 || (row->target[len - 1] != '.' && target[len]))
		return false;
	return !row->needle || memmem(a->body, a->body_len, row->needle, strlen(row->needle));
}

static int perform(void *arg, const struct http_attempt *a, const struct call *call,
	struct http_reply *ret, struct sfs_err *err)
{
	const char *target = target_of(a);
	(void)arg;
	(void)call;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!fits(&rows[i], target, a))
			continue;
		ret->status = rows[i].status;
		int rc = buf_str(&ret->body, rows[i].answer);
		return rc ? err_set(err, -rc, "no memory for an answer") : 0;
	}
	return err_set(err, EHOSTUNREACH, "nothing is canned for %s", target);
}

void aws_canned_start(void)
{
	static const struct http_transport transport = {.perform = perform};
	http_fake(&transport);
}

void aws_canned_end(void)
{
	http_fake(NULL);
}
