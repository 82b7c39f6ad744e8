/* SPDX-License-Identifier: MIT
 * test_hooks.c - hooks on gradients that do whatever they may, and some things that they may not: a
 * pass goes on, or ends with an error, and nothing is lost. (What hooks are for is in
 * test_grad.c.) */
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

static const tarn_grad_options create = { .create_graph = true };

/* ---- what hooks do */

static void count(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)t, (void)gradient;
    ++*(int *)context;
}

static void hold(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)t;
    *(tarn_tensor **)context = tarn_retain(gradient);
}

static void clear_hooks(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)context, (void)gradient;
    tarn_clear_hooks(t);
}

/* Adds another to the tensor in context. */
static void add_hook(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    static int ignored;
    (void)t, (void)gradient;
    (void)tarn_on_gradient(context, count, &ignored);
}

static void release_other(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)t, (void)gradient;
    tarn_release(context);
}

static void release_gradient(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)context, (void)t;
    tarn_release(gradient);
}

static void stop(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)context, (void)gradient;
    (void)tarn_stop_grad(t);
}

static void halve(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)context, (void)t;
    (void)tarn_mul_scalar_(gradient, 0.5);
}

static void overwrite(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)context, (void)t;
    double *g = tarn_data_mut(gradient);
    if (g != NULL) g[0] = 100;
}

static void spoil(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)context, (void)t;
    (void)tarn_matmul(gradient, gradient);
}

static void end_scope(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)t, (void)gradient;
    tarn_scope_end(*(tarn_scope *)context);
}

static tarn_tensor *square(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n, (void)context;
    return tarn_square(inputs[0]);
}

static tarn_tensor *times_context(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    return tarn_mul(inputs[0], context);
}

/* ---- tests */

/* The gradients that tarn_grad gives out belong to the scope, those that were held beyond it to
 * whoever holds them. */
static void gradients_of_inputs_are_held(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *held[3] = { NULL };
    {
        TARN_SCOPE(tm);
        tarn_tensor *y = tarn_square(x), *g[2];
        tarn_tensor *z = tarn_square(y);
        check_status(tarn_on_gradient(x, hold, &held[0]), TARN_OK);
        check_status(tarn_on_gradient(y, hold, &held[1]), TARN_OK);
        check_status(tarn_on_gradient(z, hold, &held[2]), TARN_OK);
        tarn_tensor *loss = tarn_sum(z, TARN_ALL_AXES);
        check_status(tarn_grad(TARN_LIST(loss), TARN_LIST(x, y), g, NULL), TARN_OK);
        assert_ptr_equal(g[0], held[0]);
        EXPECT(g[0], 4, 32);
    }
    EXPECT(held[0], 4, 32);
    EXPECT(held[1], 2, 8);
    EXPECT(held[2], 1, 1);
    for (int i = 0; i < 3; i++) tarn_release(held[i]);
}

/* The hook of a leaf is called for a function that uses it and for the pass around it, with the
 * same gradient. */
static void a_gradient_is_held_twice(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *held = NULL, *g[1];
    {
        TARN_SCOPE(tm);
        check_status(tarn_on_gradient(x, hold, &held), TARN_OK);
        tarn_tensor *h = tarn_mul_scalar(x, 3);
        tarn_tensor *y = tarn_checkpoint(times_context, TARN_LIST(h), x);
        tarn_tensor *loss = tarn_sum(y, TARN_ALL_AXES);
        check_status(tarn_grad(TARN_LIST(loss), TARN_LIST(x), g, NULL), TARN_OK);
        EXPECT(g[0], 6, 12);
    }
    EXPECT(held, 6, 12);
    tarn_release(held);
    tarn_release(held);
}

/* What is open around a pass stays open: the pass goes on in it. */
static void scopes_around_are_not_ended(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2);
    tarn_scope scope = tarn_scope_begin(tm);
    tarn_tensor *y = tarn_checkpoint(square, TARN_LIST(x), NULL);
    check_status(tarn_on_gradient(y, end_scope, &scope), TARN_OK);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_scope_end: called in a hook, or in a function of tarn_checkpoint, for a "
                "scope that was opened outside");
    tarn_scope_end(scope);
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

static void hooks_end_hooks(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *y = tarn_square(x);
    tarn_tensor *const both[] = { x, y };
    int called = 0;
    for (int i = 0; i < 2; i++) { /* newest first */
        check_status(tarn_on_gradient(both[i], count, &called), TARN_OK);
        check_status(tarn_on_gradient(both[i], clear_hooks, NULL), TARN_OK);
        check_status(tarn_on_gradient(both[i], count, &called), TARN_OK);
    }
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    assert_int_equal(called, 2);
    check_status(tarn_backward(tarn_sum(tarn_square(x), TARN_ALL_AXES)), TARN_OK);
    assert_int_equal(called, 2);
}

/* One that comes during a pass does not displace those that were there. */
static void hooks_add_hooks(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *y = tarn_square(x);
    int called = 0;
    check_status(tarn_on_gradient(x, count, &called), TARN_OK);
    check_status(tarn_on_gradient(y, add_hook, x), TARN_OK);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    assert_int_equal(called, 1);
}

/* Releases the loss, and an input, in the middle. */
static void hooks_release_handles(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int i = 0; i < 3; i++) {
        tarn_tensor *x = LEAF(tm, 1, 2), *other = LEAF(tm, 3), *g[2];
        tarn_tensor *y = tarn_square(x);
        tarn_tensor *loss = tarn_sum(y, TARN_ALL_AXES);
        check_status(tarn_on_gradient(loss, release_other, loss), TARN_OK);
        check_status(tarn_on_gradient(y, release_other, other), TARN_OK);
        if (i == 0) {
            check_status(tarn_backward(loss), TARN_OK);
            EXPECT(tarn_grad_of(x), 2, 4);
            continue;
        }
        check_status(tarn_grad(TARN_LIST(loss), TARN_LIST(x, other), g, i == 1 ? NULL : &create),
                     TARN_OK);
        EXPECT(g[0], 2, 4);
        EXPECT(g[1], 0);
    }
}

static void gradients_are_not_released(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int i = 0; i < 2; i++) {
        tarn_tensor *x = LEAF(tm, 1, 2), *g[1];
        tarn_tensor *y = tarn_square(x);
        check_status(tarn_on_gradient(y, release_gradient, NULL), TARN_OK);
        tarn_tensor *loss = tarn_sum(tarn_add(y, x), TARN_ALL_AXES);
        check_status(tarn_grad(TARN_LIST(loss), TARN_LIST(x), g, i == 0 ? NULL : &create),
                     TARN_ESTATE);
        check_error_part(tm, TARN_ESTATE, "tarn_release: [2] belongs to");
        assert_null(g[0]);
    }
}

static void a_leaf_stops(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2);
    check_status(tarn_on_gradient(x, stop, NULL), TARN_OK);
    check_status(tarn_backward(tarn_sum(tarn_mul(x, x), TARN_ALL_AXES)), TARN_OK);
    assert_false(tarn_requires_grad(x));
    assert_false(tarn_has_grad(x));
}

/* With create_graph hooks are called, too, for leaves as for others, but a gradient that is
 * recorded stays what it was computed to be. */
static void recorded_gradients_do_not_change(void **state)
{
    tarn_manager *tm = MANAGER(state);
    static const tarn_gradient_hook changes[] = { halve, overwrite };
    tarn_tensor *v = VECTOR(tm, 1, 1), *g[2];
    const tarn_grad_options o = { .gradients = &v, .create_graph = true };
    for (int i = 0; i < 2; i++) {
        tarn_tensor *a = LEAF(tm, 1, 2), *b = LEAF(tm, 3, 4);
        int called = 0;
        check_status(tarn_on_gradient(a, count, &called), TARN_OK);
        tarn_tensor *c = tarn_alias(a);
        check_status(tarn_grad(TARN_LIST(tarn_add(c, b)), TARN_LIST(a, b), g, &o), TARN_OK);
        assert_int_equal(called, 1);
        EXPECT(tarn_mul_scalar_(g[0], 7), 7, 7); /* what is given out is nobody else's */
        EXPECT(g[1], 1, 1);
        check_status(tarn_on_gradient(c, changes[i], NULL), TARN_OK);
        check_status(tarn_grad(TARN_LIST(tarn_add(c, b)), TARN_LIST(a, b), g, &o), TARN_ESTATE);
        check_error_part(tm, TARN_ESTATE, "frozen");
        EXPECT(v, 1, 1);
    }
}

/* The pass ends with the hook's error, and what it had given to leaves goes. */
static void a_hook_fails(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *w = LEAF(tm, 3, 4), *u = LEAF(tm, 5, 6);
    check_status(tarn_backward(tarn_sum(tarn_mul(x, u), TARN_ALL_AXES)), TARN_OK);
    tarn_tensor *y = tarn_reshape(tarn_square(x), TARN_SHAPE(1, 2));
    check_status(tarn_on_gradient(y, spoil, NULL), TARN_OK);
    tarn_tensor *z = tarn_mul(y, w);
    check_status(tarn_backward(tarn_sum(z, TARN_ALL_AXES)), TARN_ESHAPE);
    check_error_part(tm, TARN_ESHAPE, "matmul");
    assert_false(tarn_has_grad(w)); /* it had come to it */
    assert_true(tarn_has_grad(x));  /* but not to those */
    assert_true(tarn_has_grad(u));
    EXPECT(tarn_grad_of(x), 5, 6);
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(gradients_of_inputs_are_held),
        TEST(a_gradient_is_held_twice),
        TEST(scopes_around_are_not_ended),
        TEST(hooks_end_hooks),
        TEST(hooks_add_hooks),
        TEST(hooks_release_handles),
        TEST(gradients_are_not_released),
        TEST(a_leaf_stops),
        TEST(recorded_gradients_do_not_change),
        TEST(a_hook_fails),
    };
    return cmocka_run_group_tests_name("hooks", tests, NULL, NULL);
}
