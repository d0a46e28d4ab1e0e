/* SPDX-License-Identifier: Apache-2.0 */
/* The files that decide whom we trust and who we are in TLS, and when they changed (R44). */
#ifndef SFS_NET_HTTP_TRUST_H
#define SFS_NET_HTTP_TRUST_H

#include "base/buf.h"
#include "base/err.h"
#include "base/path.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

enum trust_file { TRUST_CA, TRUST_CERT, TRUST_KEY, TRUST_FILES };

struct x509_store_st; /* OpenSSL's X509_STORE */

/* One generation: what the files held. Reference counted; libcurl borrows the text of the client's
 * certificate and key. */
struct trust {
	atomic_uint refs;
	struct buf text[TRUST_FILES]; /* that of TRUST_CA until there is a store, under the lock */
	struct stat seen[TRUST_FILES];
	pthread_mutex_t lock; /* a leaf */
	struct x509_store_st *store;
};
struct trust *trust_ref(struct trust *t);
void trust_unref(struct trust *t);

/* paths[i] NULL = not used. EPROTO with the reason, ENOMEM. */
int trust_load(const struct path_env *env, char *const paths[TRUST_FILES], struct trust **ret,
	struct sfs_err *err);
/* The certificates to trust as all TLS connections of this generation share them: a bundle of 200
 * KB is read once, and not copied and read for each of them. Made at the first call, from the file
 * at `path`; NULL = where OpenSSL looks by itself. The store lives as long as `t`. EPROTO with the
 * reason, ENOMEM. Thread-safe. */
int trust_store(struct trust *t, const char *path, struct x509_store_st **ret, struct sfs_err *err);
/* Whether one of the files is another one now, or cannot be looked at. */
bool trust_changed(
	const struct trust *t, const struct path_env *env, char *const paths[TRUST_FILES]);

#endif
