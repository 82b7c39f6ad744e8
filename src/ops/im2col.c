/* SPDX-License-Identifier: MIT
 * im2col.c - the columns of an image, and back. Both walk the same way: for each place of the
 * kernel in turn along the rows of windows, of which one part sees x and the rest padding. */
#include "ops/im2col.h"

#include <string.h>

/* One place of the kernel in one channel of one image. */
typedef struct tap {
    const tarn__conv *c;
    int64_t row;        /* of x, that window 0 sees: negative in the padding */
    int64_t column;     /* the same */
    int64_t begin, end; /* the windows along a row whose column is inside x */
} tap;

/* The least j >= 0 with from + j stride >= to. */
static int64_t first_at(int64_t from, int64_t stride, int64_t to)
{
    return from >= to ? 0 : (to - from + stride - 1) / stride;
}

static tap tap_of(const tarn__conv *c, int64_t r, int64_t s)
{
    const tarn__window *w = &c->columns;
    tap t = { .c = c,
              .row = r * c->rows.dilation - c->rows.padding,
              .column = s * w->dilation - w->padding };
    t.end = first_at(t.column, w->stride, w->size);
    if (t.end > w->count) t.end = w->count;
    t.begin = first_at(t.column, w->stride, 0);
    if (t.begin > t.end) t.begin = t.end;
    return t;
}

/* Windows of one row, as the tap sees them. */
typedef struct stretch {
    int64_t before, inside, after; /* so many: padding, x, padding */
    int64_t x;                     /* where the first inside is, from the channel's first element */
} stretch;

/* Of windows [j, j + n) of row i. */
static stretch stretch_of(const tap *t, int64_t i, int64_t j, int64_t n)
{
    const int64_t row = t->row + i * t->c->rows.stride;
    int64_t begin = t->begin > j ? t->begin : j, end = t->end < j + n ? t->end : j + n;
    if (row < 0 || row >= t->c->rows.size || begin >= end) begin = end = j;
    const int64_t column = t->column + begin * t->c->columns.stride;
    return (stretch){ .before = begin - j,
                      .inside = end - begin,
                      .after = j + n - end,
                      .x = row * t->c->columns.size + column };
}

#define TARN_KERNELS "ops/im2col.inc"
#include "ops/for_each_float.h"
