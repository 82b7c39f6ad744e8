/* SPDX-License-Identifier: MIT
 * loss.h - what losses share: operands of one shape, how they are reduced. attr->choice is a
 * tarn_reduction. */
#ifndef TARN_OPS_LOSS_H
#define TARN_OPS_LOSS_H

#include "ops/op.h"

static inline bool tarn__keeps_losses(const tarn__call *call)
{
    return call->attr->choice == TARN_REDUCE_NONE;
}

/* What the sum of losses of this layout is divided by. */
double tarn__loss_divisor(const tarn__attr *attr, const tarn__layout *losses);

/* Whether operand i, unless it is absent, has the shape of operand 0. */
tarn_status tarn__check_one_shape(const tarn__call *call, int i);

/* The shape rule of losses of elements: all operands have one shape, which is that of the result
 * unless it is a scalar. */
tarn_status tarn__infer_loss(const tarn__call *call, tarn__layout *out, int64_t *offset);

/* Writes the reduction to attr->choice, and a number to attr->value. False, with TARN_EARG held in
 * the name of the operation, if there is no such reduction, or the number is not positive and
 * finite in the type of x. A NULL x passes: applying the operation to it says what is wrong. */
bool tarn__take_reduction(const tarn__op *op, const tarn_tensor *x, tarn_reduction reduction,
                          tarn__attr *attr);
bool tarn__take_positive(const tarn__op *op, const tarn_tensor *x, const char *name, double value,
                         tarn__attr *attr);

/* False, with TARN_EARG held, if a tensor of options requires a gradient. */
bool tarn__is_constant(const tarn__op *op, const tarn_tensor *x, const char *name,
                       const tarn_tensor *option);

/* For graph: the gradient of one loss of an element of operand 0, which broadcasts to its shape.
 * For compose: the losses, reduced. */
tarn_tensor *tarn__loss_gradient(const tarn__call *call);
tarn_tensor *tarn__reduce_losses(const tarn__call *call, tarn_tensor *losses);

#endif
