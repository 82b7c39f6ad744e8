/* SPDX-License-Identifier: MIT
 * lines.c - the walk over lines of which selection by indices consists.
 *
 * A line runs along the axis: n places of y with the indices that belong to them, and `size` places
 * of x, to which the indices point. A list of indices is the same for every line. */
#include "ops/lines.h"

#include <string.h>

#include "core/size.h"
#include "ops/loop.h"
#include "ops/op_list.h"
#include "ops/shapes.h"

enum {
    LINES = 8,  /* of which sums are computed together: of every element by itself */
    PIECE = 256 /* and of whole slices */
};

/* ---- lines */

typedef struct lines {
    tarn__loop loop; /* over the lines of y, x and the indices, in this order */
    int64_t n, size;
    int64_t y, x, at; /* strides along the axis, in elements */
    const int64_t *indices;
} lines;

static bool is_list(const tarn__call *call)
{
    return call->op == &tarn__op_index_select || call->op == &tarn__op_index_add;
}

/* The indices as they are read: without gaps, in the shape of what is gathered, a list standing
 * along all other axes of it. */
static void lay_out_indices(const tarn__call *call, const tarn__layout *x, tarn__layout *l)
{
    const tarn__layout *given = &call->in[1]->layout;
    const int axis = call->attr->axis;
    *l = *given;
    if (!is_list(call)) {
        int64_t stride = 1;
        for (int i = l->ndim - 1; i >= 0; i--) {
            l->strides[i] = stride;
            stride *= l->dims[i];
        }
        return;
    }
    *l = *x;
    for (int i = 0; i < l->ndim; i++) l->strides[i] = i == axis;
    l->dims[axis] = given->dims[0];
}

/* The lines of x and y, the indices standing at the start of the scratch. */
static void begin(lines *l, const tarn__call *call, const tarn__layout *x, const tarn__layout *y)
{
    tarn__layout at;
    const int axis = call->attr->axis;
    lay_out_indices(call, x, &at);
    *l = (lines){ .n = at.dims[axis],
                  .size = x->dims[axis],
                  .y = y->strides[axis],
                  .x = x->strides[axis],
                  .at = at.strides[axis],
                  .indices = call->scratch != NULL ? call->scratch->data : NULL };
    const tarn__layout *const operands[] = { y, x, &at };
    tarn__loop_begin_axes(&l->loop, &at, ~(1U << axis), 3, operands);
}

/* ---- scratch: the indices, and what sums need: of lists two lists of places, else LINES lines of
 * doubles */

static bool sums(const tarn__call *call)
{
    const bool adds = call->op == &tarn__op_scatter_add || call->op == &tarn__op_index_add;
    return adds == (call->dout == NULL);
}

size_t tarn__lines_scratch(const tarn__call *call)
{
    const size_t n = tarn__elements(call->in[1]);
    const size_t size = (size_t)call->in[0]->layout.dims[call->attr->axis];
    size_t bytes, more = 0;
    bool fits = tarn__size_mul(n, sizeof(int64_t), &bytes);
    if (sums(call)) {
        fits = fits && tarn__size_mul(size, (is_list(call) ? 1 : LINES) * sizeof(double), &more) &&
               (!is_list(call) || tarn__size_add(more, bytes, &more));
        fits = fits && tarn__size_add(bytes, more, &bytes);
    }
    return fits ? bytes : SIZE_MAX;
}

/* Behind the indices. */
static void *room(const tarn__call *call)
{
    return (int64_t *)call->scratch->data + tarn__elements(call->in[1]);
}

/* The places of a list that name each place of x, in order: first[p] and next[i], -1 at the end. */
static void chain(const lines *l, int64_t *first, int64_t *next)
{
    for (int64_t p = 0; p < l->size; p++) first[p] = -1;
    for (int64_t i = l->n - 1; i >= 0; i--) {
        next[i] = first[l->indices[i]];
        first[l->indices[i]] = i;
    }
}

tarn_status tarn__lines_read(const tarn__call *call)
{
    if (call->in[1]->layout.numel == 0) return TARN_OK;
    return tarn__read_indices(call, 1, call->in[0]->layout.dims[call->attr->axis],
                              call->scratch->data);
}

/* Before loops that are no vectors, and of so few instructions that those of the loop count. */
#define UNROLLED _Pragma("GCC unroll 4")

#define TARN_KERNELS "ops/lines.inc"
#include "ops/for_each_simd.h"

/* ---- y (+)= x at the indices, for every line */

/* Elements of one byte. */
static void take_u8(lines *l, void *y_data, const void *x_data)
{
    const int64_t y_step = l->loop.step[0], x_step = l->loop.step[1], step = l->loop.step[2];
    do {
        uint8_t *y = (uint8_t *)y_data + l->loop.offset[0];
        const uint8_t *x = (const uint8_t *)x_data + l->loop.offset[1];
        const int64_t *at = l->indices + l->loop.offset[2];
        for (int64_t i = 0; i < l->n; i++)
            for (int64_t k = 0; k < l->loop.n; k++)
                y[k * y_step + i * l->y] = x[k * x_step + at[k * step + i * l->at] * l->x];
    } while (tarn__loop_next(&l->loop));
}

void tarn__lines_take(const tarn__call *call, tarn_tensor *y, const tarn_tensor *x, bool add)
{
    static void (*const stored[][2])(lines *, void *, const void *) = TARN__KERNELS(take_stored);
    static void (*const added[][2])(lines *, void *, const void *) = TARN__KERNELS(take_added);
    const size_t bytes = tarn__dtype_size(y->layout.dtype);
    lines l;
    begin(&l, call, &x->layout, &y->layout);
    if (l.n == 0 || l.loop.n == 0) return;
    if (bytes == 1) take_u8(&l, y->data, x->data);
    else (add ? added : stored)[tarn__simd()][bytes == sizeof(double)](&l, y->data, x->data);
}

/* ---- x += y at the indices, for every line */

void tarn__lines_put(const tarn__call *call, tarn_tensor *x, const tarn_tensor *y)
{
    static void (*const puts[][2])(lines *, const tarn__call *, void *, const void *) =
        TARN__KERNELS(put);
    lines l;
    begin(&l, call, &x->layout, &y->layout);
    if (l.n == 0 || l.loop.n == 0) return;
    puts[tarn__simd()][x->layout.dtype == TARN_F64](&l, call, x->data, y->data);
}
