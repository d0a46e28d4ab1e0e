/* SPDX-License-Identifier: Apache-2.0 */
/* Starting threads. */
#ifndef SFS_BASE_THREAD_H
#define SFS_BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* A joinable thread that takes no signals: those are for the main thread and for whom they are sent
 * to by pthread_kill(). `stack` bytes, 0 = the system's default. 0 or -errno. */
int thread_start(pthread_t *ret, size_t stack, void *(*fn)(void *arg), void *arg);

#endif
