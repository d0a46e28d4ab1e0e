/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One parsed source file: its bytes in secret memory and where in them each secret stands. Values
 * are decoded when they are asked for, so a source costs its own size once. Immutable, reference
 * counted.
 */
#ifndef SFS_BACKENDS_FILE_DOC_H
#define SFS_BACKENDS_FILE_DOC_H

#include "backends/backend.h"
#include "backends/file_dotenv.h"
#include "net/json.h"

enum file_format { FILE_AUTO, FILE_DOTENV, FILE_JSON, FILE_MLRUN };

/* What tells one content of a path from another. */
struct file_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	int64_t mtime, ctime; /* wall ns */
};

struct file_entry {
	uint32_t name;	/* offset of the NUL-terminated name in `names` */
	uint32_t line;	/* 0 = ask the JSON node */
	uint32_t value; /* offset in `text`, lines only */
	uint32_t len;
	enum line_form form;
	const struct json_node *node; /* JSON only */
};

struct file_doc {
	_Atomic unsigned refs;
	enum file_format format; /* never FILE_AUTO */
	struct file_stamp stamp;
	struct buf text;  /* BUF_SECRET */
	struct buf names; /* not secret: they are listed */
	struct json *json;
	struct file_entry *entries; /* sorted by name, unique */
	size_t n, cap;
	size_t skipped; /* entries whose name no secret can have */
};

/* An empty document with one reference, or NULL. */
struct file_doc *doc_new(void);
struct file_doc *doc_ref(struct file_doc *d);
void doc_unref(struct file_doc *d);
/* Parses d->text, which the caller filled. `path` is for messages and for FILE_AUTO. EBADMSG with
 * file and line, ENOMEM. */
int doc_parse(struct file_doc *d, const char *path, enum file_format format, bool expand,
	struct sfs_err *err);

const struct file_entry *doc_find(const struct file_doc *d, const char *name);
const char *doc_name(const struct file_doc *d, const struct file_entry *e);
/* 1-based line of the entry in its file. */
size_t doc_line(const struct file_doc *d, const struct file_entry *e);
/* All entries as lines of a listing. */
int doc_list(const struct file_doc *d, struct list_sink *sink, struct sfs_err *err);
/* EFBIG, ENOMEM. `env` serves format mlrun-list with expand. */
int doc_payload(const struct file_doc *d, const struct file_entry *e, const struct envstore *env,
	struct payload **ret, struct sfs_err *err);

/* file_json.c: fills the entries from d->text; lists; the value of one. */
int doc_parse_json(struct file_doc *d, struct sfs_err *err);
int doc_list_json(const struct file_doc *d, const struct file_entry *e, struct list_sink *sink,
	struct sfs_err *err);
int doc_fill_json(const struct file_doc *d, const struct json_node *n, struct payload *p,
	struct sfs_err *err);
/* For them: enters one entry; a name that no secret can have is counted as skipped. */
int doc_add(struct file_doc *d, const char *name, size_t len, struct file_entry e);
/* Makes a secret of `b`, which is at most SFS_VALUE_MAX long, and adds it. Sets `err` on error. */
int doc_add_part(struct payload *p, const char *key, const struct buf *b, struct sfs_err *err);

/* The sentence for a value that did not fit (-EFBIG) or found no memory; returns `rc`. */
int doc_value_error(int rc, struct sfs_err *err);

#endif
