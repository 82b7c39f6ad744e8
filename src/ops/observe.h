/* SPDX-License-Identifier: MIT
 * observe.h - kernels that run outside operations, of which the observer is told as well. */
#ifndef TARN_OPS_OBSERVE_H
#define TARN_OPS_OBSERVE_H

#include "core/observer.h"
#include "ops/op.h"

/* Tells the observer, if there is one, of a kernel that has run. */
static inline void tarn__observe_call(tarn__kernel kernel, const tarn__call *call)
{
    if (call->manager->observer != NULL) call->manager->observer->call(call->manager, kernel, call);
}

/* A kernel that copies operand 0 to the output. */
extern const tarn__op tarn__copying;
tarn_status tarn__copy_kernel(const tarn__call *call);

/* tarn__copy_strided and tarn__add_strided outside kernels. */
void tarn__copy_observed(tarn_tensor *dst, tarn_tensor *src);
void tarn__add_observed(tarn_tensor *dst, tarn_tensor *src);

#endif
