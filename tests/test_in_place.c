/* SPDX-License-Identifier: MIT
 * test_in_place.c - operations that overwrite their operand: what they compute, what they give to
 * gradients, and where they are refused. */
#include <math.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))
#define VECTOR(tm, ...)                                                      \
    tarn_from_array((tm), TARN_F64, TARN_SHAPE((int64_t)COUNT(__VA_ARGS__)), \
                    (const double[]){ __VA_ARGS__ })
#define LEAF(tm, ...) tarn_require_grad(VECTOR(tm, __VA_ARGS__))
#define EXPECT(t, ...) \
    check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 1e-14)

static void values_change_where_they_are(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = VECTOR(tm, 1, 2, 3), *b = VECTOR(tm, 10, 20, 30);
    const void *data = tarn_data(x);
    assert_ptr_equal(tarn_add_(x, b), x);
    EXPECT(x, 11, 22, 33);
    assert_ptr_equal(tarn_data(x), data);
    EXPECT(tarn_sub_(x, b), 1, 2, 3);
    EXPECT(tarn_mul_(x, b), 10, 40, 90);
    EXPECT(tarn_div_(x, b), 1, 2, 3);
    EXPECT(tarn_mul_(x, x), 1, 4, 9);
    EXPECT(tarn_sqrt_(x), 1, 2, 3);
    EXPECT(tarn_neg_(x), -1, -2, -3);
    EXPECT(tarn_add_scalar_(x, 2), 1, 0, -1);
    EXPECT(tarn_relu_(x), 1, 0, 0);
    EXPECT(tarn_mul_scalar_(x, 3), 3, 0, 0);
    EXPECT(tarn_exp_(x), exp(3), 1, 1);
    EXPECT(tarn_tanh_(tarn_add_scalar_(x, -1)), tanh(exp(3) - 1), 0, 0);
    static const uint8_t flags[] = { 0, 1, 0 };
    tarn_tensor *mask = tarn_from_array(tm, TARN_U8, TARN_SHAPE(3), flags);
    EXPECT(tarn_masked_fill_(VECTOR(tm, 1, 2, 3), mask, -7), 1, -7, 3);
    EXPECT(tarn_sigmoid_(x), 1 / (1 + exp(-tanh(exp(3) - 1))), 0.5, 0.5);
}

static void views_change_what_they_show(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_reshape(VECTOR(tm, 1, 2, 3, 4, 5, 6), TARN_SHAPE(2, 3));
    (void)tarn_mul_scalar_(tarn_slice(x, 1, 1, 3), 10);
    EXPECT(x, 1, 20, 30, 4, 50, 60);
    (void)tarn_add_(tarn_transpose(x, 0, 1), VECTOR(tm, 1000, 2000));
    EXPECT(x, 1001, 1020, 1030, 2004, 2050, 2060);
    /* An operand in the same memory is read before it is written. */
    tarn_tensor *y = VECTOR(tm, 1, 2, 3, 4);
    (void)tarn_add_(tarn_slice(y, 0, 1, 4), tarn_slice(y, 0, 0, 3));
    EXPECT(y, 1, 3, 5, 7);
}

static void gradients_pass_through(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, -1, 2, 3), *b = LEAF(tm, 5, 6, 7);
    {
        TARN_SCOPE(tm);
        tarn_tensor *h = tarn_mul_scalar(x, 2);
        (void)tarn_add_(h, b);
        (void)tarn_mul_scalar_(h, 10);
        const tarn_tensor *same = tarn_relu_(h);
        assert_ptr_equal(same, h);
        EXPECT(h, 30, 100, 130);
        check_status(tarn_backward(tarn_sum(h, TARN_ALL_AXES)), TARN_OK);
    }
    EXPECT(tarn_grad_of(x), 20, 20, 20);
    EXPECT(tarn_grad_of(b), 10, 10, 10);
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

/* A constant takes in what requires a gradient, and requires one then. */
static void constants_take_gradients_in(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *sum = VECTOR(tm, 0, 0), *w = LEAF(tm, 1, 2), *v = LEAF(tm, 3, 4);
    (void)tarn_add_(sum, w);
    (void)tarn_add_(sum, v);
    (void)tarn_add_(sum, sum);
    EXPECT(sum, 8, 12);
    assert_true(tarn_requires_grad(sum));
    check_status(tarn_backward(tarn_sum(sum, TARN_ALL_AXES)), TARN_OK);
    EXPECT(tarn_grad_of(w), 2, 2);
    EXPECT(tarn_grad_of(v), 2, 2);
}

/* The peak of a chain is one buffer less for each step in place. */
static void memory_is_saved(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_require_grad(tarn_ones(tm, TARN_F64, TARN_SHAPE(1000)));
    TARN_SCOPE(tm);
    const size_t before = tarn_manager_get_stats(tm).total_memory;
    tarn_tensor *h = tarn_mul_scalar(x, 2);
    for (int i = 0; i < 10; i++) (void)tarn_add_scalar_(h, 1);
    (void)tarn_relu_(h);
    assert_int_equal(tarn_manager_get_stats(tm).total_memory, before + 8000);
    (void)tarn_backward(tarn_sum(h, TARN_ALL_AXES));
}

#define REFUSED(call, part)                        \
    do {                                           \
        assert_null(call);                         \
        check_error_part(tm, TARN_ESTATE, (part)); \
    } while (0)

static void wrong_gradients_are_refused(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *w = LEAF(tm, 3, 4);
    assert_null(tarn_relu_(x));
    check_error(tm, TARN_ESTATE,
                "relu: x [2] cannot be changed in place: it is a leaf that requires a gradient "
                "(inside TARN_NO_GRAD it can be): use tarn_relu");
    tarn_tensor *t = tarn_tanh(x);
    assert_null(tarn_mul_scalar_(t, 2));
    check_error(tm, TARN_ESTATE,
                "mul_scalar: x [2] cannot be changed in place: a recorded operation saved it, and "
                "backward would read other values: use tarn_mul_scalar");
    tarn_tensor *h = tarn_mul_scalar(x, 2);
    REFUSED(tarn_mul_(h, w), "its values before are needed for the gradient");
    tarn_tensor *sum = tarn_add(h, w);
    REFUSED(tarn_relu_(h), "a recorded operation has it as an operand");
    tarn_tensor *view = tarn_reshape(sum, TARN_SHAPE(2, 1));
    REFUSED(tarn_relu_(sum), "another tensor shares its memory");
    (void)view;
    EXPECT(h, 2, 4); /* nothing has changed */
    EXPECT(sum, 5, 8);
    EXPECT(t, tanh(1), tanh(2));
    check_status(tarn_backward(tarn_sum(tarn_mul(t, sum), TARN_ALL_AXES)), TARN_OK);
    EXPECT(tarn_grad_of(w), tanh(1), tanh(2));
}

/* What cannot be seen from the handles alone: an operand that outlived its scope, and a result that
 * backward would read in another order. */
static void hidden_wrong_gradients_are_refused(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *w = LEAF(tm, 1, 2), *x = NULL;
    {
        TARN_SCOPE(tm);
        x = tarn_retain(VECTOR(tm, 5, 6));
    }
    tarn_tensor *sum = tarn_add(w, x);
    REFUSED(tarn_add_(x, w), "a recorded operation has it as an operand");
    check_status(tarn_backward(tarn_sum(sum, TARN_ALL_AXES)), TARN_OK);
    EXPECT(tarn_add_(x, w), 6, 8); /* now it can be */
    tarn_release(x);
    tarn_tensor *h = tarn_expand(w, TARN_SHAPE(3, 2));
    tarn_tensor *product = tarn_mul_scalar(h, 2);
    tarn_tensor *turned = tarn_transpose(product, 0, 1);
    tarn_release(product);
    REFUSED(tarn_tanh_(turned), "backward needs it without gaps, the last axis fastest");
}

/* Gradients that are recorded pass through as well. */
static void second_derivatives_pass_through(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 0.5, -1), *g[1], *second[1];
    tarn_tensor *h = tarn_mul_scalar(x, 3);
    (void)tarn_add_scalar_(h, 1);
    (void)tarn_tanh_(h);
    tarn_tensor *y = tarn_sum(h, TARN_ALL_AXES);
    check_status(
        tarn_grad(TARN_LIST(y), TARN_LIST(x), g, &(tarn_grad_options){ .create_graph = true }),
        TARN_OK);
    const double a = tanh(2.5), b = tanh(-2);
    check_close(g[0], ((const double[]){ 3 * (1 - a * a), 3 * (1 - b * b) }), 2, 1e-14);
    tarn_tensor *sum = tarn_sum(g[0], TARN_ALL_AXES);
    check_status(tarn_grad(TARN_LIST(sum), TARN_LIST(x), second, NULL), TARN_OK);
    check_close(second[0], ((const double[]){ -18 * a * (1 - a * a), -18 * b * (1 - b * b) }), 2,
                1e-13);
}

static void wrong_targets_are_refused(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_expand(VECTOR(tm, 1), TARN_SHAPE(3)), *b = VECTOR(tm, 1, 2, 3);
    REFUSED(tarn_neg_(x), "it is expanded, so that one element stands for several");
    tarn_tensor *one = VECTOR(tm, 1);
    assert_null(tarn_add_(one, b));
    check_error(tm, TARN_ESHAPE, "add: the result [3] does not fit into a [1]");
    tarn_module *net = tarn_module_create(tm);
    tarn_linear l = tarn_linear_create(net, "l", 2, 2);
    check_status(tarn_module_freeze(net), TARN_OK);
    REFUSED(tarn_neg_(l.weight), "it is frozen");
    assert_null(tarn_neg_(NULL));
    assert_true(tarn_ok(tm));
    tarn_module_destroy(net);
}

/* Without recording, leaves and parameters change, and what had saved them finds out. */
static void without_recording_leaves_change(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *y = tarn_square(x);
    (void)y;
    {
        TARN_NO_GRAD(tm);
        REFUSED(tarn_add_scalar_(x, 1), "a recorded operation saved it");
    }
    tarn_tensor *w = LEAF(tm, 1, 2);
    {
        TARN_NO_GRAD(tm);
        EXPECT(tarn_add_scalar_(w, 1), 2, 3);
    }
    assert_true(tarn_requires_grad(w));
    check_status(tarn_backward(tarn_sum(tarn_square(w), TARN_ALL_AXES)), TARN_OK);
    EXPECT(tarn_grad_of(w), 4, 6);
}

/* Memory that ends in the middle changes nothing. */
static void no_memory_no_change(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_reshape(VECTOR(tm, 1, 2, 3, 4), TARN_SHAPE(2, 2));
    tarn_tensor *t = tarn_transpose(x, 0, 1);
    check_fail_acquisition(tarn_manager_pool(tm), 1);
    assert_null(tarn_neg_(t));
    check_fail_acquisition(tarn_manager_pool(tm), 0);
    check_error_part(tm, TARN_ENOMEM, "neg");
    EXPECT(x, 1, 2, 3, 4);
    EXPECT(tarn_neg_(t), -1, -3, -2, -4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(values_change_where_they_are),
        TEST(views_change_what_they_show),
        TEST(gradients_pass_through),
        TEST(constants_take_gradients_in),
        TEST(memory_is_saved),
        TEST(wrong_gradients_are_refused),
        TEST(hidden_wrong_gradients_are_refused),
        TEST(second_derivatives_pass_through),
        TEST(wrong_targets_are_refused),
        TEST(without_recording_leaves_change),
        TEST(no_memory_no_change),
    };
    return cmocka_run_group_tests_name("in_place", tests, NULL, NULL);
}
