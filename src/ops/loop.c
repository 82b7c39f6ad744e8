/* SPDX-License-Identifier: MIT
 * loop.c - walking over strided elements; copies, additions and sums. */
#include "ops/loop.h"

#include <string.h>

#include "core/values.h"
#include "ops/lanes.h"
#include "ops/op.h"
#include "ops/reduce.h"

/* ---- loops */

/* The stride of an operand along axis `axis` of `shape`: 0 where it is repeated. */
static int64_t stride_along(const tarn__layout *operand, const tarn__layout *shape, int axis)
{
    const int own = axis - (shape->ndim - operand->ndim);
    return own < 0 || operand->dims[own] == 1 ? 0 : operand->strides[own];
}

void tarn__loop_begin_axes(tarn__loop *loop, const tarn__layout *shape, uint32_t axes,
                           int n_operands, const tarn__layout *const *operands)
{
    bool empty = false;
    int n = 0; /* axes so far, the innermost included */
    for (int axis = 0; axis < shape->ndim; axis++) {
        const int64_t size = shape->dims[axis];
        if ((axes >> axis & 1) == 0 || size == 1) continue;
        empty = empty || size == 0;
        int64_t stride[TARN__LOOP_OPERANDS];
        bool joins = n > 0; /* the axis before it: a step there is `size` steps here */
        for (int i = 0; i < n_operands; i++) {
            stride[i] = stride_along(operands[i], shape, axis);
            joins = joins && loop->stride[n - 1][i] == stride[i] * size;
        }
        if (joins) loop->size[n - 1] *= size;
        else loop->size[n++] = size;
        memcpy(loop->stride[n - 1], stride, sizeof(stride[0]) * (size_t)n_operands);
    }

    loop->n_operands = n_operands;
    loop->n_axes = n > 0 && !empty ? n - 1 : 0;
    loop->n = empty ? 0 : n > 0 ? loop->size[n - 1] : 1;
    for (int i = 0; i < n_operands; i++) {
        loop->step[i] = n > 0 ? loop->stride[n - 1][i] : 0;
        loop->offset[i] = 0;
    }
    for (int axis = 0; axis < loop->n_axes; axis++) loop->place[axis] = 0;
}

void tarn__loop_begin(tarn__loop *loop, const tarn__layout *shape, int n_operands,
                      const tarn__layout *const *operands)
{
    tarn__loop_begin_axes(loop, shape, UINT32_MAX, n_operands, operands);
}

uint32_t tarn__repeated_axes(const tarn__layout *x, const tarn__layout *y)
{
    uint32_t axes = 0;
    for (int axis = 0; axis < y->ndim; axis++) {
        const int own = axis - (y->ndim - x->ndim);
        if (own < 0 || x->dims[own] != y->dims[axis]) axes |= UINT32_C(1) << axis;
    }
    return axes;
}

/* ---- copies and additions of any strides */

typedef void (*row_kernel)(int64_t n, void *y, int64_t y_step, const void *x, int64_t x_step);

#define COPY_ROW(code, type, name)                                                                 \
    static void copy_row_##code(int64_t n, void *y, int64_t y_step, const void *x, int64_t x_step) \
    {                                                                                              \
        type *restrict to = y;                                                                     \
        const type *restrict from = x;                                                             \
        if (y_step == 1 && x_step == 1) memcpy(to, from, (size_t)n * sizeof(type));                \
        else                                                                                       \
            for (int64_t i = 0; i < n; i++) to[i * y_step] = from[i * x_step];                     \
    }
TARN_DTYPE_LIST(COPY_ROW)
#undef COPY_ROW

static const row_kernel copy_rows[] = {
#define COPY_ENTRY(code, type, name) [TARN_##code] = copy_row_##code,
    TARN_DTYPE_LIST(COPY_ENTRY)
#undef COPY_ENTRY
};

#define ADD_ROW(code, type)                                                                       \
    static void add_row_##code(int64_t n, void *y, int64_t y_step, const void *x, int64_t x_step) \
    {                                                                                             \
        type *restrict to = y;                                                                    \
        const type *restrict from = x;                                                            \
        if (y_step == 1 && x_step == 1)                                                           \
            for (int64_t i = 0; i < n; i++) to[i] += from[i];                                     \
        else                                                                                      \
            for (int64_t i = 0; i < n; i++) to[i * y_step] += from[i * x_step];                   \
    }
ADD_ROW(F32, float)
ADD_ROW(F64, double)
#undef ADD_ROW

static void for_each_row(row_kernel kernel, tarn_tensor *dst, const tarn_tensor *src)
{
    if (dst->layout.numel == 0) return;
    if (dst->layout.contiguous && src->layout.contiguous) {
        kernel(dst->layout.numel, dst->data, 1, src->data, 1);
        return;
    }
    const int64_t bytes = (int64_t)tarn_dtype_size((tarn_dtype)dst->layout.dtype);
    unsigned char *to = dst->data;
    const unsigned char *from = src->data;
    tarn__loop loop;
    tarn__loop_begin(&loop, &dst->layout, 2,
                     (const tarn__layout *const[]){ &dst->layout, &src->layout });
    do {
        kernel(loop.n, to + loop.offset[0] * bytes, loop.step[0], from + loop.offset[1] * bytes,
               loop.step[1]);
    } while (tarn__loop_next(&loop));
}

void tarn__copy_strided(tarn_tensor *dst, const tarn_tensor *src)
{
    if (dst->manager->dry) return;
    for_each_row(copy_rows[dst->layout.dtype], dst, src);
}

void tarn__add_strided(tarn_tensor *dst, const tarn_tensor *src)
{
    if (dst->manager->dry) return;
    if (tarn__is_expanded(&dst->layout)) tarn__add_sums(dst, src);
    else for_each_row(dst->layout.dtype == TARN_F64 ? add_row_F64 : add_row_F32, dst, src);
}

/* ---- sums */

#define TARN_KERNELS "ops/sums.inc"
#include "ops/for_each_simd.h"

/* Each calls the kernel of the level in use. */
#define DISPATCH_SUMS(real, type)                                                                \
    double tarn__sum_##type(const real *x, int64_t n)                                            \
    {                                                                                            \
        static double (*const levels[])(const real *, int64_t) = TARN__LEVELS(sum_##type);       \
        return levels[tarn__simd()](x, n);                                                       \
    }                                                                                            \
    void tarn__sum_columns_##type(const real *x, int64_t n, int64_t w, int64_t row, double *sum) \
    {                                                                                            \
        static void (*const levels[])(const real *, int64_t, int64_t, int64_t, double *) =       \
            TARN__LEVELS(sum_columns_##type);                                                    \
        levels[tarn__simd()](x, n, w, row, sum);                                                 \
    }
DISPATCH_SUMS(float, f32)
DISPATCH_SUMS(double, f64)
#undef DISPATCH_SUMS
