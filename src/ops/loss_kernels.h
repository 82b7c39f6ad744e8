/* SPDX-License-Identifier: MIT
 * loss_kernels.h - the kernels of losses of elements, from a formula each. (Included by .inc files
 * once, and used there for both types.)
 *
 * In a formula (formula.h) x, y and z are elements of the operands, s is attr->value, and `other`
 * attr->keep; in a gradient, g is that of the element's loss. */
#ifndef TARN_OPS_LOSS_KERNELS_H
#define TARN_OPS_LOSS_KERNELS_H

#include "ops/formula.h"
#include "ops/lanes.h"

enum { X = TARN__USES_IN0, Y = TARN__USES_IN1, Z = TARN__USES_IN2 };

/* name: the losses f, one by one or added up in pieces that stay in the first-level cache. */
#define LOSS_FORWARD(name, operands, f)                                            \
    static tarn_status NAME(name)(const tarn__call *call)                          \
    {                                                                              \
        const REAL *xs = call->in[0]->data, *ys = call->in[1]->data;               \
        const REAL *zs = LOSS_DATA(operands, Z, 2);                                \
        const REAL s = (REAL)call->attr->value;                                    \
        const bool other = call->attr->keep;                                       \
        const int64_t numel = call->in[0]->layout.numel;                           \
        REAL *out = call->out->data;                                               \
        (void)s, (void)other, (void)zs;                                            \
        if (tarn__keeps_losses(call)) {                                            \
            const int64_t begin = 0;                                               \
            REAL *to = out;                                                        \
            FORMULA(LOSS_LOOP, operands, LOSS_STORE, numel, f)                     \
            return TARN_OK;                                                        \
        }                                                                          \
        double sum = 0;                                                            \
        for (int64_t begin = 0; begin < numel; begin += FORMULA_PIECE) {           \
            REAL to[FORMULA_PIECE];                                                \
            const int64_t n = LOSS_PIECE(numel - begin);                           \
            FORMULA(LOSS_LOOP, operands, LOSS_STORE, n, f)                         \
            sum += NAME(sum_row)(n, to);                                           \
        }                                                                          \
        *out = (REAL)(sum / tarn__loss_divisor(call->attr, &call->in[0]->layout)); \
        return TARN_OK;                                                            \
    }

/* name: the gradient df of operand `which`. Operands that are not in `reads` are not there. */
#define LOSS_BACKWARD(name, which, reads, df)                                                 \
    static void NAME(name)(const tarn__call *call)                                            \
    {                                                                                         \
        if (call->din[which] == NULL) return;                                                 \
        const REAL *xs = LOSS_DATA(reads, X, 0);                                              \
        const REAL *ys = LOSS_DATA(reads, Y, 1);                                              \
        const REAL *zs = LOSS_DATA(reads, Z, 2);                                              \
        const REAL *gs = call->dout->data;                                                    \
        const REAL s = (REAL)call->attr->value;                                               \
        const bool other = call->attr->keep;                                                  \
        const REAL mean_g = *gs / (REAL)tarn__loss_divisor(call->attr, &call->in[0]->layout); \
        const int64_t n = call->din[which]->layout.numel, begin = 0;                          \
        REAL *to = call->din[which]->data;                                                    \
        (void)s, (void)other, (void)xs, (void)ys, (void)zs;                                   \
        if (tarn__keeps_losses(call)) {                                                       \
            if (call->add[which]) {                                                           \
                FORMULA(LOSS_LOOP_OF_EACH, reads, LOSS_ADD, n, df)                            \
            } else {                                                                          \
                FORMULA(LOSS_LOOP_OF_EACH, reads, LOSS_STORE, n, df)                          \
            }                                                                                 \
        } else {                                                                              \
            if (call->add[which]) {                                                           \
                FORMULA(LOSS_LOOP_OF_MEAN, reads, LOSS_ADD, n, df)                            \
            } else {                                                                          \
                FORMULA(LOSS_LOOP_OF_MEAN, reads, LOSS_STORE, n, df)                          \
            }                                                                                 \
        }                                                                                     \
    }

#define LOSS_DATA(reads, operand, i) (((reads) & (operand)) != 0 ? call->in[i]->data : NULL)
#define LOSS_PIECE(n) ((n) < FORMULA_PIECE ? (n) : FORMULA_PIECE)
#define LOSS_STORE(i, value) to[i] = (value)
#define LOSS_ADD(i, value) to[i] += (value)
#define LOSS_LOOP(reads, first, n, ...)                                \
    for (int64_t i = 0; i < (n); i++) {                                \
        const REAL x = ((reads)&X) != 0 ? xs[begin + (first) + i] : 0; \
        const REAL y = ((reads)&Y) != 0 ? ys[begin + (first) + i] : 0; \
        const REAL z = ((reads)&Z) != 0 ? zs[begin + (first) + i] : 0; \
        (void)x, (void)y, (void)z;                                     \
        __VA_ARGS__                                                    \
    }
#define LOSS_LOOP_OF_EACH(reads, first, n, ...) \
    LOSS_LOOP(reads, first, n, const REAL g = gs[(first) + i]; (void)g; __VA_ARGS__)
#define LOSS_LOOP_OF_MEAN(reads, first, n, ...) \
    LOSS_LOOP(reads, first, n, const REAL g = mean_g; (void)g; __VA_ARGS__)

/* name: the gradients of all operands, one after the other. */
#define LOSS_BACKWARD_OF_TWO(op)                                   \
    static tarn_status NAME(op##_backward)(const tarn__call *call) \
    {                                                              \
        NAME(op##_dx)(call);                                       \
        NAME(op##_dy)(call);                                       \
        return TARN_OK;                                            \
    }

#endif
