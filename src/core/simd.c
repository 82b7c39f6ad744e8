/* SPDX-License-Identifier: MIT
 * simd.c - the choice among the levels of kernels. */
#include "core/simd.h"

#include <stdlib.h>
#include <string.h>

#include "core/checkers.h"
#include "core/cpu.h"

atomic_int tarn__simd_known;

static const char *const names[] = { "plain", "avx2", "avx512" };

const char *tarn__simd_name(int level) { return names[level]; }

const char *tarn__simd_math(int level)
{
#if TARN_SLEEF && TARN__SIMD_X86
    static const char *const math[] = { "C library", "SLEEF, avx2", "SLEEF, avx512" };
    return math[level];
#else
    (void)level;
    return "C library";
#endif
}

/* The highest level that a user allows. A word that is not known allows all. */
static int allowed(void)
{
    const char *word = getenv("TARN_SIMD");
    for (int level = 0; word != NULL && level < TARN__SIMD_LEVELS; level++)
        if (strcmp(word, names[level]) == 0) return level;
    return TARN__SIMD_LEVELS - 1;
}

int tarn__simd_find(void)
{
    int level = TARN__SIMD_PLAIN;
#if TARN__SIMD_X86 && !defined(TARN__MSAN) /* which does not follow every instruction */
    const tarn__cpu cpu = tarn__cpu_detect();
    level = cpu.avx512 ? TARN__SIMD_AVX512 : cpu.avx2 ? TARN__SIMD_AVX2 : TARN__SIMD_PLAIN;
#endif
    const int most = allowed();
    if (level > most) level = most;
    atomic_store_explicit(&tarn__simd_known, level + 1, memory_order_relaxed);
    return level;
}
