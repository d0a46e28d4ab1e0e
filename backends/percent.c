/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/percent.h"

#include <ctype.h>
#include <string.h>

int percent_add(struct buf *out, const void *s, size_t len)
{
	static const char digits[] = "0123456789ABCDEF";
	const unsigned char *p = s;
	for (size_t i = 0; i < len; i++) {
		char code[3] = {'%', digits[p[i] >> 4], digits[p[i] & 15]};
		if (isalnum(p[i]) || (p[i] && strchr("-_.~", p[i])))
			buf_char(out, (char)p[i]);
		else
			buf_add(out, code, sizeof(code));
	}
	return -out->failed;
}
