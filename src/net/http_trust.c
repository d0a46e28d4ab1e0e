/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_trust.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <unistd.h>

struct trust *trust_ref(struct trust *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void trust_unref(struct trust *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	for (size_t i = 0; i < TRUST_FILES; i++)
		buf_clear(&t->text[i]);
	X509_STORE_free(t->store);
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

static int open_it(const struct path_env *env, const char *path, struct stat *st, int *ret_fd,
	struct sfs_err *err)
{
	int r = path_open_file(env, path, NULL, ret_fd, err);
	if (r == 0 && fstat(*ret_fd, st) < 0) {
		r = err_errno(err, errno, "look at %s", path);
		close(*ret_fd);
	}
	return r;
}

static int load_one(const struct path_env *env, const char *path, struct trust *t, size_t i,
	struct sfs_err *err)
{
	_cleanup_close_ int fd = -1;
	struct buf b = BUF_INIT(SFS_TRUST_MAX);
	if (i == TRUST_KEY)
		b.kind = BUF_SECRET;
	t->text[i] = b;
	if (!path)
		return 0;
	int r = open_it(env, path, &t->seen[i], &fd, err);
	if (r == 0)
		r = path_read(fd, path, &t->text[i], err);
	if (r == 0 && t->text[i].len == 0)
		r = err_set(err, EPROTO, "%s is empty", path);
	return r;
}

int trust_load(const struct path_env *env, char *const paths[TRUST_FILES], struct trust **ret,
	struct sfs_err *err)
{
	static const char *const what[] = {
		"certificates to trust", "client certificate", "key of the client certificate"};
	struct trust *t = mem_calloc(1, sizeof(*t));
	int r = t ? 0 : err_set(err, ENOMEM, "out of memory");
	if (!t)
		return r;
	t->refs = 1;
	pthread_mutex_init(&t->lock, NULL);
	for (size_t i = 0; i < TRUST_FILES && r == 0; i++) {
		r = load_one(env, paths[i], t, i, err);
		if (r < 0) {
			/* ENOENT of a certificate must not look like that of a secret. */
			err->code = r == -ENOMEM ? ENOMEM : EPROTO;
			r = err_prefix(err, "%s", what[i]);
		}
	}
	if (r == 0)
		*ret = t;
	else
		trust_unref(t);
	return r;
}

/* ---- the store ---- */

static void infos_free(STACK_OF(X509_INFO) * infos)
{
	sk_X509_INFO_pop_free(infos, X509_INFO_free);
}

/* Certificates and revocation lists; returns how many, or -1 without memory. */
static int add_all(X509_STORE *store, STACK_OF(X509_INFO) * infos)
{
	int n = 0;
	for (int i = 0; i < sk_X509_INFO_num(infos); i++) {
		const X509_INFO *info = sk_X509_INFO_value(infos, i);
		if ((info->x509 && X509_STORE_add_cert(store, info->x509) != 1) ||
			(info->crl && X509_STORE_add_crl(store, info->crl) != 1))
			return -1;
		n += (info->x509 != NULL) + (info->crl != NULL);
	}
	return n;
}

static int fill_store(
	X509_STORE *store, const struct buf *text, const char *path, struct sfs_err *err)
{
	if (!path)
		return X509_STORE_set_default_paths(store) == 1
			       ? 0
			       : err_set(err, ENOMEM, "out of memory");
	BIO *bio = BIO_new_mem_buf(text->data, (int)text->len);
	STACK_OF(X509_INFO) *infos = bio ? PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL) : NULL;
	int n = infos ? add_all(store, infos) : 0;
	bool no_memory =
		!bio || n < 0 || ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
	infos_free(infos);
	BIO_free(bio);
	ERR_clear_error(); /* its queue is per thread, and would be found by who asks next */
	if (no_memory)
		return err_set(err, ENOMEM, "out of memory for certificates to trust");
	return n ? 0
		 : err_set(err, EPROTO,
			   "certificates to trust: %s holds no certificate in PEM form, or one "
			   "that "
			   "is damaged",
			   path);
}

/* As libcurl makes its own: certificates of the file come before those that the server sends, and
 * an intermediate one in it is trusted for what it signed. */
static int make_store(
	const struct buf *text, const char *path, X509_STORE **ret, struct sfs_err *err)
{
	X509_STORE *store = X509_STORE_new();
	if (!store || X509_STORE_set_flags(
			      store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN) != 1) {
		X509_STORE_free(store);
		return err_set(err, ENOMEM, "out of memory for certificates to trust");
	}
	int r = fill_store(store, text, path, err);
	if (r < 0)
		X509_STORE_free(store);
	else
		*ret = store;
	return r;
}

int trust_store(struct trust *t, const char *path, struct x509_store_st **ret, struct sfs_err *err)
{
	int r = 0;
	pthread_mutex_lock(&t->lock);
	if (!t->store && (r = make_store(&t->text[TRUST_CA], path, &t->store, err)) == 0)
		buf_clear(&t->text[TRUST_CA]);
	if (r == 0)
		*ret = t->store;
	pthread_mutex_unlock(&t->lock);
	return r;
}

/* ---- changes ---- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

bool trust_changed(
	const struct trust *t, const struct path_env *env, char *const paths[TRUST_FILES])
{
	for (size_t i = 0; i < TRUST_FILES; i++) {
		_cleanup_close_ int fd = -1;
		struct stat now;
		if (paths[i] && (open_it(env, paths[i], &now, &fd, NULL) != 0 ||
					!same_file(&now, &t->seen[i])))
			return true;
	}
	return false;
}
