/* SPDX-License-Identifier: MIT
 * lines.h - selection by indices and its opposite, as gather.c has them: with an index for every
 * element, or one for a whole slice.
 *
 * x is where indices point to: operand 0, the result that begins as it, or the gradient of either.
 * y has an index for each of its elements: what is gathered, operand 2, or a gradient of these.
 * Both may have any strides. attr->axis counts from 0. */
#ifndef TARN_OPS_LINES_H
#define TARN_OPS_LINES_H

#include "ops/op.h"

/* The scratch of a kernel: the indices, and room for sums where it puts. */
size_t tarn__lines_scratch(const tarn__call *call);

/* Reads the indices, which operand 1 holds, into the scratch. Fails for one out of range. */
tarn_status tarn__lines_read(const tarn__call *call);

/* y = x at the indices, or y += it. After tarn__lines_read. */
void tarn__lines_take(const tarn__call *call, tarn_tensor *y, const tarn_tensor *x, bool add);

/* x at the indices += y. After tarn__lines_read. */
void tarn__lines_put(const tarn__call *call, tarn_tensor *x, const tarn_tensor *y);

#endif
