/* SPDX-License-Identifier: MIT
 * pooling_walk.h - how pooling walks over windows: the sizes of a call, the windows that are
 * computed side by side, and those that are one by one. */
#ifndef TARN_OPS_POOLING_WALK_H
#define TARN_OPS_POOLING_WALK_H

#include "ops/pooling.h"
#include "ops/window.h"

/* ---- sizes */

typedef struct pooling {
    int64_t channels; /* of all images */
    int64_t H_W;      /* elements of a channel of x */
    tarn__window rows, columns;
    bool count_inside;
} pooling;

/* The window of axis 0 (rows) or 1 (columns) of an operation; size and count are left 0, and the
 * kernel of an adaptive one. */
static tarn__window window_of(const tarn__attr *attr, int axis)
{
    if (attr->choice == TARN__POOLING_1D && axis == 0)
        return (tarn__window){
            .size = 1, .kernel = 1, .stride = 1, .padding = 0, .dilation = 1, .count = 1
        };
    if (attr->choice == TARN__POOLING_ADAPTIVE) return (tarn__window){ .dilation = 1 };
    return (tarn__window){ .kernel = attr->sizes[axis],
                           .stride = attr->sizes[2 + axis],
                           .padding = attr->sizes[4 + axis],
                           .dilation = 1 };
}

/* Adaptive windows that share an axis without a rest slide, too; others have no kernel. */
static void set_sizes(tarn__window *w, int64_t size, int64_t count)
{
    w->size = size;
    w->count = count;
    if (w->kernel == 0 && count > 0 && size % count == 0) w->kernel = w->stride = size / count;
}

/* x is pooled to y, or spread from it. */
static pooling pooling_of(const tarn__call *call, const tarn_tensor *x, const tarn_tensor *y)
{
    const int last = x->layout.ndim - 1;
    pooling p = { .channels = x->layout.dims[0] * x->layout.dims[1],
                  .rows = window_of(call->attr, 0),
                  .columns = window_of(call->attr, 1),
                  .count_inside = call->attr->keep };
    if (last == 3) set_sizes(&p.rows, x->layout.dims[2], y->layout.dims[2]);
    set_sizes(&p.columns, x->layout.dims[last], y->layout.dims[last]);
    p.H_W = p.rows.size * p.columns.size;
    return p;
}

/* A window along one axis: the places [begin, end) inside x, and how many count. */
typedef struct span {
    int64_t begin, end, n;
} span;

static span span_of(const pooling *p, const tarn__window *w, int64_t i)
{
    if (w->kernel == 0) {
        const int64_t begin = i * w->size / w->count;
        const int64_t end = ((i + 1) * w->size + w->count - 1) / w->count;
        return (span){ begin, end, end - begin };
    }
    const int64_t first = i * w->stride - w->padding, behind = first + w->kernel;
    const int64_t begin = first < 0 ? 0 : first, end = behind < w->size ? behind : w->size;
    return (span){ begin, end, p->count_inside ? end - begin : w->kernel };
}

/* ---- strips: windows beside one another that are all inside x, and computed side by side */

enum {
    PIECE = 128, /* windows of a row at once */
    WIDE = 16    /* what a row of them may be rounded up to, of what is there of x and y */
};

/* Of the windows along an axis, [begin, end) see no padding and have one size; n of them. */
static span inner_windows(const tarn__window *w)
{
    if (w->kernel == 0 || w->size + w->padding < w->kernel) return (span){ 0 };
    span inner = { (w->padding + w->stride - 1) / w->stride,
                   (w->size + w->padding - w->kernel) / w->stride + 1, 0 };
    if (inner.end > w->count) inner.end = w->count;
    inner.n = inner.end - inner.begin;
    return inner.n > 0 ? inner : (span){ 0 };
}

/* How a channel is walked: the columns of y that lie in strips, and the rows that do so together.
 * Two windows beside one another are not worth a strip. */
typedef struct walk {
    const pooling *p;
    span columns, rows;
    bool strips, singles; /* whether there are windows of either kind */
} walk;

static walk walk_of(const pooling *p)
{
    walk w = { p, inner_windows(&p->columns), inner_windows(&p->rows), true, true };
    w.strips = w.columns.n >= 3;
    if (!w.strips) w.columns = (span){ 0 };
    w.singles = w.columns.n < p->columns.count;
    return w;
}

typedef struct strip {
    int64_t x, y;                  /* where the first window begins, and where it is in y */
    int64_t row;                   /* from one row of x to the next */
    int64_t height, width, stride; /* of a window */
    int64_t n;                     /* windows of a row of y */
    int64_t rows, x_step, y_step;  /* so many rows, and from one to the next in x and in y */
    double elements;               /* that a mean is divided by */
} strip;

/* The strip that begins at row i of y: of the rows that belong together, or of one. */
static strip strip_at(const walk *w, int64_t i)
{
    const pooling *p = w->p;
    const span rows = span_of(p, &p->rows, i);
    return (strip){ .x = rows.begin * p->columns.size + w->columns.begin * p->columns.stride -
                         p->columns.padding,
                    .y = i * p->columns.count + w->columns.begin,
                    .row = p->columns.size,
                    .height = rows.end - rows.begin,
                    .width = p->columns.kernel,
                    .stride = p->columns.stride,
                    .n = w->columns.n,
                    .rows = i == w->rows.begin && w->rows.n > 0 ? w->rows.n : 1,
                    .x_step = p->rows.stride * p->columns.size,
                    .y_step = p->columns.count,
                    .elements = (double)(rows.n * p->columns.kernel) };
}

/* Row i begins a strip: *s, unless it is that already. Structures are not copied between channels:
 * read at once what was written in parts, they would wait for all that has been stored. */
static void next_strip(const walk *w, int64_t i, strip *s)
{
    if (s->rows == 0 || s->y != i * w->p->columns.count + w->columns.begin) *s = strip_at(w, i);
}

/* The windows of a row, rounded up to whole vectors if x and y go on for so long. What is stored
 * behind the end of a row is stored again, with what belongs there: by the next row or channel, or
 * by the windows that are computed one by one, after all strips. (Not where the pieces of rows are
 * computed below one another: the next row would have been begun.) */
static int64_t rounded_up(const strip *s, int64_t x_left, int64_t y_left)
{
    const int64_t n = (s->n + WIDE - 1) / WIDE * WIDE;
    const int64_t x_end = s->x + (s->rows - 1) * s->x_step + (s->height - 1) * s->row +
                          (n - 1) * s->stride + s->width;
    if (n > PIECE && s->rows > 1) return s->n;
    const bool fits = s->y + (s->rows - 1) * s->y_step + n <= y_left && x_end <= x_left;
    return fits ? n : s->n;
}

/* ---- tiles: windows that cover x without a gap, a rest or a place twice */

static bool is_tiled(const tarn__window *w)
{
    return w->kernel > 0 && w->kernel == w->stride && w->padding == 0 &&
           w->count * w->stride == w->size;
}

static bool are_tiles(const pooling *p) { return is_tiled(&p->rows) && is_tiled(&p->columns); }

/* The tiles of a channel as a strip. */
static strip tiles_of(const pooling *p)
{
    return (strip){ .row = p->columns.size,
                    .height = p->rows.kernel,
                    .width = p->columns.kernel,
                    .stride = p->columns.kernel,
                    .n = p->columns.count,
                    .rows = p->rows.count,
                    .x_step = p->rows.kernel * p->columns.size,
                    .y_step = p->columns.count,
                    .elements = (double)(p->rows.kernel * p->columns.kernel) };
}

/* Before a loop over the places of a window, whose number is constant: gcc makes vectors of what is
 * around it if nothing of it is left. */
#define UNROLLED _Pragma("GCC unroll 16")

#endif
