/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the credentials for AWS. Rows run in one thread (net/cred.h), so that what only they
 * touch needs no lock; `lock` guards what others look at too.
 *
 * The sources (aws_find_...) fill a struct aws_found that the caller clears, also after a failure:
 * 0, -ENODATA (not configured, `err` says what is missing), or another -errno.
 */
#ifndef SFS_BACKENDS_AWS_CRED_IMPL_H
#define SFS_BACKENDS_AWS_CRED_IMPL_H

#include "backends/ask.h"
#include "backends/aws_cred.h"
#include "backends/aws_cred_json.h"
#include "backends/aws_profile.h"
#include "backends/aws_sts.h"
#include "backends/credwatch.h"
#include "base/clock.h"
#include <errno.h>
#include <pthread.h>

#define AWS_TOKEN_MAX	 20000	      /* of a web identity: what STS takes */
#define AWS_SSO_FILE_MAX (256 * 1024) /* clientSecret is some kilobytes */
#define AWS_KEY_MAX	 65536

struct aws_cred {
	const struct backend_env *env;
	const struct aws_conf *conf;
	struct http *http;
	struct cred_chain *chain;
	char *name; /* of the chain in log lines: "aws/prod" */

	/* options */
	char *ref[CRED_FIELDS]; /* references, by enum aws_cred_field; NULL = not given */
	char *role_arn, *role_session, *external_id, *source_identity;
	unsigned role_duration;
	char *session; /* session name where none is given: "secretfs-HOST" */

	/* rows only */
	struct aws_sso_token sso;	     /* renewed by us; access NULL = none */
	struct secret *sso_was;		     /* the access token of the file when we renewed it */
	struct credfile_stamp file_stamp[2]; /* by enum aws_file; of the last run */
	int64_t sso_refresh_at;		     /* boot time before which it is not renewed again */

	struct credwatch watch;

	pthread_mutex_t lock;
	char *region;	      /* as the instance metadata says; NULL = not asked yet */
	int64_t region_retry; /* boot time: a failure is remembered until then */
	struct sfs_err region_failure;
};

/* ---- aws_cred_text.c: secrets as text, files, one request ---- */

static inline int aws_no_memory(struct sfs_err *err)
{
	return err_set(err, ENOMEM, "no memory for credentials");
}

/* Appends the bytes to a BUF_SECRET. */
int aws_secret_add(struct buf *out, const struct secret *s);
/* A key or token from a variable: checked to be printable and without blanks. 0 with NULL when it
 * is not set or empty. EINVAL names the variable. */
int aws_env_secret(
	const struct backend_env *env, const char *name, struct secret **ret, struct sfs_err *err);
/* The same of a value of a profile; `v` may be NULL. */
int aws_value_secret(const struct aws_value *v, const char *profile, const char *key,
	struct secret **ret, struct sfs_err *err);
/* Whether it can stand in a header: EINVAL, `what` is wrong. */
int aws_key_check(const struct secret *s, const char *what, struct sfs_err *err);
/* "...1A2B": the last four characters of a key id, all that is ever shown. */
#define AWS_KEY_SHOWN 8
const char *aws_key_shown(const struct secret *id, char out[AWS_KEY_SHOWN]);

/* The errno of an answer that is no success: EACCES, EBUSY, EREMOTEIO, EKEYREJECTED. */
int aws_status_errno(int status);

/* Takes what was found apart from the fields: source (printf) and principal (copied, may be NULL).
 */
int aws_found_about(struct aws_found *f, const char *principal, struct sfs_err *err,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* ---- the sources ---- */

int aws_find_options(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err);
int aws_find_environment(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err);
int aws_find_profile(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err);
int aws_find_web_identity(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err);
int aws_find_container(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err);
int aws_find_imds(
	struct aws_cred *a, const struct call *call, struct aws_found *ret, struct sfs_err *err);

/* What one profile says, by its files (aws_cred_profile.c calls these). */
int aws_find_process(struct aws_cred *a, const struct call *call, const char *profile,
	const struct aws_value *line, struct aws_found *ret, struct sfs_err *err);
int aws_find_sso(struct aws_cred *a, const struct call *call, const struct aws_files *files,
	const char *profile, struct aws_found *ret, struct sfs_err *err);

/* ---- aws_cred_sts.c ---- */

/* Replaces what is in `found` by the credentials of the role. */
int aws_assume(struct aws_cred *a, const struct call *call, const struct aws_role *role,
	struct aws_found *found, struct sfs_err *err);
int aws_assume_web_identity(struct aws_cred *a, const struct call *call,
	const struct aws_role *role, const char *token_file, struct aws_found *ret,
	struct sfs_err *err);
/* One request of STS: `keys` NULL goes unsigned. EBADMSG and the like as their errnos with the
 * sentence of aws_error_sentence(); `*ret_again` (may be NULL) is set where another token may
 * help. */
struct aws_sts_call {
	const char *action; /* "sts:AssumeRole" */
	const struct buf *body;
	const struct aws_keys *keys;
	const char *credential; /* what the keys are, for people; NULL without keys */
};
int aws_sts_do(struct aws_cred *a, const struct call *call, const struct aws_sts_call *what,
	struct http_reply *ret, bool *ret_again, struct sfs_err *err);

#endif
