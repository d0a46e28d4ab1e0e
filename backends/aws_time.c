/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_time.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000000)

int aws_time_amz(int64_t ns, char ret[AWS_DATE])
{
	time_t s = (time_t)(ns / SECOND - (ns % SECOND < 0));
	struct tm tm;
	char text[64];
	if (!gmtime_r(&s, &tm))
		return -EINVAL;
	snprintf(text, sizeof(text), "%04d%02d%02dT%02d%02d%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
		tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	memcpy(ret, text, AWS_DATE);
	return 0;
}
