/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Provider names and paths under the mount (design section 3): a one-to-one, reversible map (R49).
 *
 * encode: '/' separates components. Percent-encoded (upper-case hex, byte by byte) are '%', control
 * characters and direction controls (text_is_control()), bytes that are not valid UTF-8, the dots
 * of the components "." and "..", and the first byte of a reserved name. A '/' that would leave a
 * component empty is itself written %2F and joined to the component before it (to the one after it
 * at the start): "a//b" is "a%2F/b", "a/" is "a%2F", "/a" is "%2Fa", "//a" is
 * "%2F/a" (the first '/' is a component already), "/" is "%2F". In other words: a '/' separates
 * when it is neither the first nor the last byte of the name and no other '/' follows it. Only
 * whole components are "." or reserved: "/." is "%2F.", ".control/" is ".control%2F", "x/.control"
 * stays. A component that would be longer than 255 bytes is cut to a prefix, "%~" and 32 hex digits
 * of the SHA-256 of its provider bytes; only the table of listed names can turn that back.
 *
 * decode: the reverse, and lenient: any %XX is taken, so "prod%2Fdb%2Fpassword" is
 * "prod/db/password".
 */
#ifndef SFS_BASE_NAME_H
#define SFS_BASE_NAME_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>

/* Appends the path of provider name `name` to `out`; on failure nothing is appended. Errors:
 * -EINVAL (empty name, or one with a NUL byte: no provider has them and C strings carry names in
 * this program), -ENAMETOOLONG (over SFS_NAME_MAX, or path over SFS_PATH_MAX), -ENOMEM, -EIO
 * (libcrypto). The path is valid UTF-8 without control characters. */
int name_encode(struct buf *out, const char *name, size_t len);

/* Appends ONE component: as name_encode() but '/' too becomes %2F. For keys and fields, which never
 * make directories. `reserved_root` says that the component stands at the root, where the view
 * names are reserved; ".value" always is. */
int name_encode_component(struct buf *out, const char *name, size_t len, bool reserved_root);

/* Appends the provider name of a path; on failure nothing is appended. Errors: -EINVAL (bad %XX,
 * %00, empty path or component), -ENOTUNIQ (a component in hash form: ask the table of names),
 * -ENAMETOOLONG, -ENOMEM. */
int name_decode(struct buf *out, const char *path, size_t len);

/* The views: ".versions" and so on, and ".next". True if `component` (NUL-terminated) is one. */
bool name_is_reserved_root(const char *component);
/* ".value" */
#define NAME_VALUE ".value"

#endif
