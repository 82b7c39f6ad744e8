/* SPDX-License-Identifier: MIT
 * watch.h - those who look at every operation: a user's function, and the check for numbers that
 * are not finite. */
#ifndef TARN_OPS_WATCH_H
#define TARN_OPS_WATCH_H

#include "ops/op.h"

/* Bits of tarn_manager.watch. While none is set, watching costs one test an operation. */
enum { TARN__WATCH_FINITE = 1, TARN__WATCH_OPERATIONS = 2 };

/* Called after the forward kernel, with operands and output; and after the backward kernel, with
 * call->dout, call->din and the operands of the node. TARN_ENUMERIC, with the error held, if a
 * result is not finite. */
tarn_status tarn__watch_forward(const tarn__call *call);
tarn_status tarn__watch_backward(const tarn__call *call, tarn_tensor *const *in);

#endif
