/* SPDX-License-Identifier: MIT
 * lanes.h - sums and products over rows, in double and by vectors, for kernels that include
 * ops/lanes.inc.
 *
 * IN_LANES adds up k formulas of the elements of a row of n. This makes the sum of all x[i] - m and
 * that of their squares:
 *
 *     double sum[2];
 *     IN_LANES(2, +, 0, n, sum, const NUMBER d = TAKE(x) - m; term[0] = d; term[1] = d * d);
 *
 * With * and 1 in place of + and 0 it multiplies. The statements are compiled for vectors and for
 * single numbers: NUMBER is either type, TAKE(x) what is to be taken of the array x, as doubles,
 * and term[] are the values of the formulas. They are made of + - * / and SIZE(v) = |v|; on the way
 * ADD_UP(sums, v) adds to an array of doubles, one for each element.
 * EACH_IN_DOUBLE does the like for results that are as many as the elements.
 *
 * The order is the same at every level of simd.h and for every compiler. Element i goes to lane
 * i % 32; then the upper half of the lanes is added to the lower until 8 are left, what is behind
 * the last multiple of 8 elements to the first of these, and halves again. Rows of fewer than 16
 * are added up one element after the other, which lets several rows overlap. */
#ifndef TARN_OPS_LANES_H
#define TARN_OPS_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/simd.h"
#include "ops/loop.h"

#if TARN__SIMD_X86
#include <immintrin.h>
#endif

enum { LANES = 32, LANES_LEFT = 8, LANES_FEW = 16 };

/* Of the level's vectors: doubles in one, vectors that hold all lanes, those that hold the last. */
#define LANES_WIDTH (TARN__LEVEL_BYTES / (int)sizeof(double))
#define LANES_VECTORS (LANES / LANES_WIDTH)
#define LANES_LAST (LANES_LEFT / LANES_WIDTH)

#define NUMBER __typeof__(term[0])
#define TAKE(x) _Generic(term[0], double : (double)(x)[i], default : NAME(take)((x) + i))
#define ADD_UP(sums, v) \
    _Generic(term[0], double : NAME(add_up), default : NAME(add_up_wide))((sums) + i, v)
#define SIZE(v) _Generic((v), double : NAME(size), default : NAME(sizes))(v)

#define IN_LANES(k, op, unit, count, result, ...)                                            \
    do {                                                                                     \
        const int64_t all_n = (count), eights = all_n / LANES_LEFT * LANES_LEFT;             \
        double *const results = (result);                                                    \
        int64_t i = 0;                                                                       \
        if (all_n < LANES_FEW) {                                                             \
            for (int t = 0; t < (k); t++) results[t] = (unit);                               \
            for (; i < all_n; i++)                                                           \
                LANES_TERMS(k, double, results[t] = results[t] op term[t], __VA_ARGS__)      \
            break;                                                                           \
        }                                                                                    \
        NAME(wide) lane[k][LANES_VECTORS];                                                   \
        double last[k][LANES_LEFT];                                                          \
        for (int t = 0; t < (k); t++)                                                        \
            for (int v = 0; v < LANES_VECTORS; v++) lane[t][v] = (NAME(wide)){ 0 } + (unit); \
        while (i + LANES <= all_n)                                                           \
            for (int v = 0; v < LANES_VECTORS; v++, i += LANES_WIDTH)                        \
                LANES_TERMS(k, NAME(wide), lane[t][v] = lane[t][v] op term[t], __VA_ARGS__)  \
        for (int v = 0; v < LANES_VECTORS - LANES_LAST && i < eights; v++, i += LANES_WIDTH) \
            LANES_TERMS(k, NAME(wide), lane[t][v] = lane[t][v] op term[t], __VA_ARGS__)      \
        for (int t = 0; t < (k); t++) {                                                      \
            for (int half = LANES_VECTORS / 2; half >= LANES_LAST; half /= 2)                \
                for (int v = 0; v < half; v++) lane[t][v] = lane[t][v] op lane[t][v + half]; \
            memcpy(last[t], lane[t], sizeof(last[t]));                                       \
        }                                                                                    \
        for (; i < all_n; i++)                                                               \
            LANES_TERMS(k, double, last[t][i - eights] = last[t][i - eights] op term[t],     \
                        __VA_ARGS__)                                                         \
        for (int t = 0; t < (k); t++)                                                        \
            results[t] = ((last[t][0] op last[t][4])op(last[t][2] op last[t][6]))op(         \
                (last[t][1] op last[t][5])op(last[t][3] op last[t][7]));                     \
    } while (0)

/* The values of the formulas at i, and how each is used. */
#define LANES_TERMS(k, type, use, ...)     \
    {                                      \
        type term[k];                      \
        __VA_ARGS__;                       \
        for (int t = 0; t < (k); t++) use; \
    }

/* Stores the value of term[0] for each of n elements, computed in double and rounded, or adds it:
 * statements as above. `to` may be any of the arrays that they take. */
#define EACH_IN_DOUBLE(count, to, add, ...)                                                   \
    do {                                                                                      \
        const int64_t all_n = (count);                                                        \
        int64_t i = 0;                                                                        \
        for (; i + LANES_WIDTH <= all_n; i += LANES_WIDTH)                                    \
            LANES_TERMS(1, NAME(wide), NAME(give)((to) + i, term[t], add), __VA_ARGS__)       \
        for (; i < all_n; i++)                                                                \
            LANES_TERMS(1, double, (to)[i] = (add) ? (to)[i] + (REAL)term[t] : (REAL)term[t], \
                        __VA_ARGS__)                                                          \
    } while (0)

/* The sum of (x - mean)^2 over n terms, from the sums of d = x - first and of d^2; and mean -
 * first. Nothing is lost in the difference where `first` is one of the terms: then (mean - first)^2
 * is not more than this sum, and where all terms are equal both sums are 0. */
static inline double tarn__centered_squares(const double *sum, double n, double *from_first)
{
    *from_first = sum[0] / n;
    const double squares = sum[1] - sum[0] * *from_first;
    return squares < 0 ? 0 : squares;
}

#endif
