/* SPDX-License-Identifier: MIT
 * test_watch.c - looking at operations: the first number that is not finite, and a function that is
 * told of each. */
#include <math.h>
#include <string.h>

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

static void the_first_operation_is_named(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_set_name(LEAF(tm, 1, 0, -2, 800), "x");
    (void)tarn_exp(x);
    assert_true(tarn_ok(tm)); /* off at first */
    check_status(tarn_check_finite(tm, true), TARN_OK);
    assert_null(tarn_mul_scalar(tarn_exp(x), 2));
    check_error(
        tm, TARN_ENUMERIC,
        "exp: the result is not finite: 0 NaN and 1 infinite, the first at 3, from x \"x\" [4] "
        "from -2 to 800; tarn_clamp keeps x small (tarn_softmax and tarn_logsumexp need no exp)");
    assert_null(tarn_log(tarn_slice(x, 0, 1, 3)));
    check_error(tm, TARN_ENUMERIC,
                "log: the result is not finite: 1 NaN and 1 infinite, the first at 0, from x [2] "
                "from -2 to 0; tarn_clamp keeps x above 0 (tarn_log_softmax, tarn_bce_with_logits "
                "and tarn_cross_entropy need no log)");
    check_status(tarn_check_finite(tm, false), TARN_OK);
    assert_non_null(tarn_log(x));
    assert_int_equal(tarn_check_finite(NULL, true), TARN_EARG);
}

static void in_backward_too(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 4, 0);
    check_status(tarn_check_finite(tm, true), TARN_OK);
    tarn_tensor *y = tarn_sum(tarn_sqrt(x), TARN_ALL_AXES);
    check_status(tarn_backward(y), TARN_ENUMERIC);
    check_error(tm, TARN_ENUMERIC,
                "sqrt: in backward, the gradient of x is not finite: 0 NaN and 1 infinite, the "
                "first at 1, from dy [2] from 1 to 1; x [2] from 0 to 4; tarn_clamp keeps x above "
                "0, where the slope is infinite");
    assert_false(tarn_has_grad(x));
}

static void layers_are_named(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *net = tarn_module_create(tm);
    const tarn_linear_options o = { .no_bias = true,
                                    .weight = { .kind = TARN_INIT_CONSTANT, .a = 3e38 } };
    tarn_linear l = tarn_linear_create_with(net, "big", 2, 1, &o);
    check_status(tarn_check_finite(tm, true), TARN_OK);
    assert_null(tarn_linear_forward(&l, tarn_ones(tm, TARN_F32, TARN_SHAPE(1, 2))));
    check_error_part(tm, TARN_ENUMERIC, "linear \"big\": the result is not finite");
    tarn_module_destroy(net);
}

typedef struct seen {
    char text[400];
} seen;

static void look(void *context, const tarn_operation_event *event)
{
    seen *s = context;
    const size_t n = strlen(s->text);
    (void)snprintf(s->text + n, sizeof(s->text) - n, "%s%s %d %s%s; ", event->backward ? "d " : "",
                   event->name, event->n_operands, event->layer,
                   event->backward && event->gradients[0] != NULL ? "dx" : "");
}

static void a_function_is_told_of_each(void **state)
{
    tarn_manager *tm = MANAGER(state);
    seen s = { "" };
    tarn_module *net = tarn_module_create(tm);
    tarn_linear l = tarn_linear_create(net, "l1", 2, 1);
    check_status(tarn_on_operation(tm, look, &s), TARN_OK);
    {
        TARN_SCOPE(tm);
        tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(1, 2));
        tarn_tensor *y = tarn_square(tarn_linear_forward(&l, x));
        check_status(tarn_backward(y), TARN_OK);
    }
    assert_string_equal(s.text, "affine 3 linear \"l1\"; square 1 ; d square 1 dx; d affine 3 ; ");
    check_status(tarn_on_operation(tm, NULL, NULL), TARN_OK);
    (void)tarn_neg(l.bias);
    assert_int_equal(strlen(s.text), 61);
    tarn_module_destroy(net);
}

/* Reads gradients as they are computed. */
static void read_gradients(void *context, const tarn_operation_event *event)
{
    (void)context;
    for (int i = 0; event->backward && i < event->n_operands; i++)
        if (event->gradients[i] != NULL) (void)tarn_data(event->gradients[i]);
}

/* A leaf's gradient reads as zeros before its first part arrives: to look at that part must not
 * write these zeros over it. */
static void looking_leaves_gradients_alone(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2, 3);
    check_status(tarn_check_finite(tm, true), TARN_OK);
    check_status(tarn_on_operation(tm, read_gradients, NULL), TARN_OK);
    for (int time = 0; time < 2; time++) {
        check_status(tarn_backward(tarn_sum(tarn_square(x), TARN_ALL_AXES)), TARN_OK);
        EXPECT(tarn_grad_of(x), 2, 4, 6);
        check_status(tarn_zero_grad(x), TARN_OK);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_first_operation_is_named),
        TEST(in_backward_too),
        TEST(layers_are_named),
        TEST(a_function_is_told_of_each),
        TEST(looking_leaves_gradients_alone),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
