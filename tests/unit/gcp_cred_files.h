/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials files of Google Cloud and the exchanges they lead to, for test_gcp_cred*.c. */
#ifndef SFS_TESTS_GCP_CRED_FILES_H
#define SFS_TESTS_GCP_CRED_FILES_H

#include "gcp_cred_fixture.h"

#include "gcp_keys.h"

#define VARS(...)                 \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define EMAIL "sa@my-proj.iam.gserviceaccount.com"
#define KEY_FILE(more)                                                                          \
	"{\"type\":\"service_account\",\"project_id\":\"my-proj\",\"private_key_id\":\"kid1\"," \
	"\"private_key\":\"" GCP_KEY "\",\"client_email\":\"" EMAIL                             \
	"\",\"client_id\":\"1\",\"token_uri\":\"https://oauth2.googleapis.com/token\"" more "}"
#define USER_FILE(more)                                                                            \
	"{\"type\":\"authorized_user\",\"client_id\":\"id.apps\",\"client_secret\":\"s/+CANARY\"," \
	"\"refresh_token\":\"1//0+CANARY=\",\"account\":\"jane@example.com\"" more "}"
#define WELL_KNOWN ".config/gcloud/application_default_credentials.json"
#define FORM	   "Content-Type: application/x-www-form-urlencoded"
#define REFRESH                                                                                  \
	.method = "POST", .url = "https://oauth2.googleapis.com/token",                          \
	.headers = {FORM, "Accept: application/json", "!Authorization", "!X-Goog-User-Project"}, \
	.body = "grant_type=refresh_token&client_id=id.apps&client_secret=s%2F%2BCANARY&"        \
		"refresh_token=1%2F%2F0%2BCANARY%3D"
#define EXCHANGE .method = "POST", .url = "https://oauth2.googleapis.com/token", .any_body = true

/* The option that names a key file with that text; good until the next one. */
static inline const char *key_option(const char *text)
{
	static char path[320];
	fx_file("key.json", text);
	snprintf(path, sizeof(path), "%s", fx_say_path("credentials=", "key.json"));
	return path;
}

#endif
