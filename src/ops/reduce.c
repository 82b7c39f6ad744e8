/* SPDX-License-Identifier: MIT
 * reduce.c - sum and mean, and what all reductions share. */
#include "ops/reduce.h"

#include "ops/lanes.h"
#include "ops/op_list.h"
#include "ops/shapes.h"

/* ---- walks */

static void set_block(tarn__reduction *r)
{
    const int64_t left = r->outputs.n - r->done;
    r->block.w = left < TARN__REDUCE_PIECE ? left : TARN__REDUCE_PIECE;
    r->block.x =
        r->x + (r->outputs.offset[0] + r->done * r->block.across + r->terms.offset[0]) * r->bytes;
}

static void begin(tarn__reduction *r, const tarn_tensor *x, uint32_t axes, int n_operands,
                  const tarn__layout *const *operands)
{
    tarn__loop_begin_axes(&r->outputs, &x->layout, ~axes, n_operands, operands);
    tarn__loop_begin_axes(&r->terms, &x->layout, axes, 1, operands);
    r->done = 0;
    r->bytes = (int64_t)tarn_dtype_size((tarn_dtype)x->layout.dtype);
    r->x = x->data;
    r->block.n = r->terms.n;
    r->block.across = r->outputs.step[0];
    r->block.along = r->terms.step[0];
    r->block.place = 0;
    set_block(r);
}

void tarn__reduction_begin(tarn__reduction *r, const tarn_tensor *x, uint32_t axes)
{
    begin(r, x, axes, 1, (const tarn__layout *const[]){ &x->layout });
}

void tarn__reduction_begin_into(tarn__reduction *r, const tarn_tensor *x, uint32_t axes,
                                const tarn_tensor *y)
{
    begin(r, x, axes, 2, (const tarn__layout *const[]){ &x->layout, &y->layout });
}

bool tarn__reduction_next_block(tarn__reduction *r)
{
    const bool more = tarn__loop_next(&r->terms);
    r->block.place = more ? r->block.place + r->block.n : 0;
    set_block(r);
    return more;
}

bool tarn__reduction_next_piece(tarn__reduction *r)
{
    bool more = true;
    r->done += r->block.w;
    if (r->done >= r->outputs.n) {
        r->done = 0;
        more = tarn__loop_next(&r->outputs);
    }
    set_block(r);
    return more;
}

static void set_first(tarn__terms *t)
{
    t->x_first = t->outputs.offset[0] + t->done * t->outputs.step[0];
    t->dx_first = t->outputs.offset[1] + t->done * t->outputs.step[1];
}

void tarn__terms_begin(tarn__terms *t, const tarn_tensor *x, uint32_t axes, const tarn_tensor *dx)
{
    const tarn__layout *const operands[] = { &x->layout, &dx->layout };
    tarn__loop_begin_axes(&t->outputs, &x->layout, ~axes, 2, operands);
    tarn__loop_begin_axes(&t->terms, &x->layout, axes, 2, operands);
    t->done = 0;
    set_first(t);
}

bool tarn__terms_next(tarn__terms *t)
{
    bool more = true;
    if (++t->done >= t->outputs.n) {
        t->done = 0;
        more = tarn__loop_next(&t->outputs);
    }
    set_first(t);
    return more;
}

/* ---- axes */

/* The axes as bits. */
static tarn_status axes_bits(const tarn__call *call, const tarn_axes *axes, uint32_t *bits)
{
    const tarn_tensor *x = call->in[0];
    char text[TARN__DESCRIPTION_BYTES];
    if (axes->n < 0 || axes->n > TARN_MAX_DIMS)
        return tarn__call_fail(call, TARN_EARG, "%d axes; 0 (all) to %d are possible", axes->n,
                               TARN_MAX_DIMS);
    *bits = axes->n == 0 ? (UINT32_C(1) << x->layout.ndim) - 1 : 0;
    for (int i = 0; i < axes->n; i++) {
        const int axis = tarn__axis(&x->layout, axes->axis[i]);
        if (axis < 0)
            return tarn__call_fail(call, TARN_EARG, "x %s has no axis %d", tarn__describe(x, text),
                                   axes->axis[i]);
        if ((*bits >> axis & 1) != 0)
            return tarn__call_fail(call, TARN_EARG, "axis %d of x %s is named twice", axes->axis[i],
                                   tarn__describe(x, text));
        *bits |= UINT32_C(1) << axis;
    }
    return TARN_OK;
}

tarn_tensor *tarn__apply_reduction(const tarn__op *op, tarn_tensor *x, const tarn_axes *axes)
{
    return tarn__apply_reduction_by(op, x, axes, 0);
}

tarn_tensor *tarn__apply_reduction_by(const tarn__op *op, tarn_tensor *x, const tarn_axes *axes,
                                      double value)
{
    tarn__attr attr = { .value = value, .keep = axes->keep != 0 };
    if (x != NULL) {
        const tarn__call call = { .op = op, .manager = x->manager, .in = { x } };
        if (axes_bits(&call, axes, &attr.axes) != TARN_OK) return NULL;
    }
    return tarn__apply1(op, x, &attr);
}

tarn_tensor *tarn__apply_along(const tarn__op *op, tarn_tensor *x, int axis)
{
    tarn__attr attr = { 0 };
    if (x != NULL) {
        const tarn__call call = { .op = op, .manager = x->manager, .in = { x } };
        attr.axis = tarn__axis_of_x(&call, axis);
        if (attr.axis < 0) return NULL;
    }
    return tarn__apply1(op, x, &attr);
}

double tarn__n_terms(const tarn__call *call)
{
    const tarn__layout *x = &call->in[0]->layout;
    double n = 1;
    for (int axis = 0; axis < x->ndim; axis++)
        if ((call->attr->axes >> axis & 1) != 0) n *= (double)x->dims[axis];
    return n;
}

tarn__layout tarn__kept_layout(const tarn__layout *x, uint32_t axes)
{
    tarn__layout kept = *x;
    for (int axis = 0; axis < x->ndim; axis++)
        if ((axes >> axis & 1) != 0) kept.dims[axis] = 1;
    (void)tarn__layout_pack(&kept);
    return kept;
}

/* ---- sum and mean */

static tarn_tensor *sum_graph(const tarn__call *call, int i)
{
    (void)i;
    return tarn__repeated(call, call->dout);
}

static tarn_tensor *mean_graph(const tarn__call *call, int i)
{
    (void)i;
    tarn_tensor *share = tarn_div_scalar(call->dout, tarn__n_terms(call));
    return tarn__repeated(call, share);
}

#define TARN_KERNELS "ops/reduce.inc"
#include "ops/for_each_simd.h"

void tarn__add_sums(tarn_tensor *y, const tarn_tensor *x)
{
    uint32_t axes = 0;
    if (x->layout.numel == 0) return;
    for (int axis = 0; axis < y->layout.ndim; axis++)
        if (y->layout.strides[axis] == 0) axes |= UINT32_C(1) << axis;
    static void (*const kernels[][2])(tarn_tensor *, const tarn_tensor *, uint32_t) =
        TARN__KERNELS(add_sums);
    kernels[tarn__simd()][y->layout.dtype == TARN_F64](y, x, axes);
}

const tarn__op tarn__op_sum = {
    .name = "sum",
    .operands = { "x" },
    .arity = 1,
    .layout = TARN__STRIDED,
    .infer = tarn__infer_reduce,
    .forward = TARN__KERNELS(sum_forward),
    .backward = TARN__KERNELS(sum_backward),
    .graph = sum_graph,
};

const tarn__op tarn__op_mean = {
    .name = "mean",
    .operands = { "x" },
    .arity = 1,
    .layout = TARN__STRIDED,
    .infer = tarn__infer_reduce,
    .forward = TARN__KERNELS(mean_forward),
    .backward = TARN__KERNELS(mean_backward),
    .graph = mean_graph,
};

tarn_tensor *tarn_sum(tarn_tensor *x, tarn_axes axes)
{
    return tarn__apply_reduction(&tarn__op_sum, x, &axes);
}

tarn_tensor *tarn_mean(tarn_tensor *x, tarn_axes axes)
{
    return tarn__apply_reduction(&tarn__op_mean, x, &axes);
}
