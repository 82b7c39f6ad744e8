/* SPDX-License-Identifier: MIT
 * runtime.h - readying BLAS, as the library sees it. */
#ifndef TARN_CORE_RUNTIME_H
#define TARN_CORE_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

/* What a manager calls when it is made. The first call of a process mends the kernels of BLAS if
 * nobody but the caller and BLAS's idle workers runs, and else only notes what it found; it does
 * nothing after tarn_runtime_init. Later calls cost one atomic load. May be called by many threads
 * at once. */
void tarn__runtime_first_manager(void);

/* What tarn asks of BLAS besides products: see blas_kernels.c. Any BLAS may be linked; what it does
 * not offer reads as NULL, 0 or false. Not one of these may be called by two threads at once. */

/* The core whose kernels run now, as OpenBLAS names it; NULL if this BLAS does not tell. Static
 * storage of BLAS. */
const char *tarn__blas_core(void);

/* Writes a line that describes this BLAS, at most `capacity` bytes with the terminating zero. */
void tarn__blas_config(char *line, size_t capacity);

/* Whether tarn__blas_dispatch can do anything. */
bool tarn__blas_can_dispatch(void);

/* Lets OpenBLAS choose its kernels again: those of the named core, or its own choice for NULL.
 * OPENBLAS_CORETYPE must be unset, and is so again afterwards. No other thread may be inside BLAS
 * or use the environment. Returns whether the named core (or, for NULL, any) runs afterwards. On
 * false, another core may be running. */
bool tarn__blas_dispatch(const char *core);

/* The worker threads that BLAS keeps between products; 0 if there are none or they cannot be
 * counted. */
int tarn__blas_workers(void);

/* The number of threads a product may use; 0 if this BLAS does not tell. */
int tarn__blas_get_threads(void);

/* Sets it. False if this BLAS has no such setting. */
bool tarn__blas_set_threads(int n);

#endif
