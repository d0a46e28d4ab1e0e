/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define WORD_MIN 16 /* an access key id of AWS has 20 characters, a token more */

static bool in_key(char c)
{
	return isalnum((unsigned char)c) || strchr("+/=_-", c);
}

const char *redact(const char *text, char *out, size_t size)
{
	size_t at = 0;
	while (*text && at + 6 < size) {
		size_t len = 0;
		bool digit = false;
		for (; text[len] && in_key(text[len]); len++)
			digit |= isdigit((unsigned char)text[len]) != 0;
		if (len >= WORD_MIN && digit) {
			memcpy(out + at, "[...]", 5);
			at += 5;
		} else {
			len = len ? len : 1;
			size_t room = size - at - 1 < len ? size - at - 1 : len;
			memcpy(out + at, text, room);
			at += room;
		}
		text += len;
	}
	out[at] = '\0';
	return out;
}
