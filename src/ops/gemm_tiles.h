/* SPDX-License-Identifier: MIT
 * gemm_tiles.h - matrix products of our own, for the levels of vectors that have them. */
#ifndef TARN_OPS_GEMM_TILES_H
#define TARN_OPS_GEMM_TILES_H

#include <stdbool.h>
#include <stdint.h>

#include "ops/gemm.h"

/* c (m,n) = a (m,k) b (k,n), or c += a b if `add`; rows of c begin c_row elements apart, operands
 * have any strides. Every element is the sum of its k products in their order, each a fused
 * multiply-add, in pieces of at most 256; the pieces are the same for every m and n. But where a
 * row of a and a column of b each lie without gaps, and m or n is at most 8 with k above
 * 16, or 16 with k from 256 on, 64 bytes of sums are kept side by side. False, with nothing done,
 * at the plain level, for one row or column unless k is at least 256 and both lie so, and for
 * strides that are out of reach. */
bool tarn__gemm_tiles_f32(int64_t m, int64_t n, int64_t k, tarn__matrix a, tarn__matrix b, float *c,
                          int64_t c_row, bool add);
bool tarn__gemm_tiles_f64(int64_t m, int64_t n, int64_t k, tarn__matrix a, tarn__matrix b,
                          double *c, int64_t c_row, bool add);

#endif
