/* SPDX-License-Identifier: MIT
 * unary.c - elementwise operations on one operand. The formulas are in unary.inc. */
#include <math.h>

#include "ops/elementwise.h"
#include "ops/op_list.h"

/* ---- gradients as operations, where they do not fit into the page
 *
 * The slopes of silu and both gelu do not change any more where |x| is FAR. Computed for clamped x
 * they stay numbers, and so do their derivatives, where x is infinite or its square would be. */

#define FAR 1000

static tarn_tensor *leaky_relu_dx(tarn_tensor *dy, tarn_tensor *x, double slope)
{
    tarn_tensor *below = tarn_mul_scalar(dy, slope);
    return tarn_where(tarn_greater_scalar(x, 0), dy, below);
}

static tarn_tensor *elu_dx(tarn_tensor *dy, tarn_tensor *x, double alpha)
{
    tarn_tensor *slope = tarn_mul_scalar(tarn_exp(tarn_clamp(x, -INFINITY, 0)), alpha);
    tarn_tensor *below = tarn_mul(dy, slope);
    return tarn_where(tarn_greater_scalar(x, 0), dy, below);
}

/* The slope is p + x p q with p = sigmoid(x), q = sigmoid(-x). */
static tarn_tensor *silu_dx(tarn_tensor *dy, tarn_tensor *x)
{
    tarn_tensor *near = tarn_clamp(x, -FAR, FAR);
    tarn_tensor *p = tarn_sigmoid(near);
    tarn_tensor *q = tarn_sigmoid(tarn_neg(near));
    tarn_tensor *rest = tarn_mul(tarn_mul(near, p), q);
    return tarn_mul(dy, tarn_add(p, rest));
}

/* The slope is P(x) + x P'(x) with P(x) = (1 + erf(x / sqrt(2))) / 2. */
static tarn_tensor *gelu_dx(tarn_tensor *dy, tarn_tensor *x)
{
    tarn_tensor *near = tarn_clamp(x, -FAR, FAR);
    tarn_tensor *odd = tarn_erf(tarn_mul_scalar(near, ROOT_HALF));
    tarn_tensor *p = tarn_mul_scalar(tarn_add_scalar(odd, 1), 0.5);
    tarn_tensor *bell = tarn_exp(tarn_mul_scalar(tarn_square(near), -0.5));
    tarn_tensor *rest = tarn_mul_scalar(tarn_mul(near, bell), ROOT_HALF_BY_PI / 2);
    return tarn_mul(dy, tarn_add(p, rest));
}

/* The slope is p + x p q u' with p = sigmoid(u), q = sigmoid(-u) and u = x (A + B x^2). */
static tarn_tensor *gelu_tanh_dx(tarn_tensor *dy, tarn_tensor *x)
{
    tarn_tensor *near = tarn_clamp(x, -FAR, FAR);
    tarn_tensor *bent = tarn_mul_scalar(tarn_square(near), GELU_B);
    tarn_tensor *u = tarn_mul(near, tarn_add_scalar(bent, GELU_A));
    tarn_tensor *du = tarn_add_scalar(tarn_mul_scalar(bent, 3), GELU_A);
    tarn_tensor *p = tarn_sigmoid(u);
    tarn_tensor *q = tarn_sigmoid(tarn_neg(u));
    tarn_tensor *rest = tarn_mul(tarn_mul(tarn_mul(near, p), q), du);
    return tarn_mul(dy, tarn_add(p, rest));
}

static tarn_tensor *clamp_dx(tarn_tensor *dy, tarn_tensor *x, double min, double max)
{
    tarn_tensor *above = tarn_greater_equal_scalar(x, min);
    tarn_tensor *below = tarn_less_equal_scalar(x, max);
    return tarn__dy_where(tarn__both(above, below), dy);
}

/* ---- the operations */

#define ELEMENTWISE ELEMENTWISE_KERNELS
#define TARN_KERNELS "ops/unary.inc"
#include "ops/for_each_simd.h"
#undef ELEMENTWISE

#define ELEMENTWISE ELEMENTWISE_OP
#include "ops/unary.inc"
#undef ELEMENTWISE

tarn_tensor *tarn_neg(tarn_tensor *x) { return tarn__apply1(&tarn__op_neg, x, NULL); }
tarn_tensor *tarn_abs(tarn_tensor *x) { return tarn__apply1(&tarn__op_abs, x, NULL); }
tarn_tensor *tarn_exp(tarn_tensor *x) { return tarn__apply1(&tarn__op_exp, x, NULL); }
tarn_tensor *tarn_expm1(tarn_tensor *x) { return tarn__apply1(&tarn__op_expm1, x, NULL); }
tarn_tensor *tarn_log(tarn_tensor *x) { return tarn__apply1(&tarn__op_log, x, NULL); }
tarn_tensor *tarn_log1p(tarn_tensor *x) { return tarn__apply1(&tarn__op_log1p, x, NULL); }
tarn_tensor *tarn_sqrt(tarn_tensor *x) { return tarn__apply1(&tarn__op_sqrt, x, NULL); }
tarn_tensor *tarn_rsqrt(tarn_tensor *x) { return tarn__apply1(&tarn__op_rsqrt, x, NULL); }
tarn_tensor *tarn_square(tarn_tensor *x) { return tarn__apply1(&tarn__op_square, x, NULL); }
tarn_tensor *tarn_reciprocal(tarn_tensor *x) { return tarn__apply1(&tarn__op_reciprocal, x, NULL); }
tarn_tensor *tarn_sin(tarn_tensor *x) { return tarn__apply1(&tarn__op_sin, x, NULL); }
tarn_tensor *tarn_cos(tarn_tensor *x) { return tarn__apply1(&tarn__op_cos, x, NULL); }
tarn_tensor *tarn_tanh(tarn_tensor *x) { return tarn__apply1(&tarn__op_tanh, x, NULL); }
tarn_tensor *tarn_erf(tarn_tensor *x) { return tarn__apply1(&tarn__op_erf, x, NULL); }
tarn_tensor *tarn_sigmoid(tarn_tensor *x) { return tarn__apply1(&tarn__op_sigmoid, x, NULL); }
tarn_tensor *tarn_relu(tarn_tensor *x) { return tarn__apply1(&tarn__op_relu, x, NULL); }
tarn_tensor *tarn_softplus(tarn_tensor *x) { return tarn__apply1(&tarn__op_softplus, x, NULL); }
tarn_tensor *tarn_silu(tarn_tensor *x) { return tarn__apply1(&tarn__op_silu, x, NULL); }
tarn_tensor *tarn_gelu(tarn_tensor *x) { return tarn__apply1(&tarn__op_gelu, x, NULL); }
tarn_tensor *tarn_gelu_tanh(tarn_tensor *x) { return tarn__apply1(&tarn__op_gelu_tanh, x, NULL); }
tarn_tensor *tarn_sign(tarn_tensor *x) { return tarn__apply1(&tarn__op_sign, x, NULL); }
tarn_tensor *tarn_floor(tarn_tensor *x) { return tarn__apply1(&tarn__op_floor, x, NULL); }
tarn_tensor *tarn_ceil(tarn_tensor *x) { return tarn__apply1(&tarn__op_ceil, x, NULL); }
tarn_tensor *tarn_round(tarn_tensor *x) { return tarn__apply1(&tarn__op_round, x, NULL); }

/* An operation with a number that must be finite. */
static tarn_tensor *with_finite(const tarn__op *op, tarn_tensor *x, const char *name, double number)
{
    if (x != NULL && !isfinite(number)) {
        const tarn__call call = { .op = op, .manager = x->manager };
        (void)tarn__call_fail(&call, TARN_EARG, "%s %g is not finite", name, number);
        return NULL;
    }
    return tarn__apply1(op, x, &(tarn__attr){ .value = number });
}

tarn_tensor *tarn_leaky_relu(tarn_tensor *x, double slope)
{
    return with_finite(&tarn__op_leaky_relu, x, "slope", slope);
}

tarn_tensor *tarn_elu(tarn_tensor *x, double alpha)
{
    return with_finite(&tarn__op_elu, x, "alpha", alpha);
}

tarn_tensor *tarn_clamp(tarn_tensor *x, double min, double max)
{
    if (x != NULL && !(min <= max)) {
        const tarn__call call = { .op = &tarn__op_clamp, .manager = x->manager };
        (void)tarn__call_fail(&call, TARN_EARG, "[%g, %g] is no range of numbers", min, max);
        return NULL;
    }
    return tarn__apply1(&tarn__op_clamp, x, &(tarn__attr){ .value = min, .value_b = max });
}
