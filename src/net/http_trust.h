/* SPDX-License-Identifier: Apache-2.0 */
/* The files that decide whom we trust and who we are in TLS, and when they changed (R44). */
#ifndef SFS_NET_HTTP_TRUST_H
#define SFS_NET_HTTP_TRUST_H

#include "base/buf.h"
#include "base/err.h"
#include "base/path.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

enum trust_file { TRUST_CA, TRUST_CERT, TRUST_KEY, TRUST_FILES };

/* One generation: what the files held. Immutable, reference counted; libcurl borrows the text. */
struct trust {
	atomic_uint refs;
	struct buf text[TRUST_FILES];
	struct stat seen[TRUST_FILES];
};
struct trust *trust_ref(struct trust *t);
void trust_unref(struct trust *t);

/* paths[i] NULL = not used. EPROTO with the reason, ENOMEM. */
int trust_load(const struct path_env *env, char *const paths[TRUST_FILES], struct trust **ret,
	struct sfs_err *err);
/* Whether one of the files is another one now, or cannot be looked at. */
bool trust_changed(
	const struct trust *t, const struct path_env *env, char *const paths[TRUST_FILES]);

#endif
