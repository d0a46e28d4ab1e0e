/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzzer's function once on each file named on the command line (directories: on each file
 * in them). */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long runs;

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	if (!f || fstat(fileno(f), &st) < 0) {
		perror(path);
		if (f)
			fclose(f);
		return 1;
	}
	size_t len = (size_t)st.st_size;
	uint8_t *data = malloc(len + 1); /* its own block, so that ASan sees a read past the end */
	size_t got = data ? fread(data, 1, len, f) : 0;
	fclose(f);
	if (!data || got != len) {
		free(data);
		return 1;
	}
	LLVMFuzzerTestOneInput(data, len);
	free(data);
	runs++;
	return 0;
}

static int run_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int bad = 0;
	if (!d) {
		perror(path);
		return 1;
	}
	while ((e = readdir(d))) {
		char file[4096];
		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		bad |= run_file(file);
	}
	closedir(d);
	return bad;
}

int main(int argc, char **argv)
{
	int bad = 0;
	for (int i = 1; i < argc; i++) {
		struct stat st;
		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			bad |= run_dir(argv[i]);
		else
			bad |= run_file(argv[i]);
	}
	printf("%lu inputs\n", runs);
	return bad || runs == 0;
}
