/* SPDX-License-Identifier: MIT
 * simd.h - the instruction sets that kernels are compiled for, and the one that this process uses.
 *
 * One binary holds every kernel once for each level; which of them runs is looked up by
 * tarn__simd(). What compilers make of plain loops has the same bits at every level. Two things are
 * written for vectors and agree between AVX2 and AVX-512 alone: ops/gemm_tiles.c, whose sums are
 * fused multiply-adds, and ops/vmath.c. */
#ifndef TARN_CORE_SIMD_H
#define TARN_CORE_SIMD_H

#include <stdatomic.h>

/* The plain level is what the compiler was told to compile for. What the others ask of a processor
 * stands in cpu.h, what they allow a compiler in target_avx2.h and target_avx512.h. */
#if defined(__x86_64__) && defined(__GNUC__)
#define TARN__SIMD_X86 1
enum { TARN__SIMD_PLAIN, TARN__SIMD_AVX2, TARN__SIMD_AVX512, TARN__SIMD_LEVELS };

/* Tables by level: of a function that exists once for each; of one for float and one for double
 * that do; of what is the same for all. */
#define TARN__LEVELS(f)         \
    {                           \
        f, f##_avx2, f##_avx512 \
    }
#define TARN__FLOAT_LEVELS(f, d)                                     \
    {                                                                \
        { f, d }, { f##_avx2, d##_avx2 }, { f##_avx512, d##_avx512 } \
    }
#define TARN__ALL_LEVELS(...)                 \
    {                                         \
        __VA_ARGS__, __VA_ARGS__, __VA_ARGS__ \
    }

#else
#define TARN__SIMD_X86 0
enum { TARN__SIMD_PLAIN, TARN__SIMD_LEVELS };
#define TARN__LEVELS(f) \
    {                   \
        f               \
    }
#define TARN__FLOAT_LEVELS(f, d) \
    {                            \
        {                        \
            f, d                 \
        }                        \
    }
#define TARN__ALL_LEVELS(...) \
    {                         \
        __VA_ARGS__           \
    }
#endif

/* The kernels `name` of ops/for_each_simd.h: by level, and each for F32 and F64. */
#define TARN__KERNELS(name) TARN__FLOAT_LEVELS(name##_f32, name##_f64)

/* 1 + the level in use; 0 as long as nobody has asked. */
extern atomic_int tarn__simd_known;

int tarn__simd_find(void);

/* The level in use: the highest that the processor supports and that TARN_SIMD allows. Every thread
 * gets the same answer. */
static inline int tarn__simd(void)
{
    const int known = atomic_load_explicit(&tarn__simd_known, memory_order_relaxed);
    return known != 0 ? known - 1 : tarn__simd_find();
}

/* Its name: "plain", "avx2", "avx512". */
const char *tarn__simd_name(int level);

/* Where kernels of this level have exp, log and their like from (ops/vmath.h). */
const char *tarn__simd_math(int level);

#endif
