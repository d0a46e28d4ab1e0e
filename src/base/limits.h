/* SPDX-License-Identifier: Apache-2.0 */
/* Every maximum of the program, each with its reason. */
#ifndef SFS_BASE_LIMITS_H
#define SFS_BASE_LIMITS_H

#include <limits.h>

#define SFS_ERR_MAX   512	    /* one sentence for a person */
#define SFS_VALUE_MAX (1024 * 1024) /* Kubernetes' own limit for a Secret */
#define SFS_PAYLOAD_MAX \
	(8 * 1024 * 1024)      /* all keys of one secret together; an eighth of the default arena */
#define SFS_COMPONENT_MAX 255  /* NAME_MAX of Linux; FUSE itself does not enforce it */
#define SFS_PATH_MAX	  4096 /* PATH_MAX of Linux */
#define SFS_NAME_MAX	  4096 /* provider name in bytes; AWS allows 2048, Vault a URL */
#define SFS_VERSION_MAX	  512  /* provider version id; ARNs of versions stay below */
#define SFS_LIST_MAX	  1000000 /* names of one source; above, the listing is cut and said */
#define SFS_KEYS_MAX	  10000	  /* keys of one multi-key secret (1 MiB / 100 bytes) */
#define SFS_META_MAX	  65536	  /* provider metadata of one secret, as JSON text */
#define SFS_JSON_DEPTH	  64	  /* far above any real secret, far below any stack */
#define SFS_JSON_ELEMENTS 1000000 /* nodes of one document; bounds memory per input byte */
#define SFS_SOURCE_MAX \
	(64 * 1024 * 1024) /* a dotenv or JSON source file: 100,000 secrets of 600 bytes */
#define SFS_CONFIG_MAX	    (4 * 1024 * 1024) /* a configuration file, inline values included */
#define SFS_CONFIG_LINE_MAX (64 * 1024)	      /* a line of it, longest inline value included */
#define SFS_OPTION_MAX	    65536 /* one -o string; mount(8) cuts at a page, fstab lines do not */
#define SFS_REF_MAX	    65536 /* a credential or token; those of clouds have some 10 KiB */
#define SFS_COMMANDS_MAX    64	/* programs for credentials fixed at mount; bounds arguments too */
#define SFS_RUNS_MAX	    16	/* of them running at once: a start of many threads, no flood */
#define SFS_RUN_SECONDS	    120 /* the longest one may take; Google lets programs ask for that */
#define SFS_RUN_STDERR	    512 /* of what a program says on standard error, in a sentence */
#define SFS_DESCRIPTORS	    65536 /* of the worker: many sources with many connections */
#define SFS_VARIABLES_MAX   64	  /* env.NAME= options of one source */
#define SFS_VARIABLES_OWN   8	  /* variables that it gives a program by itself; Google has 6 */
#define SFS_CONTROL_WRITE_MAX \
	(1024 * 1024) /* one write to a control file (FUSE max_write is at most this) */
#define SFS_CONTROL_LINE_MAX 16384 /* a path with every byte as %XX, and a number */
#define SFS_TEXT_MAX \
	(256 * 1024 * 1024)	/* text of a control file: a line for each of SFS_LIST_MAX names */
#define SFS_LIST_SECONDS  600	/* a listing that goes on: 1,000,000 names, 100 a page of 60 ms */
#define SFS_FILTER_MAX	  4096	/* a provider filter */
#define SFS_RULES_MAX	  4096	/* [rule] sections */
#define SFS_BACKENDS_MAX  64	/* [backend] sections; bounds threads too */
#define SFS_POOL_THREADS  16	/* fetches of one backend at once; half of them for bulk work */
#define SFS_BATCH_MAX	  20	/* secrets of one get_batch(); what AWS takes in one call */
#define SFS_QUEUE_MAX	  65536 /* fetches waiting per backend; above, EBUSY at once (R65) */
#define SFS_LOG_LINE_MAX  2048	/* one log line */
#define SFS_RATE_UIDS	  256	/* users whose fetches of one source are counted (open_rate=) */
#define SFS_AUDIT_QUEUE	  4096	/* audit lines waiting to be written, of some 400 bytes */
#define SFS_AUDIT_LINE	  (128 * 1024) /* one of them: three paths with every byte as \u00XX */
#define SFS_PATH_LINKS	  40 /* symbolic links followed in one path; as the kernel's MAXSYMLINKS */
#define SFS_ARENA_DEFAULT (64 * 1024 * 1024) /* locked: 100,000 secrets of up to 512 bytes */
#define SFS_COMMAND_MAX	  4096		     /* on_change=; a longer one belongs in a script */
#define SFS_CHANGES_MAX \
	65536 /* lines that wait for one run of on_change=; what is more becomes one line */
#define SFS_EVENTS_MAX	 4096 /* events kept: minutes of a busy mount, for a reader that pauses */
#define SFS_EVENTS_BYTES (1024 * 1024) /* and their text, some 256 bytes each */
#define SFS_EVENT_LINE_MAX \
	32768 /* a path, a version and a sentence, each byte as \uXXXX at worst */
#define SFS_HOLD_MSG_MAX     8192 /* one message between worker and holder: a path and a sentence */
#define SFS_HTTP_URL_MAX     8192 /* what common servers take; a name with every byte as %XX */
#define SFS_HTTP_HEADERS_MAX (64 * 1024)   /* of one answer, and of one value that is sent */
#define SFS_HTTP_LINES_MAX   128	   /* header lines of one answer; real ones have some 20 */
#define SFS_HTTP_INTERIM_MAX 16		   /* 1xx answers before the real one */
#define SFS_HTTP_BODY_MAX    (1024 * 1024) /* of a request: signed assertions, batches of names */
#define SFS_HTTP_RUNNING_MAX 256 /* attempts of one identity at once; above, EBUSY (R65) */
#define SFS_HTTP_CONNS_MAX   32	 /* connections of one identity: twice its threads */
#define SFS_HTTP_LOOKUPS_MAX \
	4 /* names being resolved for one identity; each may hang in a thread */
#define SFS_TRUST_MAX (4 * 1024 * 1024) /* a PEM file; the system's bundle has 220 KiB */

#endif
