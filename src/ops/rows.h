/* SPDX-License-Identifier: MIT
 * rows.h - a tensor without gaps as rows along one of its axes. */
#ifndef TARN_OPS_ROWS_H
#define TARN_OPS_ROWS_H

#include "core/tensor.h"

/* `before` x n x `after` elements, of which row (i, j) has those at i * n * after + j and then
 * every `after`. */
typedef struct tarn__rows {
    int64_t before, n, after;
} tarn__rows;

static inline tarn__rows tarn__rows_of(const tarn__layout *layout, int axis)
{
    tarn__rows r = { 1, layout->dims[axis], 1 };
    for (int i = 0; i < axis; i++) r.before *= layout->dims[i];
    for (int i = axis + 1; i < layout->ndim; i++) r.after *= layout->dims[i];
    return r;
}

/* Where row number `row` begins, of before * after: (row / after, row % after). */
static inline int64_t tarn__row_begin(const tarn__rows *r, int64_t row)
{
    return r->after == 1 ? row * r->n : row / r->after * r->n * r->after + row % r->after;
}

#endif
