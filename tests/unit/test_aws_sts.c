/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies and answers of STS, and the XML that is refused. */
#include "backends/aws_sts.h"
#include "backends/aws_xml.h"
#include "backends/percent.h"
#include "base/alloc.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROLE "arn:aws:iam::123456789012:role/reader"

static struct aws_role role(void)
{
	return (struct aws_role){.arn = ROLE, .session = "secretfs@host-1"};
}

/* ---- bodies ---- */

Test(aws_sts, bodies)
{
	struct buf b = BUF_SECRET_INIT(AWS_STS_BODY_MAX);
	struct sfs_err err = {0};
	struct aws_role r = role();
	cr_assert_eq(aws_sts_identity_body(&b), 0);
	cr_expect_str_eq(buf_text(&b), "Action=GetCallerIdentity&Version=2011-06-15");
	buf_reset(&b);
	cr_assert_eq(aws_sts_assume_role_body(&r, &b, &err), 0);
	cr_expect_str_eq(buf_text(&b), "Action=AssumeRole&Version=2011-06-15"
				       "&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freader"
				       "&RoleSessionName=secretfs%40host-1");
	r.external_id = "a+b=c,d.e@f:g/h-i";
	r.duration = 3600;
	r.source_identity = "node+7@a";
	buf_reset(&b);
	cr_assert_eq(aws_sts_assume_role_body(&r, &b, &err), 0);
	cr_expect(strstr(b.data, "&DurationSeconds=3600"
				 "&ExternalId=a%2Bb%3Dc%2Cd.e%40f%3Ag%2Fh-i"
				 "&SourceIdentity=node%2B7%40a"));
	buf_reset(&b);
	cr_assert_eq(aws_sts_web_identity_body(&r, " ey.J-_~\n", 9, &b, &err), 0);
	cr_expect(strstr(b.data, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn="));
	cr_expect(strstr(b.data, "&WebIdentityToken=ey.J-_~"));
	cr_expect_not(strstr(b.data, "%0A"), "the line end of a token file is none of the token");
	cr_expect_not(strstr(b.data, "ExternalId"), "which this action does not have");
	cr_expect_not(strstr(b.data, "SourceIdentity"), "nor this");
	buf_clear(&b);
}

Test(aws_sts, the_longest_token_fits)
{
	struct buf b = BUF_SECRET_INIT(AWS_STS_BODY_MAX);
	struct sfs_err err = {0};
	struct aws_role r = role();
	char *token = malloc(20001);
	cr_assert(token);
	memset(token, '=', 20001);
	cr_expect_eq(aws_sts_web_identity_body(&r, token, 20000, &b, &err), 0, "%s", err.msg);
	cr_expect_eq(aws_sts_web_identity_body(&r, token, 20001, &b, &err), -EINVAL);
	cr_expect(strstr(err.msg, "20001 bytes"));
	cr_expect_eq(aws_sts_web_identity_body(&r, " \n \n  ", 6, &b, &err), -EINVAL);
	free(token);
	buf_clear(&b);
}

Test(aws_sts, bytes_are_percent_encoded)
{
	struct buf b = BUF_INIT(100);
	cr_assert_eq(percent_add(&b, "aZ9-_.~ +/=\0\xff", 13), 0);
	cr_expect_str_eq(buf_text(&b), "aZ9-_.~%20%2B%2F%3D%00%FF");
	buf_clear(&b);
}

static void refuses_role(struct aws_role r, const char *setting)
{
	struct buf b = BUF_SECRET_INIT(AWS_STS_BODY_MAX);
	struct sfs_err err = {0};
	cr_expect_eq(aws_sts_assume_role_body(&r, &b, &err), -EINVAL, "%s", setting);
	cr_expect(strstr(err.msg, setting), "%s", err.msg);
	cr_expect_eq(b.len, 0);
	buf_clear(&b);
}

Test(aws_sts, settings_that_cannot_be)
{
	struct aws_role r = role();
	r.arn = "reader";
	refuses_role(r, "role_arn \"reader\"");
	r.arn = "arn:aws:iam::1\n";
	refuses_role(r, "\\x0a");
	r = role();
	r.session = "a";
	refuses_role(r, "role_session_name");
	r.session = "a b";
	refuses_role(r, "role_session_name");
	r = role();
	r.external_id = "a?b";
	refuses_role(r, "external_id");
	r = role();
	r.source_identity = "a b";
	refuses_role(r, "source_identity must have");
	r.source_identity = "a";
	refuses_role(r, "source_identity must have");
	r = role();
	r.duration = 899;
	refuses_role(r, "duration");
	r.duration = 43201;
	refuses_role(r, "duration");
}

/* ---- answers ---- */

#define BEGIN                                           \
	"<?xml version=\"1.0\"?>\n<AssumeRoleResponse " \
	"xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n <AssumeRoleResult>\n"
#define END                                                             \
	"</AssumeRoleResult><ResponseMetadata><RequestId>r</RequestId>" \
	"</ResponseMetadata></AssumeRoleResponse>\n"
#define USER                                                    \
	"<AssumedRoleUser><AssumedRoleId>ARO:s</AssumedRoleId>" \
	"<Arn>arn:aws:sts::1:assumed-role/r&amp;x/s</Arn></AssumedRoleUser>"
#define ID_  "<AccessKeyId>ASIAEXAMPLE</AccessKeyId>"
#define KEY_ "<SecretAccessKey>wJalr/XU+tn</SecretAccessKey>"
#define TOK_ "<SessionToken>AQo+/==</SessionToken>"
#define EXP_ "<Expiration>2015-08-30T12:36:00Z</Expiration>"

static void secret_is(const struct secret *s, const char *expected)
{
	struct secret *e = secret_new(expected, strlen(expected));
	cr_expect(s && secret_equal(s, e), "not %s", expected);
	secret_unref(e);
}

static void no_secrets_left(void)
{
	struct secret_stats stats;
	secret_stats(&stats);
	cr_assert_eq(stats.blocks, 0);
}

static void credentials_are(const char *xml, const char *token, int64_t expires, const char *arn)
{
	struct aws_temp t = {0};
	struct sfs_err err = {0};
	cr_assert_eq(aws_sts_credentials(xml, strlen(xml), &t, &err), 0, "%s: %s", err.msg, xml);
	secret_is(t.id, "ASIAEXAMPLE");
	secret_is(t.key, "wJalr/XU+tn");
	secret_is(t.token, token);
	cr_expect_eq(t.expires, expires);
	if (arn)
		cr_expect_str_eq(t.arn, arn);
	else
		cr_expect_null(t.arn);
	aws_temp_clear(&t);
	no_secrets_left();
}

#define WHEN INT64_C(1440938160000000000)

Test(aws_sts, credentials_in_any_order)
{
	credentials_are(BEGIN "<Credentials>" ID_ KEY_ TOK_ EXP_ "</Credentials>" USER END,
		"AQo+/==", WHEN, "arn:aws:sts::1:assumed-role/r&x/s");
	credentials_are(BEGIN USER "<PackedPolicySize>6</PackedPolicySize>"
				   "<Credentials>" EXP_ TOK_ KEY_ ID_ "</Credentials>" END,
		"AQo+/==", WHEN, "arn:aws:sts::1:assumed-role/r&x/s");
	credentials_are(BEGIN "<Credentials>" ID_ KEY_ TOK_ EXP_ "</Credentials>" END,
		"AQo+/==", WHEN, NULL);
}

Test(aws_sts, wrapped_token_entities_milliseconds_and_prefixes)
{
	credentials_are(BEGIN "<Credentials>" ID_ "<SecretAccessKey>\n wJalr&#47;XU&#x2b;tn \n"
			      "</SecretAccessKey><SessionToken>\n  AQo\n  &amp;x\r\n\t y&lt;&gt;"
			      "&quot;&apos;&#10;z\n</SessionToken>"
			      "<Expiration> 2015-08-30T12:36:00.250Z </Expiration>"
			      "</Credentials>" END,
		"AQo&xy<>\"'z", WHEN + 250000000, NULL);
	credentials_are("<s:AssumeRoleWithWebIdentityResponse xmlns:s='u'><s:Result>"
			"<!-- a comment --><s:Credentials>" ID_ KEY_ TOK_ EXP_
			"</s:Credentials></s:Result></s:AssumeRoleWithWebIdentityResponse>",
		"AQo+/==", WHEN, NULL);
}

static void refuses(const char *xml, const char *says)
{
	struct aws_temp t = {.expires = -7};
	struct sfs_err err = {0};
	cr_expect_eq(aws_sts_credentials(xml, strlen(xml), &t, &err), -EBADMSG, "%s", xml);
	cr_expect(strstr(err.msg, says), "%s", err.msg);
	cr_expect_not(strstr(err.msg, "wJalr"));
	cr_expect(t.expires == -7 && !t.id && !t.key && !t.token, "untouched");
	no_secrets_left();
}

#define WHOLE "<Credentials>" ID_ KEY_ TOK_ EXP_ "</Credentials>"

Test(aws_sts, answers_that_are_refused)
{
	refuses("", "AccessKeyId");
	refuses("{\"AssumeRoleResponse\": 1}", "AccessKeyId");
	refuses("<!DOCTYPE a [<!ENTITY x \"y\">]>" BEGIN WHOLE END, "AccessKeyId");
	refuses(BEGIN "<!DOCTYPE a>" WHOLE END, "AccessKeyId");
	refuses(BEGIN "<Credentials>" KEY_ TOK_ EXP_ "</Credentials>" END, "AccessKeyId");
	refuses(BEGIN "<Credentials>" ID_ TOK_ EXP_ "</Credentials>" END, "SecretAccessKey");
	refuses(BEGIN "<Credentials>" ID_ KEY_ EXP_ "</Credentials>" END, "SessionToken");
	refuses(BEGIN "<Credentials>" ID_ KEY_ TOK_ "</Credentials>" END, "Expiration");
	refuses(BEGIN "<Credentials>" ID_ KEY_ "<SessionToken/>" EXP_ "</Credentials>" END,
		"SessionToken");
	refuses(BEGIN "<Credentials>" ID_ KEY_ "<SessionToken> </SessionToken>" EXP_
		      "</Credentials>" END,
		"SessionToken");
	refuses(BEGIN "<Credentials>" ID_ KEY_ TOK_ "<Expiration>soon</Expiration>"
		      "</Credentials>" END,
		"Expiration");
	refuses(BEGIN "<Credentials><AccessKeyId>&xxe;</AccessKeyId>" KEY_ TOK_ EXP_
		      "</Credentials>" END,
		"AccessKeyId");
	refuses(BEGIN "<Credentials><AccessKeyId>A<b/>C</AccessKeyId>" KEY_ TOK_ EXP_
		      "</Credentials>" END,
		"AccessKeyId");
	refuses(BEGIN "<Other>" ID_ KEY_ TOK_ EXP_ "</Other>" END, "AccessKeyId");
	refuses(BEGIN WHOLE END "<more/>", "AccessKeyId");
	refuses(BEGIN WHOLE END "text", "AccessKeyId");
	refuses(BEGIN WHOLE, "AccessKeyId");
}

/* The answer cut at every byte is never taken for a whole one. */
Test(aws_sts, cut_answers)
{
	static const char whole[] = BEGIN WHOLE USER END;
	struct aws_temp t = {0};
	for (size_t n = 0; n < sizeof(whole) - 2; n++)
		cr_assert_eq(aws_sts_credentials(whole, n, &t, NULL), -EBADMSG, "%zu", n);
	cr_assert_eq(aws_sts_credentials(whole, sizeof(whole) - 2, &t, NULL), 0);
	aws_temp_clear(&t);
	no_secrets_left();
}

Test(aws_sts, no_memory)
{
	static const char xml[] = BEGIN WHOLE USER END;
	struct aws_temp t = {0};
	unsigned long n = 1;
	for (;; n++) {
		alloc_fail_at(n);
		int rc = aws_sts_credentials(xml, strlen(xml), &t, NULL);
		alloc_fail_at(0);
		if (rc == 0)
			break;
		cr_assert_eq(rc, -ENOMEM);
		no_secrets_left();
	}
	cr_expect_gt(n, 2);
	aws_temp_clear(&t);
}

Test(aws_sts, identity)
{
	static const char xml[] = "<GetCallerIdentityResponse xmlns=\"x\"><GetCallerIdentityResult>"
				  "<Arn>arn:aws:iam::123456789012:user/a</Arn><UserId>U</UserId>"
				  "<Account>123456789012</Account></GetCallerIdentityResult>"
				  "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
				  "</GetCallerIdentityResponse>";
	struct buf account = BUF_INIT(100), arn = BUF_INIT(100);
	struct sfs_err err = {0};
	cr_assert_eq(aws_sts_identity(xml, strlen(xml), &account, &arn, &err), 0, "%s", err.msg);
	cr_expect_str_eq(buf_text(&account), "123456789012");
	cr_expect_str_eq(buf_text(&arn), "arn:aws:iam::123456789012:user/a");
	buf_reset(&arn);
	cr_expect_eq(aws_sts_identity("<a/>", 4, &account, &arn, &err), -EBADMSG);
	cr_expect(strstr(err.msg, "Account"));
	cr_expect_eq(arn.len, 0);
	buf_clear(&account);
	buf_clear(&arn);
}

Test(aws_sts, error_answers)
{
	static const char xml[] =
		"<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>"
		"<Type>Sender</Type><Code>AccessDenied</Code><Message>not &lt;you&gt;</Message>"
		"</Error><RequestId>r</RequestId></ErrorResponse>";
	static const char bare[] = "<ErrorResponse><Error><Code>X</Code></Error></ErrorResponse>";
	struct buf code = BUF_INIT(100), message = BUF_INIT(100);
	cr_assert_eq(aws_xml_error(xml, strlen(xml), &code, &message), 0);
	cr_expect_str_eq(buf_text(&code), "AccessDenied");
	cr_expect_str_eq(buf_text(&message), "not <you>");
	buf_reset(&code);
	buf_reset(&message);
	cr_assert_eq(aws_xml_error(bare, strlen(bare), &code, &message), 0);
	cr_expect_eq(message.len, 0);
	cr_expect_eq(aws_xml_error("<html></html>", 13, &code, &message), -EBADMSG);
	cr_expect_eq(aws_xml_error("", 0, &code, &message), -EBADMSG);
	buf_clear(&code);
	buf_clear(&message);
}

/* ---- the scanner ---- */

static int find(const char *xml, const char *path, const char *expected)
{
	struct aws_text t = {"kept", 4};
	int rc = aws_xml_find(xml, strlen(xml), path, &t);
	cr_expect(aws_text_is(t, rc < 0 ? "kept" : expected), "%s: %.*s", xml, (int)t.len, t.p);
	return rc;
}

Test(aws_xml, paths)
{
	cr_expect_eq(find("<a><b>1</b><b>2</b></a>", "a/b", "1"), 0);
	cr_expect_eq(find("<a><c><b>1</b></c><b>2</b></a>", "a/b", "2"), 0);
	cr_expect_eq(find("<a><b>1</b></a>", "*/b", "1"), 0);
	cr_expect_eq(find("<a><b>1</b></a>", "a", "<b>1</b>"), 0);
	cr_expect_eq(find("<a><b/></a>", "a/b", ""), 0);
	cr_expect_eq(find("<a/>", "a", ""), 0);
	cr_expect_eq(find("<a><b><b>1</b></b></a>", "a/b", "<b>1</b>"), 0);
	cr_expect_eq(find("<a><b x='>' y = \"/\" >1</b ></a>", "a/b", "1"), 0);
	cr_expect_eq(find("\xef\xbb\xbf <a>1</a>\n", "a", "1"), 0);
	cr_expect_eq(find("<a><b>1</b></a>", "a/b/c", ""), -EBADMSG);
	cr_expect_eq(find("<a><b>1</b></a>", "b", ""), -EBADMSG);
	cr_expect_eq(find("<a><b>1</b></a>", "a/bb", ""), -EBADMSG);
	cr_expect_eq(find("<a><b>1</b></a>", "", ""), -EBADMSG);
}

Test(aws_xml, malformed)
{
	static const char *const bad[] = {"<a>", "</a>", "<a></b>", "<a><b></a></b>", "<a",
		"<a b>x</a>", "<a b=c></a>", "<a b='c></a>", "<a b='<'></a>", "< a></a>",
		"<a/><a/>", "x<a/>", "<a><![CDATA[x]]></a>", "<a><!-- x</a>", "<a><? x</a>",
		"<a></a ", "<a b='c'd='e'/>", "<!a>", "<a></a/>", "<x:a></y:a>", "<?xml?>",
		"<!--x-->"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(find(bad[i], "a", ""), -EBADMSG, "%s", bad[i]);
	cr_expect_eq(find("<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a>"
			  "</a></a></a></a></a></a></a></a></a></a>",
			     "a/b", ""),
		-EBADMSG);
}

static int decode(const char *raw, const char *expected)
{
	struct buf b = BUF_INIT(100);
	buf_str(&b, "-");
	int rc = aws_xml_decode((struct aws_text){raw, strlen(raw)}, 0, &b);
	cr_expect_str_eq(buf_text(&b) + 1, rc < 0 ? "" : expected, "%s", raw);
	buf_clear(&b);
	return rc;
}

Test(aws_xml, entities)
{
	cr_expect_eq(decode(" a&amp;b \n", "a&b"), 0);
	cr_expect_eq(decode("a b", "a b"), 0);
	cr_expect_eq(decode("&#65;&#x41;&#xe9;&#x20ac;&#x1F600;&#10FFFF", ""), -EBADMSG);
	cr_expect_eq(decode("&#65;&#x41;&#xe9;&#x20ac;&#x1F600;", "AA\xc3\xa9\xe2\x82\xac"
								  "\xf0\x9f\x98\x80"),
		0);
	static const char *const bad[] = {"&", "&;", "&amp", "&AMP;", "&nbsp;", "&#;", "&#x;",
		"&#0;", "&#x1b;", "&#xd800;", "&#x110000;", "&#99999999999999999999;", "&#-1;",
		"&#6a;", "a<b", "a\x1b"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(decode(bad[i], ""), -EBADMSG, "%s", bad[i]);
}
