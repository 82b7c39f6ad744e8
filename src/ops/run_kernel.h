/* SPDX-License-Identifier: MIT
 * run_kernel.h - how every kernel of an operation is run. */
#ifndef TARN_OPS_RUN_KERNEL_H
#define TARN_OPS_RUN_KERNEL_H

#include "ops/op.h"

/* Below so many elements nobody asks whether threads should share the work of an operation that
 * treats each by itself; from there on tarn__parts_for decides. */
enum { TARN__MANY_ELEMENTS = 1 << 16 };

/* Runs it in parts of the elements, where every operand has those of the result, without gaps. */
tarn_status tarn__run_shared(tarn__kernel kernel, const tarn__call *call);

/* `result`: call->out in forward, call->dout in backward. */
static inline tarn_status tarn__run_kernel(tarn__kernel kernel, const tarn__call *call,
                                           const tarn_tensor *result)
{
    if (!call->op->by_element || result->layout.numel < TARN__MANY_ELEMENTS) return kernel(call);
    return tarn__run_shared(kernel, call);
}

#endif
