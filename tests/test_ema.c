/* SPDX-License-Identifier: MIT
 * test_ema.c - moving averages of weights: their formula, applying them and back, their memory. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

static tarn_tensor *add(tarn_module *m, const char *name, tarn_dtype dtype, double value)
{
    const tarn_init init = { .kind = TARN_INIT_CONSTANT, .a = value };
    return tarn_module_add_parameter(m, name, dtype, TARN_SHAPE(3), &init);
}

static void expect(tarn_tensor *t, double value, double tolerance)
{
    const double all[] = { value, value, value };
    check_close(t, all, 3, tolerance);
}

static void test_formula(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = add(root, "p", TARN_F64, 1), *q = add(root, "q", TARN_F32, 1);
    tarn_ema *ema = tarn_ema_create(root, &(tarn_ema_options){ .decay = 0.75 });
    assert_non_null(ema);
    double average = 1;
    for (int t = 1; t <= 20; t++) {
        check_status(tarn_fill_with(p, t * t), TARN_OK);
        check_status(tarn_fill_with(q, t * t), TARN_OK);
        check_status(tarn_ema_update(ema), TARN_OK);
        average = 0.75 * average + 0.25 * t * t;
    }
    assert_int_equal(tarn_ema_updates(ema), 20);
    expect(p, 400, 0);
    check_status(tarn_ema_apply(ema), TARN_OK);
    assert_true(tarn_ema_is_applied(ema));
    expect(p, average, 1e-11);
    expect(q, average, 20 * 0x1p-24 * average);
    check_status(tarn_ema_restore(ema), TARN_OK);
    assert_false(tarn_ema_is_applied(ema));
    expect(p, 400, 0);
    expect(q, 400, 0);

    /* The averages go on from where they were. */
    check_status(tarn_ema_update(ema), TARN_OK);
    check_status(tarn_ema_apply(ema), TARN_OK);
    expect(p, 0.75 * average + 100, 1e-11);
    check_status(tarn_ema_restore(ema), TARN_OK);
}

static void test_defaults_and_warm_up(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = add(root, "p", TARN_F64, 0);
    tarn_ema *usual = tarn_ema_create(root, NULL);
    tarn_ema *warm = tarn_ema_create(root, &(tarn_ema_options){ .decay = 0.2, .warm_up = true });
    check_status(tarn_fill_with(p, 1), TARN_OK);
    for (int t = 1; t <= 2; t++) {
        check_status(tarn_ema_update(usual), TARN_OK);
        check_status(tarn_ema_update(warm), TARN_OK);
    }
    check_status(tarn_ema_apply(usual), TARN_OK);
    expect(p, 1 - 0.999 * 0.999, 1e-15);
    check_status(tarn_ema_restore(usual), TARN_OK);
    check_status(tarn_ema_apply(warm), TARN_OK);
    expect(p, 1 - 2. / 11 * 0.2, 1e-15); /* 3 / 12 is more than 0.2 */
    check_status(tarn_ema_restore(warm), TARN_OK);
}

static void test_buffers_are_copied(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    (void)add(root, "p", TARN_F32, 1);
    tarn_tensor *mean = tarn_module_add_buffer(root, "mean", TARN_F64, TARN_SHAPE(3));
    tarn_tensor *count = tarn_module_add_buffer(root, "count", TARN_I64, TARN_SHAPE(3));
    tarn_ema *ema = tarn_ema_create(root, NULL);
    check_status(tarn_fill_with(mean, 0.5), TARN_OK);
    check_status(tarn_fill_with(count, 7), TARN_OK);
    check_status(tarn_ema_update(ema), TARN_OK);
    check_status(tarn_fill_with(mean, 9), TARN_OK);
    check_status(tarn_fill_with(count, 9), TARN_OK);
    check_status(tarn_ema_apply(ema), TARN_OK);
    expect(mean, 0.5, 0);
    expect(count, 7, 0);
    check_status(tarn_ema_restore(ema), TARN_OK);
    expect(mean, 9, 0);
    expect(count, 9, 0);
}

/* What lies behind 4096 bytes, empty parameters, and a part of a tree. */
static void test_sizes(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm), *part = tarn_module_add_child(root, "part");
    tarn_tensor *outside = add(root, "outside", TARN_F32, 1);
    tarn_tensor *large = tarn_module_add_parameter(part, "large", TARN_F32, TARN_SHAPE(3333), NULL);
    (void)tarn_module_add_parameter(part, "none", TARN_F32, TARN_SHAPE(0, 4), NULL);
    tarn_ema *ema = tarn_ema_create(part, &(tarn_ema_options){ .decay = 0.5 });
    check_status(tarn_fill_with(large, 1), TARN_OK);
    check_status(tarn_fill_with(outside, 2), TARN_OK);
    check_status(tarn_ema_update(ema), TARN_OK);
    check_status(tarn_ema_apply(ema), TARN_OK);
    assert_true(tarn_item(tarn_mean(large, TARN_ALL_AXES)) == 0.5);
    expect(outside, 2, 0);
    check_status(tarn_ema_restore(ema), TARN_OK);
    assert_true(tarn_item(tarn_mean(large, TARN_ALL_AXES)) == 1);
}

/* A pass that saved the weights does not go on with the averages. */
static void test_exchange_is_noticed(void **state)
{
    check_fixture *f = *state;
    TARN_SCOPE(f->tm);
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = add(root, "p", TARN_F64, 1);
    tarn_ema *ema = tarn_ema_create(root, NULL);
    tarn_tensor *loss = tarn_sum(tarn_square(p), TARN_ALL_AXES);
    check_status(tarn_ema_apply(ema), TARN_OK);
    check_status(tarn_backward(loss), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "was changed since");
}

static void test_order_of_calls(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm), *part = tarn_module_add_child(root, "part");
    (void)add(root, "p", TARN_F64, 1);
    tarn_tensor *q = add(part, "q", TARN_F64, 1);
    tarn_ema *ema = tarn_ema_create(root, NULL);
    check_status(tarn_ema_restore(ema), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE,
                "ema: the averages are not applied: there is nothing to restore");
    check_status(tarn_ema_apply(ema), TARN_OK);
    check_status(tarn_ema_apply(ema), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "ema: the averages are applied already");
    check_status(tarn_ema_update(ema), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE,
                "ema: the averages are applied: tarn_ema_restore before the next update");
    check_status(tarn_ema_restore(ema), TARN_OK);

    (void)tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(-1));
    check_status(tarn_ema_update(ema), TARN_ESHAPE);
    check_status(tarn_ema_apply(ema), TARN_ESHAPE);
    tarn_clear_error(f->tm);
    assert_int_equal(tarn_ema_updates(ema), 0);

    check_status(tarn_module_freeze(part), TARN_OK);
    check_status(tarn_ema_update(ema), TARN_OK);
    check_status(tarn_ema_apply(ema), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "ema: \"part.q\" [3] is frozen and cannot be exchanged");
    assert_false(tarn_ema_is_applied(ema));
    expect(q, 1, 0);
    assert_non_null(tarn_ema_create(root, NULL)); /* of the rest */
    assert_null(tarn_ema_create(part, NULL));
    check_error_part(f->tm, TARN_ESTATE, "is frozen: nothing of it changes any more");
}

static void test_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    assert_null(tarn_ema_create(root, NULL));
    check_error(f->tm, TARN_ESTATE, "ema: the module has no parameters");
    (void)add(root, "p", TARN_F64, 1);
    const double bad[] = { 1, -0.5, NAN, INFINITY };
    for (int i = 0; i < 4; i++) {
        assert_null(tarn_ema_create(root, &(tarn_ema_options){ .decay = bad[i] }));
        check_error_part(f->tm, TARN_EARG, "is not in [0, 1)");
    }
    assert_null(tarn_ema_create(NULL, NULL));
    check_status(tarn_ema_update(NULL), TARN_EARG);
    check_status(tarn_ema_apply(NULL), TARN_EARG);
    check_status(tarn_ema_restore(NULL), TARN_EARG);
    assert_false(tarn_ema_is_applied(NULL));
    assert_int_equal(tarn_ema_updates(NULL), 0);
    tarn_ema_destroy(NULL);
}

/* ---- memory */

static void test_updates_acquire_nothing(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    (void)add(root, "p", TARN_F32, 1);
    (void)tarn_module_add_buffer(root, "b", TARN_F32, TARN_SHAPE(40));
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
    tarn_ema *ema = tarn_ema_create(root, NULL);
    const tarn_pool_stats before = tarn_pool_get_stats(f->pool);
    assert_int_equal(before.live_blocks, blocks + 2);
    check_status(tarn_ema_update(ema), TARN_OK);
    check_status(tarn_ema_apply(ema), TARN_OK);
    check_status(tarn_ema_restore(ema), TARN_OK);
    const tarn_pool_stats after = tarn_pool_get_stats(f->pool);
    assert_int_equal(after.allocations, before.allocations);
    assert_int_equal(after.system_allocations, before.system_allocations);
    tarn_ema_destroy(ema);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
}

static void test_short_memory(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    (void)add(root, "p", TARN_F32, 1);
    (void)add(root, "q", TARN_F32, 1);
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
    for (uint64_t n = 1; n <= 2; n++) {
        check_fail_acquisition(f->pool, n);
        assert_null(tarn_ema_create(root, NULL));
        check_error_part(f->tm, TARN_ENOMEM, "");
        assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
    }
    assert_non_null(tarn_ema_create(root, NULL)); /* left to the manager */
}

static void test_module_ends_first(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    (void)add(root, "p", TARN_F32, 1);
    tarn_ema *a = tarn_ema_create(root, NULL), *b = tarn_ema_create(root, NULL);
    tarn_ema_destroy(a);
    check_status(tarn_module_destroy(root), TARN_OK);
    check_status(tarn_ema_update(b), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "ema: the module was destroyed");
    check_status(tarn_ema_apply(b), TARN_ESTATE);
    tarn_clear_error(f->tm);
    tarn_ema_destroy(b);
}

/* To keep the averages for good: apply them, and let the rest go. */
static void test_destroyed_while_applied(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = add(root, "p", TARN_F64, 1);
    tarn_ema *ema = tarn_ema_create(root, &(tarn_ema_options){ .decay = 0.5 });
    check_status(tarn_fill_with(p, 3), TARN_OK);
    check_status(tarn_ema_update(ema), TARN_OK);
    check_status(tarn_ema_apply(ema), TARN_OK);
    tarn_ema_destroy(ema);
    expect(p, 2, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_formula),
        TEST(test_defaults_and_warm_up),
        TEST(test_buffers_are_copied),
        TEST(test_sizes),
        TEST(test_exchange_is_noticed),
        TEST(test_order_of_calls),
        TEST(test_refused),
        TEST(test_updates_acquire_nothing),
        TEST(test_short_memory),
        TEST(test_module_ends_first),
        TEST(test_destroyed_while_applied),
    };
#undef TEST
    return cmocka_run_group_tests_name("ema", tests, NULL, NULL);
}
