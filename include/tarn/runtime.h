/* runtime.h - what the process runs on: processor, BLAS and its kernels, threads.
 *
 * tarn multiplies matrices with the system's OpenBLAS. Some releases do not recognise newer
 * processors and fall back to kernels several times slower (Debian 12's 0.3.21 on processors of
 * 2023 runs SSE3 code). tarn_runtime_init mends that by letting OpenBLAS dispatch again with the
 * name of the best core that the processor really supports. Each of these turns it off: the
 * environment variable TARN_BLAS_KERNELS=keep (the default is mend), a user's own
 * OPENBLAS_CORETYPE, and the option below. */
#ifndef TARN_RUNTIME_H
#define TARN_RUNTIME_H

#include "tarn/export.h"
#include "tarn/status.h"

TARN_BEGIN_DECLS

typedef enum tarn_blas_kernels {
    TARN_BLAS_KERNELS_MEND, /* replace kernels below what the processor supports; the default */
    TARN_BLAS_KERNELS_KEEP  /* leave OpenBLAS as it is */
} tarn_blas_kernels;

typedef struct tarn_runtime_options {
    tarn_blas_kernels kernels;
    int threads; /* of products and of work on large tensors, for the whole process, as
                    tarn_runtime_set_threads sets them; 0 leaves them as they are */
} tarn_runtime_options;

/* What happened to the kernels of BLAS, and why. */
typedef enum tarn_blas_state {
    TARN_BLAS_UNTOUCHED,   /* nothing was tried yet */
    TARN_BLAS_GOOD,        /* the library chose well by itself */
    TARN_BLAS_MENDED,      /* kernels were replaced and the replacement verified */
    TARN_BLAS_KEPT,        /* an option or the environment asked to keep them */
    TARN_BLAS_THREADS,     /* better kernels exist, but other threads run: call
                              tarn_runtime_init before starting them */
    TARN_BLAS_UNSUPPORTED, /* another BLAS, a build that cannot dispatch again, or a processor
                              that is not x86 */
    TARN_BLAS_FAILED       /* no wanted core could be selected; OpenBLAS's own choice runs */
} tarn_blas_state;

/* The strings live as long as the process and never change. */
typedef struct tarn_runtime_info {
    const char *version;        /* of tarn */
    const char *blas;           /* OpenBLAS's own configuration line; less of another BLAS */
    const char *blas_core;      /* the core whose kernels run now, as OpenBLAS names it; NULL if
                                   this BLAS does not tell */
    const char *found_core;     /* the core OpenBLAS had chosen before tarn looked; NULL before */
    const char *best_core;      /* the core tarn would choose here, in OpenBLAS's names; NULL if
                                   it knows none better than OpenBLAS's own choice */
    tarn_blas_state blas_state; /* what happened to the kernels */
    const char *blas_reason;    /* blas_state in words */
    int threads;                /* that tarn may use, the caller included */
    int blas_threads;           /* that BLAS may use; 0 if this BLAS does not tell */
    int processors;             /* online processors */
    const char *simd;           /* the widest vectors that processor and system support:
                                   "avx512", "avx2", "avx", "sse2", "neon" or "scalar" */
    const char *kernels;        /* what tarn's own kernels use of them: "avx512", "avx2" or, what
                                   the compiler takes for granted, "plain". The environment
                                   variable TARN_SIMD names a lower one */
    const char *math;           /* where kernels take exp, log, tanh and their like from: "SLEEF,
                                   avx512" or "SLEEF, avx2", where most of F32's are tarn's own, or
                                   "C library". See ops.h */
} tarn_runtime_info;

/* Readies BLAS: mends its kernels and sets its number of threads as the options say (NULL: the
 * defaults). Repeating it is harmless; what was mended stays so.
 *
 * To be called before other threads of the program use BLAS or tarn: replacing kernels while a
 * product runs would crash it. The call is explicit consent: it does not look for other threads.
 * It sets and unsets OPENBLAS_CORETYPE, so that no other thread may use the environment either.
 * The first manager makes a cautious attempt of its own, which replaces kernels only when the
 * process has no thread but the caller and BLAS's idle workers.
 *
 * Fails: TARN_EARG for negative threads or an unknown kernels value, with nothing changed;
 * TARN_EUNSUPPORTED if threads are asked for and this BLAS has no such setting. That kernels could
 * not be mended is no failure; tarn_runtime_get_info tells. */
TARN_API tarn_status tarn_runtime_init(const tarn_runtime_options *options);

/* What the process runs on, now. */
TARN_API tarn_runtime_info tarn_runtime_get_info(void);

/* Sets the number of threads, the caller included, that products and work on large tensors may use:
 * tarn's own and those of BLAS, for the whole process, this program's other users of BLAS included.
 * Without it tarn uses as many as BLAS would (all processors, or what OPENBLAS_NUM_THREADS says).
 * Results do not depend on their number, but for those of BLAS, which computes matrix-vector
 * products, and all products where the processor has no AVX2. tarn's threads start with the first
 * work that is worth it and sleep between steps; while they work for one thread of the program,
 * others work alone. OpenBLAS cuts n to the most it was built for. No product may be under way in
 * another thread.
 *
 * Fails: TARN_EARG if n < 1; TARN_EUNSUPPORTED if this BLAS has no such setting: tarn's own is then
 * set all the same. */
TARN_API tarn_status tarn_runtime_set_threads(int n);

TARN_END_DECLS

#endif
