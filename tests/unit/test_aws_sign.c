/* SPDX-License-Identifier: Apache-2.0 */
/* Published and recorded signatures, what must not be signed, and the same requests signed by
 * botocore. */
#include "backends/aws_sign.h"
#include "base/alloc.h"
#include "botocore.h"
#include "net/crypto.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1440938160000000000) /* 2015-08-30 12:36:00 UTC */
#define ID  "AKIDEXAMPLE"
#define KEY "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
/* The token of the signing suite's case post-sts-header-before. */
#define TK                                                                                \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBu"    \
	"FqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmU"    \
	"pp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6" \
	"d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx" \
	"3iSIlTJabIQwj2ICCR/oLxBA=="
#define JSON_TYPE "application/x-amz-json-1.1"

struct run {
	struct aws_keys keys;
	struct aws_sign_request rq;
	struct aws_header headers[AWS_SIGN_HEADERS + 1];
	char date[AWS_DATE];
	struct buf out;
	struct sfs_err err;
};

static const struct secret *secret_of(const char *text)
{
	struct secret *s = secret_new(text, strlen(text));
	cr_assert(s);
	return s;
}

/* A request like those we send; the tests change what they are about. */
static void start(struct run *r, const char *host, const char *service, const char *body)
{
	memset(r, 0, sizeof(*r));
	r->keys.id = secret_of(ID);
	r->keys.key = secret_of(KEY);
	r->out = (struct buf)BUF_SECRET_INIT(100000);
	r->rq = (struct aws_sign_request){.method = "POST",
		.host = host,
		.path = "/",
		.query = "",
		.headers = r->headers,
		.body = body,
		.body_len = strlen(body),
		.region = "us-east-1",
		.service = service,
		.now = NOW};
}

static void header(struct run *r, const char *name, const char *value)
{
	r->headers[r->rq.n_headers++] = (struct aws_header){name, value};
}

static int sign(struct run *r)
{
	buf_reset(&r->out);
	memset(r->date, '!', sizeof(r->date));
	int rc = aws_sign(&r->keys, &r->rq, r->date, &r->out, &r->err);
	if (rc < 0)
		cr_assert(r->out.len == 0 && r->date[0] == '!', "outputs untouched");
	return rc;
}

static void finish(struct run *r)
{
	struct secret_stats stats;
	secret_unref((struct secret *)r->keys.id);
	secret_unref((struct secret *)r->keys.key);
	secret_unref((struct secret *)r->keys.token);
	buf_clear(&r->out);
	secret_stats(&stats);
	cr_assert_eq(stats.blocks, 0, "secret memory is left");
}

static const char *signature(struct run *r)
{
	cr_assert_eq(sign(r), 0, "%s", r->err.msg);
	cr_assert_str_eq(r->date, "20150830T123600Z");
	const char *s = strstr(r->out.data, ", Signature=");
	cr_assert(s);
	return s + strlen(", Signature=");
}

static void signs(struct run *r, const char *expected)
{
	cr_expect_str_eq(signature(r), expected);
	finish(r);
}

static void v1(struct run *r)
{
	start(r, "secretsmanager.us-east-1.amazonaws.com", "secretsmanager",
		"{\"SecretId\":\"prod/db\"}");
	header(r, "Content-Type", JSON_TYPE);
	header(r, "X-Amz-Target", "secretsmanager.GetSecretValue");
}

Test(aws_sign, derived_keys)
{
	static const char *const rows[][2] = {
		{"iam", "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"},
		{"secretsmanager",
			"a8647fdf0a842ccff61df909a34525b9a41242ab8562e430eb0421d125466a37"},
	};
	for (size_t i = 0; i < 2; i++) {
		unsigned char key[32];
		char hex[65];
		cr_assert_eq(aws_sign_key(KEY, strlen(KEY), "20150830T123600Z", "us-east-1",
				     rows[i][0], key),
			0);
		crypto_hex(key, sizeof(key), hex);
		cr_expect_str_eq(hex, rows[i][1]);
	}
}

Test(aws_sign, suite_get_vanilla)
{
	struct run r;
	start(&r, "example.amazonaws.com", "service", "");
	r.rq.method = "GET";
	signs(&r, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

Test(aws_sign, suite_post_sts_header_before)
{
	struct run r;
	start(&r, "example.amazonaws.com", "service", "");
	r.keys.token = secret_of(TK);
	signs(&r, "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead");
}

Test(aws_sign, v1_the_whole_header_and_the_canonical_request)
{
	struct run r;
	struct buf text = BUF_SECRET_INIT(4096);
	char hash[SHA256_HEX];
	v1(&r);
	cr_assert_eq(sign(&r), 0);
	cr_expect_str_eq(r.out.data,
		"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/secretsmanager/"
		"aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target, "
		"Signature=eabee390746276231c94d4b6d3fe482aa5b5e66bf755866681a3cbf97b3b9645");
	cr_assert_eq(aws_sign_canonical(&r.keys, &r.rq, r.date, &text, &r.err), 0);
	cr_assert_eq(crypto_sha256_hex(text.data, text.len, hash), 0);
	cr_expect_str_eq(hash, "70d6a00967763d1c56a8348165c139e5017b8c521b96082829292ac544918163");
	buf_clear(&text);
	finish(&r);
}

Test(aws_sign, v2_with_a_token)
{
	struct run r;
	v1(&r);
	r.keys.token = secret_of(TK);
	cr_assert_eq(sign(&r), 0);
	cr_expect(strstr(r.out.data, ";x-amz-date;x-amz-security-token;x-amz-target,"));
	signs(&r, "1f01544563e70827da0f339f01f5496428be29c9a69a1c918d693fae1de2a26b");
}

Test(aws_sign, v3_host_with_a_port)
{
	struct run r;
	v1(&r);
	r.rq.host = "127.0.0.1:4566";
	signs(&r, "9f0a63128bc8b4231a318154a65ac8c4f3586aeb04d1b583db0c73c0c77113f6");
}

Test(aws_sign, v4_parameter_store_in_another_region)
{
	struct run r;
	start(&r, "ssm.eu-west-1.amazonaws.com", "ssm", "{}");
	r.rq.region = "eu-west-1";
	header(&r, "X-Amz-Target", "AmazonSSM.DescribeParameters");
	header(&r, "Content-Type", JSON_TYPE);
	signs(&r, "c5e0c549704c927898d42cc093c6cbbcb83da705c6afe463e9cde05ea2025e1d");
}

Test(aws_sign, v5_sts_form)
{
	struct run r;
	start(&r, "sts.us-east-1.amazonaws.com", "sts",
		"Action=GetCallerIdentity&Version=2011-06-15");
	header(&r, "content-type", "application/x-www-form-urlencoded; charset=utf-8");
	signs(&r, "52a8540fea00e731072179f763577cbe2a45eac2c5d32fb4d785f3eefac88165");
}

Test(aws_sign, v6_body_in_utf_8)
{
	struct run r;
	v1(&r);
	r.rq.body = "{\"SecretId\":\"pr\xc3\xa9\"}";
	r.rq.body_len = strlen(r.rq.body);
	signs(&r, "2f788397c6bb0a88d6567f83533785770f8a496db9ac6c816099f5a5385e9628");
}

Test(aws_sign, v7_signed_for_somebody_else_to_send)
{
	struct run r;
	start(&r, "sts.us-east-2.amazonaws.com", "sts", "");
	r.rq.region = "us-east-2";
	r.rq.query = "Action=GetCallerIdentity&Version=2011-06-15";
	r.keys.token = secret_of(TK);
	header(&r, "x-goog-cloud-target-resource",
		"//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/"
		"providers/a");
	signs(&r, "52980ce2985c770ecd7d564a0d43aebe39d3656b5d581537b4ca0968c2d57f23");
}

/* Values are trimmed and runs of blanks made one, order of the caller does not matter, tabs are
 * blanks. */
Test(aws_sign, header_values_are_folded)
{
	struct run r;
	char plain[SHA256_HEX];
	v1(&r);
	header(&r, "X-Amz-Note", "a b c");
	strcpy(plain, signature(&r));
	r.headers[2].value = "  a \t b   c\t";
	cr_expect_str_eq(signature(&r), plain);
	r.headers[2].value = "a bc";
	cr_expect_str_neq(signature(&r), plain);
	finish(&r);
}

Test(aws_sign, a_path_is_encoded_once_more)
{
	struct run r;
	struct buf text = BUF_SECRET_INIT(4096);
	v1(&r);
	r.rq.path = "/a%20b/~c";
	cr_assert_eq(aws_sign_canonical(&r.keys, &r.rq, "20150830T123600Z", &text, &r.err), 0);
	cr_expect_eq(strncmp(text.data, "POST\n/a%2520b/~c\n\n", 18), 0);
	buf_clear(&text);
	finish(&r);
}

/* A token of any length is signed as it is. */
Test(aws_sign, long_tokens_are_not_touched)
{
	for (size_t len = 4096; len <= 4 << 20; len *= 32) {
		struct run r;
		struct buf text = BUF_SECRET_INIT(len + 4096);
		unsigned char *p;
		v1(&r);
		struct secret *token = secret_new_uninit(len, &p);
		cr_assert(token);
		for (size_t i = 0; i < len; i++)
			p[i] = (unsigned char)"aZ9+/="[i % 6];
		r.keys.token = token;
		cr_assert_eq(sign(&r), 0, "%s", r.err.msg);
		cr_assert_eq(aws_sign_canonical(&r.keys, &r.rq, r.date, &text, &r.err), 0);
		const char *line = strstr(text.data, "\nx-amz-security-token:");
		cr_assert(line);
		line += strlen("\nx-amz-security-token:");
		cr_expect(memcmp(line, p, len) == 0 && line[len] == '\n');
		buf_clear(&text);
		finish(&r);
	}
}

static void refuses(struct run *r, const char *says)
{
	cr_expect_eq(sign(r), -EINVAL, "signed: %s", says);
	cr_expect(strstr(r->err.msg, says), "%s", r->err.msg);
	finish(r);
}

Test(aws_sign, refuses_what_cannot_be_sent_as_it_is_signed)
{
	static const struct {
		const char *name, *value, *says;
	} rows[] = {
		{"x-amz-target", "again", "twice"},
		{"Host", "other", "twice"},
		{"X-Amz-Date", "20150830T123600Z", "twice"},
		{"x-amz-a", "a\r\nx-amz-b: c", "control character"},
		{"x amz", "a", "valid name"},
		{"", "a", "valid name"},
		{"x-amz-:", "a", "valid name"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct run r;
		v1(&r);
		header(&r, rows[i].name, rows[i].value);
		refuses(&r, rows[i].says);
	}
	struct run r;
	v1(&r);
	r.rq.host = "a\nb";
	refuses(&r, "control character");
	v1(&r);
	r.rq.region = "us-east-1/s3";
	refuses(&r, "region or service");
	v1(&r);
	r.rq.service = "";
	refuses(&r, "region or service");
	v1(&r);
	r.rq.now = INT64_MIN;
	cr_expect_eq(sign(&r), 0, "1677 can be signed, were it needed");
	while (r.rq.n_headers <= AWS_SIGN_HEADERS)
		header(&r, "x", "y");
	refuses(&r, "more than");
}

static void bad_key(const char *id, const char *key, const char *token, const char *says)
{
	struct run r;
	v1(&r);
	secret_unref((struct secret *)r.keys.id);
	secret_unref((struct secret *)r.keys.key);
	r.keys.id = secret_of(id);
	r.keys.key = secret_of(key);
	r.keys.token = token ? secret_of(token) : NULL;
	refuses(&r, says);
}

/* The usual accident is a line end at the end; the sentence names which one, and no byte of it. */
Test(aws_sign, refuses_keys_that_are_none)
{
	bad_key(ID "\n", KEY, NULL, "the access key id holds a blank, a line end");
	bad_key(ID, KEY "\n", NULL, "the secret access key holds");
	bad_key(ID, KEY, TK "\n", "the session token holds");
	bad_key(ID, KEY, "", "no session token");
	bad_key("", KEY, NULL, "no access key id");
	bad_key(ID, "", NULL, "no secret access key");
	bad_key("A/B", KEY, NULL, "slash");
	bad_key("A,B", KEY, NULL, "comma");
	bad_key("A\xc3\xa9", KEY, NULL, "access key id");
	struct run r;
	v1(&r);
	cr_assert_eq(sign(&r), 0);
	secret_unref((struct secret *)r.keys.key);
	r.keys.key = secret_of(KEY " ");
	cr_assert_eq(sign(&r), -EINVAL);
	cr_expect_not(strstr(r.err.msg, "wJalr"));
	finish(&r);
}

/* Full secret memory, or a full buffer, is told; nothing is half written. */
Test(aws_sign, no_room)
{
	struct run r;
	v1(&r);
	r.out.max = 100;
	cr_expect_eq(sign(&r), -EFBIG);
	finish(&r);
}

/* ---- the same by botocore ---- */

static const char program[] =
	"from botocore.auth import SigV4Auth\n"
	"from botocore.awsrequest import AWSRequest\n"
	"from botocore.credentials import Credentials\n"
	"import botocore.auth, datetime, json\n"
	"now = datetime.datetime(2015, 8, 30, 12, 36)\n"
	"for name in ('get_current_datetime',):\n"
	"    if hasattr(botocore.auth, name):\n"
	"        setattr(botocore.auth, name, lambda *a, **k: now)\n"
	"class Fixed(datetime.datetime):\n"
	"    @classmethod\n"
	"    def utcnow(cls): return now\n"
	"    @classmethod\n"
	"    def now(cls, tz=None): return now\n"
	"class mod: datetime = Fixed\n"
	"botocore.auth.datetime = mod\n"
	"for line in sys.stdin:\n"
	"    host, region, service, token, target, body = json.loads(line)\n"
	"    rq = AWSRequest('POST', 'https://' + host + '/', data=body.encode('latin-1'),\n"
	"                    headers={'Content-Type': 'application/x-amz-json-1.1',\n"
	"                             'X-Amz-Target': target})\n"
	"    SigV4Auth(Credentials('" ID "', '" KEY "', token or None), service, region)"
	".add_auth(rq)\n"
	"    print(rq.headers['Authorization'])\n";

#define COMPARED 200

static unsigned next(unsigned *seed)
{
	return *seed = *seed * 1103515245u + 12345u, *seed >> 16;
}

/* Letters that need no escape in JSON. */
static void random_text(unsigned *seed, const char *letters, size_t max, char *out)
{
	size_t n = next(seed) % max + 1;
	for (size_t i = 0; i < n; i++)
		out[i] = letters[next(seed) % strlen(letters)];
	out[n] = '\0';
}

struct sample {
	char host[64], region[24], service[24], token[600], target[64], body[300];
};

static void random_sample(unsigned *seed, struct sample *s)
{
	static const char small[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	random_text(seed, small, sizeof(s->host) - 8, s->host);
	if (next(seed) % 2)
		strcat(s->host, ":4566");
	random_text(seed, small, sizeof(s->region) - 1, s->region);
	random_text(seed, small, sizeof(s->service) - 1, s->service);
	s->token[0] = '\0';
	if (next(seed) % 2)
		random_text(seed, "abcXYZ019+/=", sizeof(s->token) - 1, s->token);
	random_text(seed, "abcXYZ.  ", sizeof(s->target) - 3, s->target + 1);
	s->target[0] = 'T';
	strcat(s->target, "x");
	random_text(seed, "abc{}[]:, 019'", sizeof(s->body) - 1, s->body);
}

static void sign_sample(const struct sample *s, struct run *r)
{
	start(r, s->host, s->service, s->body);
	r->rq.region = s->region;
	if (s->token[0])
		r->keys.token = secret_of(s->token);
	header(r, "Content-Type", JSON_TYPE);
	header(r, "X-Amz-Target", s->target);
	cr_assert_eq(sign(r), 0, "%s", r->err.msg);
}

Test(aws_sign, botocore_signs_the_same, .timeout = 120)
{
	unsigned seed = 1;
	struct buf input = BUF_INIT(1 << 20);
	char line[2000];
	for (size_t i = 0; i < COMPARED; i++) {
		struct sample s;
		random_sample(&seed, &s);
		buf_printf(&input, "[\"%s\", \"%s\", \"%s\", \"%s\", \"%s\", \"%s\"]\n", s.host,
			s.region, s.service, s.token, s.target, s.body);
	}
	FILE *f = botocore_ask(program, buf_text(&input));
	seed = 1;
	for (size_t i = 0; i < COMPARED; i++) {
		struct sample s;
		struct run r;
		random_sample(&seed, &s);
		sign_sample(&s, &r);
		cr_assert_str_eq(
			r.out.data, botocore_line(f, line, sizeof(line)), "%zu: %s", i, s.target);
		finish(&r);
	}
	cr_assert_eq(pclose(f), 0);
	buf_clear(&input);
}
