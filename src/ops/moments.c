/* SPDX-License-Identifier: MIT
 * moments.c - variance and standard deviation along axes. */
#include <math.h>

#include "ops/lanes.h"
#include "ops/op_list.h"
#include "ops/reduce.h"

/* What forward leaves for backward: the means of all outputs, rounded, and then what the rounding
 * has left out. */
static void moments_aux(const tarn__call *call, tarn__layout *layout)
{
    layout->dtype = call->in[0]->layout.dtype;
    layout->ndim = 1;
    layout->dims[0] = 2 * call->out->layout.numel;
}

/* n - correction, by which squares are divided; NaN where there are no more terms than that. */
static double divisor_of(const tarn__call *call)
{
    const double divisor = tarn__n_terms(call) - call->attr->value;
    return divisor > 0 ? divisor : NAN;
}

#define TARN_KERNELS "ops/moments.inc"
#include "ops/for_each_simd.h"

/* ---- the gradients as expressions */

/* g (x - mean) / divisor, for a g of the output's shape. */
static tarn_tensor *times_deviation(const tarn__call *call, tarn_tensor *g)
{
    tarn_tensor *mean = tarn_mean(call->in[0], tarn__kept_axes(call));
    tarn_tensor *deviation = tarn_sub(call->in[0], mean);
    tarn_tensor *share = tarn_div_scalar(g, divisor_of(call));
    tarn_tensor *kept = tarn__as_kept(call, share);
    return tarn_mul(kept, deviation);
}

static tarn_tensor *var_graph(const tarn__call *call, int i)
{
    (void)i;
    tarn_tensor *twice = tarn_mul_scalar(call->dout, 2);
    return times_deviation(call, twice);
}

static tarn_tensor *std_graph(const tarn__call *call, int i)
{
    (void)i;
    tarn_tensor *g = tarn__divide_or_0(call->dout, call->out);
    return times_deviation(call, g);
}

/* ---- the operations */

const tarn__op tarn__op_var = {
    .name = "var",
    .operands = { "x" },
    .arity = 1,
    .layout = TARN__STRIDED,
    .uses = { TARN__USES_IN0 },
    .infer = tarn__infer_reduce,
    .forward = TARN__KERNELS(var_forward),
    .backward = TARN__KERNELS(var_backward),
    .aux = moments_aux,
    .graph = var_graph,
};

const tarn__op tarn__op_std = {
    .name = "std",
    .operands = { "x" },
    .arity = 1,
    .layout = TARN__STRIDED,
    .uses = { TARN__USES_IN0 | TARN__USES_OUT },
    .infer = tarn__infer_reduce,
    .forward = TARN__KERNELS(std_forward),
    .backward = TARN__KERNELS(std_backward),
    .aux = moments_aux,
    .graph = std_graph,
};

static tarn_tensor *apply(const tarn__op *op, tarn_tensor *x, const tarn_axes *axes,
                          double correction)
{
    if (x != NULL && !isfinite(correction)) {
        const tarn__call call = { .op = op, .manager = x->manager };
        (void)tarn__call_fail(&call, TARN_EARG, "correction %g is not finite", correction);
        return NULL;
    }
    return tarn__apply_reduction_by(op, x, axes, correction);
}

tarn_tensor *tarn_var(tarn_tensor *x, tarn_axes axes, double correction)
{
    return apply(&tarn__op_var, x, &axes, correction);
}

tarn_tensor *tarn_std(tarn_tensor *x, tarn_axes axes, double correction)
{
    return apply(&tarn__op_std, x, &axes, correction);
}
