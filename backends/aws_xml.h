/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The little of XML that STS answers need: elements, character data, the five entities, numeric
 * references, comments. A document type, CDATA and everything that is not well-formed is refused.
 * Pure functions; nothing is allocated.
 */
#ifndef SFS_BACKENDS_AWS_XML_H
#define SFS_BACKENDS_AWS_XML_H

#include "backends/aws_text.h"
#include "base/buf.h"
#include <stddef.h>

/* The raw character data of the element at `path`, the first if there are several:
 * "AssumeRoleResponse/AssumeRoleResult/Arn"; "*" is any name, prefixes of namespaces are dropped.
 * The whole document is checked first. -EBADMSG: malformed, nested too deep, or no such element. */
int aws_xml_find(const char *xml, size_t len, const char *path, struct aws_text *ret);

enum aws_xml_flags { AWS_XML_NO_BLANKS = 1 /* drop all white space, not only that around */ };
/* Appends it decoded and trimmed. -EBADMSG for an unknown entity, a control character or a child
 * element; nothing is appended then. */
int aws_xml_decode(struct aws_text raw, unsigned flags, struct buf *ret);

#endif
