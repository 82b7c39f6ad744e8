/* SPDX-License-Identifier: MIT
 * test_reductions.c - particular values of reductions, softmax and running sums: extremes, ties,
 * zeros, nothing at all; what they refuse; that no operand is copied. What holds for every
 * operation is tested by the cases in cases_reductions.c. */
#include <float.h>
#include <math.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)
#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))
#define VECTOR(tm, dtype, ...)                                                         \
    tarn_cast(tarn_from_array((tm), TARN_F64, TARN_SHAPE((int64_t)COUNT(__VA_ARGS__)), \
                              (const double[]){ __VA_ARGS__ }),                        \
              (dtype))
#define EXPECT(t, ...) check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 0)

/* Relative to one expected value. */
#define EXPECT_NEAR(t, value, relative) \
    check_close((t), ((const double[]){ value }), 1, fabs(value) * (relative))

/* The gradient of the sum of y, which `leaf` leads to, is exactly this by the kernels, and nearly
 * by operations. */
#define EXPECT_GRADIENT(leaf, y, ...)                                                           \
    do {                                                                                        \
        tarn_tensor *loss = tarn_sum((y), TARN_ALL_AXES), *recorded;                            \
        const tarn_grad_options create = { .create_graph = true };                              \
        check_status(tarn_grad(TARN_LIST(loss), TARN_LIST(leaf), &recorded, &create), TARN_OK); \
        check_close(recorded, ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 1e-6);     \
        tarn_zero_grad(leaf);                                                                   \
        check_status(tarn_backward(loss), TARN_OK);                                             \
        EXPECT(tarn_grad_of(leaf), __VA_ARGS__);                                                \
    } while (0)

/* The Hessian of a loss times a vector. */
#define EXPECT_HESSIAN(leaf, loss, vector, ...)                                  \
    do {                                                                         \
        tarn_tensor *by = (vector), *product;                                    \
        check_status(tarn_hvp((loss), TARN_LIST(leaf), &by, &product), TARN_OK); \
        EXPECT(product, __VA_ARGS__);                                            \
    } while (0)
#define LEAF(tm, dtype, ...) tarn_require_grad(VECTOR(tm, dtype, __VA_ARGS__))

#define EACH_FLOAT(dtype) for (tarn_dtype dtype = TARN_F32; dtype <= TARN_F64; dtype++)
#define ALL TARN_ALL_AXES

/* ---- products */

static void products_with_zeros(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EACH_FLOAT(dtype)
    {
        tarn_tensor *none = LEAF(tm, dtype, 2, -3, 4);
        EXPECT(tarn_prod(none, ALL), -24);
        EXPECT_GRADIENT(none, tarn_prod(none, ALL), -12, 8, -6);
        tarn_tensor *one = LEAF(tm, dtype, 2, 0, 4);
        EXPECT(tarn_prod(one, ALL), 0);
        EXPECT_GRADIENT(one, tarn_prod(one, ALL), 0, 8, 0);
        tarn_tensor *two = LEAF(tm, dtype, 0, 2, 0, 4);
        EXPECT_GRADIENT(two, tarn_prod(two, ALL), 0, 0, 0, 0);
        tarn_tensor *rows = LEAF(tm, dtype, 1, 2, 0, 4, 5, 0);
        EXPECT(tarn_prod(tarn_reshape(rows, TARN_SHAPE(2, 3)), TARN_AXES(0)), 4, 10, 0);
        EXPECT_GRADIENT(rows, tarn_prod(tarn_reshape(rows, TARN_SHAPE(2, 3)), TARN_AXES(0)), 4, 5,
                        0, 1, 2, 0);
        EXPECT_GRADIENT(rows, tarn_prod(tarn_reshape(rows, TARN_SHAPE(2, 3)), TARN_AXES(1)), 0, 0,
                        2, 0, 0, 20);
    }
}

/* In double, so that no product of floats on the way overflows; and no gradient is divided. */
static void products_of_extremes(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, TARN_F32, 0x1p100, 0x1p100, 0x1p-100, 0x1p-100);
    EXPECT(tarn_prod(x, ALL), 1);
    EXPECT_GRADIENT(x, tarn_prod(x, ALL), 0x1p-100, 0x1p-100, 0x1p100, 0x1p100);
    tarn_tensor *small = LEAF(tm, TARN_F64, 0x1p-600, 0x1p-600, 0x1p600);
    EXPECT_GRADIENT(small, tarn_prod(small, ALL), 1, 1, 0);
    tarn_tensor *infinite = LEAF(tm, TARN_F32, INFINITY, 2, -3);
    EXPECT_GRADIENT(infinite, tarn_prod(infinite, ALL), -6, -INFINITY, INFINITY);
    EXPECT(tarn_prod(VECTOR(tm, TARN_F32, INFINITY, 0), ALL), NAN);
}

static void second_derivatives_of_products(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EACH_FLOAT(dtype)
    {
        tarn_tensor *one = LEAF(tm, dtype, 2, 0, 4);
        EXPECT_HESSIAN(one, tarn_prod(one, ALL), VECTOR(tm, dtype, 1, 10, 100), 40, 204, 20);
        tarn_tensor *two = LEAF(tm, dtype, 0, 2, 0, 4);
        EXPECT_HESSIAN(two, tarn_prod(two, ALL), VECTOR(tm, dtype, 1, 10, 100, 1000), 800, 0, 8, 0);
        tarn_tensor *three = LEAF(tm, dtype, 0, 0, 0, 4);
        EXPECT_HESSIAN(three, tarn_prod(three, ALL), VECTOR(tm, dtype, 1, 1, 1, 1), 0, 0, 0, 0);
    }
}

/* ---- variance and standard deviation */

static void large_means(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EACH_FLOAT(dtype)
    {
        const double mean = dtype == TARN_F32 ? 0x1p20 : 0x1p49;
        tarn_tensor *x = LEAF(tm, dtype, mean - 3, mean + 1, mean - 1, mean + 3);
        EXPECT(tarn_var(x, ALL, 0), 5);
        EXPECT_GRADIENT(x, tarn_var(x, ALL, 0), -1.5, 0.5, -0.5, 1.5);
        EXPECT(tarn_var(tarn_reshape(x, TARN_SHAPE(2, 2)), TARN_AXES(1), 1), 8, 8);
        EXPECT(tarn_var(tarn_reshape(x, TARN_SHAPE(2, 2)), TARN_AXES(0), 1), 2, 2);
        EXPECT(tarn_std(tarn_reshape(x, TARN_SHAPE(2, 2)), TARN_AXES(0), 0), 1, 1);
    }
}

/* 1000 numbers around 1e9 with a variance that is known: (n^2 - 1) / 12 steps^2. */
static void many_terms_around_a_large_mean(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_arange(tm, TARN_F64, 1e9, 1e9 + 1000 * 0x1p-10, 0x1p-10);
    EXPECT_NEAR(tarn_var(x, ALL, 0), (1e6 - 1) / 12 * 0x1p-20, 1e-14);
    EXPECT_NEAR(tarn_var(x, ALL, 1), (1e6 - 1) / 12 * 0x1p-20 * 1000 / 999, 1e-14);
    EXPECT_NEAR(tarn_std(x, ALL, 0), sqrt((1e6 - 1) / 12) * 0x1p-10, 1e-14);
}

/* Equal terms whose mean is rounded have no variance all the same, and no gradient. */
static void no_variance(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EACH_FLOAT(dtype)
    {
        tarn_tensor *x = LEAF(tm, dtype, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1);
        EXPECT(tarn_var(x, ALL, 0), 0);
        EXPECT(tarn_std(x, ALL, 1), 0);
        EXPECT_GRADIENT(x, tarn_var(x, ALL, 1), 0, 0, 0, 0, 0, 0, 0);
        EXPECT_GRADIENT(x, tarn_std(x, ALL, 1), 0, 0, 0, 0, 0, 0, 0);
        tarn_tensor *one = LEAF(tm, dtype, 7);
        EXPECT_GRADIENT(one, tarn_std(one, ALL, 0), 0);
    }
}

static void too_few_terms_for_a_correction(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, TARN_F32, 3);
    EXPECT(tarn_var(x, ALL, 0), 0);
    EXPECT(tarn_var(x, ALL, 1), NAN);
    EXPECT(tarn_std(x, ALL, 2), NAN);
    EXPECT(tarn_var(x, ALL, -1), 0);
    EXPECT_GRADIENT(x, tarn_var(x, ALL, 1), NAN);
    EXPECT_GRADIENT(x, tarn_std(x, ALL, 1), NAN);
}

/* ---- norms */

static void norms_of_a_triangle(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EACH_FLOAT(dtype)
    {
        tarn_tensor *x = LEAF(tm, dtype, 3, -4);
        EXPECT(tarn_norm(x, 1, ALL), 7);
        EXPECT(tarn_norm(x, 2, ALL), 5);
        EXPECT(tarn_norm(x, INFINITY, ALL), 4);
        EXPECT_NEAR(tarn_norm(x, 3, ALL), cbrt(91), 1e-7);
        EXPECT_NEAR(tarn_norm(x, 0.5, ALL), 7 + 4 * sqrt(3), 1e-7);
        EXPECT_GRADIENT(x, tarn_norm(x, 1, ALL), 1, -1);
        EXPECT_GRADIENT(x, tarn_norm(x, INFINITY, ALL), 0, -1);
    }
    tarn_tensor *x = LEAF(tm, TARN_F64, 3, -4);
    EXPECT_GRADIENT(x, tarn_norm(x, 2, ALL), 0.6, -0.8);
}

/* The norm of {3 s, 4 s} is 5 s, whatever s is. */
static void norms_of_extremes(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EACH_FLOAT(dtype)
    {
        const double scales[] = { dtype == TARN_F32 ? 0x1p125 : 0x1p1021,
                                  dtype == TARN_F32 ? 0x1p-149 : 0x1p-1074 };
        for (int i = 0; i < 2; i++) {
            const double s = scales[i];
            tarn_tensor *x = LEAF(tm, dtype, 3 * s, 4 * s, 0);
            EXPECT(tarn_norm(x, 2, ALL), 5 * s);
            EXPECT(tarn_norm(x, 1, ALL), 7 * s);
            EXPECT(tarn_norm(x, INFINITY, ALL), 4 * s);
            EXPECT_NEAR(tarn_norm(x, 3, ALL), cbrt(91) * s, i == 0 ? 1e-6 : 0.2);
            tarn_tensor *y = tarn_norm(x, 2, ALL);
            check_status(tarn_backward(y), TARN_OK);
            check_close(tarn_grad_of(x), ((const double[]){ 0.6, 0.8, 0 }), 3, 1e-7);
        }
        tarn_tensor *many = tarn_full(tm, dtype, TARN_SHAPE(400, 3), scales[0] / 64);
        EXPECT(tarn_norm(many, 2, TARN_AXES(0)), scales[0] / 64 * 20, scales[0] / 64 * 20,
               scales[0] / 64 * 20);
    }
}

static void norms_at_zero_and_infinity(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const double p[] = { 0.5, 1, 1.5, 2, 3, INFINITY };
    EACH_FLOAT(dtype) for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++)
    {
        tarn_tensor *zero = LEAF(tm, dtype, 0, -0.0, 0);
        EXPECT(tarn_norm(zero, p[i], ALL), 0);
        EXPECT_GRADIENT(zero, tarn_norm(zero, p[i], ALL), 0, 0, 0);
        tarn_tensor *one = LEAF(tm, dtype, 0, -2, 0);
        EXPECT(tarn_norm(one, p[i], ALL), 2);
        EXPECT_GRADIENT(one, tarn_norm(one, p[i], ALL), 0, -1, 0);
        EXPECT(tarn_norm(VECTOR(tm, dtype, 1, -INFINITY, 2), p[i], ALL), INFINITY);
        EXPECT(tarn_norm(VECTOR(tm, dtype, 1, NAN, INFINITY), p[i], ALL), NAN);
        EXPECT(tarn_norm(VECTOR(tm, dtype, INFINITY, NAN), p[i], ALL), NAN);
    }
    tarn_tensor *ties = LEAF(tm, TARN_F32, 1, -2, 2, -2);
    EXPECT_GRADIENT(ties, tarn_norm(ties, INFINITY, ALL), 0, -1, 0, 0);
    tarn_tensor *nan = LEAF(tm, TARN_F32, 1, NAN, NAN);
    EXPECT_GRADIENT(nan, tarn_norm(nan, INFINITY, ALL), 0, NAN, 0);
}

/* ---- logsumexp and softmax */

static void logsumexp_of_extremes(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EACH_FLOAT(dtype)
    {
        EXPECT(tarn_logsumexp(VECTOR(tm, dtype, 1e3, 2e3), ALL), 2e3);
        EXPECT(tarn_logsumexp(VECTOR(tm, dtype, 1e6, 2e6), ALL), 2e6);
        EXPECT(tarn_logsumexp(VECTOR(tm, dtype, -1e6, -2e6), ALL), -1e6);
        EXPECT_NEAR(tarn_logsumexp(VECTOR(tm, dtype, 1e3, 1e3), ALL), 1e3 + log(2), 1e-7);
        EXPECT_NEAR(tarn_logsumexp(VECTOR(tm, dtype, -1e3, -1e3), ALL), -1e3 + log(2), 1e-7);
        EXPECT(tarn_logsumexp(VECTOR(tm, dtype, FLT_MAX, -FLT_MAX), ALL), (double)FLT_MAX);
        EXPECT(tarn_logsumexp(VECTOR(tm, dtype, 3, INFINITY, 1e6), ALL), INFINITY);
        EXPECT(tarn_logsumexp(VECTOR(tm, dtype, 3, INFINITY, -INFINITY), ALL), INFINITY);
        EXPECT(tarn_logsumexp(VECTOR(tm, dtype, -INFINITY, 3), ALL), 3);
        EXPECT(tarn_logsumexp(VECTOR(tm, dtype, -INFINITY, NAN), ALL), NAN);
        EXPECT(tarn_logsumexp(VECTOR(tm, dtype, INFINITY, NAN), ALL), NAN);

        tarn_tensor *nothing = LEAF(tm, dtype, -INFINITY, -INFINITY);
        EXPECT(tarn_logsumexp(nothing, ALL), -INFINITY);
        EXPECT_GRADIENT(nothing, tarn_logsumexp(nothing, ALL), 0, 0);
        tarn_tensor *far = LEAF(tm, dtype, 1e6, 2e6, -INFINITY);
        EXPECT_GRADIENT(far, tarn_logsumexp(far, ALL), 0, 1, 0);
        tarn_tensor *infinite = LEAF(tm, dtype, INFINITY, 3);
        EXPECT_GRADIENT(infinite, tarn_logsumexp(infinite, ALL), NAN, 0);
    }
}

static void softmax_of_extremes(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EACH_FLOAT(dtype)
    {
        EXPECT(tarn_softmax(VECTOR(tm, dtype, 1e3, 2e3), 0), 0, 1);
        EXPECT(tarn_softmax(VECTOR(tm, dtype, 1e6, 2e6), 0), 0, 1);
        EXPECT(tarn_softmax(VECTOR(tm, dtype, -INFINITY, 2), 0), 0, 1);
        EXPECT(tarn_softmax(VECTOR(tm, dtype, INFINITY, 2), 0), NAN, NAN);
        EXPECT(tarn_softmax(VECTOR(tm, dtype, -INFINITY, -INFINITY), 0), NAN, NAN);
        EXPECT(tarn_log_softmax(VECTOR(tm, dtype, 1e3, 2e3), 0), -1e3, 0);
        EXPECT(tarn_log_softmax(VECTOR(tm, dtype, 1e6, 2e6), 0), -1e6, 0);
        EXPECT(tarn_log_softmax(VECTOR(tm, dtype, -INFINITY, 2), 0), -INFINITY, 0);
        EXPECT(tarn_log_softmax(VECTOR(tm, dtype, INFINITY, 2), 0), NAN, NAN);
        EXPECT(tarn_log_softmax(VECTOR(tm, dtype, -INFINITY, -INFINITY), 0), NAN, NAN);
    }
}

/* log_softmax is what is left of x without its logsumexp, and softmax is the gradient of that. */
static void softmax_and_logsumexp_agree(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x =
        tarn_require_grad(tarn_random_normal(tm, TARN_F64, TARN_SHAPE(3, 40, 4), 0, 5, 1));
    enum { N = 3 * 40 * 4 };
    double expected[N];
    tarn_tensor *lse = tarn_logsumexp(x, TARN_AXES_KEEP(1));
    check_status(tarn_copy_to(tarn_log_softmax(x, 1), expected, sizeof(expected)), TARN_OK);
    check_close(tarn_sub(x, lse), expected, N, 1e-13);
    check_status(tarn_copy_to(tarn_softmax(x, 1), expected, sizeof(expected)), TARN_OK);
    check_status(tarn_backward(tarn_sum(lse, ALL)), TARN_OK);
    check_close(tarn_grad_of(x), expected, N, 1e-13);
}

/* Where first derivatives are 0 by decree, so are second ones, and none is NaN. */
static void second_derivatives_at_the_edges(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const double p[] = { 0.5, 1, 1.5, 2, 3, INFINITY };
    EACH_FLOAT(dtype)
    {
        tarn_tensor *v = VECTOR(tm, dtype, 1, -2);
        tarn_tensor *zero = LEAF(tm, dtype, 0, 0), *equal = LEAF(tm, dtype, 3, 3);
        tarn_tensor *nothing = LEAF(tm, dtype, -INFINITY, -INFINITY);
        for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++)
            EXPECT_HESSIAN(zero, tarn_norm(zero, p[i], ALL), v, 0, 0);
        EXPECT_HESSIAN(equal, tarn_std(equal, ALL, 1), v, 0, 0);
        EXPECT_HESSIAN(equal, tarn_var(equal, ALL, 1), v, 3, -3);
        EXPECT_HESSIAN(nothing, tarn_logsumexp(nothing, ALL), v, 0, 0);
        EXPECT_HESSIAN(equal, tarn_max(tarn_mul(equal, equal), ALL), v, 2, 0);
    }
}

/* ---- running sums */

static void running_sums(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EACH_FLOAT(dtype)
    {
        tarn_tensor *x = LEAF(tm, dtype, 1, 2, 3, 4, 5, 6);
        tarn_tensor *rows = tarn_reshape(x, TARN_SHAPE(2, 3));
        EXPECT(tarn_cumsum(x, -1), 1, 3, 6, 10, 15, 21);
        EXPECT(tarn_cumsum(rows, 0), 1, 2, 3, 5, 7, 9);
        EXPECT(tarn_cumsum(rows, 1), 1, 3, 6, 4, 9, 15);
        EXPECT(tarn_cumsum(tarn_transpose(rows, 0, 1), 0), 1, 4, 3, 9, 6, 15);
        EXPECT_GRADIENT(x, tarn_cumsum(x, 0), 6, 5, 4, 3, 2, 1);
        EXPECT_GRADIENT(x, tarn_cumsum(tarn_reshape(x, TARN_SHAPE(2, 3)), 0), 2, 2, 2, 1, 1, 1);
        EXPECT_GRADIENT(x, tarn_cumsum(tarn_reshape(x, TARN_SHAPE(2, 3)), 1), 3, 2, 1, 3, 2, 1);
    }
    /* What floats could not hold together is not lost on the way. */
    EXPECT(tarn_cumsum(VECTOR(tm, TARN_F32, 0x1p30, 1, 1, -0x1p30), 0), 0x1p30, 0x1p30, 0x1p30, 2);
    EXPECT(tarn_cumsum(VECTOR(tm, TARN_F32, 1, INFINITY, 1, -INFINITY, 1), 0), 1, INFINITY,
           INFINITY, NAN, NAN);
}

/* ---- places */

static void places_of_the_smallest(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EXPECT(tarn_argmin(VECTOR(tm, TARN_F32, 3, 1, 1, 2), ALL), 1);
    EXPECT(tarn_argmin(VECTOR(tm, TARN_F64, 1, NAN, -3, NAN), ALL), 1);
    EXPECT(tarn_argmin(VECTOR(tm, TARN_F64, INFINITY, INFINITY), ALL), 0);
    EXPECT(tarn_argmin(VECTOR(tm, TARN_U8, 200, 7, 1), ALL), 2);
    EXPECT(tarn_argmin(VECTOR(tm, TARN_I32, -7, -2e9, -3), ALL), 1);
    EXPECT(tarn_argmin(
               tarn_transpose(
                   tarn_reshape(VECTOR(tm, TARN_I64, 1, 9, 5, 7, 2, 8), TARN_SHAPE(2, 3)), 0, 1),
               TARN_AXES(1)),
           0, 1, 0);
}

/* ---- nothing */

static void reductions_over_nothing(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EACH_FLOAT(dtype)
    {
        tarn_tensor *x = tarn_require_grad(tarn_zeros(tm, dtype, TARN_SHAPE(0, 2)));
        const tarn_axes rows = TARN_AXES(0), columns = TARN_AXES(1);
        EXPECT(tarn_sum(x, rows), 0, 0);
        EXPECT(tarn_mean(x, rows), NAN, NAN);
        EXPECT(tarn_prod(x, rows), 1, 1);
        EXPECT(tarn_var(x, rows, 0), NAN, NAN);
        EXPECT(tarn_std(x, rows, 1), NAN, NAN);
        EXPECT(tarn_norm(x, 1, rows), 0, 0);
        EXPECT(tarn_norm(x, 2, rows), 0, 0);
        EXPECT(tarn_norm(x, 3, rows), 0, 0);
        EXPECT(tarn_norm(x, INFINITY, rows), 0, 0);
        EXPECT(tarn_logsumexp(x, rows), -INFINITY, -INFINITY);
        assert_int_equal(tarn_numel(tarn_cumsum(x, 0)), 0);
        assert_int_equal(tarn_numel(tarn_prod(x, columns)), 0);
        assert_int_equal(tarn_numel(tarn_std(x, columns, 0)), 0);
        assert_int_equal(tarn_numel(tarn_norm(x, 2, columns)), 0);
        assert_int_equal(tarn_numel(tarn_logsumexp(x, columns)), 0);
        assert_int_equal(tarn_numel(tarn_argmin(x, columns)), 0);
        check_status(tarn_backward(tarn_sum(tarn_prod(x, rows), ALL)), TARN_OK);
        check_status(tarn_backward(tarn_sum(tarn_var(x, columns, 0), ALL)), TARN_OK);
        assert_int_equal(tarn_numel(tarn_grad_of(x)), 0);
    }
}

/* ---- operands of any strides are read where they are */

static void strided_operands_are_not_copied(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *base = tarn_random_normal(tm, TARN_F64, TARN_SHAPE(5, 6, 7), 0, 1, 1);
    tarn_tensor *x = tarn_slice(tarn_transpose(base, 0, 2), 1, 1, 5);
    const tarn_axes axes = TARN_AXES(0, 2);
    assert_false(tarn_is_contiguous(x));
    uint64_t before = tarn_manager_get_stats(tm).created;
    tarn_tensor *(*const reductions[])(tarn_tensor *, tarn_axes) = {
        tarn_sum, tarn_mean, tarn_max, tarn_min, tarn_argmax, tarn_argmin, tarn_prod, tarn_logsumexp
    };
    for (size_t i = 0; i < sizeof(reductions) / sizeof(reductions[0]); i++) {
        (void)reductions[i](x, axes);
        assert_int_equal(tarn_manager_get_stats(tm).created, ++before);
    }
    (void)tarn_var(x, axes, 1);
    (void)tarn_std(x, axes, 1);
    (void)tarn_norm(x, 2, axes);
    (void)tarn_cumsum(x, 1);
    assert_int_equal(tarn_manager_get_stats(tm).created, before + 4);
}

/* ---- what they refuse */

#define REFUSES(call, code, text)    \
    do {                             \
        assert_null(call);           \
        check_error(tm, code, text); \
    } while (0)

static void wrong_axes(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_set_name(tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3)), "logits");
    REFUSES(tarn_prod(x, TARN_AXES(2)), TARN_EARG, "prod: x \"logits\" [2,3] has no axis 2");
    REFUSES(tarn_var(x, TARN_AXES(-3), 0), TARN_EARG, "var: x \"logits\" [2,3] has no axis -3");
    REFUSES(tarn_std(x, TARN_AXES(0, -2), 0), TARN_EARG,
            "std: axis -2 of x \"logits\" [2,3] is named twice");
    REFUSES(tarn_norm(x, INFINITY, TARN_AXES(5)), TARN_EARG,
            "norm: x \"logits\" [2,3] has no axis 5");
    REFUSES(tarn_logsumexp(x, TARN_AXES(1, 1)), TARN_EARG,
            "logsumexp: axis 1 of x \"logits\" [2,3] is named twice");
    REFUSES(tarn_argmin(x, (tarn_axes){ .n = 9 }), TARN_EARG,
            "argmin: 9 axes; 0 (all) to 8 are possible");
    REFUSES(tarn_cumsum(x, 2), TARN_EARG, "cumsum: x \"logits\" [2,3] has no axis 2");
    REFUSES(tarn_cumsum(tarn_zeros(tm, TARN_F32, TARN_SCALAR), 0), TARN_EARG,
            "cumsum: x [] has no axis 0");
}

static void wrong_numbers(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3));
    REFUSES(tarn_norm(x, 0, ALL), TARN_EARG, "norm: p 0 is not positive");
    REFUSES(tarn_norm(x, -1.5, ALL), TARN_EARG, "norm: p -1.5 is not positive");
    REFUSES(tarn_norm(x, -(double)INFINITY, ALL), TARN_EARG, "norm: p -inf is not positive");
    assert_null(tarn_norm(x, (double)NAN, ALL));
    check_error_part(tm, TARN_EARG, "is not positive");
    REFUSES(tarn_var(x, ALL, (double)INFINITY), TARN_EARG, "var: correction inf is not finite");
    REFUSES(tarn_std(x, ALL, -(double)INFINITY), TARN_EARG, "std: correction -inf is not finite");
}

static void wrong_types_and_nothing(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *whole = tarn_zeros(tm, TARN_I32, TARN_SHAPE(3));
    REFUSES(tarn_prod(whole, ALL), TARN_EDTYPE,
            "prod: x is int32; float32 or float64 is needed (tarn_cast converts)");
    REFUSES(tarn_norm(whole, 2, ALL), TARN_EDTYPE,
            "norm: x is int32; float32 or float64 is needed (tarn_cast converts)");
    tarn_tensor *nothing = tarn_zeros(tm, TARN_F32, TARN_SHAPE(3, 0));
    REFUSES(tarn_argmin(nothing, ALL), TARN_ESHAPE, "argmin: axis 1 of x [3,0] has no elements");
    REFUSES(tarn_max(nothing, TARN_AXES(1)), TARN_ESHAPE, "max: axis 1 of x [3,0] has no elements");
    REFUSES(tarn_min(nothing, ALL), TARN_ESHAPE, "min: axis 1 of x [3,0] has no elements");
    assert_null(tarn_prod(NULL, ALL));
    assert_null(tarn_norm(NULL, -1, ALL));
    assert_null(tarn_std(NULL, ALL, (double)INFINITY));
    assert_null(tarn_cumsum(NULL, 7));
    check_no_error(tm);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(products_with_zeros),
        TEST(products_of_extremes),
        TEST(second_derivatives_of_products),
        TEST(large_means),
        TEST(many_terms_around_a_large_mean),
        TEST(no_variance),
        TEST(too_few_terms_for_a_correction),
        TEST(norms_of_a_triangle),
        TEST(norms_of_extremes),
        TEST(norms_at_zero_and_infinity),
        TEST(logsumexp_of_extremes),
        TEST(softmax_of_extremes),
        TEST(softmax_and_logsumexp_agree),
        TEST(second_derivatives_at_the_edges),
        TEST(running_sums),
        TEST(places_of_the_smallest),
        TEST(reductions_over_nothing),
        TEST(strided_operands_are_not_copied),
        TEST(wrong_axes),
        TEST(wrong_numbers),
        TEST(wrong_types_and_nothing),
    };
    return cmocka_run_group_tests_name("reductions", tests, NULL, NULL);
}
