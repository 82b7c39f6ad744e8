/* SPDX-License-Identifier: MIT
 * elementwise.h - how formulas of one number become an operation on a tensor of them.
 *
 * A page of formulas (unary.inc, scalar.inc) is a list of lines
 *
 *     ELEMENTWISE(op,  y = f(x),  dx = ...,  reads,
 *                 dx, as operations)
 *
 * in which x, y and dy stand for one element of the operand, of the output and of its gradient, and
 * s and t for the numbers that the operation was given (tarn__attr.value and value_b, rounded to
 * the element type); VIA and OF call functions of vmath.h (formula.h). Then comes which of x and y
 * the gradient reads, since only that is kept for backward: X, Y or NOTHING. The second line is the
 * same gradient once more (op.h, `graph`): there x, y and dy are tensors. It reads nothing else,
 * and its value agrees wherever f has a kink. No call in it has two calls among its arguments,
 * whose order would be the compiler's.
 *
 * The page is included three times: with ELEMENTWISE as ELEMENTWISE_KERNELS for float and for
 * double, and with ELEMENTWISE as ELEMENTWISE_OP for the operations' structures. */
#ifndef TARN_OPS_ELEMENTWISE_H
#define TARN_OPS_ELEMENTWISE_H

#include "ops/formula.h"
#include "ops/graph.h"
#include "ops/loop.h"
#include "ops/op.h"
#include "ops/real.h"

enum { NOTHING = 0, X = TARN__USES_IN0, Y = TARN__USES_OUT };

/* The kernels. y may be the memory of x, and dx that of dy. What the gradient does not read is not
 * there, or has changed: dy stands in for it, unread. */
#define ELEMENTWISE_KERNELS(op, f, df, reads, graph_dx)                \
    static tarn_status NAME(op##_forward)(const tarn__call *call)      \
    {                                                                  \
        const REAL *xs = call->in[0]->data;                            \
        REAL *to = call->out->data;                                    \
        const int64_t n = call->out->layout.numel;                     \
        ELEMENTWISE_NUMBERS(REAL)                                      \
        FORMULA(ELEMENTWISE_LOOP, , ELEMENTWISE_STORE, n, f)           \
        return TARN_OK;                                                \
    }                                                                  \
                                                                       \
    static tarn_status NAME(op##_backward)(const tarn__call *call)     \
    {                                                                  \
        const REAL *dys = call->dout->data;                            \
        const REAL *xs = ((reads)&X) != 0 ? call->in[0]->data : dys;   \
        const REAL *ys = ((reads)&Y) != 0 ? call->out->data : dys;     \
        REAL *to = call->din[0]->data;                                 \
        const int64_t n = call->din[0]->layout.numel;                  \
        ELEMENTWISE_NUMBERS(REAL)                                      \
        if (call->add[0]) {                                            \
            FORMULA(ELEMENTWISE_LOOP_BACK, , ELEMENTWISE_ADD, n, df)   \
        } else {                                                       \
            FORMULA(ELEMENTWISE_LOOP_BACK, , ELEMENTWISE_STORE, n, df) \
        }                                                              \
        return TARN_OK;                                                \
    }

#define ELEMENTWISE_LOOP(about, first, n, ...) \
    {                                          \
        TARN__INDEPENDENT                      \
        for (int64_t i = 0; i < (n); i++) {    \
            const REAL x = xs[(first) + i];    \
            (void)x;                           \
            __VA_ARGS__                        \
        }                                      \
    }
#define ELEMENTWISE_LOOP_BACK(about, first, n, ...)                                     \
    {                                                                                   \
        TARN__INDEPENDENT                                                               \
        for (int64_t i = 0; i < (n); i++) {                                             \
            const REAL x = xs[(first) + i], y = ys[(first) + i], dy = dys[(first) + i]; \
            (void)x, (void)y, (void)dy;                                                 \
            __VA_ARGS__                                                                 \
        }                                                                               \
    }
#define ELEMENTWISE_STORE(i, value) to[i] = (value)
#define ELEMENTWISE_ADD(i, value) to[i] += (value)

#define ELEMENTWISE_NUMBERS(type)                                      \
    const type s = call->attr != NULL ? (type)call->attr->value : 0;   \
    const type t = call->attr != NULL ? (type)call->attr->value_b : 0; \
    (void)s, (void)t;

#define ELEMENTWISE_OP(op, f, df, reads, graph_dx)                      \
    static tarn_tensor *op##_graph(const tarn__call *call, int i)       \
    {                                                                   \
        tarn_tensor *x = call->in[0], *y = call->out, *dy = call->dout; \
        const double s = elementwise_number(call, 0);                   \
        const double t = elementwise_number(call, 1);                   \
        (void)i, (void)x, (void)y, (void)s, (void)t;                    \
        return (graph_dx);                                              \
    }                                                                   \
    const tarn__op tarn__op_##op = {                                    \
        .name = #op,                                                    \
        .operands = { "x" },                                            \
        .arity = 1,                                                     \
        .grad_in_place = true,                                          \
        .by_element = true,                                             \
        .in_place = true,                                               \
        .uses = { reads },                                              \
        .infer = tarn__infer_same,                                      \
        .forward = TARN__KERNELS(op##_forward),                         \
        .backward = TARN__KERNELS(op##_backward),                       \
        .graph = op##_graph,                                            \
    };

/* One of the two numbers, as the kernels have it. */
static inline double elementwise_number(const tarn__call *call, int i)
{
    if (call->attr == NULL) return 0;
    const double number = i == 0 ? call->attr->value : call->attr->value_b;
    return call->dout->layout.dtype == TARN_F64 ? number : (double)(float)number;
}

#endif
