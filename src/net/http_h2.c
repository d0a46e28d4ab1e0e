/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_memory.h"

#include <dlfcn.h>
#include <string.h>

#define NO_MEMORY (-901) /* NGHTTP2_ERR_NOMEM */

static const struct http_h2_memory *memory; /* set before the first thread */

void http_h2_use(const struct http_h2_memory *m)
{
	memory = m;
}

int nghttp2_session_client_new2(
	void **session, const void *callbacks, void *user_data, const void *option)
{
	int (*new3)(void **, const void *, void *, const void *, const struct http_h2_memory *);
	void *symbol = dlsym(RTLD_DEFAULT, "nghttp2_session_client_new3");
	if (!symbol)
		return NO_MEMORY;
	memcpy(&new3, &symbol, sizeof(new3));
	return new3(session, callbacks, user_data, option, memory);
}
