/* SPDX-License-Identifier: MIT
 * reduce_graphs.c - what the gradients of reductions are made of, where they are expressions. */
#include "ops/reduce.h"
#include "ops/shapes.h"

tarn_tensor *tarn__as_kept(const tarn__call *call, tarn_tensor *t)
{
    tarn_shape kept = tarn__shape_of(call->in[0]);
    for (int axis = 0; axis < kept.ndim; axis++)
        if ((call->attr->axes >> axis & 1) != 0) kept.dims[axis] = 1;
    return call->attr->keep ? t : tarn_reshape(t, kept);
}

tarn_axes tarn__kept_axes(const tarn__call *call)
{
    tarn_axes axes = { .keep = 1 };
    for (int axis = 0; axis < call->in[0]->layout.ndim; axis++)
        if ((call->attr->axes >> axis & 1) != 0) axes.axis[axes.n++] = axis;
    return axes;
}

tarn_tensor *tarn__repeated(const tarn__call *call, tarn_tensor *t)
{
    tarn_tensor *kept = tarn__as_kept(call, t);
    return tarn_expand(kept, tarn__shape_of(call->in[0]));
}

/* The divisor is replaced before it divides, so that no gradient of this becomes NaN either. */
tarn_tensor *tarn__divide_or_0(tarn_tensor *a, tarn_tensor *b)
{
    tarn_tensor *is_zero = tarn_equal_scalar(b, 0);
    tarn_tensor *divisor = tarn_masked_fill(b, is_zero, 1);
    tarn_tensor *ratio = tarn_div(a, divisor);
    return tarn_masked_fill(ratio, is_zero, 0);
}

tarn_tensor *tarn__at_winners(const tarn__call *call, tarn_tensor *winners, tarn_tensor *t)
{
    const tarn__layout *x = &call->in[0]->layout;
    tarn_shape shape = { .ndim = x->ndim };
    for (int axis = 0; axis < x->ndim; axis++)
        shape.dims[axis] = (call->attr->axes >> axis & 1) != 0 ? x->dims[axis] : 1;
    tarn_tensor *numbers = tarn_arange(call->manager, TARN_I64, 0, tarn__n_terms(call), 1);
    tarn_tensor *places = tarn_reshape(numbers, shape);
    tarn_tensor *wins = tarn_equal(places, winners);
    tarn_tensor *zero = tarn_zeros(call->manager, (tarn_dtype)x->dtype, TARN_SCALAR);
    return tarn_where(wins, t, zero);
}
