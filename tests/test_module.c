/* SPDX-License-Identifier: MIT
 * test_module.c - trees of modules: names, parameters, mode, gradients as a whole, ends. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

static size_t live_blocks(const check_fixture *f)
{
    return tarn_pool_get_stats(f->pool).live_blocks;
}
static size_t records(const check_fixture *f) { return tarn_pool_get_stats(f->pool).metadata; }

/* Lets the gradient of each parameter be `value` times its elements' places, counted from 1. */
static void give_gradients(tarn_module *module, double value)
{
    tarn_manager *tm = NULL;
    for (int i = 0; i < tarn_module_parameter_count(module); i++) {
        tarn_tensor *p = tarn_module_parameter(module, i);
        tm = tarn_manager_of(p);
        TARN_SCOPE(tm);
        const int64_t n = tarn_numel(p);
        tarn_tensor *c = tarn_arange(tm, tarn_get_dtype(p), 1, (double)n + 1, 1);
        c = tarn_reshape(tarn_mul_scalar(c, value), tarn_get_shape(p));
        assert_int_equal(tarn_backward(tarn_sum(tarn_mul(p, c), TARN_ALL_AXES)), TARN_OK);
    }
    assert_true(tm == NULL || tarn_ok(tm));
}

static void test_paths(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_module *a = tarn_module_add_child(root, "a"), *b = tarn_module_add_child(root, "b");
    tarn_module *ab = tarn_module_add_child(a, "b");
    assert_string_equal(tarn_module_path(root), "");
    assert_string_equal(tarn_module_path(a), "a");
    assert_string_equal(tarn_module_path(ab), "a.b");

    tarn_tensor *deep = tarn_module_add_parameter(ab, "w", TARN_F32, TARN_SHAPE(2, 3), NULL);
    tarn_tensor *side = tarn_module_add_parameter(b, "w", TARN_F64, TARN_SHAPE(5), NULL);
    tarn_tensor *top = tarn_module_add_parameter(root, "w", TARN_F32, TARN_SCALAR, NULL);
    tarn_tensor *buffer = tarn_module_add_buffer(a, "seen", TARN_I64, TARN_SHAPE(4));
    assert_string_equal(tarn_name(deep), "a.b.w");
    assert_string_equal(tarn_name(top), "w");
    assert_string_equal(tarn_name(buffer), "a.seen");

    assert_int_equal(tarn_module_parameter_count(root), 3);
    assert_int_equal(tarn_module_numel(root), 12);
    assert_ptr_equal(tarn_module_parameter(root, 0), deep);
    assert_ptr_equal(tarn_module_parameter(root, 1), side);
    assert_ptr_equal(tarn_module_parameter(root, 2), top);
    assert_null(tarn_module_parameter(root, 3));
    assert_null(tarn_module_parameter(root, -1));
    assert_int_equal(tarn_module_parameter_count(a), 1);
    assert_ptr_equal(tarn_module_parameter(a, 0), deep);

    assert_ptr_equal(tarn_module_find(root, "a.b.w"), deep);
    assert_ptr_equal(tarn_module_find(a, "b.w"), deep);
    assert_ptr_equal(tarn_module_find(ab, "w"), deep);
    assert_ptr_equal(tarn_module_find(root, "w"), top);
    assert_ptr_equal(tarn_module_find(root, "a.seen"), buffer);
    const char *const absent[] = {
        "", ".", "a", "a.", "a.b", ".w", "a..w", "b.b.w", "a.b.w.", "ww"
    };
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        assert_null(tarn_module_find(root, absent[i]));
    assert_true(tarn_ok(f->tm));
}

static void note_path(void *context, tarn_module *module)
{
    (void)strcat(strcat(context, tarn_module_path(module)), "|");
}

static void test_walks(void **state)
{
    check_fixture *f = *state;
    char paths[64] = "";
    tarn_module *root = tarn_module_create(f->tm);
    tarn_module *a = tarn_module_add_child(root, "a"), *b = tarn_module_add_child(root, "b");
    tarn_module *ac = tarn_module_add_child(a, "c");
    assert_int_equal(tarn_module_child_count(root), 2);
    assert_int_equal(tarn_module_child_count(ac), 0);
    assert_ptr_equal(tarn_module_child(root, 0), a);
    assert_ptr_equal(tarn_module_child(root, 1), b);
    assert_null(tarn_module_child(root, 2));
    assert_null(tarn_module_child(root, -1));
    assert_ptr_equal(tarn_module_parent(ac), a);
    assert_null(tarn_module_parent(root));
    assert_string_equal(tarn_module_name(ac), "c");
    assert_string_equal(tarn_module_name(root), "");
    tarn_module_each(root, note_path, paths);
    assert_string_equal(paths, "|a|a.c|b|");
    paths[0] = '\0';
    tarn_module_each(a, note_path, paths);
    assert_string_equal(paths, "a|a.c|");
    tarn_module_each(a, NULL, NULL);

    tarn_tensor *inner = tarn_module_add_buffer(ac, "seen", TARN_F32, TARN_SHAPE(2));
    (void)tarn_module_add_parameter(a, "w", TARN_F32, TARN_SHAPE(2), NULL);
    tarn_tensor *outer = tarn_module_add_buffer(root, "seen", TARN_I64, TARN_SHAPE(3));
    assert_int_equal(tarn_module_buffer_count(root), 2);
    assert_ptr_equal(tarn_module_buffer(root, 0), inner);
    assert_ptr_equal(tarn_module_buffer(root, 1), outer);
    assert_null(tarn_module_buffer(root, 2));
    assert_null(tarn_module_buffer(root, -1));
    assert_int_equal(tarn_module_buffer_count(a), 1);
    assert_int_equal(tarn_module_buffer_count(b), 0);

    assert_int_equal(tarn_module_child_count(NULL), 0);
    assert_null(tarn_module_child(NULL, 0));
    assert_null(tarn_module_parent(NULL));
    assert_string_equal(tarn_module_name(NULL), "");
    tarn_module_each(NULL, note_path, paths);
    assert_int_equal(tarn_module_buffer_count(NULL), 0);
    assert_null(tarn_module_buffer(NULL, 0));
    check_no_error(f->tm);
}

static void test_long_paths(void **state)
{
    check_fixture *f = *state;
    char name[64];
    memset(name, 'n', 63);
    name[63] = '\0';
    tarn_module *m = tarn_module_create(f->tm);
    for (int i = 0; i < 40; i++) m = tarn_module_add_child(m, name);
    tarn_tensor *p = tarn_module_add_parameter(m, name, TARN_F32, TARN_SHAPE(1), NULL);
    assert_non_null(p);
    assert_int_equal(strlen(tarn_module_path(m)), 40 * 64 - 1);
    assert_int_equal(strlen(tarn_name(p)), 63);
    assert_ptr_equal(tarn_module_find(m, name), p);
}

static void test_names_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    assert_non_null(tarn_module_add_child(root, "child"));
    assert_non_null(tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(2), NULL));
    assert_non_null(tarn_module_add_buffer(root, "b", TARN_U8, TARN_SHAPE(2)));

    char long_name[65];
    memset(long_name, 'x', 64);
    long_name[64] = '\0';
    const char *const names[] = { NULL, "", "a.b", ".", long_name, "child", "w", "b" };
    const char *const says[] = { "needs a name",   "needs a name", "dot",   "dot",
                                 "longer than 63", "taken",        "taken", "taken" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const size_t blocks = live_blocks(f), bytes = records(f);
        assert_null(tarn_module_add_child(root, names[i]));
        check_error_part(f->tm, TARN_EARG, says[i]);
        assert_null(tarn_module_add_parameter(root, names[i], TARN_F32, TARN_SHAPE(2), NULL));
        check_error_part(f->tm, TARN_EARG, says[i]);
        assert_null(tarn_module_add_buffer(root, names[i], TARN_F32, TARN_SHAPE(2)));
        check_error_part(f->tm, TARN_EARG, says[i]);
        assert_int_equal(live_blocks(f), blocks);
        assert_int_equal(records(f), bytes);
    }
}

static void test_shapes_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const size_t blocks = live_blocks(f);
    assert_null(tarn_module_add_parameter(root, "w", TARN_I32, TARN_SHAPE(2), NULL));
    check_error_part(f->tm, TARN_EDTYPE, "int32");
    assert_null(tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(2, -1), NULL));
    check_error_part(f->tm, TARN_ESHAPE, "\"w\"");
    assert_null(tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(INT64_MAX, 2), NULL));
    check_error_part(f->tm, TARN_EOVERFLOW, "\"w\"");
    assert_null(tarn_module_add_buffer(root, "w", (tarn_dtype)99, TARN_SHAPE(2)));
    check_error_part(f->tm, TARN_EDTYPE, "\"w\"");
    assert_int_equal(live_blocks(f), blocks);
    assert_int_equal(tarn_module_parameter_count(root), 0);

    tarn_tensor *empty = tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(0, 3), NULL);
    assert_non_null(empty);
    assert_int_equal(tarn_module_numel(root), 0);
}

static void test_what_a_parameter_is(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(3, 3), NULL);
    tarn_tensor *b = tarn_module_add_buffer(root, "b", TARN_F32, TARN_SHAPE(3));
    assert_true(tarn_requires_grad(p));
    assert_false(tarn_requires_grad(b));
    const float *values = tarn_data(b);
    for (int i = 0; i < 3; i++) assert_true(values[i] == 0);

    /* It belongs to the module: scopes and releases of others do not end it. */
    {
        TARN_SCOPE(f->tm);
        tarn_module_add_parameter(root, "inside", TARN_F32, TARN_SHAPE(2), NULL);
    }
    assert_non_null(tarn_data(tarn_module_find(root, "inside")));
    tarn_release(p);
    assert_int_equal(tarn_error_code(f->tm), TARN_ESTATE);
    tarn_clear_error(f->tm);
    assert_non_null(tarn_data(p));
}

static void test_mode(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_module *a = tarn_module_add_child(root, "a"), *b = tarn_module_add_child(root, "b");
    tarn_module *aa = tarn_module_add_child(a, "a"), *ab = tarn_module_add_child(a, "b");
    assert_true(tarn_module_is_training(root) && tarn_module_is_training(ab));
    tarn_module_eval(a);
    assert_true(tarn_module_is_training(root) && tarn_module_is_training(b));
    assert_false(tarn_module_is_training(a) || tarn_module_is_training(aa) ||
                 tarn_module_is_training(ab));
    assert_false(tarn_module_is_training(tarn_module_add_child(aa, "late")));
    tarn_module_eval(root);
    assert_false(tarn_module_is_training(b));
    tarn_module_train(root);
    assert_true(tarn_module_is_training(aa) && tarn_module_is_training(ab) &&
                tarn_module_is_training(b) && tarn_module_is_training(root));
}

static void test_destroy(void **state)
{
    check_fixture *f = *state;
    const size_t blocks = live_blocks(f), bytes = records(f);
    tarn_module *root = tarn_module_create(f->tm);
    tarn_module *a = tarn_module_add_child(root, "a");
    for (int i = 0; i < 3; i++) {
        char name[] = { (char)('p' + i), '\0' };
        tarn_module *child = tarn_module_add_child(a, name);
        tarn_module_add_parameter(child, "w", TARN_F32, TARN_SHAPE(100), NULL);
        tarn_module_add_buffer(child, "b", TARN_F32, TARN_SHAPE(100));
    }
    give_gradients(root, 1);
    assert_int_equal(live_blocks(f), blocks + 9);
    assert_int_equal(tarn_module_destroy(a), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "module \"a\"");
    assert_int_equal(tarn_module_destroy(root), TARN_OK);
    assert_int_equal(live_blocks(f), blocks);
    (void)bytes; /* slabs and the tape, made on first use, stay */
}

static void test_retained_parameter_survives(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_init two = { .kind = TARN_INIT_CONSTANT, .a = 2 };
    tarn_tensor *p =
        tarn_retain(tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(1), &two));
    assert_int_equal(tarn_module_destroy(root), TARN_OK);
    assert_true(tarn_item(p) == 2);
    tarn_release(p);
    assert_true(tarn_ok(f->tm));
}

/* A module that ends between forward and backward must leave nothing dangling. */
static void test_destroy_between_passes(void **state)
{
    check_fixture *f = *state;
    TARN_SCOPE(f->tm);
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(3), NULL);
    tarn_tensor *loss = tarn_sum(tarn_square(p), TARN_ALL_AXES);
    assert_int_equal(tarn_module_destroy(root), TARN_OK);
    (void)tarn_backward(loss);
    tarn_clear_error(f->tm);
}

static void test_zero_grad(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_module *a = tarn_module_add_child(root, "a"), *b = tarn_module_add_child(root, "b");
    tarn_tensor *p = tarn_module_add_parameter(a, "w", TARN_F32, TARN_SHAPE(3), NULL);
    tarn_tensor *q = tarn_module_add_parameter(b, "w", TARN_F32, TARN_SHAPE(3), NULL);
    give_gradients(root, 2);
    assert_true(tarn_has_grad(p) && tarn_has_grad(q));
    assert_true(((const float *)tarn_data(tarn_grad_of(p)))[2] == 6);
    tarn_module_zero_grad(a);
    assert_false(tarn_has_grad(p));
    assert_true(tarn_has_grad(q));
    assert_true(((const float *)tarn_data(tarn_grad_of(p)))[2] == 0);
    give_gradients(root, 2);
    assert_true(((const float *)tarn_data(tarn_grad_of(p)))[2] == 6);
    assert_true(((const float *)tarn_data(tarn_grad_of(q)))[2] == 12);

    assert_int_equal(tarn_stop_grad(p), TARN_OK);
    tarn_module_zero_grad(root);
    assert_true(tarn_ok(f->tm));
    assert_false(tarn_has_grad(q));
}

static void test_clip(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = tarn_module_add_parameter(root, "p", TARN_F32, TARN_SHAPE(11), NULL);
    tarn_tensor *q = tarn_module_add_parameter(root, "q", TARN_F64, TARN_SHAPE(3), NULL);
    assert_true(tarn_clip_grad_norm(root, 1) == 0);

    give_gradients(root, 1); /* sums of squares: 1 + 4 + ... + 121 = 506, and 14 */
    const double norm = sqrt(520);
    assert_true(fabs(tarn_clip_grad_norm(root, INFINITY) - norm) < 1e-12);
    assert_true(fabs(tarn_clip_grad_norm(root, 100) - norm) < 1e-12);
    assert_true(((const float *)tarn_data(tarn_grad_of(p)))[10] == 11);
    assert_true(fabs(tarn_clip_grad_norm(root, 2) - norm) < 1e-12);
    assert_true(fabs(((const double *)tarn_data(tarn_grad_of(q)))[2] - 3 * 2 / norm) < 1e-14);
    assert_true(fabsf(((const float *)tarn_data(tarn_grad_of(p)))[10] - (float)(22 / norm)) <
                1e-6f);
    assert_true(fabs(tarn_clip_grad_norm(root, 2) - 2) < 1e-6);

    tarn_optimizer *sgd = tarn_sgd_create(root, NULL);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    assert_true(tarn_clip_grad_norm(root, 2) == 0); /* a step has consumed them */
    give_gradients(root, 1);
    assert_true(fabs(tarn_clip_grad_norm(root, 2) - norm) < 1e-12);

    const double bad[] = { 0, -1, NAN };
    for (size_t i = 0; i < 3; i++) {
        assert_true(isnan(tarn_clip_grad_norm(root, bad[i])));
        check_error_part(f->tm, TARN_EARG, "max_norm");
    }
    ((float *)tarn_data_mut(tarn_grad_of(p)))[3] = INFINITY;
    assert_true(isnan(tarn_clip_grad_norm(root, 0.5)));
    assert_true(fabs(((const double *)tarn_data(tarn_grad_of(q)))[2] - 3 * 2 / norm) < 1e-14);
    assert_true(isnan(tarn_clip_grad_norm(root, 0.5))); /* the error is held */
    check_error_part(f->tm, TARN_ENUMERIC, "\"p\"");
}

/* Sets the gradients of p: n elements of one value. */
static void set_gradients(tarn_tensor *p, double value)
{
    assert_int_equal(tarn_fill_with(tarn_grad_of(p), value), TARN_OK);
}

/* Squares that overflow or vanish in double are no reason to refuse the norm. */
static void test_clip_extremes(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = tarn_module_add_parameter(root, "p", TARN_F64, TARN_SHAPE(9), NULL);
    tarn_tensor *q = tarn_module_add_parameter(root, "q", TARN_F32, TARN_SHAPE(9), NULL);
    give_gradients(root, 1);
    set_gradients(q, 0);
    const double values[] = { 1e200, 1e-200, 4e307, 0x1p-1070 };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        set_gradients(p, values[i]);
        assert_true(fabs(tarn_clip_grad_norm(root, INFINITY) / 3 - values[i]) <= 1e-15 * values[i]);
    }
    set_gradients(p, 1e200);
    set_gradients(q, 1e30);
    assert_true(fabs(tarn_clip_grad_norm(root, 6) - 3e200) < 1e186);
    assert_true(fabs(((const double *)tarn_data(tarn_grad_of(p)))[8] - 2) < 1e-14);
    assert_true(((const float *)tarn_data(tarn_grad_of(q)))[8] == 0);

    set_gradients(p, 1e308);
    assert_true(isnan(tarn_clip_grad_norm(root, 1)));
    check_error_part(f->tm, TARN_ENUMERIC, "the largest is 1e+308");
    ((double *)tarn_data_mut(tarn_grad_of(p)))[8] = NAN;
    assert_true(isnan(tarn_clip_grad_norm(root, 1)));
    check_error_part(f->tm, TARN_ENUMERIC, "\"p\"");
}

static void test_digest(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const uint64_t nothing = tarn_module_digest(root);
    tarn_tensor *p = tarn_module_add_parameter(root, "p", TARN_F32, TARN_SHAPE(5), NULL);
    tarn_module_add_buffer(root, "b", TARN_F32, TARN_SHAPE(5));
    const uint64_t zeros = tarn_module_digest(root);
    assert_true(nothing != zeros);
    assert_int_equal(tarn_fill_with(tarn_module_find(root, "b"), 3), TARN_OK);
    assert_true(tarn_module_digest(root) == zeros);
    assert_int_equal(tarn_fill_with(p, 3), TARN_OK);
    assert_true(tarn_module_digest(root) != zeros);
    assert_int_equal(tarn_fill_with(p, 0), TARN_OK);
    assert_true(tarn_module_digest(root) == zeros);
}

/* A failed acquisition leaves the tree as it was, and trying again gives the same weights. */
static void test_short_memory(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    check_fail_acquisition(f->pool, 1);
    assert_null(tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(64, 64), NULL));
    check_error_part(f->tm, TARN_ENOMEM, "bytes");
    assert_int_equal(tarn_module_parameter_count(root), 0);
    check_fail_acquisition(f->pool, 1);
    assert_null(tarn_module_add_buffer(root, "w", TARN_F32, TARN_SHAPE(64, 64)));
    check_error_part(f->tm, TARN_ENOMEM, "bytes");
    assert_null(tarn_module_find(root, "w"));
    assert_non_null(tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(64, 64), NULL));

    tarn_manager *other =
        tarn_manager_create(&(tarn_manager_options){ .pool = f->pool, .seed = 42 });
    tarn_module *twin = tarn_module_create(other);
    tarn_module_add_parameter(twin, "w", TARN_F32, TARN_SHAPE(64, 64), NULL);
    assert_true(tarn_module_digest(root) == tarn_module_digest(twin));
    assert_int_equal(tarn_manager_destroy(other), 0);
}

static void test_null(void **state)
{
    (void)state;
    assert_null(tarn_module_create(NULL));
    assert_null(tarn_module_add_child(NULL, "a"));
    assert_null(tarn_module_add_parameter(NULL, "a", TARN_F32, TARN_SHAPE(1), NULL));
    assert_null(tarn_module_add_buffer(NULL, "a", TARN_F32, TARN_SHAPE(1)));
    assert_int_equal(tarn_module_destroy(NULL), TARN_OK);
    assert_string_equal(tarn_module_path(NULL), "");
    assert_int_equal(tarn_module_parameter_count(NULL), 0);
    assert_null(tarn_module_parameter(NULL, 0));
    assert_null(tarn_module_find(NULL, "a"));
    assert_int_equal(tarn_module_numel(NULL), 0);
    tarn_module_train(NULL);
    tarn_module_eval(NULL);
    assert_false(tarn_module_is_training(NULL));
    tarn_module_zero_grad(NULL);
    assert_true(isnan(tarn_clip_grad_norm(NULL, 1)));
    assert_true(tarn_module_digest(NULL) == 0);

    check_fixture *f = *state;
    assert_null(tarn_module_find(tarn_module_create(f->tm), NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_paths),
        TEST(test_walks),
        TEST(test_long_paths),
        TEST(test_names_refused),
        TEST(test_shapes_refused),
        TEST(test_what_a_parameter_is),
        TEST(test_mode),
        TEST(test_destroy),
        TEST(test_retained_parameter_survives),
        TEST(test_destroy_between_passes),
        TEST(test_zero_grad),
        TEST(test_clip),
        TEST(test_clip_extremes),
        TEST(test_digest),
        TEST(test_short_memory),
        TEST(test_null),
    };
#undef TEST
    return cmocka_run_group_tests_name("module", tests, NULL, NULL);
}
