/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C by published vectors and by its definition. */
#include "base/crc32c.h"
#include <criterion/criterion.h>
#include <string.h>

Test(crc32c, vectors)
{
	char zeros[32] = {0}, ones[32], up[32], down[32];
	memset(ones, 0xff, sizeof(ones));
	for (int i = 0; i < 32; i++) {
		up[i] = (char)i;
		down[i] = (char)(31 - i);
	}
	cr_expect_eq(crc32c("", 0), 0u);
	cr_expect_eq(crc32c("123456789", 9), 3808858755u);
	cr_expect_eq(crc32c("hunter2", 7), 1736498283u);
	cr_expect_eq(crc32c("my super secret data", 20), 2525891252u);
	cr_expect_eq(crc32c(zeros, 32), 2324772522u);
	cr_expect_eq(crc32c(ones, 32), 1655221059u);
	cr_expect_eq(crc32c(up, 32), 0x46dd794eu, "RFC 3720");
	cr_expect_eq(crc32c(down, 32), 0x113fdb5cu, "RFC 3720");
}

/* Bit by bit, as it is defined. */
static uint32_t slowly(const unsigned char *p, size_t len)
{
	uint32_t crc = UINT32_MAX;
	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

Test(crc32c, every_byte_and_length)
{
	unsigned char bytes[300];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7 + i / 256);
	for (size_t len = 0; len <= sizeof(bytes); len++)
		cr_assert_eq(crc32c(bytes, len), slowly(bytes, len), "%zu", len);
}
