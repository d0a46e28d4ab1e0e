/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_engine.h"

#include <errno.h>

int http_init(struct sfs_err *err)
{
	(void)err;
	return 0;
}

int http_wire_new(const struct http_conf *conf, struct http_wire **ret, struct sfs_err *err)
{
	(void)ret;
	return err_set(err, EOPNOTSUPP, "%s: only tests can send so far", conf->name);
}

void http_wire_free(struct http_wire *w)
{
	(void)w;
}

int http_wire_perform(void *arg, const struct http_attempt *a, const struct call *call,
	struct http_reply *ret, struct sfs_err *err)
{
	(void)arg, (void)call, (void)ret;
	return err_set(err, EOPNOTSUPP, "%s: only tests can send so far", a->url);
}

const char *http_wire_trusted(const struct http_wire *w)
{
	(void)w;
	return "";
}
