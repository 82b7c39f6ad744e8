/* SPDX-License-Identifier: MIT
 * softmax.c - softmax and log_softmax along one axis. */
#include "ops/formula.h"
#include "ops/lanes.h"
#include "ops/op_list.h"
#include "ops/real.h"
#include "ops/reduce.h"
#include "ops/rows.h"

#define TARN_KERNELS "ops/softmax.inc"
#include "ops/for_each_simd.h"

/* dx = y (dy - sum(dy y)). */
static tarn_tensor *softmax_graph(const tarn__call *call, int i)
{
    (void)i;
    tarn_tensor *product = tarn_mul(call->dout, call->out);
    tarn_tensor *dot = tarn_sum(product, TARN_AXES_KEEP(call->attr->axis));
    tarn_tensor *difference = tarn_sub(call->dout, dot);
    return tarn_mul(call->out, difference);
}

/* dx = dy - e^y sum(dy). */
static tarn_tensor *log_softmax_graph(const tarn__call *call, int i)
{
    (void)i;
    tarn_tensor *share = tarn_exp(call->out);
    tarn_tensor *total = tarn_sum(call->dout, TARN_AXES_KEEP(call->attr->axis));
    tarn_tensor *part = tarn_mul(share, total);
    return tarn_sub(call->dout, part);
}

const tarn__op tarn__op_softmax = {
    .name = "softmax",
    .operands = { "x" },
    .arity = 1,
    .grad_in_place = true,
    .uses = { TARN__USES_OUT },
    .infer = tarn__infer_same,
    .forward = TARN__KERNELS(softmax_forward),
    .backward = TARN__KERNELS(softmax_backward),
    .graph = softmax_graph,
};

const tarn__op tarn__op_log_softmax = {
    .name = "log_softmax",
    .operands = { "x" },
    .arity = 1,
    .grad_in_place = true,
    .uses = { TARN__USES_OUT },
    .infer = tarn__infer_same,
    .forward = TARN__KERNELS(log_softmax_forward),
    .backward = TARN__KERNELS(log_softmax_backward),
    .graph = log_softmax_graph,
};

tarn_tensor *tarn_softmax(tarn_tensor *x, int axis)
{
    return tarn__apply_along(&tarn__op_softmax, x, axis);
}

tarn_tensor *tarn_log_softmax(tarn_tensor *x, int axis)
{
    return tarn__apply_along(&tarn__op_log_softmax, x, axis);
}
