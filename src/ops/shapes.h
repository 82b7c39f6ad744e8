/* SPDX-License-Identifier: MIT
 * shapes.h - what operations on shapes share: axes, regions of tensors, indices. */
#ifndef TARN_OPS_SHAPES_H
#define TARN_OPS_SHAPES_H

#include "ops/op.h"

/* The shape of a tensor, ended or not: gradients are computed from what is left of operands. */
static inline tarn_shape tarn__shape_of(const tarn_tensor *t)
{
    tarn_shape shape = { .ndim = t->layout.ndim };
    for (int i = 0; i < shape.ndim; i++) shape.dims[i] = t->layout.dims[i];
    return shape;
}

/* The place of an axis of operand 0, or -1 with the error held. */
int tarn__axis_of_x(const tarn__call *call, int axis);

/* Narrows a view, a copy of a handle that is on the stack, to n elements along an axis, from
 * `start` on, `step` apart. */
void tarn__narrow(tarn_tensor *view, int axis, int64_t start, int64_t n, int64_t step);

/* Applies an operation whose attribute is a shape. The rank is checked here, because attributes
 * hold no more sizes. */
tarn_tensor *tarn__apply_shape(const tarn__op *op, tarn_tensor *x, const tarn_shape *shape);

/* The opposite of a slice: zeros, of `size` along the axis, in which the slice from `start` on in
 * steps is x. */
tarn_tensor *tarn__unslice(tarn_tensor *x, int axis, int64_t size, int64_t start, int64_t step);

/* The gradient of an operation that only gives its operand another shape: dy in the shape of x. */
tarn_tensor *tarn__graph_reshaped(const tarn__call *call, int i);

/* The gradient of an operation that leaves every element as it is: dy. */
tarn_tensor *tarn__graph_same(const tarn__call *call, int i);

/* ---- indices: int32, int64 or uint8 */

/* Whether operand i may be read as indices; the error is held otherwise. */
tarn_status tarn__check_index_dtype(const tarn__call *call, int i);

/* Reads the indices of operand i, last axis fastest, into `to`, each once: what they are checked
 * for is true of what is used, whatever is written to the operand meanwhile. Fails, naming the
 * first that is not in [0, size). */
tarn_status tarn__read_indices(const tarn__call *call, int i, int64_t size, int64_t *to);

#endif
