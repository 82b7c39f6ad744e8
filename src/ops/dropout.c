/* SPDX-License-Identifier: MIT
 * dropout.c - y = x / (1 - p) where a draw keeps the element, else 0.
 *
 * The draw of element i is a function of the key and i alone; backward draws again instead of
 * keeping a mask. */
#include <math.h>

#include "core/random.h"
#include "ops/dropout.h"
#include "ops/loop.h"
#include "ops/op.h"

/* An element is dropped if its 32 random bits are below this: p in units of 2^-32, 2^32 itself for
 * p = 1. */
static uint64_t drop_threshold(double p) { return (uint64_t)(p * 0x1p32); }

#define TARN_KERNELS "ops/dropout.inc"
#include "ops/for_each_simd.h"

/* The same draws. */
static tarn_tensor *dropout_graph(const tarn__call *call, int i)
{
    (void)i;
    return tarn__apply1(call->op, call->dout, call->attr);
}

const tarn__op tarn__op_dropout = {
    .name = "dropout",
    .operands = { "x" },
    .arity = 1,
    .in_place = true,
    .grad_in_place = true,
    .infer = tarn__infer_same,
    .forward = TARN__KERNELS(dropout_forward),
    .backward = TARN__KERNELS(dropout_backward),
    .graph = dropout_graph,
};

uint64_t tarn__dropout_key(const tarn_manager *tm, uint64_t stream)
{
    return tarn__random_key(tarn__random_key(tm->seed, TARN__RANDOM_DROPOUT), stream);
}

tarn_tensor *tarn_dropout(tarn_tensor *x, double p, uint64_t stream)
{
    if (x == NULL) return tarn__apply1(&tarn__op_dropout, NULL, NULL);
    if (!(p >= 0 && p <= 1)) {
        const tarn__call call = { .op = &tarn__op_dropout, .manager = x->manager };
        (void)tarn__call_fail(&call, TARN_EARG, "p is %g; 0 to 1 is possible", p);
        return NULL;
    }
    const tarn__attr attr = { .value = p, .key = tarn__dropout_key(x->manager, stream) };
    return tarn__apply1(&tarn__op_dropout, x, &attr);
}
