/* SPDX-License-Identifier: MIT
 * prod.c - the product along axes. */
#include "ops/lanes.h"
#include "ops/op_list.h"
#include "ops/reduce.h"

enum { BESIDE = 16 }; /* outputs whose gradients are computed at once, at most */

#define TARN_KERNELS "ops/prod.inc"
#include "ops/for_each_simd.h"

/* In backward, room for the terms of so many outputs, twice and in double. */
static size_t prod_scratch(const tarn__call *call)
{
    if (call->dout == NULL || call->dout->layout.numel == 0) return 0;
    const size_t outputs = tarn__elements(call->dout);
    const size_t terms = tarn__elements(call->in[0]) / outputs;
    return terms * (outputs < BESIDE ? outputs : BESIDE) * 2 * sizeof(double);
}

/* ---- the gradient as an expression */

/* The axes of x, those that stay first. */
static tarn_axes stay_first(const tarn__call *call)
{
    tarn_axes order = { 0 };
    for (int reduced = 0; reduced <= 1; reduced++)
        for (int axis = 0; axis < call->in[0]->layout.ndim; axis++)
            if ((int)(call->attr->axes >> axis & 1) == reduced) order.axis[order.n++] = axis;
    return order;
}

/* x as outputs by terms: (outputs, 1, terms). */
static tarn_tensor *as_rows(const tarn__call *call, const tarn_axes *order)
{
    const int64_t outputs = call->out->layout.numel;
    const int64_t terms = outputs > 0 ? call->in[0]->layout.numel / outputs : 1;
    tarn_tensor *ordered = tarn_permute(call->in[0], *order);
    tarn_tensor *packed = tarn_contiguous(ordered);
    return tarn_reshape(packed, TARN_SHAPE(outputs, 1, terms));
}

/* The opposite: the shape of x again. */
static tarn_tensor *from_rows(const tarn__call *call, const tarn_axes *order, tarn_tensor *rows)
{
    const tarn__layout *x = &call->in[0]->layout;
    tarn_shape shape = { .ndim = x->ndim };
    tarn_axes back = { .n = x->ndim };
    for (int i = 0; i < x->ndim; i++) {
        shape.dims[i] = x->dims[order->axis[i]];
        back.axis[order->axis[i]] = i;
    }
    tarn_tensor *ordered = tarn_reshape(rows, shape);
    return tarn_permute(ordered, back);
}

/* dx = dy times the product of all other terms: that of a matrix of terms by terms, the term itself
 * replaced by 1. */
static tarn_tensor *prod_graph(const tarn__call *call, int i)
{
    const tarn_tensor *x = call->in[0];
    const tarn_axes order = stay_first(call);
    (void)i;
    tarn_tensor *rows = as_rows(call, &order);
    tarn_tensor *self = tarn_eye(call->manager, TARN_U8, tarn_dim(rows, 2));
    tarn_tensor *one = tarn_ones(call->manager, (tarn_dtype)x->layout.dtype, TARN_SCALAR);
    tarn_tensor *others = tarn_where(self, one, rows);
    tarn_tensor *product = tarn_prod(others, TARN_AXES(2));
    tarn_tensor *factor = from_rows(call, &order, product);
    tarn_tensor *dy = tarn__as_kept(call, call->dout);
    return tarn_mul(dy, factor);
}

const tarn__op tarn__op_prod = {
    .name = "prod",
    .operands = { "x" },
    .arity = 1,
    .layout = TARN__STRIDED,
    .uses = { TARN__USES_IN0 },
    .infer = tarn__infer_reduce,
    .forward = TARN__KERNELS(prod_forward),
    .backward = TARN__KERNELS(prod_backward),
    .scratch = prod_scratch,
    .graph = prod_graph,
};

tarn_tensor *tarn_prod(tarn_tensor *x, tarn_axes axes)
{
    return tarn__apply_reduction(&tarn__op_prod, x, &axes);
}
