/* SPDX-License-Identifier: MIT
 * cases_elementwise.c - cases of elementwise operations. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "op_cases.h"

/* ---- elementwise: variants, calls and formulas */

static bool any_shape_negative(int i, op_variant *v)
{
    const bool more = op_any_shape(i, v);
    v->value = -0.25;
    return more;
}

/* 0, 1, 2 and others. */
static bool any_exponent(int i, op_variant *v)
{
    static const double exponents[] = { 2, 0, 1, 3, -1, 0.5, -2.75, 1.5, 1.5 };
    v->shape[0] = i == 7 ? TARN_SCALAR : i == 8 ? TARN_SHAPE(2, 0) : TARN_SHAPE(3, 5);
    if (i < OP_LENGTH(exponents)) v->value = exponents[i];
    return i < OP_LENGTH(exponents);
}

static double sign_of(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
static double nan_max(double a, double b) { return isnan(a) || isnan(b) ? NAN : a > b ? a : b; }
static double nan_min(double a, double b) { return -nan_max(-a, -b); }

/* The call tarn_op(x) and y = f for each x; |y| is the magnitude. */
#define UNARY(op, f)                                                            \
    UNARY_REFERENCE(op, f)                                                      \
    static tarn_tensor *op##_apply(tarn_tensor *const *in, const op_variant *v) \
    {                                                                           \
        (void)v;                                                                \
        return tarn_##op(in[0]);                                                \
    }

/* The same with the number s. */
#define SCALAR(op, f)                                                           \
    UNARY_REFERENCE(op, f)                                                      \
    static tarn_tensor *op##_apply(tarn_tensor *const *in, const op_variant *v) \
    {                                                                           \
        return tarn_##op(in[0], v->value);                                      \
    }

#define UNARY_REFERENCE(op, f)                                                         \
    static void op##_reference(const op_array *in, const op_variant *v, op_array *out, \
                               op_array *magnitude)                                    \
    {                                                                                  \
        const double s = v->value;                                                     \
        (void)s;                                                                       \
        op_array_make(out, in->shape);                                                 \
        op_array_make(magnitude, in->shape);                                           \
        for (int64_t i = 0; i < in->n; i++) {                                          \
            const double x = in->data[i];                                              \
            out->data[i] = (f);                                                        \
            magnitude->data[i] = fabs(out->data[i]);                                   \
        }                                                                              \
    }

#define BINARY(op, f)                                                                  \
    static tarn_tensor *op##_apply(tarn_tensor *const *in, const op_variant *v)        \
    {                                                                                  \
        (void)v;                                                                       \
        return tarn_##op(in[0], in[1]);                                                \
    }                                                                                  \
    static void op##_reference(const op_array *in, const op_variant *v, op_array *out, \
                               op_array *magnitude)                                    \
    {                                                                                  \
        const tarn_shape shape = op_broadcast(&in[0].shape, &in[1].shape);             \
        int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;                                   \
        (void)v;                                                                       \
        op_array_make(out, shape);                                                     \
        op_array_make(magnitude, shape);                                               \
        if (out->n == 0) return;                                                       \
        do {                                                                           \
            const double a = in[0].data[op_place_of(&in[0], shape.ndim, index)];       \
            const double b = in[1].data[op_place_of(&in[1], shape.ndim, index)];       \
            out->data[i] = (f);                                                        \
            magnitude->data[i] = fabs(out->data[i]);                                   \
            i++;                                                                       \
        } while (op_next(&shape, index));                                              \
    }

BINARY(add, a + b)
BINARY(sub, a - b)
BINARY(mul, a *b)
BINARY(div, a / b)
BINARY(pow, pow(a, b))
BINARY(maximum, nan_max(a, b))
BINARY(minimum, nan_min(a, b))

SCALAR(add_scalar, x + s)
SCALAR(sub_scalar, x - s)
SCALAR(rsub_scalar, s - x)
SCALAR(mul_scalar, x *s)
SCALAR(div_scalar, x / s)
SCALAR(rdiv_scalar, s / x)
SCALAR(pow_scalar, pow(x, s))
SCALAR(maximum_scalar, nan_max(x, s))
SCALAR(minimum_scalar, nan_min(x, s))
SCALAR(leaky_relu, x >= 0 ? x : s * x)

UNARY(neg, -x)
UNARY(abs, x *sign_of(x))
UNARY(exp, exp(x))
UNARY(log, log(x))
UNARY(sqrt, sqrt(x))
UNARY(square, x *x)
UNARY(tanh, tanh(x))
UNARY(sigmoid, 1 / (1 + exp(-x)))
UNARY(relu, isnan(x) ? x : x > 0 ? x : 0)

/* ---- the table */

/* clang-format off */

const op_case op_cases_elementwise[] = {
    /*  op               operands                          variants      ulps  of gradients */
    ROW(add,             2, OF(OP_ANY, OP_ANY),            op_any_pair,              1,   1, OP_LINEAR),
    ROW(sub,             2, OF(OP_ANY, OP_ANY),            op_any_pair,              1,   1, OP_LINEAR),
    ROW(mul,             2, OF(OP_ANY, OP_ANY),            op_any_pair,              1,   1, OP_LINEAR),
    ROW(div,             2, OF(OP_ANY, OP_NONZERO),        op_any_pair,              1, 128, 0),
    ROW(pow,             2, OF(OP_POSITIVE, OP_ANY),       op_any_pair,              2, 512, OP_NO_INFINITY),
    ROW(maximum,         2, OF(OP_LATTICE, OP_BETWEEN),    op_any_pair,              0,   1, 0),
    ROW(minimum,         2, OF(OP_LATTICE, OP_BETWEEN),    op_any_pair,              0,   1, 0),
    ROW(add_scalar,      1, OF(OP_ANY),                    op_any_shape,             1,   1, OP_LINEAR),
    { "add_scalar",      1, OF(OP_ANY),                    op_any_shape, sub_scalar_apply, sub_scalar_reference,
                                                                                  1,   1, OP_LINEAR },
    ROW(rsub_scalar,     1, OF(OP_ANY),                    op_any_shape,             1,   1, OP_LINEAR),
    ROW(mul_scalar,      1, OF(OP_ANY),                    op_any_shape,             1,   1, OP_LINEAR),
    ROW(div_scalar,      1, OF(OP_ANY),                    op_any_shape,             1,   1, OP_LINEAR),
    ROW(rdiv_scalar,     1, OF(OP_NONZERO),                op_any_shape,             1,  16, 0),
    ROW(pow_scalar,      1, OF(OP_POSITIVE),               any_exponent,          2, 2048, 0),
    ROW(maximum_scalar,  1, OF(OP_ANY),                    op_any_shape,             0,   1, 0),
    ROW(minimum_scalar,  1, OF(OP_ANY),                    op_any_shape,             0,   1, 0),
    ROW(neg,             1, OF(OP_ANY),                    op_any_shape,             0,   1, OP_LINEAR),
    ROW(abs,             1, OF(OP_ANY),                    op_any_shape,             0,   1, 0),
    ROW(exp,             1, OF(OP_ANY),                    op_any_shape,             2,  24, 0),
    ROW(log,             1, OF(OP_POSITIVE),               op_any_shape,             2,   4, 0),
    ROW(sqrt,            1, OF(OP_POSITIVE),               op_any_shape,             1,   4, 0),
    ROW(square,          1, OF(OP_ANY),                    op_any_shape,             1,   4, 0),
    ROW(tanh,            1, OF(OP_ANY),                    op_any_shape,             4,  12, 0),
    ROW(sigmoid,         1, OF(OP_ANY),                    op_any_shape,             4,   4, 0),
    ROW(relu,            1, OF(OP_ANY),                    op_any_shape,             0,   1, 0),
    ROW(leaky_relu,      1, OF(OP_ANY),                    op_any_shape,             1,   1, 0),
    ROW(leaky_relu,      1, OF(OP_ANY),                    any_shape_negative,    1,   1, 0),
    { 0 },
};
