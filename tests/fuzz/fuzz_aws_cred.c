/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that bring credentials for AWS: what is accepted can stand in a header, what is refused
 * leaves nothing behind. The first byte says which form. */
#include "backends/aws_cred.h"
#include "backends/aws_cred_json.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

static size_t blocks(void)
{
	struct secret_stats st;
	secret_stats(&st);
	return st.blocks;
}

static void check_field(const struct secret *s)
{
	for (size_t i = 0; s && i < secret_len(s); i++)
		check(secret_bytes(s)[i] >= 0x21 && secret_bytes(s)[i] <= 0x7e);
	check(!s || secret_len(s) > 0);
}

static void keys(const char *text, size_t len, enum aws_keys_form form)
{
	struct aws_found f = {0};
	struct sfs_err err = {0};
	int r = aws_keys_parse(text, len, form, &f, &err);
	check(r == 0 || err.code == -r);
	check(r == 0 || r == -EBADMSG || r == -ENODATA || r == -EFBIG || r == -ENOMEM);
	check((r == 0) == (f.field[AWS_CRED_ID] && f.field[AWS_CRED_KEY]));
	for (size_t i = 0; i < CRED_FIELDS; i++)
		check_field(f.field[i]);
	aws_found_clear(&f);
}

static void tokens(const char *text, size_t len)
{
	struct aws_sso_token t = {0};
	struct sfs_err err = {0};
	if (aws_sso_token_parse(text, len, &t, &err) == 0)
		check(t.access && !t.refresh == !t.client_id && t.expires != 0);
	aws_sso_refresh_parse(text, len, 1, &t, &err);
	check_field(t.access);
	check_field(t.refresh);
	check_field(t.client_secret);
	aws_sso_token_clear(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char shown[64];
	if (size < 1 || size > 100000)
		return 0;
	size_t before = blocks();
	const char *text = (const char *)data + 1;
	keys(text, size - 1, (enum aws_keys_form)(data[0] % 4));
	tokens(text, size - 1);
	aws_refusal_text(text, size - 1, shown, sizeof(shown));
	check(strlen(shown) < sizeof(shown));
	for (const char *p = shown; *p; p++)
		check(*p >= 0x20 && *p <= 0x7e);
	check(blocks() == before);
	return 0;
}
