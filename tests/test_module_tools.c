/* SPDX-License-Identifier: MIT
 * test_module_tools.c - what is trained, gradients cut by value, and what gradients are like. */
#include <float.h>
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

static tarn_tensor *add(tarn_module *m, const char *name, double value)
{
    const tarn_init init = { .kind = TARN_INIT_CONSTANT, .a = value };
    return tarn_module_add_parameter(m, name, TARN_F64, TARN_SHAPE(2), &init);
}

/* Adds (a, b) to the gradient of p. */
static void give(tarn_tensor *p, double a, double b)
{
    tarn_manager *tm = tarn_manager_of(p);
    TARN_SCOPE(tm);
    const double g[] = { a, b };
    tarn_tensor *t = tarn_cast(tarn_from_array(tm, TARN_F64, TARN_SHAPE(2), g), tarn_get_dtype(p));
    check_status(
        tarn_backward_with(tarn_mul_scalar(p, 1), &(tarn_backward_options){ .gradient = t }),
        TARN_OK);
}

#define EXPECT(t, a, b) check_close((t), ((const double[]){ (a), (b) }), 2, 0)

/* ---- what is trained */

typedef struct net {
    tarn_module *root, *encoder, *head;
    tarn_tensor *weight, *bias, *head_weight, *head_bias, *scale;
} net;

static net make_net(tarn_manager *tm)
{
    net n = { .root = tarn_module_create(tm) };
    n.encoder = tarn_module_add_child(n.root, "encoder");
    n.head = tarn_module_add_child(n.root, "head");
    n.weight = add(n.encoder, "weight", 1);
    n.bias = add(n.encoder, "bias", 1);
    n.head_weight = add(n.head, "weight", 1);
    n.head_bias = add(n.head, "bias", 1);
    n.scale = add(n.root, "scale", 1);
    return n;
}

static void test_patterns(void **state)
{
    check_fixture *f = *state;
    const net n = make_net(f->tm);
    assert_int_equal(tarn_module_set_trainable(n.root, "encoder.*", false), 2);
    assert_false(tarn_requires_grad(n.weight) || tarn_requires_grad(n.bias));
    assert_true(tarn_requires_grad(n.head_weight) && tarn_requires_grad(n.scale));
    assert_int_equal(tarn_module_set_trainable(n.root, "*.bias", false), 2);
    assert_int_equal(tarn_module_set_trainable(n.root, "*", true), 5);
    assert_true(tarn_requires_grad(n.bias) && tarn_requires_grad(n.head_bias));
    assert_int_equal(tarn_module_set_trainable(n.root, "scal?", false), 1);
    assert_false(tarn_requires_grad(n.scale));
    /* Paths begin at the module that is asked. */
    assert_int_equal(tarn_module_set_trainable(n.encoder, "weight", false), 1);
    assert_true(tarn_requires_grad(n.head_weight));
    assert_int_equal(tarn_module_set_trainable(n.encoder, "weight", false), 1);
}

/* Frozen for a while: no gradient, no step; then everything as before. */
static void test_optimisers_skip_and_resume(void **state)
{
    check_fixture *f = *state;
    const net n = make_net(f->tm);
    tarn_optimizer *sgd = tarn_sgd_create(n.root, &(tarn_sgd_options){ .lr = 1, .momentum = 0.5 });
    give(n.weight, 1, 2);
    check_status(tarn_optimizer_step(sgd), TARN_OK);
    EXPECT(n.weight, 0, -1);

    give(n.weight, 8, 8);
    assert_int_equal(tarn_module_set_trainable(n.root, "encoder.*", false), 2);
    assert_false(tarn_has_grad(n.weight));
    {
        TARN_SCOPE(f->tm);
        tarn_tensor *sum = tarn_add(tarn_mul(n.weight, n.head_weight), n.scale);
        check_status(tarn_backward(tarn_sum(sum, TARN_ALL_AXES)), TARN_OK);
    }
    tarn_module_zero_grad(n.encoder);
    assert_true(tarn_clip_grad_norm(n.root, INFINITY) > 0);
    check_status(tarn_optimizer_step(sgd), TARN_OK);
    tarn_optimizer_zero_grad(sgd);
    EXPECT(n.weight, 0, -1);
    EXPECT(n.head_weight, 1, 2);

    assert_int_equal(tarn_module_set_trainable(n.root, "encoder.*", true), 2);
    give(n.weight, 1, 1);
    check_status(tarn_optimizer_step(sgd), TARN_OK); /* v = 0.5 (1, 2) + (1, 1) */
    EXPECT(n.weight, -1.5, -3);
}

static void test_made_while_frozen(void **state)
{
    check_fixture *f = *state;
    const net n = make_net(f->tm);
    assert_int_equal(tarn_module_set_trainable(n.root, "*weight", false), 2);
    tarn_optimizer *adam = tarn_adam_create(n.root, NULL);
    assert_non_null(adam);
    give(n.scale, 1, 1);
    check_status(tarn_optimizer_step(adam), TARN_OK);
    EXPECT(n.weight, 1, 1);
    assert_int_equal(tarn_module_set_trainable(n.root, "*weight", true), 2);
    give(n.weight, 1, 1);
    check_status(tarn_optimizer_step(adam), TARN_OK);
    assert_true(tarn_item(tarn_slice(n.weight, 0, 0, 1)) < 1);
}

static void test_patterns_refused(void **state)
{
    check_fixture *f = *state;
    const net n = make_net(f->tm);
    assert_int_equal(tarn_module_set_trainable(n.root, "decoder.*", false), 0);
    check_error(f->tm, TARN_EARG,
                "module: no parameter fits \"decoder.*\"; their paths: encoder.weight, "
                "encoder.bias, head.weight, ...");
    assert_int_equal(tarn_module_set_trainable(n.head, "head.*", false), 0);
    check_error(f->tm, TARN_EARG,
                "module \"head\": no parameter fits \"head.*\"; their paths: weight, bias");
    assert_int_equal(tarn_module_set_trainable(tarn_module_create(f->tm), "*", false), 0);
    check_error(f->tm, TARN_EARG, "module: no parameter fits \"*\"; their paths: it has none");
    assert_int_equal(tarn_module_set_trainable(n.root, NULL, false), 0);
    check_error(f->tm, TARN_EARG, "module: the pattern of paths is NULL");
    assert_int_equal(tarn_module_set_trainable(NULL, "*", false), 0);

    check_status(tarn_module_freeze(n.encoder), TARN_OK);
    assert_int_equal(tarn_module_set_trainable(n.root, "*", false), 5);
    assert_int_equal(tarn_module_set_trainable(n.root, "*", true), 0);
    check_error(f->tm, TARN_ESTATE,
                "module: \"encoder.weight\" [2] is frozen for good and cannot be trained any more");
    assert_false(tarn_requires_grad(n.scale));

    (void)tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(-1));
    assert_int_equal(tarn_module_set_trainable(n.root, "head.*", true), 0);
    assert_false(tarn_requires_grad(n.head_bias));
    tarn_clear_error(f->tm);
}

/* ---- cutting by value */

static void test_cut(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = add(root, "p", 1), *q = add(root, "q", 1), *none = add(root, "none", 1);
    tarn_tensor *single = tarn_module_add_parameter(root, "single", TARN_F32, TARN_SHAPE(2), NULL);
    give(p, 3, -0.25);
    give(q, INFINITY, -INFINITY);
    give(single, -7, 0.1F);
    check_status(tarn_clip_grad_value(root, 0.5), TARN_OK);
    EXPECT(tarn_grad_of(p), 0.5, -0.25);
    EXPECT(tarn_grad_of(q), 0.5, -0.5);
    EXPECT(tarn_grad_of(single), -0.5, (double)0.1F);
    assert_false(tarn_has_grad(none));

    tarn_module_zero_grad(root);
    give(single, INFINITY, 1);
    check_status(tarn_clip_grad_value(root, INFINITY), TARN_OK);
    EXPECT(tarn_grad_of(single), (double)FLT_MAX, 1);
}

static void test_cut_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = add(root, "p", 1), *q = add(root, "q", 1);
    give(p, 3, 4);
    give(q, 1, NAN);
    check_status(tarn_clip_grad_value(root, 0.5), TARN_ENUMERIC);
    check_error(f->tm, TARN_ENUMERIC,
                "tarn_clip_grad_value: the gradient of \"q\" [2] has elements that are NaN");
    const double bad[] = { 0, -1, NAN };
    for (int i = 0; i < 3; i++) {
        check_status(tarn_clip_grad_value(root, bad[i]), TARN_EARG);
        check_error_part(f->tm, TARN_EARG, "is not above 0");
    }
    (void)tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(-1));
    check_status(tarn_clip_grad_value(root, 1), TARN_ESHAPE);
    tarn_clear_error(f->tm);
    check_status(tarn_clip_grad_value(NULL, 1), TARN_EARG);
    EXPECT(tarn_grad_of(p), 3, 4);
}

/* ---- what gradients are like */

static void test_figures(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = add(root, "p", 3), *q = add(root, "q", 1), *r = add(root, "r", 0);
    tarn_gradient_stats s = tarn_get_gradient_stats(p);
    assert_true(!s.arrived && s.elements == 0 && s.norm == 0);
    give(p, -3, 4);
    s = tarn_get_gradient_stats(p);
    assert_true(s.arrived);
    assert_int_equal(s.elements, 2);
    assert_int_equal(s.zeros, 0);
    assert_int_equal(s.not_finite, 0);
    const double figures[] = { s.min, s.max, s.mean_abs, s.rms, s.norm, s.weight_norm, s.ratio };
    const double expected[] = { -3, 4, 3.5, sqrt(12.5), 5, sqrt(18), 5 / sqrt(18) };
    check_close_array(figures, expected, 7, 1e-15);

    give(q, NAN, -2);
    s = tarn_get_gradient_stats(q);
    assert_int_equal(s.not_finite, 1);
    assert_true(s.min == -2 && s.max == -2 && s.mean_abs == 2 && s.rms == 2 && s.norm == 2);
    give(r, 1e200, 0);
    s = tarn_get_gradient_stats(r);
    assert_int_equal(s.zeros, 1);
    assert_true(s.norm == 1e200 && isinf(s.ratio) && isfinite(s.rms));

    tarn_module_zero_grad(root);
    assert_false(tarn_get_gradient_stats(p).arrived);
    give(q, INFINITY, -INFINITY);
    s = tarn_get_gradient_stats(q);
    assert_true(s.arrived && s.not_finite == 2 && s.min == 0 && s.max == 0 && s.norm == 0);
    give(p, 0, 0);
    s = tarn_get_gradient_stats(p);
    assert_true(s.zeros == 2 && s.ratio == 0 && s.rms == 0);
    assert_false(tarn_get_gradient_stats(NULL).arrived);
}

/* After a step the gradients of it can still be looked at. */
static void test_consumed_gradients(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = add(root, "p", 3);
    tarn_optimizer *sgd = tarn_sgd_create(root, NULL);
    give(p, -3, 4);
    check_status(tarn_optimizer_step(sgd), TARN_OK);
    assert_true(tarn_get_gradient_stats(p).norm == 5);
}

static void test_table(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_module *layer = tarn_module_add_child(root, "layer");
    tarn_tensor *w = add(layer, "weight", 3);
    (void)add(layer, "bias", 0);
    (void)add(root, "scale", 1);
    give(w, -3, 0);
    assert_int_equal(tarn_module_set_trainable(root, "scale", false), 1);
    FILE *stream = tmpfile();
    assert_non_null(stream);
    check_status(tarn_module_print_gradients(root, stream), TARN_OK);
    assert_string_equal(
        check_stream_text(stream),
        "gradient of    elements        min        max   mean |g|        rms   zeros not finite  "
        "|g| / |w|\n"
        "layer.weight          2  -3.00e+00   0.00e+00   1.50e+00   2.12e+00   50.0%          0   "
        "7.07e-01\n"
        "layer.bias            2  has received none\n"
        "scale                 2  is not trained\n");
    check_status(tarn_module_print_gradients(NULL, stream), TARN_EARG);
    check_status(tarn_module_print_gradients(root, NULL), TARN_EARG);
    (void)fclose(stream);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_patterns),
        TEST(test_optimisers_skip_and_resume),
        TEST(test_made_while_frozen),
        TEST(test_patterns_refused),
        TEST(test_cut),
        TEST(test_cut_refused),
        TEST(test_figures),
        TEST(test_consumed_gradients),
        TEST(test_table),
    };
#undef TEST
    return cmocka_run_group_tests_name("module_tools", tests, NULL, NULL);
}
