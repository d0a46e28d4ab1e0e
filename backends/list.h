/* SPDX-License-Identifier: Apache-2.0 */
/* Every back end, one line each, in the order of help and manual: BACKEND(name) for `const struct
 * backend_ops name_backend`. */
BACKEND(file)
BACKEND(env)
BACKEND(inline)
BACKEND(aws)
BACKEND(aws_ssm)
BACKEND(gcp)
BACKEND(example)
