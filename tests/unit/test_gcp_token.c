/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of token endpoints, tokens that are signed here, and credentials files (gcp.md 6, 9). */
#include "backends/gcp_doc.h"
#include "backends/gcp_jwt.h"
#include "backends/gcp_token.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "net/crypto.h"
#include "net/json.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gcp_keys.h"

/* ---- answers ---- */

static void text_is(const struct secret *s, const char *want)
{
	cr_assert(s);
	cr_expect_eq(secret_len(s), strlen(want));
	cr_expect_eq(memcmp(secret_bytes(s), want, strlen(want)), 0);
}

static void gives(const char *text, const char *token, int64_t seconds)
{
	struct gcp_token t = {0};
	struct sfs_err err = {0};
	cr_assert_eq(gcp_token_parse(text, strlen(text), &t, &err), 0, "%s: %s", text, err.msg);
	text_is(t.access, token);
	cr_expect_eq(t.life, seconds * NSEC_PER_SEC, "%s", text);
	gcp_token_clear(&t);
}

/* case 39: the number may be a text */
Test(gcp_token, what_is_accepted)
{
	gives("{\"access_token\":\"T\",\"expires_in\":3599,\"token_type\":\"Bearer\"}", "T", 3599);
	gives("{\"access_token\":\"T\",\"expires_in\":\"3599\",\"scope\":\"x\"}", "T", 3599);
	gives("{\"access_token\":\"T\",\"expires_in\":3599.7,\"token_type\":\"bearer\"}", "T",
		3599);
	gives("{\"access_token\":\"T\"}", "T", 3375);
	gives("{\"access_token\":\"T\",\"expires_in\":null,\"id_token\":\"x\"}", "T", 3375);
}

Test(gcp_token, a_new_refresh_token)
{
	static const char text[] = "{\"access_token\":\"T\",\"refresh_token\":\"1//R\"}";
	struct gcp_token t = {0};
	cr_assert_eq(gcp_token_parse(text, strlen(text), &t, NULL), 0);
	text_is(t.refresh, "1//R");
	gcp_token_clear(&t);
}

Test(gcp_token, what_is_refused)
{
	static const char *const bad[] = {"", "[]", "CANARY", "{\"access_token\":\"CANARY\"",
		"{\"access_token\":\"\"}", "{\"expires_in\":1}", "{\"access_token\":17}",
		"{\"access_token\":\"CAN ARY\"}", "{\"access_token\":\"CANARY\\n\"}",
		"{\"access_token\":\"CANARY\\u0000\"}",
		"{\"access_token\":\"CANARY\",\"expires_in\":-1}",
		"{\"access_token\":\"CANARY\",\"expires_in\":\"soon\"}",
		"{\"access_token\":\"CANARY\",\"expires_in\":1e99}",
		"{\"access_token\":\"CANARY\",\"expires_in\":99999999999}",
		"{\"access_token\":\"CANARY\",\"expires_in\":[]}",
		"{\"access_token\":\"CANARY\",\"expires_in\":\"1.\"}",
		"{\"access_token\":\"CANARY\",\"token_type\":\"mac\"}",
		"{\"access_token\":\"CANARY\",\"access_token\":\"CANARY\"}",
		"{\"access_token\":\"CANARY\",\"refresh_token\":1}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct gcp_token t = {.life = 7};
		struct sfs_err err = {0};
		cr_expect_eq(
			gcp_token_parse(bad[i], strlen(bad[i]), &t, &err), -EBADMSG, "%s", bad[i]);
		cr_expect(!t.access && !t.refresh && t.life == 7, "%s", bad[i]);
		cr_expect_null(strstr(err.msg, "CAN"), "%s", err.msg);
	}
}

/* ---- refusals ---- */

static struct sfs_err refused(int status, const char *body, enum gcp_refusal_kind kind)
{
	struct gcp_refusal r;
	struct sfs_err err = {0};
	gcp_refusal_parse(status, body, strlen(body), &r);
	cr_expect_eq(r.kind, kind, "%d %s: %d", status, body, r.kind);
	gcp_refusal_sentence(&r, "the token endpoint", "the key in /k.json", &err);
	return err;
}

/* the table "Token endpoint and friends" */
Test(gcp_token, each_refusal_has_its_meaning)
{
	static const struct {
		int status;
		const char *body;
		enum gcp_refusal_kind kind;
		int code;
		const char *words;
	} rows[] = {
		{400,
			"{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT: Token "
			"must "
			"be a short-lived token (60 minutes) and in a reasonable timeframe. Check "
			"your iat and exp values in the JWT claim.\"}",
			GCP_REFUSED_CLOCK, EKEYREJECTED, "the clock of this machine is off"},
		{400,
			"{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT "
			"Signature.\"}",
			GCP_REFUSED, EKEYREJECTED,
			"does not accept the key in /k.json (invalid_grant: Invalid JWT "
			"Signature.)"},
		{400,
			"{\"error\":\"invalid_grant\",\"error_description\":\"Invalid grant: "
			"account "
			"not found\"}",
			GCP_REFUSED, EKEYREJECTED, "account not found"},
		{400,
			"{\"error\":\"invalid_grant\",\"error_description\":\"Token has been "
			"expired "
			"or revoked.\"}",
			GCP_REFUSED_EXPIRED, EKEYEXPIRED, "it must be made anew"},
		{400,
			"{\"error\":\"invalid_grant\",\"error_description\":\"ID Token issued at 1 "
			"is "
			"stale to sign-in.\"}",
			GCP_REFUSED_EXPIRED, EKEYEXPIRED, "stale"},
		{400,
			"{\"error\":\"invalid_grant\",\"error_description\":\"reauth related error "
			"(invalid_rapt)\",\"error_subtype\":\"invalid_rapt\"}",
			GCP_REFUSED_REAUTH, EKEYEXPIRED,
			"run gcloud auth application-default login"},
		{400, "{\"error\":\"invalid_grant\",\"error_subtype\":\"rapt_required\"}",
			GCP_REFUSED_REAUTH, EKEYEXPIRED, "invalid_grant, rapt_required"},
		{401, "{\"error\":\"invalid_client\"}", GCP_REFUSED, EKEYREJECTED,
			"invalid_client"},
		{400, "{\"error\":\"unauthorized_client\"}", GCP_REFUSED, EKEYREJECTED,
			"unauthorized_client"},
		{400, "{\"error\":\"internal_failure\"}", GCP_REFUSED_FAULT, EREMOTEIO, "fault"},
		{400, "{\"error\":\"temporarily_unavailable\"}", GCP_REFUSED_FAULT, EREMOTEIO,
			"fault"},
		{503, "<html>", GCP_REFUSED_FAULT, EREMOTEIO, "status 503"},
		{429, "", GCP_REFUSED_THROTTLE, EBUSY, "too often (status 429)"},
		{404, "<html>CANARY</html>", GCP_REFUSED, EKEYREJECTED, "(status 404)"},
		{400, "{\"error\":{\"code\":400,\"message\":\"CANARY\"}}", GCP_REFUSED,
			EKEYREJECTED, "(status 400)"},
		{400, "{\"error\":\"CANARY 7\"}", GCP_REFUSED, EKEYREJECTED, "(status 400)"},
		{400,
			"{\"error\":\"invalid_grant\",\"error_description\":\"bad "
			"ya29.CANARY0123456789"
			"abcdef\\u001b[0m\"}",
			GCP_REFUSED, EKEYREJECTED, "[...]"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sfs_err err = refused(rows[i].status, rows[i].body, rows[i].kind);
		cr_expect_eq(err.code, rows[i].code, "%zu: %s", i, err.msg);
		cr_expect(strstr(err.msg, rows[i].words), "%zu: %s", i, err.msg);
		cr_expect_null(strstr(err.msg, "CANARY"), "%zu: %s", i, err.msg);
	}
}

Test(gcp_token, forms_are_percent_encoded)
{
	struct buf form = BUF_SECRET_INIT(1000);
	gcp_form_add(&form, "a", "x/y+z =&%~", 10);
	gcp_form_add(&form, "b", "", 0);
	gcp_form_add(&form, "c", "\xc3\xa9", 2);
	cr_assert_str_eq(buf_text(&form), "a=x%2Fy%2Bz%20%3D%26%25~&b=&c=%C3%A9");
	buf_clear(&form);
}

/* ---- keys and signatures ---- */

/* The text of a key as it is after JSON. */
static void unescape(const char *text, char *out)
{
	for (; *text; text++) {
		bool newline = text[0] == '\\' && text[1] == 'n';
		*out++ = newline ? '\n' : *text;
		text += newline;
	}
	*out = '\0';
}

static struct crypto_rsa *key_of(const char *text)
{
	char pem[4096];
	struct crypto_rsa *key = NULL;
	struct sfs_err err = {0};
	unescape(text, pem);
	cr_assert_eq(gcp_key_load(pem, strlen(pem), "/k.json", &key, &err), 0, "%s", err.msg);
	return key;
}

/* case 36: RFC 7515 appendix A.2 */
Test(gcp_jwt, the_vector_of_the_standard)
{
	static const char input[] =
		"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9"
		"leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
	static const char signature[] =
		"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5"
		"YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h"
		"6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZE"
		"Sc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
		"cN_IoypGlUPQGe77Rw";
	static const char *const keys[] = {GCP_KEY, GCP_KEY_PKCS1};
	for (size_t i = 0; i < 2; i++) {
		struct buf raw = BUF_SECRET_INIT(1000), text = BUF_INIT(1000);
		struct crypto_rsa *key = key_of(keys[i]);
		cr_assert_eq(crypto_rsa_sign(key, input, strlen(input), &raw), 0);
		cr_assert_eq(
			base64_encode(&text, raw.data, raw.len, BASE64_URL | BASE64_NO_PAD), 0);
		cr_assert_str_eq(buf_text(&text), signature);
		buf_clear(&raw);
		buf_clear(&text);
		crypto_rsa_free(key);
	}
}

static void part_is(const char *jwt, int n, const char *want)
{
	struct buf out = BUF_INIT(4096);
	for (; n; n--)
		jwt = strchr(jwt, '.') + 1;
	cr_assert_eq(base64_decode(&out, jwt, strcspn(jwt, "."), BASE64_URL | BASE64_NO_PAD), 0);
	cr_assert_str_eq(buf_text(&out), want);
	buf_clear(&out);
}

Test(gcp_jwt, header_claims_signature)
{
	struct buf jwt = BUF_SECRET_INIT(GCP_JWT_MAX), raw = BUF_SECRET_INIT(1000),
		   sign = BUF_INIT(999);
	struct crypto_rsa *key = key_of(GCP_KEY);
	struct gcp_claims c = {.kid = "k1",
		.iss = "a@b.c",
		.sub = "a@b.c",
		.scope = "https://www.googleapis.com/auth/cloud-platform",
		.iat = 1700000000};
	cr_assert_eq(gcp_jwt_sign(key, &c, &jwt, NULL), 0);
	part_is(buf_text(&jwt), 0, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"k1\"}");
	part_is(buf_text(&jwt), 1,
		"{\"iss\":\"a@b.c\",\"sub\":\"a@b.c\",\"scope\":\"https://www.googleapis.com/auth/"
		"cloud-platform\",\"iat\":1700000000,\"exp\":1700003600}");
	const char *last = strrchr(jwt.data, '.');
	cr_assert_eq(crypto_rsa_sign(key, jwt.data, (size_t)(last - jwt.data), &raw), 0);
	base64_encode(&sign, raw.data, raw.len, BASE64_URL | BASE64_NO_PAD);
	cr_assert_str_eq(last + 1, buf_text(&sign));
	buf_reset(&jwt);
	c = (struct gcp_claims){.iss = "a\"b", .aud = "x", .iat = 1};
	cr_assert_eq(gcp_jwt_sign(key, &c, &jwt, NULL), 0);
	part_is(buf_text(&jwt), 0, "{\"alg\":\"RS256\",\"typ\":\"JWT\"}");
	part_is(buf_text(&jwt), 1, "{\"iss\":\"a\\\"b\",\"aud\":\"x\",\"iat\":1,\"exp\":3601}");
	c.iss = "a\xff";
	buf_reset(&jwt);
	cr_assert_eq(gcp_jwt_sign(key, &c, &jwt, NULL), -EBADMSG);
	buf_clear(&jwt);
	buf_clear(&raw);
	buf_clear(&sign);
	crypto_rsa_free(key);
}

/* case 38: each defect has its own sentence, and nobody is asked for a password */
Test(gcp_jwt, keys_that_are_not_used)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{GCP_KEY_ENCRYPTED, "is encrypted with a password"},
		{GCP_KEY_ENCRYPTED_OLD, "is encrypted with a password"},
		{GCP_KEY_EC, "is no RSA key"},
		{GCP_KEY_SHORT, "has fewer than 2048 bits"},
		{"", "is no private key in PEM"},
		{"-----BEGIN PRIVATE KEY-----\\nCANARY\\n-----END PRIVATE KEY-----\\n",
			"is no private key in PEM"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char pem[4096];
		struct crypto_rsa *key = NULL;
		struct sfs_err err = {0};
		unescape(rows[i].text, pem);
		cr_expect_eq(gcp_key_load(pem, strlen(pem), "/k.json", &key, &err), -EBADMSG);
		cr_expect_null(key);
		cr_expect(strstr(err.msg, rows[i].words), "%s", err.msg);
		cr_expect_null(strstr(err.msg, "CANARY"), "%s", err.msg);
	}
	struct crypto_rsa *key = NULL;
	struct sfs_err err = {0};
	cr_assert_eq(gcp_key_load(GCP_KEY, strlen(GCP_KEY), "/k.json", &key, &err), -EBADMSG);
	cr_assert(
		strstr(err.msg, "a backslash and an n where a line break must be"), "%s", err.msg);
}

/* ---- files ---- */

static int parse(struct gcp_doc *doc, const char *text, struct sfs_err *err)
{
	*doc = (struct gcp_doc)GCP_DOC_INIT;
	cr_assert_eq(buf_str(&doc->text, text), 0);
	return gcp_doc_parse(doc, "/c.json", err);
}

Test(gcp_doc, each_type_has_its_word)
{
	for (int i = GCP_SERVICE_ACCOUNT; i <= GCP_IMPERSONATED; i++) {
		char text[128];
		struct gcp_doc doc;
		snprintf(text, sizeof(text), "{\"type\":\"%s\"}", gcp_type_word((enum gcp_type)i));
		cr_assert_eq(parse(&doc, text, NULL), 0);
		cr_assert_eq(doc.type, (enum gcp_type)i);
		gcp_doc_clear(&doc);
	}
}

Test(gcp_doc, what_is_no_credentials_file)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{"", "/c.json: "},
		{"[]", "it must hold a JSON object"},
		{"{\"installed\":{\"client_secret\":\"CANARY\"}}", "type is missing"},
		{"{\"type\":1}", "type must be a string"},
		{"{\"type\":\"gdch_service_account\"}",
			"credentials of type gdch_service_account are not supported"},
		{"{\"type\":\"CANARY-7\"}", "credentials of type (no word) are not supported"},
		{"{\"type\":\"authorized_user\",\"type\":\"x\"}", "/c.json: "},
		{"{\"type\":\"authorized_user\"}CANARY", "/c.json: "},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gcp_doc doc;
		struct sfs_err err = {0};
		cr_expect_eq(parse(&doc, rows[i].text, &err), -EBADMSG, "%s", rows[i].text);
		cr_expect(strstr(err.msg, rows[i].words), "%s", err.msg);
		cr_expect_null(strstr(err.msg, "CANARY"), "%s", err.msg);
		gcp_doc_clear(&doc);
	}
}

/* case 51 */
Test(gcp_doc, credentials_go_nowhere_in_the_clear)
{
	static const struct {
		const char *url, *words;
	} rows[] = {
		{"https://oauth2.googleapis.com/token", NULL},
		{"http://127.0.0.1:8080/token", NULL},
		{"http://localhost/token", NULL},
		{"http://[::1]:8080/token", NULL},
		{"http://evil/", "u would send credentials to evil without TLS"},
		{"http://169.254.169.254/x", "without TLS"},
		{"http://metadata.google.internal/x", "without TLS"},
		{"http://10.0.0.1/", "without TLS"},
		{"http://127.0.0.1.evil.com/", "without TLS"},
		{"http://user@127.0.0.1/", "/c.json: u: "},
		{"ftp://x/", "/c.json: u: "},
		{"/token", "/c.json: u: "},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256];
		struct gcp_doc doc;
		struct sfs_err err = {0};
		char *url = NULL;
		snprintf(text, sizeof(text), "{\"type\":\"authorized_user\",\"u\":\"%s\"}",
			rows[i].url);
		cr_assert_eq(parse(&doc, text, NULL), 0);
		int r = gcp_doc_url(&doc, NULL, "u", GCP_MUST, &url, &err);
		cr_expect_eq(r, rows[i].words ? -EBADMSG : 0, "%s: %s", rows[i].url, err.msg);
		cr_expect(!rows[i].words || strstr(err.msg, rows[i].words), "%s", err.msg);
		mem_free(url);
		gcp_doc_clear(&doc);
	}
}

Test(gcp_doc, members)
{
	struct gcp_doc doc, inner = GCP_DOC_INIT;
	struct sfs_err err = {0};
	char *text = NULL;
	struct secret *secret = NULL;
	const struct json_node *n = NULL;
	cr_assert_eq(parse(&doc,
			     "{\"type\":\"impersonated_service_account\",\"a\":\"x\",\"e\":\"\","
			     "\"n\":null,\"c\":\"CAN\\nARY\",\"i\":1,\"o\":{\"a\":\"y\"},"
			     "\"source_credentials\":{\"type\":\"authorized_user\",\"a\":\"z\"}}",
			     &err),
		0);
	cr_assert_eq(gcp_doc_text(&doc, NULL, "a", GCP_MUST, &text, &err), 0);
	cr_assert_str_eq(text, "x");
	mem_free(take(text));
	cr_assert_eq(gcp_doc_object(&doc, NULL, "o", GCP_MUST, &n, &err), 0);
	cr_assert_eq(gcp_doc_text(&doc, n, "a", GCP_MUST, &text, &err), 0);
	cr_assert_str_eq(text, "y");
	mem_free(take(text));
	for (const char *const *k = (const char *const[]){"e", "n", "z", NULL}; *k; k++) {
		cr_assert_eq(gcp_doc_text(&doc, NULL, *k, GCP_MAY, &text, &err), 0);
		cr_assert_null(text);
		cr_assert_eq(gcp_doc_secret(&doc, NULL, *k, GCP_MUST, &secret, &err), -EBADMSG);
		cr_assert(strstr(err.msg, "is missing"), "%s", err.msg);
	}
	cr_assert_eq(gcp_doc_text(&doc, NULL, "c", GCP_MAY, &text, &err), -EBADMSG);
	cr_assert_str_eq(err.msg, "/c.json: c holds a control character");
	cr_assert_eq(gcp_doc_secret(&doc, NULL, "c", GCP_MAY, &secret, &err), -EBADMSG);
	cr_assert_eq(gcp_doc_text(&doc, NULL, "i", GCP_MAY, &text, &err), -EBADMSG);
	cr_assert_eq(gcp_doc_object(&doc, NULL, "a", GCP_MAY, &n, &err), -EBADMSG);
	cr_assert_eq(gcp_doc_nested(&doc, "source_credentials", &inner, &err), 0);
	cr_assert(inner.nested && inner.type == GCP_AUTHORIZED_USER);
	cr_assert_eq(gcp_doc_text(&inner, NULL, "a", GCP_MUST, &text, &err), 0);
	cr_assert_str_eq(text, "z");
	mem_free(text);
	cr_assert_eq(gcp_doc_nested(&doc, "o", &inner, &err), -EBADMSG);
	gcp_doc_clear(&inner);
	gcp_doc_clear(&doc);
}
