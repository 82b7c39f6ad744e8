/* SPDX-License-Identifier: MIT
 * loop.h - walking over the elements of several tensors at once, whatever their strides.
 *
 * A loop visits every index of a shape, last axis fastest, and knows where in each operand the
 * element of that index is. Operands align at the last axis and broadcast: along an axis that they
 * lack, or have with size 1, they stay in place. Axes that lie behind one another without a gap in
 * every operand are walked as one, so that the innermost, which the caller writes as a plain loop,
 * is long:
 *
 *     tarn__loop_begin(&loop, &y->layout, 2, layouts_of_y_and_x);
 *     do {
 *         float *row = y_data + loop.offset[0];
 *         for (int64_t i = 0; i < loop.n; i++) row[i * loop.step[0]] = ...;
 *     } while (tarn__loop_next(&loop));
 *
 * An empty shape is one row of no elements. When the last row is done the loop stands at the first
 * again. */
#ifndef TARN_OPS_LOOP_H
#define TARN_OPS_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/tensor.h"

enum { TARN__LOOP_OPERANDS = 4 };

typedef struct tarn__loop {
    int64_t n;                           /* elements of a row */
    int64_t step[TARN__LOOP_OPERANDS];   /* from one element of a row to the next, in elements */
    int64_t offset[TARN__LOOP_OPERANDS]; /* of the row, in elements after the operand's first */
    int n_operands;
    int n_axes; /* around the rows, outermost first */
    int64_t size[TARN_MAX_DIMS];
    int64_t place[TARN_MAX_DIMS];
    int64_t stride[TARN_MAX_DIMS][TARN__LOOP_OPERANDS];
} tarn__loop;

void tarn__loop_begin(tarn__loop *loop, const tarn__layout *shape, int n_operands,
                      const tarn__layout *const *operands);

/* The same over the axes of `shape` whose bit is set in `axes`, the operands staying at place 0 of
 * the others. */
void tarn__loop_begin_axes(tarn__loop *loop, const tarn__layout *shape, uint32_t axes,
                           int n_operands, const tarn__layout *const *operands);

/* The axes of y along which x, an operand that broadcasts to it or its gradient, is repeated: one
 * bit an axis. */
uint32_t tarn__repeated_axes(const tarn__layout *x, const tarn__layout *y);

/* Goes to the next row; false, and back to the first, when there is none. */
static inline bool tarn__loop_next(tarn__loop *loop)
{
    for (int axis = loop->n_axes - 1; axis >= 0; axis--) {
        const bool more = ++loop->place[axis] < loop->size[axis];
        const int64_t *stride = loop->stride[axis];
        const int64_t by = more ? 1 : 1 - loop->size[axis];
        for (int i = 0; i < loop->n_operands; i++) loop->offset[i] += by * stride[i];
        if (more) return true;
        loop->place[axis] = 0;
    }
    return false;
}

/* The sum of n elements without gaps, in double and always in the same order. */
double tarn__sum_f32(const float *x, int64_t n);
double tarn__sum_f64(const double *x, int64_t n);

/* Adds to sum[j] column j of a matrix of n rows of w elements, whose rows begin `row` elements
 * apart; in double and always in the same order. */
void tarn__sum_columns_f32(const float *x, int64_t n, int64_t w, int64_t row, double *sum);
void tarn__sum_columns_f64(const double *x, int64_t n, int64_t w, int64_t row, double *sum);

#define tarn__sum(x, n) _Generic(*(x), float : tarn__sum_f32, double : tarn__sum_f64)(x, n)
#define tarn__sum_columns(x, n, w, row, sum) \
    _Generic(*(x), float : tarn__sum_columns_f32, double : tarn__sum_columns_f64)(x, n, w, row, sum)

/* Before a loop whose iterations are independent although its pointers may be equal: it may be
 * vectorised. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed" /* without optimisation it is not */
#define TARN__INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define TARN__INDEPENDENT _Pragma("GCC ivdep")
#else
#define TARN__INDEPENDENT
#endif

#endif
