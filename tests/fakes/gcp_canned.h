/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport that answers like Secret Manager with a few canned secrets, from any number of
 * threads: "one" (value "canary"), "two-three", and a listing of both. For tests of what all back
 * ends must do; exact exchanges are tested with fakes/http_script.h.
 */
#ifndef SFS_TESTS_GCP_CANNED_H
#define SFS_TESTS_GCP_CANNED_H

/* Every http_new() from now on uses it; and libcurl again. */
void gcp_canned_start(void);
void gcp_canned_end(void);

#endif
