/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that all back ends on a network have in common: `NET_OPTIONS,` among the rows of
 * their table. home and env.NAME are read by the core (backend_env.home, the environment of
 * commands); the others by the back end, with the getters of base/opt.h.
 */
#ifndef SFS_BACKENDS_NET_OPTIONS_H
#define SFS_BACKENDS_NET_OPTIONS_H

#include "base/opt.h"
#include <stdbool.h>

/* Names of rows that the core reads. The home directory is no OPT_PATH: the worker is to open just
 * those files in it that needs() tells. */
#define NET_OPTION_HOME "home"

#define NET_OPTIONS                                                                                \
	{.name = "endpoint",                                                                       \
		.type = OPT_STRING,                                                                \
		.arg = "URL",                                                                      \
		.help = "Where the provider is, instead of its usual address: a private "          \
			"endpoint, or a server of your own."},                                     \
		{.name = "cacert",                                                                 \
			.type = OPT_PATH,                                                          \
			.arg = "FILE",                                                             \
			.help = "PEM file with the only certificates of authorities to trust for " \
				"this source, instead of the system's. Read again when it "        \
				"changes."},                                                       \
		{.name = "proxy",                                                                  \
			.type = OPT_STRING,                                                        \
			.arg = "URL",                                                              \
			.help = "Proxy to the provider, as http://HOST:PORT. Variables that name " \
				"proxies are not looked at."},                                     \
		{.name = "insecure_http",                                                          \
			.type = OPT_FLAG,                                                          \
			.help = "Allow plain http to any host: whoever is on the way then reads "  \
				"and changes the secrets. Otherwise it is allowed only to "        \
				"loopback and link-local metadata addresses."},                    \
		{.name = "rate",                                                                   \
			.type = OPT_NUMBER,                                                        \
			.arg = "N",                                                                \
			.help = "Requests a second that are sent to the provider at most. 0 "      \
				"means "                                                           \
				"no limit."},                                                      \
		{.name = NET_OPTION_HOME,                                                          \
			.type = OPT_STRING,                                                        \
			.arg = "DIR",                                                              \
			.help = "Home directory in which configuration and credential files of "   \
				"the provider's tools are looked for. Default: HOME of whoever "   \
				"mounts, else the home directory of the account."},                \
	{                                                                                          \
		.name = "env.*", .type = OPT_VARIABLE, .arg = "VALUE",                             \
		.help = "Set the environment variable NAME of programs that this source starts "   \
			"to get credentials; they get no other variables than PATH, HOME, LANG "   \
			"and these. Where NAME ends in KEY, TOKEN, SECRET or PASSWORD, VALUE is "  \
			"a reference: file:/PATH, env:NAME or fd:NUMBER."                          \
	}

/* The same rows as a table, for the manual, which has them once. */
extern const struct opt_table net_options_table;
/* Whether a row of a back end's table is one of them. */
bool net_options_has(const struct opt_row *row);

#endif
