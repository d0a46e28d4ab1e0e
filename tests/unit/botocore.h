/* SPDX-License-Identifier: Apache-2.0 */
/* Asks botocore, where it is installed, what it makes of the same input: a Python program gets
 * lines on standard input and answers a line for each. */
#ifndef SFS_TESTS_BOTOCORE_H
#define SFS_TESTS_BOTOCORE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Runs `program`; the caller pcloses the result. Skips the test if there is no botocore. */
static inline FILE *botocore_ask(const char *program, const char *input)
{
	char path[] = "/tmp/secretfs-botocore-XXXXXX", command[200];
	if (system("python3 -c 'import botocore' >/dev/null 2>&1") != 0)
		cr_skip_test("python3 has no botocore to compare with");
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	FILE *f = fdopen(fd, "w");
	cr_assert(f);
	fprintf(f, "import sys\nsys.stdin = open(sys.argv[1] + '.in')\n%s", program);
	fclose(f);
	snprintf(command, sizeof(command), "%s.in", path);
	f = fopen(command, "w");
	cr_assert(f);
	fputs(input, f);
	fclose(f);
	snprintf(command, sizeof(command), "python3 %s %s; rm -f %s %s.in", path, path, path, path);
	f = popen(command, "r");
	cr_assert(f);
	return f;
}

/* The next line without its end; "" at the end. */
static inline const char *botocore_line(FILE *f, char *line, size_t size)
{
	if (!fgets(line, (int)size, f))
		return "";
	line[strcspn(line, "\n")] = '\0';
	return line;
}

#endif
