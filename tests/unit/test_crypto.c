/* SPDX-License-Identifier: Apache-2.0 */
/* Known answers (FIPS 180-4, RFC 4231, RFC 4648, RFC 3174) and R53: base64 that is not exactly what
 * an encoder writes is refused. */
#include "base/alloc.h"
#include "base/secret.h"
#include "net/crypto.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(crypto, sha256_and_sha1_known_answers)
{
	char hex[SHA256_HEX], sha1[SHA1_HEX];
	cr_assert_eq(crypto_sha256_hex("abc", 3, hex), 0);
	cr_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	cr_assert_eq(crypto_sha256_hex(NULL, 0, hex), 0);
	cr_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	cr_assert_eq(crypto_sha1_hex("abc", 3, sha1), 0);
	cr_assert_str_eq(sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

static void hmac_is(const void *key, size_t key_len, const char *data, const char *expected)
{
	unsigned char mac[SHA256_LEN];
	char hex[SHA256_HEX];
	cr_assert_eq(crypto_hmac_sha256(key, key_len, data, strlen(data), mac), 0);
	crypto_hex(mac, sizeof(mac), hex);
	cr_expect_str_eq(hex, expected);
}

Test(crypto, hmac_known_answers)
{
	char long_key[131];
	memset(long_key, 0xaa, sizeof(long_key));
	hmac_is("Jefe", 4, "what do ya want for nothing?",
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	hmac_is(long_key, sizeof(long_key),
		"Test Using Larger Than Block-Size Key - Hash Key First",
		"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	/* No key, no data: not the key of the call before. */
	hmac_is(NULL, 0, "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

Test(crypto, hex_is_lower_case_and_ends)
{
	char out[8];
	memset(out, '!', sizeof(out));
	crypto_hex("\x00\x7f\xff", 3, out);
	cr_assert_eq(memcmp(out, "007fff\0!", 8), 0);
}

Test(crypto, uuids_are_version_4_and_differ)
{
	char a[UUID_TEXT], b[UUID_TEXT];
	crypto_uuid(a);
	crypto_uuid(b);
	cr_assert_str_neq(a, b);
	cr_assert_eq(strlen(a), 36);
	cr_assert(a[8] == '-' && a[13] == '-' && a[18] == '-' && a[23] == '-');
	cr_assert_eq(a[14], '4');
	cr_assert(strchr("89ab", a[19]));
	cr_assert_eq(strspn(a, "0123456789abcdef-"), 36);
}

/* ---- base64 ---- */

static int decode(const char *text, size_t len, unsigned flags, struct buf *out)
{
	int rc = base64_decode(out, text, len, flags);
	if (rc < 0)
		cr_assert_eq(out->len, 0, "nothing is appended on failure");
	return rc;
}

static int verdict(const char *text, unsigned flags)
{
	struct buf out = BUF_SECRET_INIT(4096);
	int rc = decode(text, strlen(text), flags, &out);
	buf_clear(&out);
	return rc;
}

static void decodes(const char *text, unsigned flags, const char *expected)
{
	struct buf out = BUF_SECRET_INIT(4096);
	cr_assert_eq(decode(text, strlen(text), flags, &out), 0, "%s", text);
	cr_expect_str_eq(buf_text(&out), expected);
	buf_reset(&out);
	cr_assert_eq(base64_encode(&out, expected, strlen(expected), flags), 0);
	cr_expect_str_eq(buf_text(&out), text);
	buf_clear(&out);
}

Test(base64, vectors_of_rfc_4648)
{
	decodes("", 0, "");
	decodes("Zg==", 0, "f");
	decodes("Zm8=", 0, "fo");
	decodes("Zm9v", 0, "foo");
	decodes("Zm9vYg==", 0, "foob");
	decodes("Zm9vYmE=", 0, "fooba");
	decodes("Zm9vYmFy", 0, "foobar");
	decodes("Zg", BASE64_NO_PAD, "f");
	decodes("Zm8", BASE64_NO_PAD, "fo");
	decodes("Zm9v", BASE64_NO_PAD, "foo");
	decodes("fn5-Pz8_", BASE64_URL, "~~~???");
	decodes("fn5+Pz8/", 0, "~~~???");
}

Test(base64, padding_may_be_missing_but_not_wrong)
{
	cr_expect_eq(verdict("Zg==", BASE64_NO_PAD), 0);
	cr_expect_eq(verdict("Zg=", BASE64_NO_PAD), -EBADMSG);
	cr_expect_eq(verdict("Zg", 0), -EBADMSG);
	cr_expect_eq(verdict("Zm8", 0), -EBADMSG);
	cr_expect_eq(verdict("Z", BASE64_NO_PAD), -EBADMSG);
	cr_expect_eq(verdict("=", BASE64_NO_PAD), -EBADMSG);
	cr_expect_eq(verdict("====", 0), -EBADMSG);
	cr_expect_eq(verdict("Z===", 0), -EBADMSG);
	cr_expect_eq(verdict("Zg==Zg==", 0), -EBADMSG);
	cr_expect_eq(verdict("Zm9v====", 0), -EBADMSG);
	cr_expect_eq(verdict("Zm9v=", BASE64_NO_PAD), -EBADMSG);
}

Test(base64, blanks_line_ends_and_the_other_alphabet_are_refused)
{
	static const char *const bad[] = {" Zg==", "Zg== ", "Zg==\n", "Z g=", "Zm9v\nYmFy", "Zm\tv",
		"fn5-Pz8_", "Zm9.", "Zm9\x80", "Zm9:"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(verdict(bad[i], 0), -EBADMSG, "accepted: row %zu", i);
	cr_expect_eq(verdict("fn5+Pz8/", BASE64_URL), -EBADMSG);
	struct buf out = BUF_SECRET_INIT(100);
	cr_expect_eq(decode("Zm9\0", 4, 0, &out), -EBADMSG, "a NUL is no end");
	buf_clear(&out);
}

Test(base64, bits_that_belong_to_no_byte_are_refused)
{
	cr_expect_eq(verdict("Zh==", 0), -EBADMSG);
	cr_expect_eq(verdict("Zm9=", 0), -EBADMSG);
	cr_expect_eq(verdict("Zh", BASE64_NO_PAD), -EBADMSG);
}

Test(base64, all_bytes_survive)
{
	unsigned char all[256];
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (unsigned char)i;
	for (size_t len = 250; len <= sizeof(all); len++) {
		for (unsigned flags = 0; flags < 4; flags++) {
			struct buf text = BUF_SECRET_INIT(1000), back = BUF_SECRET_INIT(len);
			cr_assert_eq(base64_encode(&text, all, len, flags), 0);
			cr_assert_eq(decode(text.data, text.len, flags, &back), 0);
			cr_assert_eq(back.len, len);
			cr_assert_eq(memcmp(back.data, all, len), 0);
			buf_clear(&text);
			buf_clear(&back);
		}
	}
}

/* A mutant is accepted only if it is what an encoder writes for the bytes it stands for. */
static void check_mutant(const char *mutant, size_t len, struct buf *out, struct buf *again)
{
	buf_reset(out);
	buf_reset(again);
	int rc = base64_decode(out, mutant, len, 0);
	if (rc < 0) {
		cr_assert_eq(rc, -EBADMSG);
		return;
	}
	cr_assert_eq(base64_encode(again, out->data, out->len, 0), 0);
	cr_assert(again->len == len && memcmp(again->data, mutant, len) == 0,
		"accepted what no encoder writes");
}

Test(base64, every_mutation_of_one_and_two_bytes, .timeout = 120)
{
	static const char valid[] = "AP8+YQ==";
	char m[sizeof(valid)];
	struct buf out = BUF_SECRET_INIT(100), again = BUF_SECRET_INIT(100);
	for (size_t i = 0; i + 1 < sizeof(valid); i++) {
		for (size_t j = i + 1; j + 1 < sizeof(valid); j++) {
			memcpy(m, valid, sizeof(valid));
			for (unsigned v = 0; v < 256 * 256; v++) {
				m[i] = (char)(v & 255);
				m[j] = (char)(v >> 8);
				check_mutant(m, sizeof(valid) - 1, &out, &again);
			}
		}
	}
	buf_clear(&out);
	buf_clear(&again);
}

Test(base64, every_insertion_and_every_cut)
{
	static const char valid[] = "AP8+YQ==";
	const size_t len = sizeof(valid) - 1;
	char m[sizeof(valid) + 1];
	struct buf out = BUF_SECRET_INIT(100), again = BUF_SECRET_INIT(100);
	for (size_t i = 0; i <= len; i++) {
		for (unsigned v = 0; v < 256; v++) {
			memcpy(m, valid, i);
			m[i] = (char)v;
			memcpy(m + i + 1, valid + i, len - i);
			check_mutant(m, len + 1, &out, &again);
		}
		check_mutant(valid, i, &out, &again);
	}
	buf_clear(&out);
	buf_clear(&again);
}

Test(base64, a_full_buffer_is_told_and_keeps_its_content)
{
	struct buf out = BUF_SECRET_INIT(5);
	cr_assert_eq(buf_str(&out, "abc"), 0);
	cr_assert_eq(base64_decode(&out, "Zm9v", 4, 0), -EFBIG);
	cr_assert_str_eq(buf_text(&out), "abc");
	buf_reset(&out);
	cr_assert_eq(base64_encode(&out, "foob", 4, 0), -EFBIG);
	cr_assert_str_eq(buf_text(&out), "");
	buf_clear(&out);

	struct buf plain = BUF_INIT(100);
	alloc_fail_at(1);
	cr_assert_eq(base64_decode(&plain, "Zm9v", 4, 0), -ENOMEM);
	alloc_fail_at(0);
	buf_clear(&plain);
}
