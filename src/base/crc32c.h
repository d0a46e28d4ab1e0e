/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli; RFC 3720 appendix B.4): reflected polynomial 0x82f63b78, all bits set before
 * and flipped after. A check against damage, not against forgery. */
#ifndef SFS_BASE_CRC32C_H
#define SFS_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *data, size_t len);

#endif
