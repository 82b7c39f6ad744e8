/* SPDX-License-Identifier: MIT
 * run_kernel.h - how every kernel of an operation is run. */
#ifndef TARN_OPS_RUN_KERNEL_H
#define TARN_OPS_RUN_KERNEL_H

#include "ops/op.h"

/* Elements from which on threads share the work of an operation that treats each by itself. On two
 * cores of a Xeon of 2023 relu gains from 60000 elements on, exp earlier. */
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
