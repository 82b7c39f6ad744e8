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

/* A number that some of the lattice equal. */
static bool any_whole(int i, op_variant *v)
{
    const bool more = op_any_shape(i, v);
    v->value = 0.25;
    return more;
}

/* Ranges with kinks between the numbers that are drawn; without an end; of one number. */
static bool any_range(int i, op_variant *v)
{
    static const double ranges[][2] = {
        { -0.5 - 0x1p-11, 0.75 + 0x1p-11 }, { -INFINITY, 0x1p-11 },  { -1.25 + 0x1p-11, INFINITY },
        { 0.25 + 0x1p-11, 0.25 + 0x1p-11 }, { -INFINITY, INFINITY },
    };
    const bool more = op_any_shape(i, v);
    v->value = ranges[i % OP_LENGTH(ranges)][0];
    v->value_b = ranges[i % OP_LENGTH(ranges)][1];
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

/* Masks that broadcast to an operand, of every type. */
static bool any_mask(int i, op_variant *v)
{
    static const tarn_shape pairs[][2] = {
        { { 0, { 0 } }, { 0, { 0 } } },
        { { 1, { 7 } }, { 1, { 7 } } },
        { { 2, { 3, 5 } }, { 1, { 5 } } },
        { { 2, { 0, 3 } }, { 2, { 1, 3 } } },
        { { 3, { 4, 6, 5 } }, { 3, { 4, 1, 5 } } },
        { { 3, { 2, 3, 4 } }, { 2, { 3, 1 } } },
        { { 2, { 2, 600 } }, { 2, { 2, 600 } } },
        { { 2, { 2, 600 } }, { 0, { 0 } } },
    };
    static const tarn_dtype dtypes[] = { TARN_U8, TARN_I32, TARN_I64 };
    if (i >= OP_LENGTH(pairs)) return false;
    v->shape[0] = pairs[i][0];
    v->shape[1] = pairs[i][1];
    v->value = -1.5;
    v->dtype = dtypes[i % 3];
    return true;
}

/* A condition and two operands that broadcast. */
static bool any_choice(int i, op_variant *v)
{
    static const tarn_shape triples[][3] = {
        { { 0, { 0 } }, { 0, { 0 } }, { 0, { 0 } } },
        { { 1, { 23 } }, { 1, { 23 } }, { 1, { 23 } } },
        { { 2, { 3, 5 } }, { 2, { 3, 5 } }, { 0, { 0 } } },
        { { 2, { 3, 5 } }, { 0, { 0 } }, { 2, { 3, 5 } } },
        { { 2, { 4, 1 } }, { 1, { 6 } }, { 2, { 4, 6 } } },
        { { 1, { 3 } }, { 2, { 4, 1 } }, { 3, { 2, 1, 1 } } },
        { { 0, { 0 } }, { 2, { 4, 8 } }, { 1, { 8 } } },
        { { 3, { 2, 1, 3 } }, { 3, { 1, 5, 3 } }, { 3, { 2, 5, 1 } } },
        { { 2, { 0, 3 } }, { 2, { 1, 3 } }, { 1, { 1 } } },
        { { 2, { 2, 600 } }, { 2, { 2, 1 } }, { 1, { 600 } } },
        { { 2, { 300, 2 } }, { 1, { 2 } }, { 2, { 300, 1 } } },
    };
    static const tarn_dtype dtypes[] = { TARN_U8, TARN_I64, TARN_I32 };
    if (i >= OP_LENGTH(triples)) return false;
    for (int k = 0; k < 3; k++) v->shape[k] = triples[i][k];
    v->dtype = dtypes[i % 3];
    return true;
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
UNARY(sign, isnan(x) ? x : sign_of(x))

/* Half of it where x is halfway, the larger in amount; then back to the even one. */
static double round_of(double x)
{
    const double y = trunc(x + copysign(0.5, x));
    return fabs(x - trunc(x)) == 0.5 && fmod(y, 2) != 0 ? y - copysign(1, x) : y;
}

UNARY(expm1, expm1(x))
UNARY(log1p, log1p(x))
UNARY(rsqrt, 1 / sqrt(x))
UNARY(reciprocal, 1 / x)
UNARY(sin, sin(x))
UNARY(cos, cos(x))
UNARY(erf, erf(x))
UNARY(softplus, x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)))
UNARY(silu, x == -INFINITY ? 0 : x / (1 + exp(-x)))
UNARY(gelu, x == -INFINITY ? 0 : x / 2 * erfc(-x / sqrt(2)))
UNARY(gelu_tanh,
      x == -INFINITY ? 0 : x / (1 + exp(-sqrt(8 / acos(-1)) * (x + 0.044715 * x * x * x))))
UNARY(floor, trunc(x) - (x < trunc(x)))
UNARY(ceil, trunc(x) + (x > trunc(x)))
UNARY(round, round_of(x))
SCALAR(elu, x > 0 ? x : s * expm1(x))

UNARY_REFERENCE(clamp, isnan(x) ? x : x<s ? s : x> v->value_b ? v->value_b : x)
static tarn_tensor *clamp_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_clamp(in[0], v->value, v->value_b);
}

BINARY(equal, a == b)
BINARY(not_equal, a != b)
BINARY(less, a < b)
BINARY(less_equal, a <= b)
BINARY(greater, a > b)
BINARY(greater_equal, a >= b)

SCALAR(equal_scalar, x == s)
SCALAR(not_equal_scalar, x != s)
SCALAR(less_scalar, x < s)
SCALAR(less_equal_scalar, x <= s)
SCALAR(greater_scalar, x > s)
SCALAR(greater_equal_scalar, x >= s)

static tarn_tensor *where_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn_where(in[0], in[1], in[2]);
}

static void where_reference(const op_array *in, const op_variant *v, op_array *out,
                            op_array *magnitude)
{
    const tarn_shape first = op_broadcast(&in[0].shape, &in[1].shape);
    const tarn_shape shape = op_broadcast(&first, &in[2].shape);
    (void)v;
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    for (int64_t i = 0; i < out->n; i++) {
        const op_array *chosen = in[0].data[op_place(&in[0], &shape, i)] != 0 ? &in[1] : &in[2];
        out->data[i] = chosen->data[op_place(chosen, &shape, i)];
    }
}

static tarn_tensor *masked_fill_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_masked_fill(in[0], in[1], v->value);
}

static void masked_fill_reference(const op_array *in, const op_variant *v, op_array *out,
                                  op_array *magnitude)
{
    op_array_make(out, in->shape);
    op_array_make(magnitude, in->shape);
    for (int64_t i = 0; i < out->n; i++)
        out->data[i] = in[1].data[op_place(&in[1], &in->shape, i)] != 0 ? v->value : in->data[i];
}

/* ---- the table */

enum { COMPARISON = OP_NO_GRADIENT | OP_ONE_DTYPE | OP_U8_RESULT };

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
    ROW(elu,             1, OF(OP_ANY),                    op_any_shape,             4,   8, 0),
    ROW(softplus,        1, OF(OP_ANY),                    op_any_shape,             4,   4, 0),
    ROW(silu,            1, OF(OP_ANY),                    op_any_shape,             8,   8, 0),
    ROW(gelu,            1, OF(OP_ANY),                    op_any_shape,            16,  16, 0),
    ROW(gelu_tanh,       1, OF(OP_ANY),                    op_any_shape,            16,  16, 0),
    ROW(expm1,           1, OF(OP_ANY),                    op_any_shape,             2,  24, 0),
    ROW(log1p,           1, OF(OP_POSITIVE),               op_any_shape,             2,   4, 0),
    ROW(rsqrt,           1, OF(OP_POSITIVE),               op_any_shape,             2,  32, 0),
    ROW(reciprocal,      1, OF(OP_NONZERO),                op_any_shape,             1,  64, 0),
    ROW(sin,             1, OF(OP_ANY),                    op_any_shape,             2,   4, 0),
    ROW(cos,             1, OF(OP_ANY),                    op_any_shape,             2,   4, 0),
    ROW(erf,             1, OF(OP_ANY),                    op_any_shape,             2,  12, 0),
    ROW(sign,            1, OF(OP_ANY),                    op_any_shape,             0,   1, 0),
    ROW(floor,           1, OF(OP_BETWEEN),                op_any_shape,             0,   1, 0),
    ROW(ceil,            1, OF(OP_BETWEEN),                op_any_shape,             0,   1, 0),
    ROW(round,           1, OF(OP_BETWEEN),                op_any_shape,             0,   1, 0),
    ROW(clamp,           1, OF(OP_ANY),                    any_range,                0,   1, 0),
    ROW(equal,           2, OF(OP_LATTICE, OP_LATTICE),    op_any_pair,              0,   0, COMPARISON),
    ROW(not_equal,       2, OF(OP_LATTICE, OP_LATTICE),    op_any_pair,              0,   0, COMPARISON),
    ROW(less,            2, OF(OP_LATTICE, OP_LATTICE),    op_any_pair,              0,   0, COMPARISON),
    ROW(less_equal,      2, OF(OP_LATTICE, OP_LATTICE),    op_any_pair,              0,   0, COMPARISON),
    ROW(greater,         2, OF(OP_LATTICE, OP_LATTICE),    op_any_pair,              0,   0, COMPARISON),
    ROW(greater_equal,   2, OF(OP_LATTICE, OP_LATTICE),    op_any_pair,              0,   0, COMPARISON),
    ROW(equal_scalar,    1, OF(OP_LATTICE),                any_whole,                0,   0, COMPARISON | OP_ANY_DTYPE),
    ROW(not_equal_scalar, 1, OF(OP_LATTICE),                any_whole,                0,   0, COMPARISON | OP_ANY_DTYPE),
    ROW(less_scalar,     1, OF(OP_LATTICE),                any_whole,                0,   0, COMPARISON | OP_ANY_DTYPE),
    ROW(less_equal_scalar, 1, OF(OP_LATTICE),                any_whole,                0,   0, COMPARISON | OP_ANY_DTYPE),
    ROW(greater_scalar,  1, OF(OP_LATTICE),                any_whole,                0,   0, COMPARISON | OP_ANY_DTYPE),
    ROW(greater_equal_scalar, 1, OF(OP_LATTICE),                any_whole,                0,   0, COMPARISON | OP_ANY_DTYPE),
    ROW(where,           3, OF(OP_FLAGS, OP_ANY, OP_ANY),  any_choice,               0,   1, OP_LINEAR | OP_ONE_DTYPE),
    ROW(masked_fill,     2, OF(OP_ANY, OP_FLAGS),          any_mask,                 0,   1, OP_LINEAR | OP_ANY_DTYPE),
    { 0 },
};
