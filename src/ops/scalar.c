/* SPDX-License-Identifier: MIT
 * scalar.c - elementwise operations of a tensor and a number. The formulas are in scalar.inc. */
#include "ops/elementwise.h"
#include "ops/op_list.h"

#define ELEMENTWISE ELEMENTWISE_KERNELS
#define TARN_KERNELS "ops/scalar.inc"
#include "ops/for_each_float.h"
#undef ELEMENTWISE

#define ELEMENTWISE ELEMENTWISE_OP
#include "ops/scalar.inc"
#undef ELEMENTWISE

static tarn_tensor *with_number(const tarn__op *op, tarn_tensor *x, double s)
{
    return tarn__apply1(op, x, &(tarn__attr){ .value = s });
}

tarn_tensor *tarn_add_scalar(tarn_tensor *x, double s)
{
    return with_number(&tarn__op_add_scalar, x, s);
}

/* x - s is x + -s, to the bit. */
tarn_tensor *tarn_sub_scalar(tarn_tensor *x, double s)
{
    return with_number(&tarn__op_add_scalar, x, -s);
}

tarn_tensor *tarn_rsub_scalar(tarn_tensor *x, double s)
{
    return with_number(&tarn__op_rsub_scalar, x, s);
}

tarn_tensor *tarn_mul_scalar(tarn_tensor *x, double s)
{
    return with_number(&tarn__op_mul_scalar, x, s);
}

tarn_tensor *tarn_div_scalar(tarn_tensor *x, double s)
{
    return with_number(&tarn__op_div_scalar, x, s);
}

tarn_tensor *tarn_rdiv_scalar(tarn_tensor *x, double s)
{
    return with_number(&tarn__op_rdiv_scalar, x, s);
}

tarn_tensor *tarn_pow_scalar(tarn_tensor *x, double s)
{
    return with_number(&tarn__op_pow_scalar, x, s);
}

tarn_tensor *tarn_maximum_scalar(tarn_tensor *x, double s)
{
    return with_number(&tarn__op_maximum_scalar, x, s);
}

tarn_tensor *tarn_minimum_scalar(tarn_tensor *x, double s)
{
    return with_number(&tarn__op_minimum_scalar, x, s);
}
