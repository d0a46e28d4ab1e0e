/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameter Store: names and versions that can be, and what its answers say. Pure functions; the
 * calls are in aws_ssm.c and aws_ssm_list.c.
 *
 * Names: SOURCE may end in a path (aws-ssm:eu-west-1/prod/app). Then names are what stands below
 * it: "db/password" is the parameter /prod/app/db/password. Without a path they are the
 * parameter's own, with the slash in front where there is one. An ARN is always itself.
 */
#ifndef SFS_BACKENDS_AWS_SSM_H
#define SFS_BACKENDS_AWS_SSM_H

#include "backends/aws_answer.h"
#include "backends/aws_client.h"
#include "backends/backend.h"

#define AWS_PARAMETER_NAME_MAX 1011
#define AWS_PARAMETER_ID_MAX   2048 /* of an ARN */
#define AWS_PARAMETER_LEVELS   15
#define AWS_LABEL_MAX	       100
#define AWS_PARAMETERS_MAX     10 /* of one GetParameters */

/* A name the service could know, or an ARN of a parameter: nobody is asked for anything else. */
bool aws_parameter_name_ok(const char *name);
/* A path after the region in SOURCE: "/prod/app". */
bool aws_parameter_path_ok(const char *path);
/* A version number or a label. */
bool aws_parameter_version_ok(const char *version);

/* Appends the parameter's name to the source's name `name` below `path` ("" = none), and back:
 * what is not below it is -ENOENT. */
int aws_parameter_full(const char *path, const char *name, struct buf *out);
int aws_parameter_below(const char *path, const char *full, const char **ret_name);

/* One parameter of a listing; buffers are cleared first. -EBADMSG: no usable name. */
int aws_parameter_line(struct json *doc, const struct json_node *entry, struct aws_line *ret);

/* The payload of a Parameter object of GetParameter or GetParameters asked WithDecryption, with one
 * reference. `fixed`: it was asked for by number. Errors: EBADMSG, EFBIG, ENOMEM. */
int aws_parameter_payload(struct json *doc, const struct json_node *parameter, bool fixed,
	struct payload **ret, struct sfs_err *err);
/* Appends the version number as text, or nothing. */
void aws_parameter_version(struct json *doc, const struct json_node *parameter, struct buf *out);

/* ---- shared by aws_ssm*.c ---- */

struct aws_parameters {
	struct aws_client *client;
	char *path;	    /* "/prod/app", or "" */
	struct buf filters; /* of filter=: JSON objects, commas between */
	size_t nfilters;
	atomic_bool other_way; /* listing: the usual operation is not allowed, the other one is
				  tried first */
};
int aws_parameters_list(void *state, const struct call *call, const char *filter,
	struct list_sink *sink, struct sfs_err *err);
int aws_parameters_get(void *state, const struct call *call, const struct get_request *rq,
	struct payload **ret, struct sfs_err *err);
int aws_parameters_get_batch(void *state, const struct call *call, const char *const *names,
	size_t n, struct payload **ret, struct sfs_err *errs, struct sfs_err *err);
/* The parameter's name of a source's name; ENOENT where none can be. */
int aws_parameters_name(
	struct aws_parameters *s, const char *name, struct buf *full, struct sfs_err *err);

#endif
