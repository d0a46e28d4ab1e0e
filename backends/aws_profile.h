/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files ~/.aws/config and ~/.aws/credentials: profiles, SSO sessions, blocks of services. The
 * text is kept in secret memory and answered from in place. Comments, quoted names, keys in any
 * case, one level of nesting; a byte order mark and CRLF are fine. For one profile the credentials
 * file overrides the config file key by key; of two equal keys in one file the last counts.
 */
#ifndef SFS_BACKENDS_AWS_PROFILE_H
#define SFS_BACKENDS_AWS_PROFILE_H

#include "backends/aws_text.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

#define AWS_FILE_MAX (1024 * 1024) /* some 5000 profiles */

enum aws_file { AWS_FILE_CONFIG, AWS_FILE_CREDENTIALS };

struct aws_files;

struct aws_value {
	struct aws_text text; /* never empty; secret where the key is; valid while the files live */
	const char *origin;   /* the file, for messages */
	size_t line;
};

int aws_files_new(struct aws_files **ret); /* ENOMEM */
void aws_files_free(struct aws_files *f);  /* wipes; NULL is fine */
/* Reads one file in; `text` is copied, the caller wipes its own. Each kind at most once. Errors:
 * EINVAL "ORIGIN line N: ..." (never with text of the file but names of sections), EFBIG, ENOMEM,
 * EEXIST (that kind is in already). Nothing of a refused file is kept. */
int aws_files_add(struct aws_files *f, const void *text, size_t len, enum aws_file kind,
	const char *origin, struct sfs_err *err);

bool aws_files_has_profile(const struct aws_files *f, const char *profile);
/* A value, or NULL: not set or empty. Keys in lower case. */
const struct aws_value *aws_files_value(
	const struct aws_files *f, const char *profile, const char *key);
/* [sso-session NAME] of the config file. */
bool aws_files_has_session(const struct aws_files *f, const char *session);
const struct aws_value *aws_files_session(
	const struct aws_files *f, const char *session, const char *key);
/* [services NAME] of the config file, its block `service` ("secrets_manager"). */
bool aws_files_has_services(const struct aws_files *f, const char *services);
const struct aws_value *aws_files_service(
	const struct aws_files *f, const char *services, const char *service, const char *key);
/* Says that there is no such profile, where was looked, and the nearest that there is: returns
 * -ENOKEY. */
int aws_files_no_profile(const struct aws_files *f, const char *profile, struct sfs_err *err);

#endif
