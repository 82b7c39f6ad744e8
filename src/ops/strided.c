/* SPDX-License-Identifier: MIT
 * strided.c - copies and additions of any strides, as permuted, flipped, sliced and expanded
 * tensors have them.
 *
 * Where elements of y lie side by side along one axis and those of x along another, both axes are
 * walked at once as a rectangle that is transposed: element by element, each would take a line of
 * the cache of its own. */
#include <string.h>

#include "core/values.h"
#include "ops/loop.h"
#include "ops/op.h"
#include "ops/reduce.h"

typedef void (*row_kernel)(int64_t n, void *y, int64_t y_step, const void *x, int64_t x_step);
typedef void (*rectangle_kernel)(int64_t n, int64_t m, void *y, int64_t y_row, const void *x,
                                 int64_t x_row);

#define TARN_KERNELS "ops/strided.inc"
#include "ops/for_each_simd.h"

/* Elements of one byte. */
static void copy_row_u8(int64_t n, void *y, int64_t y_step, const void *x, int64_t x_step)
{
    uint8_t *restrict to = y;
    const uint8_t *restrict from = x;
    if (y_step == 1 && x_step == 1) memcpy(to, from, (size_t)n);
    else
        for (int64_t i = 0; i < n; i++) to[i * y_step] = from[i * x_step];
}

/* ---- walks */

/* How elements of one type are brought from x to y. */
typedef struct way {
    int64_t bytes; /* of an element */
    row_kernel row;
    rectangle_kernel rectangle; /* NULL: rows alone */
} way;

/* An axis around the rows of a loop over y and x that makes a rectangle with them; -1: there is
 * none. Operand `across` is the one whose elements lie side by side along it, not along the rows.
 */
static int rectangle_axis(const tarn__loop *loop, int across)
{
    enum { FEW = 2 };
    if (loop->step[across] == 1 || loop->step[1 - across] != 1 || loop->n < FEW) return -1;
    for (int axis = 0; axis < loop->n_axes; axis++)
        if (loop->stride[axis][across] == 1 && loop->size[axis] >= FEW) return axis;
    return -1;
}

/* Takes an axis out of a loop. */
static void take_axis(tarn__loop *loop, int axis)
{
    loop->n_axes--;
    for (int i = axis; i < loop->n_axes; i++) {
        loop->size[i] = loop->size[i + 1];
        memcpy(loop->stride[i], loop->stride[i + 1], sizeof(loop->stride[i]));
    }
}

static void walk_rectangles(tarn__loop *loop, int axis, const way *w, unsigned char *to,
                            const unsigned char *from)
{
    const bool by_rows_of_y = loop->step[0] == 1;
    const int64_t size = loop->size[axis];
    const int64_t n = by_rows_of_y ? loop->n : size, m = by_rows_of_y ? size : loop->n;
    const int64_t y_row = by_rows_of_y ? loop->stride[axis][0] : loop->step[0];
    const int64_t x_row = by_rows_of_y ? loop->step[1] : loop->stride[axis][1];
    take_axis(loop, axis);
    do {
        w->rectangle(n, m, to + loop->offset[0] * w->bytes, y_row,
                     from + loop->offset[1] * w->bytes, x_row);
    } while (tarn__loop_next(loop));
}

static void walk(const way *w, tarn_tensor *dst, const tarn_tensor *src)
{
    unsigned char *to = dst->data;
    const unsigned char *from = src->data;
    tarn__loop loop;
    if (dst->layout.numel == 0) return;
    if (dst->layout.contiguous && src->layout.contiguous) {
        w->row(dst->layout.numel, to, 1, from, 1);
        return;
    }
    tarn__loop_begin(&loop, &dst->layout, 2,
                     (const tarn__layout *const[]){ &dst->layout, &src->layout });
    int axis = w->rectangle != NULL ? rectangle_axis(&loop, 1) : -1;
    if (axis < 0 && w->rectangle != NULL) axis = rectangle_axis(&loop, 0);
    if (axis >= 0) {
        walk_rectangles(&loop, axis, w, to, from);
        return;
    }
    do {
        w->row(loop.n, to + loop.offset[0] * w->bytes, loop.step[0],
               from + loop.offset[1] * w->bytes, loop.step[1]);
    } while (tarn__loop_next(&loop));
}

void tarn__copy_strided(tarn_tensor *dst, const tarn_tensor *src)
{
    static const row_kernel rows[][2] = TARN__KERNELS(copy_row);
    static const rectangle_kernel rectangles[][2] = TARN__KERNELS(copy_rectangle);
    if (dst->manager->dry) return;
    const size_t bytes = tarn__dtype_size(dst->layout.dtype);
    const int wide = bytes == sizeof(double), level = tarn__simd();
    const way words = { (int64_t)bytes, rows[level][wide], rectangles[level][wide] };
    walk(bytes == 1 ? &(way){ 1, copy_row_u8, NULL } : &words, dst, src);
}

void tarn__add_strided(tarn_tensor *dst, const tarn_tensor *src)
{
    static const row_kernel rows[][2] = TARN__KERNELS(add_row);
    static const rectangle_kernel rectangles[][2] = TARN__KERNELS(add_rectangle);
    if (dst->manager->dry) return;
    if (tarn__is_expanded(&dst->layout)) {
        tarn__add_sums(dst, src);
        return;
    }
    const size_t bytes = tarn__dtype_size(dst->layout.dtype);
    const int wide = bytes == sizeof(double), level = tarn__simd();
    walk(&(way){ (int64_t)bytes, rows[level][wide], rectangles[level][wide] }, dst, src);
}
