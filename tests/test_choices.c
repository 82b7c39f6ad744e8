/* SPDX-License-Identifier: MIT
 * test_choices.c - comparisons, where and masked_fill: which types they take, what NaN and numbers
 * beyond a type do, where gradients go. */
#include <math.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))
#define VECTOR(tm, dtype, ...)                                                         \
    tarn_cast(tarn_from_array((tm), TARN_F64, TARN_SHAPE((int64_t)COUNT(__VA_ARGS__)), \
                              (const double[]){ __VA_ARGS__ }),                        \
              (dtype))
#define LEAF(tm, dtype, ...) tarn_require_grad(VECTOR(tm, dtype, __VA_ARGS__))
#define EXPECT(t, ...) check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 0)

static const tarn_dtype floats[] = { TARN_F32, TARN_F64 };
static const tarn_dtype integers[] = { TARN_U8, TARN_I32, TARN_I64 };
static const tarn_dtype all[] = { TARN_F32, TARN_F64, TARN_I32, TARN_I64, TARN_U8 };

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

/* ---- comparisons */

static void integers_compare_with_numbers_as_they_are(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const int64_t whole[] = { INT64_MIN, -1, 0, (INT64_C(1) << 53) + 1, INT64_MAX };
    tarn_tensor *x = tarn_from_array(tm, TARN_I64, TARN_SHAPE(5), whole);
    EXPECT(tarn_equal_scalar(x, 0x1p53), 0, 0, 0, 0, 0);
    EXPECT(tarn_greater_scalar(x, 0x1p53), 0, 0, 0, 1, 1);
    EXPECT(tarn_less_equal_scalar(x, 0x1p53), 1, 1, 1, 0, 0);
    EXPECT(tarn_less_scalar(x, 0x1p63), 1, 1, 1, 1, 1);
    EXPECT(tarn_equal_scalar(x, 0x1p63), 0, 0, 0, 0, 0);
    EXPECT(tarn_greater_equal_scalar(x, 0x1p63), 0, 0, 0, 0, 0);
    EXPECT(tarn_equal_scalar(x, -0x1p63), 1, 0, 0, 0, 0);
    EXPECT(tarn_less_scalar(x, -0x1p63), 0, 0, 0, 0, 0);
    EXPECT(tarn_greater_scalar(x, -1e30), 1, 1, 1, 1, 1);
    EXPECT(tarn_greater_scalar(x, -INFINITY), 1, 1, 1, 1, 1);
    EXPECT(tarn_not_equal_scalar(x, NAN), 1, 1, 1, 1, 1);
    EXPECT(tarn_less_equal_scalar(x, NAN), 0, 0, 0, 0, 0);
    tarn_tensor *small = VECTOR(tm, TARN_U8, 0, 1, 255);
    EXPECT(tarn_less_scalar(small, 256), 1, 1, 1);
    EXPECT(tarn_greater_scalar(small, -1), 1, 1, 1);
    EXPECT(tarn_equal_scalar(small, 0.5), 0, 0, 0);
    EXPECT(tarn_greater_scalar(small, 0.5), 0, 1, 1);
    EXPECT(tarn_less_equal_scalar(VECTOR(tm, TARN_I32, -7, 3, 4), 3), 1, 1, 0);
}

/* 0.1 is no float, but the float next to it equals it. */
static void floats_compare_with_rounded_numbers(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int k = 0; k < 2; k++) {
        tarn_tensor *x = VECTOR(tm, floats[k], 0.1, -0.0, NAN);
        EXPECT(tarn_equal_scalar(x, 0.1), 1, 0, 0);
        EXPECT(tarn_equal_scalar(x, 0), 0, 1, 0);
        EXPECT(tarn_less_scalar(x, 0), 0, 0, 0);
        EXPECT(tarn_not_equal_scalar(x, NAN), 1, 1, 1);
    }
}

static void every_type_compares(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int k = 0; k < 5; k++) {
        tarn_tensor *a = VECTOR(tm, all[k], 1, 2, 3);
        tarn_tensor *b = tarn_reshape(VECTOR(tm, all[k], 2, 3), TARN_SHAPE(2, 1));
        EXPECT(tarn_equal(a, b), 0, 1, 0, 0, 0, 1);
        EXPECT(tarn_not_equal(a, b), 1, 0, 1, 1, 1, 0);
        EXPECT(tarn_less(a, b), 1, 0, 0, 1, 1, 0);
        EXPECT(tarn_less_equal(a, b), 1, 1, 0, 1, 1, 1);
        EXPECT(tarn_greater(a, b), 0, 0, 1, 0, 0, 0);
        EXPECT(tarn_greater_equal(a, b), 0, 1, 1, 0, 0, 1);
        assert_int_equal(tarn_get_dtype(tarn_less(a, b)), TARN_U8);
        assert_int_equal(tarn_get_dtype(tarn_less_scalar(a, 2)), TARN_U8);
    }
    assert_false(tarn_requires_grad(tarn_less_scalar(LEAF(tm, TARN_F32, 1), 0)));
}

/* ---- choices */

static void choices_of_every_type(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 5; k++) {
            tarn_tensor *c = VECTOR(tm, integers[i], 0, 2, 1);
            tarn_tensor *a = VECTOR(tm, all[k], 1, 2, 3), *b = VECTOR(tm, all[k], 9);
            const double filled = k < 2 ? 7.5 : 7;
            EXPECT(tarn_where(c, a, b), 9, 2, 3);
            EXPECT(tarn_where(c, b, a), 1, 9, 9);
            EXPECT(tarn_masked_fill(a, c, 7.5), 1, filled, filled);
            assert_int_equal(tarn_get_dtype(tarn_where(c, a, b)), all[k]);
        }
    tarn_tensor *far = VECTOR(tm, TARN_I64, -1, 0x1p40, 0);
    EXPECT(tarn_where(far, VECTOR(tm, TARN_U8, 1), VECTOR(tm, TARN_U8, 0)), 1, 1, 0);
    EXPECT(tarn_masked_fill(VECTOR(tm, TARN_U8, 1, 1), VECTOR(tm, TARN_U8, 0, 1), 1e9), 1, 255);
}

/* What is not chosen does not count, not even as NaN. */
static void choices_leave_the_rest_alone(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int k = 0; k < 2; k++) {
        tarn_tensor *x = VECTOR(tm, floats[k], -4, 0, 1);
        tarn_tensor *hit = tarn_greater_scalar(x, 0);
        EXPECT(tarn_where(hit, tarn_log(x), VECTOR(tm, floats[k], 5)), 5, 5, 0);
        EXPECT(tarn_masked_fill(tarn_div(x, x), tarn_equal_scalar(x, 0), 7), 1, 7, 1);
        tarn_tensor *a = LEAF(tm, floats[k], 1), *b = LEAF(tm, floats[k], 1, 2, 3);
        EXPECT_GRADIENT(a, tarn_where(hit, a, b), 1);
        EXPECT_GRADIENT(b, tarn_where(hit, a, b), 1, 1, 0);
        EXPECT_GRADIENT(b, tarn_where(hit, b, b), 1, 1, 1);
        EXPECT_GRADIENT(b, tarn_masked_fill(b, hit, NAN), 1, 1, 0);
    }
}

/* The gradient of an operand that is repeated up to 2^20 times is summed in double: over all, down
 * columns, along rows. */
static void gradients_of_repeated_choices_are_exact(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const int64_t n = INT64_C(1) << 20;
    const tarn_shape shapes[] = { TARN_SHAPE(1), TARN_SHAPE(1, 4), TARN_SHAPE(n / 4, 1),
                                  TARN_SHAPE(4, 1) };
    const tarn_shape wide[] = { TARN_SHAPE(n / 4, 4), TARN_SHAPE(n / 4, 4), TARN_SHAPE(n / 4, 4),
                                TARN_SHAPE(4, n / 4) };
    tarn_tensor *none = tarn_zeros(tm, TARN_F32, TARN_SCALAR);
    for (int i = 0; i < 4; i++) {
        tarn_tensor *a = tarn_require_grad(tarn_zeros(tm, TARN_F32, shapes[i])), *g = NULL;
        tarn_tensor *y = tarn_where(tarn_ones(tm, TARN_U8, wide[i]), a, none);
        tarn_tensor *const dy = tarn_full(tm, TARN_F32, wide[i], 0.1);
        const tarn_grad_options o = { .gradients = &dy };
        check_status(tarn_grad(TARN_LIST(y), TARN_LIST(a), &g, &o), TARN_OK);
        const double expected = (double)0.1F * (double)(n / tarn_numel(a));
        const float *sums = tarn_data(g);
        for (int64_t k = 0; k < tarn_numel(a); k++)
            assert_true(fabs((double)sums[k] - expected) <= 0x1p-24 * expected);
    }
}

/* ---- what is refused */

#define REFUSES(call, code, text)        \
    do {                                 \
        assert_null(call);               \
        check_error(tm, (code), (text)); \
    } while (0)

static void wrong_operands(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3));
    tarn_tensor *y = tarn_zeros(tm, TARN_F32, TARN_SHAPE(4));
    tarn_tensor *z = tarn_zeros(tm, TARN_F64, TARN_SHAPE(3));
    tarn_tensor *c = tarn_zeros(tm, TARN_U8, TARN_SHAPE(2, 3));
    REFUSES(tarn_less(x, y), TARN_ESHAPE,
            "less: a [2,3], b [4]: sizes 3 and 4 of the last axis do not broadcast; they must be "
            "equal, or one of them 1");
    REFUSES(tarn_equal(x, z), TARN_EDTYPE,
            "equal: a is float32, b is float64; one type is needed (tarn_cast converts)");
    REFUSES(tarn_where(c, x, z), TARN_EDTYPE,
            "where: a is float32, b is float64; one type is needed (tarn_cast converts)");
    REFUSES(tarn_where(x, x, x), TARN_EDTYPE,
            "where: condition is float32; uint8, int32 or int64 is needed (comparisons give "
            "uint8)");
    REFUSES(tarn_where(c, x, y), TARN_ESHAPE,
            "where: condition [2,3], b [4]: sizes 3 and 4 of the last axis do not broadcast; they "
            "must be equal, or one of them 1");
    REFUSES(tarn_where(tarn_slice(c, 1, 0, 1), x, y), TARN_ESHAPE,
            "where: a [2,3], b [4]: sizes 3 and 4 of the last axis do not broadcast; they must be "
            "equal, or one of them 1");
    REFUSES(tarn_where(c, NULL, y), TARN_EARG,
            "where: operand a is NULL, but no call before failed: was it ever made?");
    REFUSES(tarn_masked_fill(x, z, 0), TARN_EDTYPE,
            "masked_fill: mask is float64; uint8, int32 or int64 is needed (comparisons give "
            "uint8)");
    REFUSES(tarn_masked_fill(z, c, 0), TARN_ESHAPE,
            "masked_fill: x [3], mask [2,3]: the mask does not broadcast to x");
    REFUSES(tarn_masked_fill(x, tarn_zeros(tm, TARN_U8, TARN_SHAPE(4)), 0), TARN_ESHAPE,
            "masked_fill: x [2,3], mask [4]: the mask does not broadcast to x");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(integers_compare_with_numbers_as_they_are),
        TEST(floats_compare_with_rounded_numbers),
        TEST(every_type_compares),
        TEST(choices_of_every_type),
        TEST(choices_leave_the_rest_alone),
        TEST(gradients_of_repeated_choices_are_exact),
        TEST(wrong_operands),
    };
    return cmocka_run_group_tests_name("choices", tests, NULL, NULL);
}
