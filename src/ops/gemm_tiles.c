/* SPDX-License-Identifier: MIT
 * gemm_tiles.c - matrix products in tiles that stay in registers.
 *
 * The idea is that of Goto and van de Geijn (Anatomy of High-Performance Matrix Multiplication,
 * 2008), cut down to what nets of moderate size need: a strip of b, 256 rows deep and two vectors
 * wide, is copied so that it lies in the first cache in the order in which it is read; each tile of
 * c is then 12 (AVX2: 6) rows of a against the strip. a is read where it is, but for columns of
 * which the next element is far away: these are copied too.
 *
 * Products of rows with rows, few on one side, are dot products: nothing has to be transposed.
 *
 * Measured against OpenBLAS 0.3.21 with its kernels for SkylakeX, one thread of a Xeon of 2023,
 * float, time of the tiles / time of OpenBLAS:
 *
 *     m n k              b^T            m n k              a^T           m n k             plain
 *     4 x 128 x 784      1.07           128 x 784 x 4      1.03          128 x 512 x 256   0.90
 *     8 x 128 x 784      1.07           128 x 784 x 8      1.43          256 x 1024 x 1024 1.00
 *     32 x 128 x 784     0.59           128 x 784 x 32     0.74
 *     64 x 128 x 784     0.80           128 x 784 x 64     0.80
 *     128 x 128 x 784    0.84           128 x 784 x 128    0.85
 *     128 x 512 x 784    0.93           512 x 784 x 128    0.92
 *     256 x 1024 x 1024  1.03           1024 x 1024 x 256  1.00 */
#include "ops/gemm_tiles.h"

#include "core/simd.h"
#include "core/threads.h"

#if TARN__SIMD_X86

#include <immintrin.h>

/* Without optimisation gcc's masked instructions are macros that change signs. */
#if !defined(__OPTIMIZE__)
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif

enum {
    DEPTH = 256,        /* rows of a strip at most: with two vectors each, 32 KiB */
    FEW_TILES = 4,      /* that read a strip: less than its copy costs */
    BLOCK_ROWS = 1024,  /* of a, which all of b meets while they are in the second cache */
    COPIED = 24 * 1024, /* bytes of a that are copied at a time */
    MANY_ROWS = 96,     /* of c, for which transposing b is worth more than storing across */
    FEW = 8,            /* rows or columns are computed by dot products, */
    FEW_DEEP = 16,      /* or so many of at least DEEP elements */
    DEEP = 256,
    MANY_STRIPS = 2,            /* for which rows of a are copied */
    SMALL_ROWS = 32,            /* of a product that needs no other way than its tiles, */
    SMALL_DEPTH = 16,           /* and its depth */
    FEW_GATHERS = 4,            /* take less than transposing */
    MOST_REACH = INT32_MAX / 16 /* elements from one lane of a gathered vector to the next */
};

#define EACH_OF_6(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define EACH_OF_12(X) EACH_OF_6(X) X(7) X(8) X(9) X(10) X(11) X(12)

/* Whether rows with rows are multiplied by dot products. */
static bool are_few(int64_t m, int64_t n, int64_t k)
{
    const int64_t fewer = m < n ? m : n;
    return k > SMALL_DEPTH && fewer <= (k < DEEP ? FEW : FEW_DEEP);
}

/* How many parts a product is worth, of at least 2^22 multiplications: less takes longer to share,
 * the operands being in the cache of another. Up to four for each thread, whose processors may not
 * be equally fast. */
static int most_parts(int64_t m, int64_t n, int64_t k)
{
    const double parts = (double)m * (double)n * (double)k / (1 << 22);
    if (parts < 2) return 1;
    const int threads = tarn__threads();
    if (parts < threads) return (int)parts;
    return parts < 4 * threads ? (int)parts / threads * threads : 4 * threads;
}

/* ---- AVX2 */

#include "core/target_avx2.h"

#define ROWS 6
#define TILE_ROWS EACH_OF_6
#define DOT_ROWS 3
#define DOT_COLUMNS 2

/* All bits of the first n lanes. */
static inline __m256i first_lanes_32(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n < 8 ? n : 8)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline __m256i first_lanes_64(int64_t n)
{
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n < 4 ? n : 4), _mm256_setr_epi64x(0, 1, 2, 3));
}

#define REAL float
#define NAME(f) f##_f32_avx2
#define VEC __m256
#define LANES 8
#define ZERO() _mm256_setzero_ps()
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, x) _mm256_storeu_ps(p, x)
#define LOAD_PART(p, n) _mm256_maskload_ps(p, first_lanes_32(n))
#define STORE_PART(p, x, n) _mm256_maskstore_ps(p, first_lanes_32(n), x)
#define GATHER(p, step, n)                                                                 \
    _mm256_mask_i32gather_ps(_mm256_setzero_ps(), p,                                       \
                             _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), \
                                                _mm256_set1_epi32((int)(step))),           \
                             _mm256_castsi256_ps(first_lanes_32(n)), 4)
#define SPREAD(x) _mm256_set1_ps(x)
#define ADD(x, y) _mm256_add_ps(x, y)
#define FMA(x, y, z) _mm256_fmadd_ps(x, y, z)
#include "ops/gemm_tiles.inc"

#define REAL double
#define NAME(f) f##_f64_avx2
#define VEC __m256d
#define LANES 4
#define ZERO() _mm256_setzero_pd()
#define LOAD(p) _mm256_loadu_pd(p)
#define STORE(p, x) _mm256_storeu_pd(p, x)
#define LOAD_PART(p, n) _mm256_maskload_pd(p, first_lanes_64(n))
#define STORE_PART(p, x, n) _mm256_maskstore_pd(p, first_lanes_64(n), x)
#define GATHER(p, step, n)                                                          \
    _mm256_mask_i64gather_pd(                                                       \
        _mm256_setzero_pd(), p,                                                     \
        _mm256_mul_epu32(_mm256_setr_epi64x(0, 1, 2, 3), _mm256_set1_epi64x(step)), \
        _mm256_castsi256_pd(first_lanes_64(n)), 8)
#define SPREAD(x) _mm256_set1_pd(x)
#define ADD(x, y) _mm256_add_pd(x, y)
#define FMA(x, y, z) _mm256_fmadd_pd(x, y, z)
#include "ops/gemm_tiles.inc"

#undef ROWS
#undef TILE_ROWS
#undef DOT_ROWS
#undef DOT_COLUMNS

/* ---- AVX-512 */

#include "core/target_end.h"

#include "core/target_avx512.h"

#define ROWS 12
#define TILE_ROWS EACH_OF_12
#define DOT_ROWS 4
#define DOT_COLUMNS 4

/* The bits of the first n of 16 lanes. */
static inline __mmask16 first_of_16(int64_t n)
{
    return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffff);
}
static inline __mmask8 first_of_8(int64_t n) { return (__mmask8)(n < 8 ? (1u << n) - 1 : 0xff); }

/* Where the lanes of an exchange come from: lane 16 + i is lane i of the second vector (transpose
 * in gemm_tiles.inc). */
#define KEPT(i, d, n) ((i) & (d) ? (n) + (i) - (d) : (i))
#define TAKEN(i, d, n) ((i) & (d) ? (n) + (i) : (i) + (d))
#define OF_8(f, d, n) \
    f(0, d, n), f(1, d, n), f(2, d, n), f(3, d, n), f(4, d, n), f(5, d, n), f(6, d, n), f(7, d, n)
#define OF_16(f, d, n)                                                                         \
    OF_8(f, d, n), f(8, d, n), f(9, d, n), f(10, d, n), f(11, d, n), f(12, d, n), f(13, d, n), \
        f(14, d, n), f(15, d, n)
#define ROUND_16(d)                                     \
    {                                                   \
        { OF_16(KEPT, d, 16) }, { OF_16(TAKEN, d, 16) } \
    }
#define ROUND_8(d)                                  \
    {                                               \
        { OF_8(KEPT, d, 8) }, { OF_8(TAKEN, d, 8) } \
    }
static const int32_t places_f32_avx512[4][2][16] = { ROUND_16(1), ROUND_16(2), ROUND_16(4),
                                                     ROUND_16(8) };
static const int64_t places_f64_avx512[3][2][8] = { ROUND_8(1), ROUND_8(2), ROUND_8(4) };

#define REAL float
#define NAME(f) f##_f32_avx512
#define INDEX __m512i
#define PLACES(p) _mm512_loadu_si512(p)
#define EXCHANGE(x, places, y) _mm512_permutex2var_ps(x, places, y)
#define VEC __m512
#define LANES 16
#define ZERO() _mm512_setzero_ps()
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, x) _mm512_storeu_ps(p, x)
#define LOAD_PART(p, n) _mm512_maskz_loadu_ps(first_of_16(n), p)
#define STORE_PART(p, x, n) _mm512_mask_storeu_ps(p, first_of_16(n), x)
#define GATHER(p, step, n)                                                                      \
    _mm512_mask_i32gather_ps(_mm512_setzero_ps(), first_of_16(n),                               \
                             _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \
                                                                  10, 11, 12, 13, 14, 15),      \
                                                _mm512_set1_epi32((int)(step))),                \
                             p, 4)
#define SPREAD(x) _mm512_set1_ps(x)
#define ADD(x, y) _mm512_add_ps(x, y)
#define FMA(x, y, z) _mm512_fmadd_ps(x, y, z)
#include "ops/gemm_tiles.inc"

#define REAL double
#define NAME(f) f##_f64_avx512
#define INDEX __m512i
#define PLACES(p) _mm512_loadu_si512(p)
#define EXCHANGE(x, places, y) _mm512_permutex2var_pd(x, places, y)
#define VEC __m512d
#define LANES 8
#define ZERO() _mm512_setzero_pd()
#define LOAD(p) _mm512_loadu_pd(p)
#define STORE(p, x) _mm512_storeu_pd(p, x)
#define LOAD_PART(p, n) _mm512_maskz_loadu_pd(first_of_8(n), p)
#define STORE_PART(p, x, n) _mm512_mask_storeu_pd(p, first_of_8(n), x)
#define GATHER(p, step, n)                                                                         \
    _mm512_mask_i64gather_pd(                                                                      \
        _mm512_setzero_pd(), first_of_8(n),                                                        \
        _mm512_mullo_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(step)), p, \
        8)
#define SPREAD(x) _mm512_set1_pd(x)
#define ADD(x, y) _mm512_add_pd(x, y)
#define FMA(x, y, z) _mm512_fmadd_pd(x, y, z)
#include "ops/gemm_tiles.inc"

#include "core/target_end.h"

/* ---- the one of the level in use */

#define GEMM_TILES(real, type)                                                                    \
    bool tarn__gemm_tiles_##type(int64_t m, int64_t n, int64_t k, tarn__matrix a, tarn__matrix b, \
                                 real *c, int64_t c_row, bool add)                                \
    {                                                                                             \
        switch (tarn__simd()) {                                                                   \
        case TARN__SIMD_AVX512: return gemm_tiles_##type##_avx512(m, n, k, a, b, c, c_row, add);  \
        case TARN__SIMD_AVX2: return gemm_tiles_##type##_avx2(m, n, k, a, b, c, c_row, add);      \
        default: return false;                                                                    \
        }                                                                                         \
    }

#else

#define GEMM_TILES(real, type)                                                                    \
    bool tarn__gemm_tiles_##type(int64_t m, int64_t n, int64_t k, tarn__matrix a, tarn__matrix b, \
                                 real *c, int64_t c_row, bool add)                                \
    {                                                                                             \
        (void)m, (void)n, (void)k, (void)a, (void)b, (void)c, (void)c_row, (void)add;             \
        return false;                                                                             \
    }

#endif

GEMM_TILES(float, f32)
GEMM_TILES(double, f64)
