/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/net_options.h"

#include <string.h>

static const struct opt_row rows[] = {NET_OPTIONS, {0}};

const struct opt_table net_options_table = {"sources on a network", rows};

bool net_options_has(const struct opt_row *row)
{
	for (const struct opt_row *r = rows; r->name; r++)
		if (strcmp(r->name, row->name) == 0 && strcmp(r->help, row->help) == 0)
			return true;
	return false;
}
