/* SPDX-License-Identifier: MIT
 * loop.c - walking over strided elements, and sums. */
#include "ops/loop.h"

#include <string.h>

#include "core/simd.h"
#include "ops/lanes.h"

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
