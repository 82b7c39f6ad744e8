/* SPDX-License-Identifier: MIT
 * test_grad.c - gradients of outputs by inputs, gradients of gradients, hooks. (The table of
 * operations is differentiated twice in test_op_second.c.) */
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

/* ---- gradients by inputs */

static void inputs_are_leaves_or_not(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2, 3), *w = LEAF(tm, 4, 5, 6);
    tarn_tensor *y = tarn_mul(x, w);
    tarn_tensor *loss = tarn_sum(tarn_mul(y, y), TARN_ALL_AXES);
    tarn_tensor *g[3];
    check_status(tarn_grad(TARN_LIST(loss), TARN_LIST(y, w, y), g, NULL), TARN_OK);
    EXPECT(g[0], 8, 20, 36);
    EXPECT(g[1], 8, 40, 108);
    assert_ptr_equal(g[2], g[0]);
    assert_false(tarn_has_grad(x));
    assert_false(tarn_has_grad(w));
    EXPECT(y, 4, 10, 18); /* inputs stay readable */
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

/* Only what lies between inputs and outputs is given back: what is below can still be used. */
static void what_is_below_the_inputs_stays(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 0.5);
    tarn_tensor *y = tarn_exp(x);
    tarn_tensor *z = tarn_square(y);
    tarn_tensor *g[1];
    check_status(tarn_grad(TARN_LIST(z), TARN_LIST(y), g, NULL), TARN_OK);
    EXPECT(g[0], 2 * exp(0.5));
    check_status(tarn_backward(tarn_mul(y, g[0])), TARN_OK);
    EXPECT(tarn_grad_of(x), 2 * exp(0.5) * exp(0.5));
}

/* What only a released handle held, and no input is reached through, goes as well. */
static void nothing_lingers_beside_the_inputs(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 0.5), *w = LEAF(tm, 2), *g[1];
    tarn_tensor *a = tarn_exp(w);
    tarn_tensor *b = tarn_square(a);
    tarn_tensor *y = tarn_mul(b, x);
    tarn_release(a);
    tarn_release(b);
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(x), g, NULL), TARN_OK);
    EXPECT(g[0], exp(2) * exp(2));
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

static void several_outputs_add_up(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *seed = VECTOR(tm, 10, 20);
    tarn_tensor *a = tarn_square(x), *b = tarn_sum(x, TARN_ALL_AXES);
    tarn_tensor *g[2];
    tarn_tensor *const seeds[] = { seed, NULL, seed };
    check_status(tarn_grad(TARN_LIST(a, b, x), TARN_LIST(x), g,
                           &(tarn_grad_options){ .gradients = seeds, .keep_graph = true }),
                 TARN_OK);
    EXPECT(g[0], 20 + 1 + 10, 80 + 1 + 20);
    check_status(tarn_grad(TARN_LIST(a, b, x), TARN_LIST(x), g,
                           &(tarn_grad_options){ .gradients = seeds, .create_graph = true }),
                 TARN_OK);
    EXPECT(g[0], 20 + 1 + 10, 80 + 1 + 20);
}

static void inputs_without_influence_have_zeros(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *other = LEAF(tm, 3), *constant = VECTOR(tm, 5);
    tarn_tensor *y = tarn_sum(x, TARN_ALL_AXES), *g[1];
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(other), g, NULL), TARN_OK);
    EXPECT(g[0], 0);
    check_status(tarn_grad(TARN_LIST(constant), TARN_LIST(x), g, NULL), TARN_OK);
    EXPECT(g[0], 0, 0);
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(constant), g, NULL), TARN_ESTATE);
    assert_null(g[0]);
    check_error(tm, TARN_ESTATE,
                "tarn_grad: input 0, [1], requires no gradient: tarn_require_grad before the "
                "outputs are computed from it");
}

static void wrong_arguments(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *y = tarn_square(x), *g[1];
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(x), g, NULL), TARN_ESHAPE);
    check_error(tm, TARN_ESHAPE,
                "tarn_grad: the output [2] has 2 elements: reduce it to one (tarn_mean), or give a "
                "gradient of its shape");
    y = tarn_sum(y, TARN_ALL_AXES);
    check_status(tarn_grad(TARN_LIST(y), (tarn_list){ 0, NULL }, g, NULL), TARN_EARG);
    check_error(tm, TARN_EARG, "tarn_grad: no inputs are given");
    tarn_tensor *none = NULL;
    check_status(tarn_grad(TARN_LIST(none), TARN_LIST(x), g, NULL), TARN_EARG);
    check_error(tm, TARN_EARG, "tarn_grad: output 0 is NULL");
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(x), NULL, NULL), TARN_EARG);
    check_error(tm, TARN_EARG, "tarn_grad: no tensors");
    g[0] = y;
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(x), g, &(tarn_grad_options){ .gradients = g }),
                 TARN_EARG);
    check_error(tm, TARN_EARG, "tarn_grad: the gradients of outputs and inputs are one array");
    assert_null(g[0]);
    assert_int_equal(tarn_grad((tarn_list){ 0, NULL }, (tarn_list){ 0, NULL }, g, NULL), TARN_EARG);
}

/* ---- gradients of gradients */

static tarn_tensor *cube(tarn_tensor *x)
{
    tarn_tensor *square = tarn_mul(x, x);
    return tarn_mul(square, x);
}

static void third_derivative_of_a_cube(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const tarn_grad_options create = { .create_graph = true };
    tarn_tensor *x = LEAF(tm, 5), *y = cube(x), *g[1], *h[1], *third[1];
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(x), g, &create), TARN_OK);
    EXPECT(g[0], 75);
    check_status(tarn_grad(TARN_LIST(g[0]), TARN_LIST(x), h, &create), TARN_OK);
    EXPECT(h[0], 30);
    check_status(tarn_grad(TARN_LIST(h[0]), TARN_LIST(x), third, &create), TARN_OK);
    EXPECT(third[0], 6);
    check_status(tarn_grad(TARN_LIST(third[0]), TARN_LIST(x), third, NULL), TARN_OK);
    EXPECT(third[0], 0);
}

/* A penalty on the norm of a gradient, as it is used in training: the recorded gradient is a part
 * of the loss. d/dw sum((d/dx sum(w x^2))^2) = d/dw sum(4 w^2 x^2) = 8 w x^2. */
static void a_gradient_in_the_loss(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *w = LEAF(tm, 3, 4), *g[1];
    {
        TARN_SCOPE(tm);
        tarn_tensor *squares = tarn_mul(x, x);
        tarn_tensor *y = tarn_sum(tarn_mul(w, squares), TARN_ALL_AXES);
        check_status(
            tarn_grad(TARN_LIST(y), TARN_LIST(x), g, &(tarn_grad_options){ .create_graph = true }),
            TARN_OK);
        check_status(tarn_backward(tarn_sum(tarn_mul(g[0], g[0]), TARN_ALL_AXES)), TARN_OK);
    }
    EXPECT(tarn_grad_of(w), 24, 128);
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

/* What was saved can be read, even if its handle has ended; a seed that outlived its scope, and
 * that is the gradient itself, stays its holder's. */
static void handles_that_ended(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const tarn_grad_options create = { .create_graph = true };
    tarn_tensor *x = LEAF(tm, 0.25, 0.5), *y = NULL, *v = NULL, *g[1], *h[1];
    {
        TARN_SCOPE(tm);
        tarn_tensor *e = tarn_exp(x);
        y = tarn_escape(tarn_sum(tarn_square(e), TARN_ALL_AXES));
        v = tarn_retain(VECTOR(tm, 5, 6));
    }
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(x), g, &create), TARN_OK);
    check_close(g[0], ((const double[]){ 2 * exp(0.5), 2 * exp(1) }), 2, 1e-14);
    check_status(tarn_grad(TARN_LIST(tarn_sum(g[0], TARN_ALL_AXES)), TARN_LIST(x), h, NULL),
                 TARN_OK);
    check_close(h[0], ((const double[]){ 4 * exp(0.5), 4 * exp(1) }), 2, 1e-13);
    for (int i = 0; i < 2; i++) {
        TARN_SCOPE(tm);
        tarn_tensor *z = i == 0 ? x : tarn_alias(x);
        check_status(tarn_grad(TARN_LIST(z), TARN_LIST(x), g,
                               &(tarn_grad_options){ .gradients = &v, .create_graph = true }),
                     TARN_OK);
        EXPECT(g[0], 5, 6);
    }
    EXPECT(v, 5, 6);
    tarn_release(v);
}

/* An operation that is differentiated as a composition reads operands that its kernels do not
 * keep: what has changed there is found. */
static void operands_that_changed(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_reshape(VECTOR(tm, 1, 2, 4, 3), TARN_SHAPE(2, 2)), *g[1];
    tarn_tensor *bias = LEAF(tm, 0, 0);
    tarn_tensor *y = tarn_layer_norm(x, 1, VECTOR(tm, 1, 1), bias, 1e-5);
    tarn_tensor *loss = tarn_sum(y, TARN_ALL_AXES);
    const tarn_grad_options create = { .create_graph = true };
    ((double *)tarn_data_mut(x))[0] = 7;
    check_status(tarn_grad(TARN_LIST(loss), TARN_LIST(bias), g, &create), TARN_ESTATE);
    check_error_part(tm, TARN_ESTATE, "tarn_grad: x [2,2], which layer_norm saved for backward");
    check_status(tarn_grad(TARN_LIST(loss), TARN_LIST(bias), g, NULL), TARN_OK); /* it needs none */
    EXPECT(g[0], 2, 2);
}

static void products_with_jacobian_and_hessian(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *w = LEAF(tm, 3, 4);
    tarn_tensor *v = VECTOR(tm, 1, 10), *u = VECTOR(tm, 100, 0);
    tarn_tensor *const vectors[] = { v, u };
    tarn_tensor *a = tarn_mul(x, w), *b = tarn_square(x), *products[2];
    check_status(tarn_jvp(TARN_LIST(a, b), TARN_LIST(x, w), vectors, products), TARN_OK);
    EXPECT(products[0], 3 * 1 + 1 * 100, 4 * 10);
    EXPECT(products[1], 2 * 1, 4 * 10);
    tarn_tensor *loss = tarn_sum(tarn_mul(a, b), TARN_ALL_AXES); /* sum(x^3 w) */
    check_status(tarn_hvp(loss, TARN_LIST(x, w), vectors, products), TARN_OK);
    EXPECT(products[0], 6 * 1 * 3 * 1 + 3 * 1 * 100, 6 * 2 * 4 * 10);
    EXPECT(products[1], 3 * 1 * 1, 3 * 4 * 10);
    tarn_tensor *const missing[] = { v, NULL };
    check_status(tarn_hvp(loss, TARN_LIST(x, w), missing, products), TARN_EARG);
    check_error(tm, TARN_EARG, "tarn_hvp: the vector of input 1 is NULL");
    tarn_tensor *const wrong[] = { v, loss };
    check_status(tarn_jvp(TARN_LIST(a, b), TARN_LIST(x, w), wrong, products), TARN_ESHAPE);
    check_error(tm, TARN_ESHAPE,
                "tarn_jvp: the vector of input 1 is float64 [], the input float64 [2]");
    TARN_NO_GRAD(tm); /* of what was recorded outside */
    check_status(tarn_hvp(loss, TARN_LIST(x, w), vectors, products), TARN_OK);
    EXPECT(products[0], 6 * 1 * 3 * 1 + 3 * 1 * 100, 6 * 2 * 4 * 10);
    assert_false(tarn_requires_grad(tarn_square(x)));
}

/* ---- hooks */

typedef struct notes {
    int n;
    double first[8]; /* element of the gradient */
    tarn_tensor *held;
} notes;

static void note(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    notes *l = context;
    (void)t;
    l->first[l->n++] = *(const double *)tarn_data(gradient);
}

static void halve(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)context, (void)t;
    (void)tarn_mul_scalar_(gradient, 0.5);
}

static void hold(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)t;
    ((notes *)context)->held = tarn_retain(gradient);
}

static void differentiate_inside(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)t, (void)gradient;
    (void)tarn_backward(context);
}

static void hooks_see_and_change_gradients(void **state)
{
    tarn_manager *tm = MANAGER(state);
    notes leaf = { 0 }, middle = { 0 };
    tarn_tensor *x = LEAF(tm, 3);
    check_status(tarn_on_gradient(x, note, &leaf), TARN_OK);
    tarn_tensor *y = tarn_square(x);
    check_status(tarn_on_gradient(y, note, &middle), TARN_OK); /* called after the next */
    check_status(tarn_on_gradient(y, halve, NULL), TARN_OK);
    check_status(tarn_on_gradient(y, hold, &middle), TARN_OK);
    tarn_tensor *twice = tarn_add(y, y);
    check_status(tarn_backward(tarn_add(twice, x)), TARN_OK);
    assert_int_equal(middle.n, 1);
    assert_int_equal(leaf.n, 1); /* once, although two operations add to it */
    assert_true(middle.first[0] == 1);
    assert_true(leaf.first[0] == 1 * 2 * 3 + 1);
    EXPECT(tarn_grad_of(x), 7);
    EXPECT(middle.held, 1);
    tarn_release(middle.held);
    tarn_clear_hooks(x);
    check_status(tarn_backward(tarn_square(x)), TARN_OK);
    assert_int_equal(leaf.n, 1);
}

static void hooks_of_recorded_gradients(void **state)
{
    tarn_manager *tm = MANAGER(state);
    notes middle = { 0 };
    tarn_tensor *x = LEAF(tm, 3), *y = tarn_square(x), *g[1];
    check_status(tarn_on_gradient(y, note, &middle), TARN_OK);
    tarn_tensor *z = tarn_square(y);
    check_status(
        tarn_grad(TARN_LIST(z), TARN_LIST(x), g, &(tarn_grad_options){ .create_graph = true }),
        TARN_OK);
    assert_int_equal(middle.n, 1);
    assert_true(middle.first[0] == 18);
    EXPECT(g[0], 108);
}

static void hooks_may_not_differentiate(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 3), *y = tarn_square(x);
    check_status(tarn_on_gradient(y, differentiate_inside, x), TARN_OK);
    check_status(tarn_backward(tarn_square(y)), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_backward: called inside another pass: a hook, or a function that is run "
                "again, may compute but not differentiate");
    assert_false(tarn_has_grad(x));
    check_status(tarn_on_gradient(VECTOR(tm, 1), note, NULL), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_on_gradient: [1] requires no gradient, so that none will come: "
                "tarn_require_grad makes a leaf of it");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(inputs_are_leaves_or_not),
        TEST(what_is_below_the_inputs_stays),
        TEST(nothing_lingers_beside_the_inputs),
        TEST(several_outputs_add_up),
        TEST(inputs_without_influence_have_zeros),
        TEST(wrong_arguments),
        TEST(third_derivative_of_a_cube),
        TEST(a_gradient_in_the_loss),
        TEST(handles_that_ended),
        TEST(operands_that_changed),
        TEST(products_with_jacobian_and_hessian),
        TEST(hooks_see_and_change_gradients),
        TEST(hooks_of_recorded_gradients),
        TEST(hooks_may_not_differentiate),
    };
    return cmocka_run_group_tests_name("grad", tests, NULL, NULL);
}
