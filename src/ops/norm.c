/* SPDX-License-Identifier: MIT
 * norm.c - norms along axes. */
#include "ops/lanes.h"
#include "ops/op_list.h"
#include "ops/real.h"
#include "ops/reduce.h"

/* Whether a sum of squares is what it should be: otherwise some of them have become infinite, or so
 * small that they have lost digits. */
static bool squares_fit(double sum) { return sum >= 0x1p-900 && sum <= 0x1p1000; }

#define TARN_KERNELS "ops/norm.inc"
#include "ops/for_each_simd.h"

/* ---- the gradient as an expression */

/* dy sign(x), for p of infinity at the first of the largest (if there is one). */
static tarn_tensor *signs(const tarn__call *call)
{
    tarn_tensor *dy = tarn__as_kept(call, call->dout);
    tarn_tensor *side = tarn_sign(call->in[0]);
    tarn_tensor *g = tarn_mul(dy, side);
    if (!isinf(call->attr->value) || call->in[0]->layout.numel == 0) return g;
    tarn_tensor *size = tarn_abs(call->in[0]);
    tarn_tensor *winners = tarn_argmax(size, tarn__kept_axes(call));
    return tarn__at_winners(call, winners, g);
}

/* sign(x) (|x| / y)^(p-1), 0 where x is 0. */
static tarn_tensor *powers(const tarn__call *call, tarn_tensor *y)
{
    tarn_tensor *size = tarn_abs(call->in[0]);
    tarn_tensor *ratio = tarn__divide_or_0(size, y);
    tarn_tensor *is_zero = tarn_equal_scalar(ratio, 0);
    tarn_tensor *base = tarn_masked_fill(ratio, is_zero, 1);
    tarn_tensor *power = tarn_pow_scalar(base, call->attr->value - 1);
    tarn_tensor *side = tarn_sign(call->in[0]);
    return tarn_mul(side, power);
}

static tarn_tensor *norm_graph(const tarn__call *call, int i)
{
    const double p = call->attr->value;
    (void)i;
    if (p == 1 || isinf(p)) return signs(call);
    tarn_tensor *y = tarn__as_kept(call, call->out);
    tarn_tensor *direction = p == 2 ? tarn__divide_or_0(call->in[0], y) : powers(call, y);
    tarn_tensor *dy = tarn__as_kept(call, call->dout);
    return tarn_mul(dy, direction);
}

const tarn__op tarn__op_norm = {
    .name = "norm",
    .operands = { "x" },
    .arity = 1,
    .layout = TARN__STRIDED,
    .uses = { TARN__USES_IN0 | TARN__USES_OUT },
    .infer = tarn__infer_reduce,
    .forward = TARN__KERNELS(norm_forward),
    .backward = TARN__KERNELS(norm_backward),
    .graph = norm_graph,
};

tarn_tensor *tarn_norm(tarn_tensor *x, double p, tarn_axes axes)
{
    if (x != NULL && !(p > 0)) {
        const tarn__call call = { .op = &tarn__op_norm, .manager = x->manager };
        (void)tarn__call_fail(&call, TARN_EARG, "p %g is not positive", p);
        return NULL;
    }
    return tarn__apply_reduction_by(&tarn__op_norm, x, &axes, p);
}
