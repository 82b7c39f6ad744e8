/* SPDX-License-Identifier: MIT
 * gemm.h - matrix products. gemm.c is the one door to BLAS. */
#ifndef TARN_OPS_GEMM_H
#define TARN_OPS_GEMM_H

#include <stdbool.h>
#include <stdint.h>

/* A matrix operand in row-major terms: element (r, c) is at data[r * row + c * column], one of the
 * strides being 1 and the other at least the length it spans (any value where that length is 1). */
typedef struct tarn__matrix {
    const void *data;
    int64_t row, column; /* strides in elements */
} tarn__matrix;

static inline tarn__matrix tarn__transposed(tarn__matrix x)
{
    return (tarn__matrix){ x.data, x.column, x.row };
}

/* c (M,N) = a (M,K) b (K,N), or c += a b if `add`; c has rows of n elements without gaps and
 * overlaps neither operand. K = 0 gives zeros (or leaves c). Sizes beyond BLAS's integers are
 * split. The smallest products run in plain C, the others in tiles of our own (gemm_tiles.h) where
 * the processor has AVX2, else in BLAS, and those of one row or column mostly there; results of the
 * three differ in rounding only. */
void tarn__gemm_f32(int64_t m, int64_t n, int64_t k, tarn__matrix a, tarn__matrix b, float *c,
                    bool add);
void tarn__gemm_f64(int64_t m, int64_t n, int64_t k, tarn__matrix a, tarn__matrix b, double *c,
                    bool add);

/* The same where the rows of c begin c_row >= n elements apart. */
void tarn__gemm_into_f32(int64_t m, int64_t n, int64_t k, tarn__matrix a, tarn__matrix b, float *c,
                         int64_t c_row, bool add);
void tarn__gemm_into_f64(int64_t m, int64_t n, int64_t k, tarn__matrix a, tarn__matrix b, double *c,
                         int64_t c_row, bool add);

/* The one for the type of c. */
#define tarn__gemm(m, n, k, a, b, c, add) \
    _Generic((c), float * : tarn__gemm_f32, double * : tarn__gemm_f64)(m, n, k, a, b, c, add)

#define tarn__gemm_into(m, n, k, a, b, c, c_row, add) \
    _Generic((c), float * : tarn__gemm_into_f32, double * : tarn__gemm_into_f64)( \
        m, n, k, a, b, c, c_row, add)

/* The plain C product of any strides, for small sizes and as the tests' oracle. */
void tarn__gemm_plain_f32(int64_t m, int64_t n, int64_t k, tarn__matrix a, tarn__matrix b, float *c,
                          bool add);
void tarn__gemm_plain_f64(int64_t m, int64_t n, int64_t k, tarn__matrix a, tarn__matrix b,
                          double *c, bool add);

#endif
