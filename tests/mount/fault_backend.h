/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back end of the mount tests: what it does is written in a directory of plain files, so that a
 * test in any language can change it while the mount runs. LOCATION is that directory D. Nothing
 * here is list-complete or local, so provisional names and parked requests are exercised as with a
 * provider on a network.
 *
 *   D/s/ID/name          provider's name, any bytes but NUL (absent: ID is the name)
 *   D/s/ID/value         the bytes; together with no `keys` directory one value
 *   D/s/ID/size          instead: that many bytes 'x'
 *   D/s/ID/keys/KEY      multi-key secret: one file a key
 *   D/s/ID/keys_unknown  the listing does not tell the keys
 *   D/s/ID/version       version id; absent: none is told
 *   D/s/ID/versions/V    the bytes of version V
 *   D/s/ID/errno         get fails with this number; `message` is its sentence
 *   D/s/ID/block         while it exists get waits, and heeds deadline and cancellation
 *   D/s/ID/block_hard    the same, but heeds nothing (at most 120 s)
 *   D/s/ID/delay_ms      get takes that long
 *   D/s/ID/unlisted      not in the listing
 *   D/s/ID/created       wall time in seconds
 *   D/s/ID/meta          a JSON object
 *   D/s/ID/ttl_hint      seconds
 *   D/list/errno, message, block, block_hard, delay_ms   the same for listings
 *   D/list/generate      N: adds gen-000000 to gen-(N-1), each with its own name as value
 *   D/list/raw           more names, each ended by NUL, without anything behind them
 *   D/s/ID/from          where the value comes from instead of a file: "ref" (the option token=),
 * "home", "env NAME", "file PATH", "run LINE" (what a command writes) D/needs              lines
 * for needs(): "env PATTERN", "file PATH", "dir PATH", "command LINE" D/status             members
 * of a JSON object for status() D/counts             for counts(): calls errors retries throttled
 * bytes_in bytes_out cost_usd D/check              lines for check(): "ok WHAT TEXT", "skip WHAT
 * TEXT", "no WHAT TEXT" D/check_errno        check() fails with that number D/calls one line a
 * call: "list", "get NAME", "get NAME@VERSION", "versions NAME", "describe NAME"; written before
 * anything else happens
 */
#ifndef SFS_TESTS_FAULT_BACKEND_H
#define SFS_TESTS_FAULT_BACKEND_H

#include "backends/backend.h"

extern const struct backend_ops fault_backend;

#endif
