/* SPDX-License-Identifier: MIT
 * test_elementwise.c - elementwise operations at extreme values, where formulas cancel or overflow;
 * at kinks, by kernels and by operations; in place. */
#include <float.h>
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "ops/op_list.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))
#define VECTOR(tm, dtype, ...)                                                         \
    tarn_cast(tarn_from_array((tm), TARN_F64, TARN_SHAPE((int64_t)COUNT(__VA_ARGS__)), \
                              (const double[]){ __VA_ARGS__ }),                        \
              (dtype))
#define LEAF(tm, dtype, ...) tarn_require_grad(VECTOR(tm, dtype, __VA_ARGS__))
#define EXPECT(t, ...) check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 0)

static const tarn_dtype floats[] = { TARN_F32, TARN_F64 };

/* A gradient of the sum of y, as the kernels or as operations compute it. */
static tarn_tensor *gradient(tarn_tensor *y, tarn_tensor *x, bool by_operations)
{
    tarn_tensor *g = NULL, *sum = tarn_sum(y, TARN_ALL_AXES);
    const tarn_grad_options o = { .keep_graph = true, .create_graph = by_operations };
    check_status(tarn_grad(TARN_LIST(sum), TARN_LIST(x), &g, &o), TARN_OK);
    return g;
}

/* It is exactly this, either way. */
#define EXPECT_GRADIENT(x, y, ...)                         \
    do {                                                   \
        tarn_tensor *const result = (y);                   \
        EXPECT(gradient(result, (x), false), __VA_ARGS__); \
        EXPECT(gradient(result, (x), true), __VA_ARGS__);  \
    } while (0)

/* ---- exact values */

typedef tarn_tensor *(*function)(tarn_tensor *x);

static tarn_tensor *elu_1(tarn_tensor *x) { return tarn_elu(x, 1); }

/* A function, an argument that float has, and its value and derivative there, which were computed
 * with 120 digits. */
typedef struct exact_value {
    function f;
    float x;
    double y, slope;
} exact_value;

static const exact_value exact_values[] = {
    { tarn_gelu, -12, -2.1317785344932148e-32, -2.5578956616748956e-31 },
    { tarn_gelu, -5, -1.4332578593959696e-6, -7.1469460017922946e-6 },
    { tarn_gelu, -1, -0.15865525393145705, -0.083315470587686298 },
    { tarn_gelu, -0.00100000005F, -0.00049960108149691712, 0.49920211566726115 },
    { tarn_gelu, 0.00100000005F, 0.00050039896600053419, 0.50079788433273885 },
    { tarn_gelu, 5, 4.9999985667421406, 1.0000071469460018 },
    { tarn_gelu, 30, 30, 1 },
    { tarn_gelu_tanh, -8, -3.1077829375011112e-21, -4.7147845041068416e-20 },
    { tarn_gelu_tanh, -5, -2.291796196629506e-7, -1.5463619875325946e-6 },
    { tarn_gelu_tanh, -1, -0.1588080093917233, -0.082964083845782555 },
    { tarn_gelu_tanh, -0.00100000005F, -0.00049960108149724622, 0.49920211566857754 },
    { tarn_gelu_tanh, 0.00100000005F, 0.00050039896600020509, 0.50079788433142246 },
    { tarn_gelu_tanh, 5, 4.9999997708203803, 1.0000015463619875 },
    { tarn_gelu_tanh, 30, 30, 1 },
    { tarn_silu, -80, -1.4438811102763321e-33, -1.425832596397878e-33 },
    { tarn_silu, -20, -4.1223072363804072e-8, -3.9161918660646783e-8 },
    { tarn_silu, -1, -0.26894142136999512, 0.072329488128513268 },
    { tarn_silu, -0.00100000005F, -0.00049975002374581026, 0.49950000005958461 },
    { tarn_silu, 0.00100000005F, 0.00050025002375164104, 0.50049999994041539 },
    { tarn_silu, 20, 19.999999958776928, 1.0000000391619187 },
    { tarn_silu, 80, 80, 1 },
    { tarn_softplus, -80, 1.8048513878454152e-35, 1.8048513878454152e-35 },
    { tarn_softplus, -20, 2.0611536203143807e-9, 2.0611536181902036e-9 },
    { tarn_softplus, -0.00100000005F, 0.69264730553620325, 0.49975000000895897 },
    { tarn_softplus, 0, 0.69314718055994531, 0.5 },
    { tarn_softplus, 0.00100000005F, 0.6936473055837007, 0.50024999999104103 },
    { tarn_softplus, 20, 20.000000002061154, 0.99999999793884638 },
    { tarn_softplus, 80, 80, 1 },
    { elu_1, -80, -1, 1.8048513878454152e-35 },
    { elu_1, -20, -0.99999999793884638, 2.0611536224385578e-9 },
    { elu_1, -0.00100000005F, -0.00099950021407498593, 0.99900049978592501 },
    { elu_1, -1.00000001e-10F, -1.000000013301432e-10, 0.9999999999 },
    { elu_1, 0.00100000005F, 0.0010000000474974513, 1 },
    { elu_1, 80, 80, 1 },
    { tarn_expm1, -50, -1, 1.9287498479639178e-22 },
    { tarn_expm1, -0.00100000005F, -0.00099950021407498593, 0.99900049978592501 },
    { tarn_expm1, -1.00000001e-10F, -1.000000013301432e-10, 0.9999999999 },
    { tarn_expm1, 1.00000001e-10F, 1.000000013401432e-10, 1.0000000001 },
    { tarn_expm1, 0.00100000005F, 0.0010005002142533142, 1.0010005002142533 },
    { tarn_expm1, 50, 5.1847055285870725e+21, 5.1847055285870725e+21 },
    { tarn_log1p, -0.75F, -1.3862943611198906, 4 },
    { tarn_log1p, -0.00100000005F, -0.0010005003811285298, 1.0010010010485936 },
    { tarn_log1p, -1.00000001e-10F, -1.000000013401432e-10, 1.0000000001 },
    { tarn_log1p, 1.00000001e-10F, 1.000000013301432e-10, 0.9999999999 },
    { tarn_log1p, 0.00100000005F, 0.00099950038053353447, 0.9990009989535964 },
    { tarn_log1p, 1.00000002e+20F, 46.051701879921791, 9.9999997995912306e-21 },
    { tarn_erf, -5, -0.99999999999846254, 1.5670866531017335e-11 },
    { tarn_erf, -0.00100000005F, -0.0011283788445643173, 1.1283780387168025 },
    { tarn_erf, 1.00000001e-10F, 1.1283791821609902e-10, 1.1283791670955126 },
    { tarn_erf, 0.25F, 0.27632639016823693, 1.0600141293761142 },
    { tarn_erf, 3, 0.99997790950300141, 0.00013925305194674785 },
    { tarn_sin, 1.57079637F, 0.99999999999999904, -4.3711390001862414e-8 },
    { tarn_sin, 1.57080638F, 0.99999999994942544, -1.005729171209794e-5 },
    { tarn_sin, 3.14159274F, -8.7422780003724745e-8, -0.99999999999999618 },
    { tarn_sin, -0.00100000005F, -0.00099999988083076922, 0.99999949999999417 },
    { tarn_sin, 10000, -0.30561438888825214, -0.95215536825901485 },
    { tarn_cos, 1.57079637F, -4.3711390001862414e-8, -0.99999999999999904 },
    { tarn_cos, 1.57080638F, -1.005729171209794e-5, -0.99999999994942544 },
    { tarn_cos, 3.14159274F, -0.99999999999999618, 8.7422780003724745e-8 },
    { tarn_cos, -0.00100000005F, 0.99999949999999417, 0.00099999988083076922 },
    { tarn_cos, 10000, -0.95215536825901485, 0.30561438888825214 },
    { tarn_rsqrt, 9.99999968e-21F, 10000000158.672391, -5.0000002380085904e+29 },
    { tarn_rsqrt, 0.25F, 2, -4 },
    { tarn_rsqrt, 1.00000002e+20F, 9.9999998997956148e-11, -4.9999998496934237e-31 },
    { tarn_reciprocal, -1e-15F, -999999996372506.29, -9.9999999274501259e+29 },
    { tarn_reciprocal, -0.25F, -4, -16 },
    { tarn_reciprocal, 9.99999987e+14F, 1.0000000130088962e-15, -1.0000000260177925e-30 },
};

/* Values as small as e^(-x^2 / 2) multiply the roundings of their argument by x squared; beyond
 * that nothing may be lost. */
static double bound_of(const exact_value *v, double e, tarn_dtype dtype)
{
    const double unit = dtype == TARN_F32 ? 0x1p-24 : 0x1p-53, x = (double)v->x;
    return fabs(e) * unit * (8 + fmin(2 * x * x, 300));
}

static void expect_exact(tarn_manager *tm, const exact_value *v, tarn_dtype dtype)
{
    TARN_SCOPE(tm);
    const double bound = bound_of(v, v->slope, dtype);
    tarn_tensor *x = LEAF(tm, dtype, (double)v->x);
    tarn_tensor *y = v->f(x);
    check_close(y, &v->y, 1, bound_of(v, v->y, dtype));
    check_close(gradient(y, x, false), &v->slope, 1, bound);
    check_close(gradient(y, x, true), &v->slope, 1, bound + (dtype == TARN_F32 ? 1e-6 : 1e-14));
}

static void values_keep_their_digits(void **state)
{
    for (size_t i = 0; i < sizeof(exact_values) / sizeof(exact_values[0]); i++)
        for (int k = 0; k < 2; k++) expect_exact(MANAGER(state), &exact_values[i], floats[k]);
}

/* ---- no finite number becomes another kind */

#define EXTREMES(big)                                                                            \
    0, -0.0, 1e-30, -1e-30, 1e-3, -1e-3, 1.5, -1.5, 37, -37, 88, -88, 104, -104, 501, -501, 746, \
        -746, 1e4, -1e4, 5e6, -5e6, 1e20, -1e20, big, -big

static double element(tarn_tensor *t, int64_t i) { return tarn_item(tarn_slice(t, 0, i, i + 1)); }

/* Values are finite, and slopes that do not exceed 1.2. */
static void expect_finite(function f, tarn_tensor *x, double largest, double tolerance)
{
    tarn_tensor *y = f(x);
    tarn_tensor *kernel = gradient(y, x, false), *operations = gradient(y, x, true);
    for (int64_t i = 0; i < tarn_numel(x); i++) {
        const double slope = element(kernel, i), other = element(operations, i);
        if (!(fabs(element(y, i)) <= largest && fabs(slope) <= 1.2 &&
              fabs(slope - other) <= tolerance))
            fail_msg("f(%g) is %g, its slope %g, or by operations %g", element(x, i), element(y, i),
                     slope, other);
    }
}

static void finite_numbers_stay_finite(void **state)
{
    static const function functions[] = { tarn_softplus, tarn_silu, tarn_gelu, tarn_gelu_tanh,
                                          elu_1,         tarn_erf,  tarn_sin,  tarn_cos,
                                          tarn_sigmoid,  tarn_tanh };
    tarn_manager *tm = MANAGER(state);
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        TARN_SCOPE(tm);
        expect_finite(functions[i], LEAF(tm, TARN_F32, EXTREMES((double)FLT_MAX)), (double)FLT_MAX,
                      1e-6);
        expect_finite(functions[i], LEAF(tm, TARN_F64, EXTREMES(DBL_MAX), 1e300, -1e300), DBL_MAX,
                      1e-14);
    }
}

static void limits(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int k = 0; k < 2; k++) {
        tarn_tensor *x = LEAF(tm, floats[k], INFINITY, -INFINITY, NAN);
        EXPECT(tarn_softplus(x), INFINITY, 0, NAN);
        EXPECT(tarn_silu(x), INFINITY, 0, NAN);
        EXPECT(tarn_gelu(x), INFINITY, 0, NAN);
        EXPECT(tarn_gelu_tanh(x), INFINITY, 0, NAN);
        EXPECT(tarn_elu(x, 2), INFINITY, -2, NAN);
        EXPECT(tarn_expm1(x), INFINITY, -1, NAN);
        EXPECT(tarn_erf(x), 1, -1, NAN);
        EXPECT(tarn_sign(x), 1, -1, NAN);
        EXPECT(tarn_round(x), INFINITY, -INFINITY, NAN);
        EXPECT(tarn_sin(x), NAN, NAN, NAN);
        EXPECT_GRADIENT(x, tarn_softplus(x), 1, 0, NAN);
        EXPECT_GRADIENT(x, tarn_silu(x), 1, 0, NAN);
        EXPECT_GRADIENT(x, tarn_gelu(x), 1, 0, NAN);
        EXPECT_GRADIENT(x, tarn_gelu_tanh(x), 1, 0, NAN);
        EXPECT_GRADIENT(x, tarn_elu(x, 2), 1, 0, NAN);
        tarn_tensor *zeros = VECTOR(tm, floats[k], 0, -0.0);
        EXPECT(tarn_reciprocal(zeros), INFINITY, -INFINITY);
        EXPECT(tarn_rsqrt(zeros), INFINITY, -INFINITY);
        EXPECT(tarn_rsqrt(VECTOR(tm, floats[k], -1)), NAN);
        EXPECT(tarn_log1p(VECTOR(tm, floats[k], -1, -2)), -INFINITY, NAN);
        EXPECT(tarn_expm1(VECTOR(tm, floats[k], 1e4)), INFINITY);
    }
}

static void roundings_and_the_sign_of_zero(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int k = 0; k < 2; k++) {
        tarn_tensor *x = VECTOR(tm, floats[k], -2.5, -1.5, -0.5, -0.25, -0.0, 0.5, 1.5, 2.5, 1e20);
        const double far = k == 0 ? (double)1e20F : 1e20;
        EXPECT(tarn_round(x), -2, -2, 0, 0, 0, 0, 2, 2, far);
        EXPECT(tarn_floor(x), -3, -2, -1, -1, 0, 0, 1, 2, far);
        EXPECT(tarn_ceil(x), -2, -1, 0, 0, 0, 1, 2, 3, far);
        EXPECT(tarn_sign(x), -1, -1, -1, -1, 0, 1, 1, 1, 1);
        tarn_tensor *rounded = tarn_slice(tarn_round(x), 0, 2, 6);
        EXPECT(tarn_reciprocal(rounded), -INFINITY, -INFINITY, -INFINITY, INFINITY);
        EXPECT(tarn_reciprocal(tarn_slice(tarn_sign(x), 0, 4, 5)), -INFINITY);
    }
}

/* ---- pairs of what is no number */

static void pairs_of_infinities_and_nan(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const double inf = INFINITY, nan = NAN;
    for (int k = 0; k < 2; k++) {
        tarn_tensor *a = VECTOR(tm, floats[k], inf, inf, inf, -inf, -inf, -inf, nan, nan, nan);
        tarn_tensor *b = VECTOR(tm, floats[k], inf, -inf, nan, inf, -inf, nan, inf, -inf, nan);
        EXPECT(tarn_add(a, b), inf, nan, nan, nan, -inf, nan, nan, nan, nan);
        EXPECT(tarn_sub(a, b), nan, inf, nan, -inf, nan, nan, nan, nan, nan);
        EXPECT(tarn_mul(a, b), inf, -inf, nan, -inf, inf, nan, nan, nan, nan);
        EXPECT(tarn_div(a, b), nan, nan, nan, nan, nan, nan, nan, nan, nan);
        EXPECT(tarn_pow(a, b), inf, 0, nan, inf, 0, nan, nan, nan, nan);
        EXPECT(tarn_maximum(a, b), inf, inf, nan, inf, -inf, nan, nan, nan, nan);
        EXPECT(tarn_minimum(a, b), inf, -inf, nan, -inf, -inf, nan, nan, nan, nan);
        EXPECT(tarn_equal(a, b), 1, 0, 0, 0, 1, 0, 0, 0, 0);
        EXPECT(tarn_not_equal(a, b), 0, 1, 1, 1, 0, 1, 1, 1, 1);
        EXPECT(tarn_less(a, b), 0, 0, 0, 1, 0, 0, 0, 0, 0);
        EXPECT(tarn_less_equal(a, b), 1, 0, 0, 1, 1, 0, 0, 0, 0);
        EXPECT(tarn_greater(a, b), 0, 1, 0, 0, 0, 0, 0, 0, 0);
        EXPECT(tarn_greater_equal(a, b), 1, 1, 0, 0, 1, 0, 0, 0, 0);
    }
}

/* ---- kinks */

static void kinks_by_kernels_and_by_operations(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int k = 0; k < 2; k++) {
        tarn_tensor *x = LEAF(tm, floats[k], -1, -0.0, 0, 1, NAN);
        EXPECT_GRADIENT(x, tarn_abs(x), -1, 0, 0, 1, NAN);
        EXPECT_GRADIENT(x, tarn_relu(x), 0, 0, 0, 1, 0);
        EXPECT_GRADIENT(x, tarn_leaky_relu(x, 0.25), 0.25, 0.25, 0.25, 1, 0.25);
        EXPECT_GRADIENT(x, tarn_maximum_scalar(x, 0), 0, 0.5, 0.5, 1, 1);
        EXPECT_GRADIENT(x, tarn_minimum_scalar(x, 0), 1, 0.5, 0.5, 0, 1);
        EXPECT_GRADIENT(x, tarn_pow_scalar(x, 0), 0, 0, 0, 0, 0);
        EXPECT_GRADIENT(x, tarn_pow_scalar(x, 1), 1, 1, 1, 1, 1);
        EXPECT_GRADIENT(x, tarn_pow_scalar(x, 2), -2, 0, 0, 2, NAN);
        EXPECT_GRADIENT(x, tarn_clamp(x, -1, 0), 1, 1, 1, 0, 0);
        EXPECT_GRADIENT(x, tarn_clamp(x, 0, INFINITY), 0, 1, 1, 1, 0);
        EXPECT_GRADIENT(x, tarn_clamp(x, -INFINITY, INFINITY), 1, 1, 1, 1, 0);
        EXPECT_GRADIENT(x, tarn_sign(x), 0, 0, 0, 0, 0);
        EXPECT_GRADIENT(x, tarn_floor(x), 0, 0, 0, 0, 0);
        EXPECT_GRADIENT(x, tarn_ceil(x), 0, 0, 0, 0, 0);
        EXPECT_GRADIENT(x, tarn_round(x), 0, 0, 0, 0, 0);
        tarn_tensor *z = LEAF(tm, floats[k], -0.0, 0, 1e4);
        EXPECT_GRADIENT(z, tarn_elu(z, 0.5), 0.5, 0.5, 1);
    }
}

static void kinks_of_pairs(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int k = 0; k < 2; k++) {
        tarn_tensor *a = LEAF(tm, floats[k], 1, 2, 3, NAN, 2);
        tarn_tensor *b = LEAF(tm, floats[k], 2, 2, 2, 2, NAN);
        EXPECT_GRADIENT(a, tarn_maximum(a, b), 0, 0.5, 1, 1, 1);
        EXPECT_GRADIENT(b, tarn_maximum(a, b), 1, 0.5, 0, 1, 1);
        EXPECT_GRADIENT(a, tarn_minimum(a, b), 1, 0.5, 0, 1, 1);
        EXPECT_GRADIENT(b, tarn_minimum(a, b), 0, 0.5, 1, 1, 1);
        /* 0^0 = 1, 0^2 = 0, 2^0 = 1, 0^1 = 0 */
        tarn_tensor *base = LEAF(tm, floats[k], 0, 0, 2, 0);
        tarn_tensor *exponent = LEAF(tm, floats[k], 0, 2, 0, 1);
        const double log_2 = k == 0 ? (double)logf(2) : log(2);
        EXPECT_GRADIENT(base, tarn_pow(base, exponent), 0, 0, 0, 1);
        EXPECT_GRADIENT(exponent, tarn_pow(base, exponent), 0, 0, log_2, 0);
    }
}

/* What is not chosen must not turn second derivatives into NaN. */
static void second_derivatives_at_corners(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, TARN_F64, 1e4, 2000, INFINITY);
    EXPECT_GRADIENT(x, gradient(tarn_elu(x, 1), x, true), 0, 0, 0);
    EXPECT_GRADIENT(x, gradient(tarn_gelu(x), x, true), 0, 0, 0);
    EXPECT_GRADIENT(x, gradient(tarn_gelu_tanh(x), x, true), 0, 0, 0);
    EXPECT_GRADIENT(x, gradient(tarn_silu(x), x, true), 0, 0, 0);
    EXPECT_GRADIENT(x, gradient(tarn_softplus(x), x, true), 0, 0, 0);
    EXPECT_GRADIENT(x, gradient(tarn_floor(x), x, true), 0, 0, 0);
    /* d2(a^b)/da db is a^(b - 1) (1 + b log a): 1 / a where b is 0. */
    tarn_tensor *a = LEAF(tm, TARN_F64, 0, 4), *b = LEAF(tm, TARN_F64, 0, 0);
    EXPECT_GRADIENT(b, gradient(tarn_pow(a, b), a, true), 0, 0.25);
    EXPECT_GRADIENT(a, gradient(tarn_pow(a, b), b, true), 0, 0.25);
    EXPECT_GRADIENT(a, gradient(tarn_pow(a, b), a, true), 0, 0);
}

/* ---- in place */

/* An operand of random numbers between 0 and 1; a mask of every third element. */
static tarn_tensor *operand(tarn_manager *tm, const tarn__op *op, int i, tarn_dtype dtype,
                            tarn_shape shape)
{
    if ((op->any_dtype >> i & 1) == 0 || i == 0)
        return tarn_random_uniform(tm, dtype, shape, 0, 1, (uint64_t)i);
    tarn_tensor *draw = tarn_random_uniform(tm, dtype, shape, 0, 1, 9);
    return tarn_less_scalar(draw, 1.0 / 3);
}

static void expect_same_in_place(tarn_manager *tm, const tarn__op *op, tarn_dtype dtype,
                                 tarn_shape second)
{
    TARN_SCOPE(tm);
    const tarn__attr attr = { .value = 0.25, .value_b = 0.75, .key = 5 };
    tarn_tensor *in[TARN__MAX_OPERANDS] = { NULL };
    in[0] = operand(tm, op, 0, dtype, TARN_SHAPE(3, 37));
    for (int i = 1; i < op->arity; i++) in[i] = operand(tm, op, i, dtype, second);
    tarn_tensor *apart = tarn__apply(op, in, &attr);
    tarn_tensor *in_place = tarn__apply_in_place(op, in, &attr);
    if (apart == NULL || in_place == NULL) fail_msg("%s: %s", op->name, tarn_error_message(tm));
    if (memcmp(tarn_data(apart), tarn_data(in_place), tarn__bytes(apart)) != 0)
        fail_msg("%s differs where it overwrites its operand", op->name);
}

static void the_output_may_be_the_first_operand(void **state)
{
    int n = 0;
    for (int i = 0; tarn__ops[i] != NULL; i++) {
        if (!tarn__ops[i]->in_place) continue;
        for (int k = 0; k < 2; k++) {
            expect_same_in_place(MANAGER(state), tarn__ops[i], floats[k], TARN_SHAPE(3, 37));
            expect_same_in_place(MANAGER(state), tarn__ops[i], floats[k], TARN_SHAPE(37));
            expect_same_in_place(MANAGER(state), tarn__ops[i], floats[k], TARN_SHAPE(3, 1));
            expect_same_in_place(MANAGER(state), tarn__ops[i], floats[k], TARN_SCALAR);
        }
        n++;
    }
    assert_true(n >= 44);
}

/* ---- what is refused */

#define REFUSES(call, code, text)        \
    do {                                 \
        assert_null(call);               \
        check_error(tm, (code), (text)); \
    } while (0)

static void what_is_refused(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3));
    REFUSES(tarn_clamp(x, 1, 0.5), TARN_EARG, "clamp: [1, 0.5] is no range of numbers");
    REFUSES(tarn_clamp(x, NAN, 1), TARN_EARG, "clamp: [nan, 1] is no range of numbers");
    REFUSES(tarn_clamp(x, 0, NAN), TARN_EARG, "clamp: [0, nan] is no range of numbers");
    REFUSES(tarn_elu(x, NAN), TARN_EARG, "elu: alpha nan is not finite");
    REFUSES(tarn_elu(x, INFINITY), TARN_EARG, "elu: alpha inf is not finite");
    REFUSES(tarn_gelu(tarn_zeros(tm, TARN_U8, TARN_SHAPE(2))), TARN_EDTYPE,
            "gelu: x is uint8; float32 or float64 is needed (tarn_cast converts)");
    assert_null(tarn_clamp(NULL, 1, 0));
    assert_null(tarn_elu(NULL, NAN));
    check_no_error(tm);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(values_keep_their_digits),
        TEST(finite_numbers_stay_finite),
        TEST(limits),
        TEST(roundings_and_the_sign_of_zero),
        TEST(pairs_of_infinities_and_nan),
        TEST(kinks_by_kernels_and_by_operations),
        TEST(kinks_of_pairs),
        TEST(second_derivatives_at_corners),
        TEST(the_output_may_be_the_first_operand),
        TEST(what_is_refused),
    };
    return cmocka_run_group_tests_name("elementwise", tests, NULL, NULL);
}
