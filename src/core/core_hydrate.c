/* SPDX-License-Identifier: Apache-2.0 */
/* Hydration: values that are fetched although nobody asked. */
#include "core/core_priv.h"

void core_hydration(struct core *core, size_t *ret_done, size_t *ret_total, size_t *ret_failed,
	bool *ret_running)
{
	core_lock(core);
	*ret_running =
		config_hydration(core->conf) != HYDRATE_NONE && core_list_pending(core, NULL);
	core_unlock(core);
	*ret_done = *ret_total = *ret_failed = 0;
}
