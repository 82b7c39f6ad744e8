/* SPDX-License-Identifier: MIT
 * elementwise.h - how formulas of one number become an operation on a tensor of them.
 *
 * A page of formulas (unary.inc, scalar.inc) is a list of lines
 *
 *     ELEMENTWISE(op,  y = f(x),  dx = ...,  reads)
 *
 * in which x, y and dy stand for one element of the operand, of the output and of its gradient, and
 * s for the number that the operation was given (tarn__attr.value, rounded to the element type).
 * The last column says which of x and y the gradient reads, since only that is kept for backward:
 * X, Y or NOTHING.
 *
 * The page is included three times: with ELEMENTWISE as ELEMENTWISE_KERNELS for float and for
 * double, and with ELEMENTWISE as ELEMENTWISE_OP for the operations' structures. */
#ifndef TARN_OPS_ELEMENTWISE_H
#define TARN_OPS_ELEMENTWISE_H

#include "ops/loop.h"
#include "ops/op.h"
#include "ops/real.h"

enum { NOTHING = 0, X = TARN__USES_IN0, Y = TARN__USES_OUT };

/* The kernels. What the gradient does not read is not there, or has changed: dy stands in for it,
 * unread. dx may be the memory of dy. */
#define ELEMENTWISE_KERNELS(op, f, df, reads)                            \
    static tarn_status NAME(op##_forward)(const tarn__call *call)        \
    {                                                                    \
        const REAL *restrict xs = call->in[0]->data;                     \
        REAL *restrict ys = call->out->data;                             \
        const int64_t n = call->out->layout.numel;                       \
        const REAL s = call->attr != NULL ? (REAL)call->attr->value : 0; \
        (void)s;                                                         \
        for (int64_t i = 0; i < n; i++) {                                \
            const REAL x = xs[i];                                        \
            ys[i] = (f);                                                 \
        }                                                                \
        return TARN_OK;                                                  \
    }                                                                    \
                                                                         \
    static tarn_status NAME(op##_backward)(const tarn__call *call)       \
    {                                                                    \
        const REAL *dys = call->dout->data;                              \
        const REAL *xs = ((reads)&X) != 0 ? call->in[0]->data : dys;     \
        const REAL *ys = ((reads)&Y) != 0 ? call->out->data : dys;       \
        REAL *dxs = call->din[0]->data;                                  \
        const int64_t n = call->din[0]->layout.numel;                    \
        const REAL s = call->attr != NULL ? (REAL)call->attr->value : 0; \
        (void)s;                                                         \
        if (call->add[0]) {                                              \
            TARN__INDEPENDENT                                            \
            for (int64_t i = 0; i < n; i++) {                            \
                const REAL x = xs[i], y = ys[i], dy = dys[i];            \
                (void)x, (void)y, (void)dy;                              \
                dxs[i] += (df);                                          \
            }                                                            \
        } else {                                                         \
            TARN__INDEPENDENT                                            \
            for (int64_t i = 0; i < n; i++) {                            \
                const REAL x = xs[i], y = ys[i], dy = dys[i];            \
                (void)x, (void)y, (void)dy;                              \
                dxs[i] = (df);                                           \
            }                                                            \
        }                                                                \
        return TARN_OK;                                                  \
    }

#define ELEMENTWISE_OP(op, f, df, reads)         \
    const tarn__op tarn__op_##op = {             \
        .name = #op,                             \
        .operands = { "x" },                     \
        .arity = 1,                              \
        .grad_in_place = true,                   \
        .in_place = true,                        \
        .uses = { reads },                       \
        .infer = tarn__infer_same,               \
        .forward = TARN__FLOATS(op##_forward),   \
        .backward = TARN__FLOATS(op##_backward), \
    };

#endif
