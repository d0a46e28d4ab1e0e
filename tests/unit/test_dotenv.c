/* SPDX-License-Identifier: Apache-2.0 */
/* The line formats of file: sources, as pure functions. */
#include "backends/file_dotenv.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct result {
	const char *text;
	const struct envstore *env;
	enum line_form force; /* LINE_EXPAND, or LINE_BARE = as parsed */
	struct buf out;	      /* "NAME=[value]@line " for each */
	int stop_after;
};

static int gather(void *arg, const struct line_item *i)
{
	struct result *r = arg;
	char line[32];
	snprintf(line, sizeof(line), "]@%zu ", i->line);
	buf_add(&r->out, r->text + i->name, i->name_len);
	buf_str(&r->out, "=[");
	line_value(r->text + i->value, i->value_len,
		r->force == LINE_EXPAND ? LINE_EXPAND : i->form, r->env, &r->out);
	buf_str(&r->out, line);
	return r->stop_after && --r->stop_after == 0 ? -ECANCELED : 0;
}

static void dotenv_is_n(const char *text, size_t len, const char *expected)
{
	struct result r = {.text = text, .out = BUF_INIT(100000)};
	struct line_text t = {"/etc/x.env", text, len};
	struct sfs_err err = {0};
	int rc = dotenv_parse(&t, gather, &r, &err);
	cr_expect_eq(rc, 0, "%s", err.msg);
	cr_expect_str_eq(buf_text(&r.out), expected);
	buf_clear(&r.out);
}

static void dotenv_is(const char *text, const char *expected)
{
	dotenv_is_n(text, strlen(text), expected);
}

static void refused_n(const char *text, size_t len, const char *where)
{
	struct result r = {.text = text, .out = BUF_INIT(100000)};
	struct line_text t = {"/etc/x.env", text, len};
	struct sfs_err err = {0};
	cr_expect_eq(dotenv_parse(&t, gather, &r, &err), -EBADMSG, "%s", text);
	cr_expect(strncmp(err.msg, where, strlen(where)) == 0, "%s: %s", text, err.msg);
	cr_expect(!strstr(err.msg, "canary"), "%s", err.msg);
	buf_clear(&r.out);
}

static void refused(const char *text, const char *where)
{
	refused_n(text, strlen(text), where);
}

Test(dotenv, plain_lines)
{
	dotenv_is("A=1\nB_2=two words\n", "A=[1]@1 B_2=[two words]@2 ");
	dotenv_is("A=1", "A=[1]@1 ");
	dotenv_is("", "");
	dotenv_is("\n\n", "");
	dotenv_is("a.b-c=x\n_=y\n", "a.b-c=[x]@1 _=[y]@2 ");
	dotenv_is("A=\nB=\n", "A=[]@1 B=[]@2 ");
	dotenv_is("A=x=y==\n", "A=[x=y==]@1 ");
}

Test(dotenv, blanks_around)
{
	dotenv_is("  A =  1  \n\tB\t=\t2\t\n", "A=[1]@1 B=[2]@2 ");
}

Test(dotenv, export)
{
	dotenv_is("export A=1\nexport\tB=2\nexport   C='3'\n", "A=[1]@1 B=[2]@2 C=[3]@3 ");
	dotenv_is("export=1\nexport =2\nexported=3\n", "export=[1]@1 export=[2]@2 exported=[3]@3 ");
}

Test(dotenv, comments)
{
	dotenv_is("# A=1\n   # x\nB=2 # c\nC=3#4\nD= # c\nE=#5\nF='6' # c\nG=\"7\"# c\nH=a #\n",
		"B=[2]@3 C=[3#4]@4 D=[]@5 E=[#5]@6 F=[6]@7 G=[7]@8 H=[a]@9 ");
}

Test(dotenv, single_quotes_are_literal)
{
	dotenv_is("A='a \\n \"b\" $c # d'\nB=''\n", "A=[a \\n \"b\" $c # d]@1 B=[]@2 ");
	dotenv_is("A='l1\nl2\n'\nB=x\n", "A=[l1\nl2\n]@1 B=[x]@4 ");
}

Test(dotenv, double_quotes_know_escapes)
{
	dotenv_is("A=\"a\\nb\\tc\\rd\\\\e\\\"f\\$g\"\n", "A=[a\nb\tc\rd\\e\"f$g]@1 ");
	dotenv_is("A=\"\\x \\' \\a $B ${C}\"\n", "A=[\\x \\' \\a $B ${C}]@1 ");
	dotenv_is("A=\"\\\\\"\nB=\"\"\n", "A=[\\]@1 B=[]@2 ");
	dotenv_is("A=\"\\\\n\"\n", "A=[\\n]@1 ");
	dotenv_is("KEY=\"-----BEGIN-----\nabc\n-----END-----\n\"\nB=1\n",
		"KEY=[-----BEGIN-----\nabc\n-----END-----\n]@1 B=[1]@5 ");
}

Test(dotenv, quotes_inside_a_bare_value_are_bytes)
{
	dotenv_is("A=it's\nB=a\"b\"\n", "A=[it's]@1 B=[a\"b\"]@2 ");
}

Test(dotenv, crlf_files)
{
	dotenv_is("A=1\r\n\r\n# c\r\nB='x'\r\nC=\"y\" # c\r\nD=\r\n",
		"A=[1]@1 B=[x]@4 C=[y]@5 D=[]@6 ");
	dotenv_is("A='1\r\n2'\r\nB=\"3\r\n4\"\r\n", "A=[1\n2]@1 B=[3\n4]@3 ");
	dotenv_is("A=1\r", "A=[1]@1 ");
	dotenv_is("A=1\r2\n", "A=[1\r2]@1 ");
}

Test(dotenv, byte_order_mark_is_skipped)
{
	dotenv_is("\xef\xbb\xbf"
		  "A=1\n",
		"A=[1]@1 ");
}

Test(dotenv, bytes_outside_ascii_are_passed_on)
{
	dotenv_is("A=\xc3\xa9\nB=\"\xff\xfe\"\n", "A=[\xc3\xa9]@1 B=[\xff\xfe]@2 ");
}

Test(dotenv, names_twice_are_emitted_in_order)
{
	dotenv_is("A=1\nA=2\n", "A=[1]@1 A=[2]@2 ");
}

Test(dotenv, malformed_lines_are_named)
{
	refused("A=1\ncanary\nB=2\n", "/etc/x.env:2: ");
	refused("=canary\n", "/etc/x.env:1: ");
	refused("1A=canary\n", "/etc/x.env:1: ");
	refused("A B=canary\n", "/etc/x.env:1: ");
	refused("A:B=canary\n", "/etc/x.env:1: ");
	refused("export\n", "/etc/x.env:1: ");
	refused("export A\n", "/etc/x.env:1: ");
	refused("\n\nA='canary\nB=2\n", "/etc/x.env:3: the quote");
	refused("A=\"canary\\\"\n", "/etc/x.env:1: the quote");
	refused("A=\"x\ny\"canary\n", "/etc/x.env:2: there is text");
	refused("A='x' canary\n", "/etc/x.env:1: there is text");
	refused("A", "/etc/x.env:1: '=' is missing");
	refused("{\"A\": 1}", "/etc/x.env:1: ");
	refused("A=\"", "/etc/x.env:1: ");
	refused("A=\"\\", "/etc/x.env:1: ");
	refused_n("A=1\nB=\0canary\n", 15, "/etc/x.env:2: a NUL");
	refused("\xc3\xa9=canary", "/etc/x.env:1: ");
}

Test(dotenv, emit_can_stop)
{
	struct result r = {.text = "A=1\nB=2\n", .out = BUF_INIT(1000), .stop_after = 1};
	struct line_text t = {"x", r.text, 8};
	cr_expect_eq(dotenv_parse(&t, gather, &r, NULL), -ECANCELED);
	cr_expect_str_eq(buf_text(&r.out), "A=[1]@1 ");
	buf_clear(&r.out);
}

Test(dotenv, a_full_buffer_is_an_error)
{
	struct buf b = BUF_INIT(3);
	cr_expect_eq(line_value("ab\\n", 4, LINE_DOUBLE, NULL, &b), 0);
	cr_expect_str_eq(buf_text(&b), "ab\n");
	buf_reset(&b);
	cr_expect_eq(line_value("abc\\n", 5, LINE_DOUBLE, NULL, &b), -EFBIG);
	buf_clear(&b);
}

static void mlrun_is(const char *text, const struct envstore *env, const char *expected)
{
	struct result r = {.text = text,
		.env = env,
		.force = env ? LINE_EXPAND : LINE_BARE,
		.out = BUF_INIT(100000)};
	struct line_text t = {"x", text, strlen(text)};
	cr_expect_eq(mlrun_parse(&t, gather, &r), 0);
	cr_expect_str_eq(buf_text(&r.out), expected);
	buf_clear(&r.out);
}

Test(mlrun, its_rules_exactly)
{
	mlrun_is("#A=1\n B = x=y \nC\nD=$HOME\nD=2\n=x\nQ=\"q\" # c\nE=\n", NULL,
		"#A=[1]@1 B=[x=y]@2 D=[$HOME]@4 D=[2]@5 =[x]@6 Q=[\"q\" # c]@7 E=[]@8 ");
}

Test(mlrun, lines_and_blanks_as_in_python)
{
	mlrun_is("A=1\r\nB=2\rC=3\vD=4\fE=5\x1c"
		 "F=6\xc2\x85G=7\xe2\x80\xa8H=8",
		NULL, "A=[1]@1 B=[2]@2 C=[3]@3 D=[4]@4 E=[5]@5 F=[6]@6 G=[7]@7 H=[8]@8 ");
	mlrun_is("\xc2\xa0"
		 "A\xe3\x80\x80=\xe2\x80\x83 x\x1f \xc2\xa0\n",
		NULL, "A=[x]@1 ");
	mlrun_is("A=\xff\xc2\n", NULL, "A=[\xff\xc2]@1 ");
}

Test(mlrun, expansion_when_asked_for)
{
	static char home[] = "HOME=/root", empty[] = "EMPTY=", two[] = "A_1=[$HOME]";
	static char *const environment[] = {home, empty, two, NULL};
	static const char *const all[] = {"*"};
	struct envstore *env = NULL;
	cr_assert_eq(envstore_take(environment, all, 1, &env, NULL), 0);
	mlrun_is("A=$HOME/x\nB=${HOME}x\nC=$NOPE "
		 "${NOPE}\nD=$\nE=$$HOME\nF=${HOME\nG=$EMPTY.\nH=$A_1-\nI=${}\nJ=$1\n",
		env,
		"A=[/root/x]@1 B=[/rootx]@2 C=[$NOPE ${NOPE}]@3 D=[$]@4 E=[$/root]@5 F=[${HOME]@6 "
		"G=[.]@7 "
		"H=[[$HOME]-]@8 I=[${}]@9 J=[$1]@10 ");
	envstore_free(env);
}
