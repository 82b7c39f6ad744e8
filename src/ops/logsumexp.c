/* SPDX-License-Identifier: MIT
 * logsumexp.c - log(sum(e^x)) along axes. */
#include "ops/formula.h"
#include "ops/lanes.h"
#include "ops/op_list.h"
#include "ops/real.h"
#include "ops/reduce.h"
#include "ops/rows.h"

#define TARN_KERNELS "ops/logsumexp.inc"
#include "ops/for_each_simd.h"

/* dx = dy e^(x - y), and e^(x - 0) where y is -infinity. */
static tarn_tensor *logsumexp_graph(const tarn__call *call, int i)
{
    (void)i;
    tarn_tensor *y = tarn__as_kept(call, call->out);
    tarn_tensor *is_nothing = tarn_equal_scalar(y, -(double)INFINITY);
    tarn_tensor *shift = tarn_masked_fill(y, is_nothing, 0);
    tarn_tensor *difference = tarn_sub(call->in[0], shift);
    tarn_tensor *share = tarn_exp(difference);
    tarn_tensor *dy = tarn__as_kept(call, call->dout);
    return tarn_mul(dy, share);
}

const tarn__op tarn__op_logsumexp = {
    .name = "logsumexp",
    .operands = { "x" },
    .arity = 1,
    .layout = TARN__STRIDED,
    .uses = { TARN__USES_IN0 | TARN__USES_OUT },
    .infer = tarn__infer_reduce,
    .forward = TARN__KERNELS(logsumexp_forward),
    .backward = TARN__KERNELS(logsumexp_backward),
    .graph = logsumexp_graph,
};

tarn_tensor *tarn_logsumexp(tarn_tensor *x, tarn_axes axes)
{
    return tarn__apply_reduction(&tarn__op_logsumexp, x, &axes);
}
