/* SPDX-License-Identifier: MIT
 * loss_bce.c - binary cross-entropy of logits. attr: choice = reduction. */
#include "ops/loop.h"
#include "ops/loss.h"
#include "ops/op_list.h"
#include "ops/real.h"

#include "ops/loss_kernels.h"

enum { W = TARN__USES_IN2, P = TARN__USES_IN3 };

static bool is_weighted(const tarn__call *call)
{
    return call->in[2] != NULL || call->in[3] != NULL;
}

/* A walk over the elements of x and y, the weight and the positive weight. */
static void begin_weighted(tarn__loop *loop, const tarn__call *call)
{
    static const tarn__layout scalar = { .numel = 1, .contiguous = true };
    const tarn__layout *const layouts[] = {
        &call->in[0]->layout,
        call->in[2] != NULL ? &call->in[2]->layout : &scalar,
        call->in[3] != NULL ? &call->in[3]->layout : &scalar,
    };
    tarn__loop_begin(loop, &call->in[0]->layout, 3, layouts);
}

#define TARN_KERNELS "ops/loss_bce.inc"
#include "ops/for_each_simd.h"

/* Whether a tensor can be repeated to a shape. */
static bool repeats_to(const tarn__layout *layout, const tarn__layout *shape)
{
    const int more = shape->ndim - layout->ndim;
    for (int axis = 0; axis < layout->ndim && more >= 0; axis++)
        if (layout->dims[axis] != 1 && layout->dims[axis] != shape->dims[axis + more]) return false;
    return more >= 0;
}

static tarn_status infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn_tensor *x = call->in[0];
    char x_text[TARN__DESCRIPTION_BYTES], text[TARN__DESCRIPTION_BYTES];
    if (tarn__check_one_shape(call, 1) != TARN_OK) return TARN_ESHAPE;
    for (int i = 2; i < 4; i++)
        if (call->in[i] != NULL && !repeats_to(&call->in[i]->layout, &x->layout))
            return tarn__call_fail(call, TARN_ESHAPE, "x %s, %s %s: it does not broadcast to x",
                                   tarn__describe(x, x_text), call->op->operands[i],
                                   tarn__describe(call->in[i], text));
    if (tarn__keeps_losses(call)) return tarn__infer_same(call, out, offset);
    out->dtype = x->layout.dtype;
    out->ndim = 0;
    return TARN_OK;
}

/* p - 1, or NULL where p is 1. */
static tarn_tensor *excess_of(const tarn__call *call)
{
    return call->in[3] != NULL ? tarn_sub_scalar(call->in[3], 1) : NULL;
}

/* 1 - y - (1 + (p - 1) y) sigmoid(-x) */
static tarn_tensor *slope_of_x(const tarn__call *call)
{
    tarn_tensor *minus = tarn_neg(call->in[0]);
    tarn_tensor *share = tarn_sigmoid(minus);
    if (call->in[3] != NULL) {
        tarn_tensor *excess = excess_of(call);
        tarn_tensor *product = tarn_mul(call->in[1], excess);
        tarn_tensor *factor = tarn_add_scalar(product, 1);
        share = tarn_mul(share, factor);
    }
    tarn_tensor *rest = tarn_rsub_scalar(call->in[1], 1);
    return tarn_sub(rest, share);
}

/* (p - 1) log(1 + e^-x) - x */
static tarn_tensor *slope_of_y(const tarn__call *call)
{
    tarn_tensor *minus = tarn_neg(call->in[0]);
    if (call->in[3] == NULL) return minus;
    tarn_tensor *excess = excess_of(call);
    tarn_tensor *logarithm = tarn_softplus(minus);
    tarn_tensor *product = tarn_mul(logarithm, excess);
    return tarn_add(product, minus);
}

static tarn_tensor *bce_graph(const tarn__call *call, int i)
{
    tarn_tensor *slope = i == 0 ? slope_of_x(call) : slope_of_y(call);
    if (call->in[2] != NULL) slope = tarn_mul(slope, call->in[2]);
    tarn_tensor *g = tarn__loss_gradient(call);
    return tarn_mul(slope, g);
}

const tarn__op tarn__op_bce_with_logits = {
    .name = "bce_with_logits",
    .operands = { "x", "y", "weight", "pos_weight" },
    .arity = 4,
    .optional = 4 | 8,
    .uses = { X | Y | W | P, X | W | P },
    .infer = infer,
    .forward = TARN__KERNELS(bce_with_logits_forward),
    .backward = TARN__KERNELS(bce_with_logits_backward),
    .graph = bce_graph,
};

tarn_tensor *tarn_bce_with_logits(tarn_tensor *x, tarn_tensor *y)
{
    return tarn_bce_with_logits_with(x, y, NULL);
}

tarn_tensor *tarn_bce_with_logits_with(tarn_tensor *x, tarn_tensor *y,
                                       const tarn_bce_options *options)
{
    const tarn__op *op = &tarn__op_bce_with_logits;
    const tarn_bce_options o = options != NULL ? *options : (tarn_bce_options){ .weight = NULL };
    tarn__attr attr = { 0 };
    if (!tarn__take_reduction(op, x, o.reduction, &attr) ||
        !tarn__is_constant(op, x, "weight", o.weight) ||
        !tarn__is_constant(op, x, "pos_weight", o.pos_weight))
        return NULL;
    tarn_tensor *const in[] = { x, y, o.weight, o.pos_weight };
    return tarn__apply(op, in, &attr);
}
