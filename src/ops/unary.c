/* SPDX-License-Identifier: MIT
 * unary.c - elementwise operations on one operand. The formulas are in unary.inc. */
#include <math.h>

#include "ops/elementwise.h"
#include "ops/op_list.h"

#define ELEMENTWISE ELEMENTWISE_KERNELS
#define TARN_KERNELS "ops/unary.inc"
#include "ops/for_each_float.h"
#undef ELEMENTWISE

#define ELEMENTWISE ELEMENTWISE_OP
#include "ops/unary.inc"
#undef ELEMENTWISE

tarn_tensor *tarn_neg(tarn_tensor *x) { return tarn__apply1(&tarn__op_neg, x, NULL); }
tarn_tensor *tarn_abs(tarn_tensor *x) { return tarn__apply1(&tarn__op_abs, x, NULL); }
tarn_tensor *tarn_exp(tarn_tensor *x) { return tarn__apply1(&tarn__op_exp, x, NULL); }
tarn_tensor *tarn_log(tarn_tensor *x) { return tarn__apply1(&tarn__op_log, x, NULL); }
tarn_tensor *tarn_sqrt(tarn_tensor *x) { return tarn__apply1(&tarn__op_sqrt, x, NULL); }
tarn_tensor *tarn_square(tarn_tensor *x) { return tarn__apply1(&tarn__op_square, x, NULL); }
tarn_tensor *tarn_tanh(tarn_tensor *x) { return tarn__apply1(&tarn__op_tanh, x, NULL); }
tarn_tensor *tarn_sigmoid(tarn_tensor *x) { return tarn__apply1(&tarn__op_sigmoid, x, NULL); }
tarn_tensor *tarn_relu(tarn_tensor *x) { return tarn__apply1(&tarn__op_relu, x, NULL); }
tarn_tensor *tarn_sign(tarn_tensor *x) { return tarn__apply1(&tarn__op_sign, x, NULL); }

tarn_tensor *tarn_leaky_relu(tarn_tensor *x, double slope)
{
    if (x != NULL && !isfinite(slope)) {
        const tarn__call call = { .op = &tarn__op_leaky_relu, .manager = x->manager };
        (void)tarn__call_fail(&call, TARN_EARG, "slope %g is not finite", slope);
        return NULL;
    }
    return tarn__apply1(&tarn__op_leaky_relu, x, &(tarn__attr){ .value = slope });
}
