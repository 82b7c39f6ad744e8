/* SPDX-License-Identifier: MIT
 * scalar.c - elementwise operations of a tensor and a number. The formulas are in scalar.inc. */
#include "ops/elementwise.h"
#include "ops/op_list.h"

/* ---- gradients as operations, where they do not fit into the page */

static tarn_tensor *pow_scalar_dx(tarn_tensor *dy, tarn_tensor *x, double s)
{
    if (s == 0) return tarn__no_dx(dy);
    tarn_tensor *scaled = tarn_mul_scalar(dy, s);
    return tarn_mul(scaled, tarn_pow_scalar(x, s - 1));
}

static tarn_tensor *maximum_scalar_dx(tarn_tensor *dy, tarn_tensor *x, double s)
{
    tarn_tensor *less = tarn_less_scalar(x, s);
    tarn_tensor *equal = tarn_equal_scalar(x, s);
    return tarn__dy_share(dy, less, equal);
}

static tarn_tensor *minimum_scalar_dx(tarn_tensor *dy, tarn_tensor *x, double s)
{
    tarn_tensor *greater = tarn_greater_scalar(x, s);
    tarn_tensor *equal = tarn_equal_scalar(x, s);
    return tarn__dy_share(dy, greater, equal);
}

/* ---- the operations */

#define ELEMENTWISE ELEMENTWISE_KERNELS
#define TARN_KERNELS "ops/scalar.inc"
#include "ops/for_each_simd.h"
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
