/* SPDX-License-Identifier: Apache-2.0 */
/* The program secretfs: its commands, and which of them this call means. */
#include "base/harden.h"
#include "mount/cli.h"
#include "mount/worker.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

const struct cli_command *const cli_commands[] = {
	&cmd_mount,
	&cmd_umount,
	&cmd_ls,
	&cmd_get,
	&cmd_hydrate,
	&cmd_refresh,
	&cmd_purge,
	&cmd_cached,
	&cmd_status,
	&cmd_events,
	&cmd_check,
	&cmd_backends,
	&cmd_version,
	&cmd_help,
	NULL,
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static int dispatch(int argc, char **argv)
{
	if (argc > 0 && strcmp(base_name(argv[0]), cmd_mount_helper.name) == 0)
		return cli_run(&cmd_mount_helper, argc, argv);
	if (argc < 2) {
		help_overview(stderr);
		return CLI_FAILED;
	}
	const char *word = argv[1];
	if (strcmp(word, "worker") == 0) /* not for people: the holder starts us so */
		return worker_main(argc - 1, argv + 1);
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		word = "help";
	else if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
		word = "version";
	const struct cli_command *cmd = cli_find(word);
	return cmd ? cli_run(cmd, argc - 1, argv + 1) : cli_unknown(word);
}

int main(int argc, char **argv)
{
	harden_stdio(O_RDONLY); /* what is written to a closed standard output still fails */
	int code = dispatch(argc, argv);
	/* A full disk or a closed descriptor must not look like success. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "secretfs: standard output: %s\n", strerror(errno ? errno : EIO));
		return code ? code : CLI_FAILED;
	}
	return code;
}
