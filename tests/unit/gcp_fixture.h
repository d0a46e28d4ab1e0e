/* SPDX-License-Identifier: Apache-2.0 */
/* gcp: by exact exchanges, with the clock standing still. For test_gcp_calls.c and
 * test_gcp_faults.c; include once in a program, after "backend_kit.h" and "fakes/http_script.h". */
#ifndef SFS_TESTS_GCP_FIXTURE_H
#define SFS_TESTS_GCP_FIXTURE_H

#define HOST	      "https://secretmanager.googleapis.com"
#define PARENT	      HOST "/v1/projects/my-proj"
#define SECRETS	      PARENT "/secrets"
#define LIST	      SECRETS "?pageSize=500"
#define LATEST	      SECRETS "/db/versions/latest:access"
#define NOW	      (INT64_C(1700000000) * NSEC_PER_SEC) /* 2023-11-14T22:13:20Z */
#define SIGNED	      "Authorization: Bearer token-canary"
#define NAME(id)      "\"name\":\"projects/123456/secrets/" id "\""
#define NAMED(number) "\"name\":\"projects/123456/secrets/db/versions/" number "\""
/* "canary" */
#define VALUE(number) \
	"{" NAMED(number) ",\"payload\":{\"data\":\"Y2FuYXJ5\",\"dataCrc32c\":\"" CRC "\"}}"
#define CRC "2690314880"
#define GET(address, ...)                                    \
	{                                                    \
		.method = "GET", .url = address, __VA_ARGS__ \
	}
#define OK(address, text)                                                     \
	{                                                                     \
		.method = "GET", .url = address, .status = 200, .reply = text \
	}
#define NO(address, code, text)                                                \
	{                                                                      \
		.method = "GET", .url = address, .status = code, .reply = text \
	}
#define ERROR(code, status, message) \
	"{\"error\":{\"code\":" #code ",\"message\":\"" message "\",\"status\":\"" status "\"}}"
#define ERROR_INFO(code, status, message, reason)                                            \
	"{\"error\":{\"code\":" #code ",\"message\":\"" message "\",\"status\":\"" status    \
	"\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\"" \
	":\"" reason "\"}]}}"
#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct http_script script;
static void *state;
static const struct backend_ops *ops;
static size_t blocks; /* of secret memory, before */
static char *dir;     /* of the test, with a token in it */
static char options[1024];

static inline int try_open(const char *location, const char *more, struct sfs_err *err)
{
	snprintf(options, sizeof(options), "%s%s%s",
		more && strstr(more, "credentials=") ? "" : "token_file=",
		more && strstr(more, "credentials=") ? "" : kit_path(dir, "token"),
		more ? more : "");
	return kit_open(ops, location, options, &state, err);
}

static inline void begin(
	const char *location, const char *more, const struct http_exchange *ex, size_t n)
{
	struct sfs_err err = {0};
	kit_env();
	dir = strdup(kit_dir());
	kit_write(kit_path(dir, "token"), "token-canary\n");
	blocks = kit_blocks();
	clock_fake(NSEC_PER_SEC, NOW);
	http_script_start(&script, ex, n);
	ops = backend_find("gcp");
	cr_assert_eq(try_open(location, more, &err), 0, "%s", err.msg);
}
#define START(ex)	     begin("my-proj", NULL, ex, N(ex))
#define START_WITH(more, ex) begin("my-proj", "," more, ex, N(ex))

static inline void finish(void)
{
	ops->close(state);
	const char *problem = http_script_end(&script);
	cr_expect_null(problem, "%s", problem);
	cr_expect_eq(kit_blocks(), blocks, "secret memory is left");
	clock_real();
	kit_rm(dir);
	free(dir);
}

static inline int get(
	const char *name, const char *version, struct payload **ret, struct sfs_err *err)
{
	struct call call = kit_call();
	struct get_request rq = {.name = name, .version = version};
	err_clear(err);
	call.deadline = clock_boot() + 15 * NSEC_PER_SEC;
	*ret = NULL;
	int rc = ops->get(state, &call, &rq, ret, err);
	cr_expect_eq(rc == 0, *ret != NULL);
	cr_expect(!strstr(err->msg, "canary"), "%s", err->msg);
	return rc;
}

static inline void get_fails(const char *name, const char *version, int code, const char *words)
{
	struct payload *p;
	struct sfs_err err = {0};
	cr_expect_eq(get(name, version, &p, &err), -code, "%s: %d %s", name, err.code, err.msg);
	cr_expect(strstr(err.msg, words), "%s", err.msg);
}

/* Served as version `number`. */
static inline void get_works(const char *name, const char *version, const char *number)
{
	struct payload *p;
	struct sfs_err err = {0};
	cr_assert_eq(get(name, version, &p, &err), 0, "%s: %s", name, err.msg);
	struct secret *s = payload_part(p, NULL);
	cr_expect(secret_len(s) == 6 && !memcmp(secret_bytes(s), "canary", 6));
	cr_expect_str_eq(p->version, number);
	payload_unref(p);
}

static inline int list(const char *filter, struct list_sink *sink, struct sfs_err *err)
{
	struct call call = kit_call();
	call.deadline = clock_boot() + 15 * NSEC_PER_SEC;
	return ops->list(state, &call, filter, sink, err);
}

static inline void list_fails(int code, const char *words)
{
	struct list_sink sink = {0};
	struct sfs_err err = {0};
	cr_expect_eq(list(NULL, &sink, &err), -code, "%d %s", err.code, err.msg);
	cr_expect(strstr(err.msg, words), "%s", err.msg);
	sink_clear(&sink);
}

#endif
