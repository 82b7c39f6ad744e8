/* SPDX-License-Identifier: MIT
 * observe.c - copies and sums outside operations, as kernels that an observer can run again. */
#include "ops/observe.h"

const tarn__op tarn__copying = { .name = "copy", .arity = 1 };
static const tarn__op adding = { .name = "add to", .arity = 2 };

tarn_status tarn__copy_kernel(const tarn__call *call)
{
    tarn__copy_strided(call->out, call->in[0]);
    return TARN_OK;
}

/* Operand 0 is the output. */
static tarn_status add_kernel(const tarn__call *call)
{
    tarn__add_strided(call->out, call->in[1]);
    return TARN_OK;
}

void tarn__copy_observed(tarn_tensor *dst, tarn_tensor *src)
{
    const tarn__call call = {
        .op = &tarn__copying, .manager = dst->manager, .in = { src }, .out = dst
    };
    tarn__copy_strided(dst, src);
    tarn__observe_call(tarn__copy_kernel, &call);
}

void tarn__add_observed(tarn_tensor *dst, tarn_tensor *src)
{
    const tarn__call call = {
        .op = &adding, .manager = dst->manager, .in = { dst, src }, .out = dst
    };
    tarn__add_strided(dst, src);
    tarn__observe_call(add_kernel, &call);
}
