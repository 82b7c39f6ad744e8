/* SPDX-License-Identifier: MIT
 * blas_kernels.c - the dynamic dispatch and the threads of OpenBLAS.
 *
 * This file alone names symbols that only OpenBLAS has. All are weak: with another BLAS they are
 * NULL, and so are some with OpenBLAS's static archive, because a weak reference pulls no member
 * out of an archive. What its dispatch itself needs (gotoblas_*, blas_*) is always linked;
 * openblas_get_config and openblas_get_corename are a member of their own that is not. For the
 * core's name gotoblas_corename stands in. */
#define _POSIX_C_SOURCE 200809L

#include "core/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#if defined(__GNUC__) || defined(__clang__)
#define WEAK __attribute__((weak))
#else
#error "weak symbols are needed: compile with gcc or clang"
#endif

#define CORETYPE "OPENBLAS_CORETYPE" /* names the core to dispatch to */

extern char *openblas_get_config(void) WEAK; /* writes a buffer of its own at each call */
extern char *openblas_get_corename(void) WEAK;
extern int openblas_get_num_threads(void) WEAK;
extern void openblas_set_num_threads(int n) WEAK;
extern char *gotoblas_corename(void) WEAK;
extern void gotoblas_dynamic_init(void) WEAK;
extern void gotoblas_dynamic_quit(void) WEAK;
extern void *blas_memory_alloc(int where) WEAK;
extern void blas_memory_free(void *buffer) WEAK;

/* Only the server that keeps POSIX threads has this function; the OpenMP server does not. Its
 * arguments do not matter here, it is never called. */
extern int exec_blas_async(long position, void *queue) WEAK;
extern int blas_server_avail WEAK; /* the workers have been started and not shut down */
extern int blas_num_threads WEAK;  /* the caller and all workers ever started */

const char *tarn__blas_core(void)
{
    if (openblas_get_corename != NULL) return openblas_get_corename();
    return gotoblas_corename != NULL ? gotoblas_corename() : NULL;
}

void tarn__blas_config(char *line, size_t capacity)
{
    const char *text = "unknown BLAS";
    if (openblas_get_config != NULL) text = openblas_get_config();
    else if (gotoblas_dynamic_init != NULL) text = "OpenBLAS DYNAMIC_ARCH";
    else if (openblas_set_num_threads != NULL) text = "OpenBLAS";
    (void)snprintf(line, capacity, "%s", text);
}

/* The dispatcher is compiled into DYNAMIC_ARCH builds only. Where the configuration can be read, it
 * has to agree. */
bool tarn__blas_can_dispatch(void)
{
    if (gotoblas_dynamic_init == NULL || gotoblas_dynamic_quit == NULL || tarn__blas_core() == NULL)
        return false;
    return openblas_get_config == NULL || strstr(openblas_get_config(), "DYNAMIC_ARCH") != NULL;
}

/* A worker that has just been started asks for its buffer, and the first to do so in a process runs
 * the dispatcher. Asking before it keeps the workers out of the dispatcher from here on. Without
 * workers there is no need, and no lock of BLAS is touched: in a forked child a thread that no
 * longer exists may hold it. */
static void settle_workers(void)
{
    void *buffer;
    if (tarn__blas_workers() == 0 || blas_memory_alloc == NULL || blas_memory_free == NULL) return;
    buffer = blas_memory_alloc(0);
    if (buffer != NULL) blas_memory_free(buffer);
}

bool tarn__blas_dispatch(const char *core)
{
    if (!tarn__blas_can_dispatch()) return false;
    settle_workers();
    /* setenv is acceptable here only because no other thread may be reading the environment: the
     * caller of tarn_runtime_init has promised it, and the first manager has counted the
     * threads. */
    if (core != NULL && setenv(CORETYPE, core, 1) != 0) return false;
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    if (core == NULL) return true;
    (void)unsetenv(CORETYPE);
    return strcasecmp(tarn__blas_core(), core) == 0;
}

int tarn__blas_workers(void)
{
    if (exec_blas_async == NULL || &blas_server_avail == NULL || &blas_num_threads == NULL)
        return 0;
    return blas_server_avail != 0 && blas_num_threads > 1 ? blas_num_threads - 1 : 0;
}

int tarn__blas_get_threads(void)
{
    return openblas_get_num_threads != NULL ? openblas_get_num_threads() : 0;
}

bool tarn__blas_set_threads(int n)
{
    if (openblas_set_num_threads == NULL) return false;
    openblas_set_num_threads(n);
    return true;
}
