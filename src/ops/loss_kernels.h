/* SPDX-License-Identifier: MIT
 * loss_kernels.h - the kernels of losses of elements, from a formula each. (Included by .inc files
 * once, and used there for both types.)
 *
 * In a formula x, y and z are elements of the operands, s is attr->value, and `other` attr->keep;
 * in a gradient, g is that of the element's loss. */
#ifndef TARN_OPS_LOSS_KERNELS_H
#define TARN_OPS_LOSS_KERNELS_H

enum { X = TARN__USES_IN0, Y = TARN__USES_IN1, Z = TARN__USES_IN2 };

/* name: the losses f, one by one or added up in pieces that stay in the first-level cache. */
#define LOSS_FORWARD(name, operands, f)                                            \
    static tarn_status NAME(name)(const tarn__call *call)                          \
    {                                                                              \
        enum { PIECE = 256 };                                                      \
        const REAL *xs = call->in[0]->data, *ys = call->in[1]->data;               \
        const REAL *zs = LOSS_DATA(operands, Z, 2);                                \
        const REAL s = (REAL)call->attr->value;                                    \
        const bool other = call->attr->keep;                                       \
        const int64_t n = call->in[0]->layout.numel;                               \
        REAL *out = call->out->data;                                               \
        (void)s, (void)other, (void)zs;                                            \
        if (tarn__keeps_losses(call)) {                                            \
            LOSS_LOOP(operands, 0, n, out[i] = (f))                                \
            return TARN_OK;                                                        \
        }                                                                          \
        double sum = 0;                                                            \
        for (int64_t first = 0; first < n; first += PIECE) {                       \
            REAL losses[PIECE];                                                    \
            const int64_t m = n - first < PIECE ? n - first : PIECE;               \
            LOSS_LOOP(operands, first, m, losses[i] = (f))                         \
            sum += tarn__sum(losses, m);                                           \
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
        const int64_t n = call->din[which]->layout.numel;                                     \
        REAL *to = call->din[which]->data;                                                    \
        (void)s, (void)other, (void)xs, (void)ys, (void)zs;                                   \
        if (tarn__keeps_losses(call)) {                                                       \
            if (call->add[which]) LOSS_LOOP_OF_GRADIENTS(reads, n, gs[i], to[i] += (df))      \
            else LOSS_LOOP_OF_GRADIENTS(reads, n, gs[i], to[i] = (df))                        \
        } else {                                                                              \
            if (call->add[which]) LOSS_LOOP_OF_GRADIENTS(reads, n, mean_g, to[i] += (df))     \
            else LOSS_LOOP_OF_GRADIENTS(reads, n, mean_g, to[i] = (df))                       \
        }                                                                                     \
    }

#define LOSS_DATA(reads, operand, i) (((reads) & (operand)) != 0 ? call->in[i]->data : NULL)
#define LOSS_LOOP(reads, first, n, statement)                  \
    for (int64_t i = 0; i < (n); i++) {                        \
        const REAL x = ((reads)&X) != 0 ? xs[(first) + i] : 0; \
        const REAL y = ((reads)&Y) != 0 ? ys[(first) + i] : 0; \
        const REAL z = ((reads)&Z) != 0 ? zs[(first) + i] : 0; \
        (void)x, (void)y, (void)z;                             \
        statement;                                             \
    }
#define LOSS_LOOP_OF_GRADIENTS(reads, n, gradient, statement) \
    LOSS_LOOP(reads, 0, n, const REAL g = (gradient); (void)g; statement)

/* name: the gradients of all operands, one after the other. */
#define LOSS_BACKWARD_OF_TWO(op)                                   \
    static tarn_status NAME(op##_backward)(const tarn__call *call) \
    {                                                              \
        NAME(op##_dx)(call);                                       \
        NAME(op##_dy)(call);                                       \
        return TARN_OK;                                            \
    }

#endif
