/* SPDX-License-Identifier: MIT
 * vmath.c - the functions of vmath.h at every level. */
#include "ops/vmath.h"

#include <math.h>
#include <tgmath.h>

#define TARN_KERNELS "ops/vmath_plain.inc"

#if !TARN_SLEEF

#include "ops/for_each_simd.h"

#else

#include "ops/for_each_float.h"

#include <immintrin.h>

/* SLEEF's functions are declared here and not by <sleef.h>, which shows those of a level only to
 * files compiled for it: these are compiled for two. */
#define SLEEF_LIST(X) \
    X(exp, u10)       \
    X(expm1, u10)     \
    X(log, u10) X(log1p, u10) X(tanh, u10) X(sin, u10) X(cos, u10) X(erf, u10) X(erfc, u15)

/* What vmath_vector.inc is written in: vectors of WIDTH elements; loads and stores, of all elements
 * or of the first n (the others are 0, or stay untouched); and, where |x| is below or
 * above a bound, and where any is. */

#include "core/target_avx2.h"

/* x 2^n for whole n, -252 <= n <= 254, in two steps of which only the last may round. */
static inline __m256 scaled_avx2(__m256 x, __m256 n)
{
    const __m256i whole = _mm256_cvtps_epi32(n), one = _mm256_set1_epi32(127);
    const __m256i half = _mm256_srai_epi32(whole, 1), rest = _mm256_sub_epi32(whole, half);
    x = _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, one), 23)));
    return _mm256_mul_ps(x,
                         _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, one), 23)));
}

/* Eight words of ones and then eight of zeros: the mask of the first n begins n before the zeros.
 */
static const int32_t mask_words[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };

#define REAL float
#define REAL_C(x) x##f
#define REAL_IS_F32 1
#define NAME(f) f##_f32_avx2
#define SLEEF(f, error) Sleef_finz_##f##f8_##error##avx2
#define VECTOR __m256
#define WIDTH 8
#define MASK __m256
#define FIRST(n) _mm256_loadu_si256((const __m256i *)(const void *)(mask_words + 8 - (n)))
#define LOAD(x) _mm256_loadu_ps(x)
#define LOAD_FIRST(n, x) _mm256_maskload_ps(x, FIRST(n))
#define STORE(y, v) _mm256_storeu_ps(y, v)
#define STORE_FIRST(n, y, v) _mm256_maskstore_ps(y, FIRST(n), v)
#define ALL(x) _mm256_set1_ps(x)
#define SIZE(v) _mm256_andnot_ps(ALL(-0.0f), v)
#define IS_LESS(a, b) _mm256_cmp_ps(a, b, _CMP_LT_OQ)
#define ANY(mask) _mm256_movemask_ps(mask)
#define CHOOSE(mask, a, b) _mm256_blendv_ps(b, a, mask)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define LARGER(a, b) _mm256_max_ps(a, b)
#define SMALLER(a, b) _mm256_min_ps(a, b)
#define SCALED(x, n) scaled_avx2(x, n)
#include "ops/vmath_vector.inc"

#define REAL double
#define REAL_C(x) x
#define REAL_IS_F32 0
#define NAME(f) f##_f64_avx2
#define SLEEF(f, error) Sleef_finz_##f##d4_##error##avx2
#define VECTOR __m256d
#define WIDTH 4
#define MASK __m256d
#define FIRST(n) _mm256_loadu_si256((const __m256i *)(const void *)(mask_words + 8 - 2 * (n)))
#define LOAD(x) _mm256_loadu_pd(x)
#define LOAD_FIRST(n, x) _mm256_maskload_pd(x, FIRST(n))
#define STORE(y, v) _mm256_storeu_pd(y, v)
#define STORE_FIRST(n, y, v) _mm256_maskstore_pd(y, FIRST(n), v)
#define ALL(x) _mm256_set1_pd(x)
#define SIZE(v) _mm256_andnot_pd(ALL(-0.0), v)
#define IS_LESS(a, b) _mm256_cmp_pd(a, b, _CMP_LT_OQ)
#define ANY(mask) _mm256_movemask_pd(mask)
#define CHOOSE(mask, a, b) _mm256_blendv_pd(b, a, mask)
#include "ops/vmath_vector.inc"

#include "core/target_end.h"

#include "core/target_avx512.h"

#define REAL float
#define REAL_C(x) x##f
#define REAL_IS_F32 1
#define NAME(f) f##_f32_avx512
#define SLEEF(f, error) Sleef_finz_##f##f16_##error##avx512f
#define VECTOR __m512
#define WIDTH 16
#define MASK __mmask16
#define FIRST(n) (__mmask16)((1u << (n)) - 1)
#define LOAD(x) _mm512_loadu_ps(x)
#define LOAD_FIRST(n, x) _mm512_maskz_loadu_ps(FIRST(n), x)
#define STORE(y, v) _mm512_storeu_ps(y, v)
#define STORE_FIRST(n, y, v) _mm512_mask_storeu_ps(y, FIRST(n), v)
#define ALL(x) _mm512_set1_ps(x)
#define SIZE(v) _mm512_andnot_ps(ALL(-0.0f), v)
#define IS_LESS(a, b) _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ)
#define ANY(mask) (mask)
#define CHOOSE(mask, a, b) _mm512_mask_blend_ps(mask, b, a)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define LARGER(a, b) _mm512_max_ps(a, b)
#define SMALLER(a, b) _mm512_min_ps(a, b)
#define SCALED(x, n) _mm512_scalef_ps(x, n)
#include "ops/vmath_vector.inc"

#define REAL double
#define REAL_C(x) x
#define REAL_IS_F32 0
#define NAME(f) f##_f64_avx512
#define SLEEF(f, error) Sleef_finz_##f##d8_##error##avx512f
#define VECTOR __m512d
#define WIDTH 8
#define MASK __mmask8
#define FIRST(n) (__mmask8)((1u << (n)) - 1)
#define LOAD(x) _mm512_loadu_pd(x)
#define LOAD_FIRST(n, x) _mm512_maskz_loadu_pd(FIRST(n), x)
#define STORE(y, v) _mm512_storeu_pd(y, v)
#define STORE_FIRST(n, y, v) _mm512_mask_storeu_pd(y, FIRST(n), v)
#define ALL(x) _mm512_set1_pd(x)
#define SIZE(v) _mm512_andnot_pd(ALL(-0.0), v)
#define IS_LESS(a, b) _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ)
#define ANY(mask) (mask)
#define CHOOSE(mask, a, b) _mm512_mask_blend_pd(mask, b, a)
#include "ops/vmath_vector.inc"

#include "core/target_end.h"

#endif
