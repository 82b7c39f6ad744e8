/* SPDX-License-Identifier: MIT
 * test_debug.c - the summary of a model, and its parameters that do not learn. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

typedef struct model {
    tarn_module *root;
    tarn_mlp mlp;
    tarn_linear spare;
} model;

static model make_model(tarn_manager *tm)
{
    model m = { .root = tarn_module_create(tm) };
    static const int64_t sizes[] = { 20, 100, 3 };
    m.mlp = tarn_mlp_create(m.root, "mlp", sizes, 3, &(tarn_mlp_options){ .dropout = 0.5 });
    m.spare = tarn_linear_create(m.root, "spare", 3, 4);
    (void)tarn_module_add_buffer(m.root, "count", TARN_I64, TARN_SHAPE(2));
    return m;
}

static tarn_tensor *forward(tarn_tensor *const *inputs, int n, void *context)
{
    const model *m = context;
    (void)n;
    return tarn_mlp_forward(&m->mlp, inputs[0]);
}

static void a_model_as_a_table(void **state)
{
    tarn_manager *tm = MANAGER(state);
    FILE *stream = tmpfile();
    model m = make_model(tm);
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(7, 20));
    check_status(tarn_stop_grad(m.mlp.layers[0].weight), TARN_OK);
    const tarn_model_pass o = { forward, TARN_LIST(x), &m };
    check_status(tarn_model_summary(m.root, stream, &o), TARN_OK);
    assert_string_equal(
        check_stream_text(stream),
        "layer                        kind               output                 parameters       "
        "memory\n"
        "(root)                       module             [7,3]                           -         "
        "   "
        "-\n"
        "  mlp                        mlp                [7,3]                           -         "
        "   "
        "-\n"
        "    0                        linear             [7,100]                     2,100     "
        "8.20 "
        "KiB  partly frozen\n"
        "    dropout0                 dropout            [7,100]                         -         "
        "   "
        "-\n"
        "    1                        linear             [7,3]                         303     "
        "1.18 "
        "KiB\n"
        "  spare                      linear                                            16         "
        "64 "
        "B\n"
        "2,419 parameters in 9.45 KiB, of which 2,000 are frozen and 419 learn; 2 numbers in "
        "buffers, "
        "16 B\n");
    fclose(stream);
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
    assert_int_equal(tarn_model_summary(NULL, stdout, NULL), TARN_EARG);
    assert_int_equal(tarn_model_summary(m.root, NULL, NULL), TARN_EARG);
    tarn_module_destroy(m.root);
}

/* What dropout draws next does not depend on whether somebody looked. */
static void looking_changes_nothing(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const void *drawn[2];
    for (int i = 0; i < 2; i++) {
        tarn_manager *own = tarn_manager_create(NULL);
        FILE *stream = tmpfile();
        model m = make_model(own);
        tarn_tensor *x = tarn_ones(own, TARN_F32, TARN_SHAPE(7, 20));
        const tarn_model_pass o = { forward, TARN_LIST(x), &m };
        if (i == 1) check_status(tarn_model_summary(m.root, stream, &o), TARN_OK);
        tarn_tensor *y = forward(&x, 1, &m);
        tarn_tensor *copy = tarn_from_array(tm, TARN_F32, TARN_SHAPE(7, 3), tarn_data(y));
        drawn[i] = tarn_data(copy);
        fclose(stream);
        tarn_manager_destroy(own);
    }
    assert_memory_equal(drawn[0], drawn[1], 7 * 3 * sizeof(float));
}

static void parts_and_failing_passes(void **state)
{
    tarn_manager *tm = MANAGER(state);
    FILE *stream = tmpfile();
    model m = make_model(tm);
    check_status(tarn_model_summary(m.spare.module, stream, NULL), TARN_OK);
    const char *text = check_stream_text(stream);
    assert_non_null(strstr(text, "\nspare  "));
    assert_non_null(strstr(text, "\n16 parameters in 64 B\n"));
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(7, 21));
    const tarn_model_pass o = { forward, TARN_LIST(x), &m };
    check_status(tarn_model_summary(m.root, stream, &o), TARN_ESHAPE);
    check_error_part(tm, TARN_ESHAPE, "linear \"mlp.0\": x [7,21]");
    fclose(stream);
    tarn_module_destroy(m.root);
}

static void parameters_that_do_not_learn(void **state)
{
    tarn_manager *tm = MANAGER(state);
    FILE *stream = tmpfile();
    model m = make_model(tm);
    {
        TARN_SCOPE(tm);
        tarn_tensor *y = tarn_mlp_forward(&m.mlp, tarn_zeros(tm, TARN_F32, TARN_SHAPE(7, 20)));
        tarn_tensor *loss = tarn_mean(tarn_square(y), TARN_ALL_AXES);
        assert_int_equal(tarn_model_check(loss, stream), 6);
        const char *text = check_stream_text(stream);
        assert_non_null(strstr(text, "\"mlp.0.weight\" [100,20]: its gradient is all zeros"));
        assert_non_null(strstr(text, "\"spare.bias\" [4]: no gradient reaches it"));
        assert_int_equal(tarn_model_check(loss, NULL), 6);
        check_status(tarn_backward(loss), TARN_OK); /* the tape is as it was */
    }
    tarn_module_zero_grad(m.root);
    tarn_tensor *x = tarn_full(tm, TARN_F32, TARN_SHAPE(7, 20), 1);
    tarn_tensor *y = tarn_mlp_forward(&m.mlp, x);
    y = tarn_add(y, tarn_sum(tarn_linear_forward(&m.spare, y), TARN_AXES_KEEP(1)));
    assert_int_equal(tarn_model_check(tarn_mean(tarn_square(y), TARN_ALL_AXES), stream), 0);
    assert_false(tarn_has_grad(m.spare.bias));
    tarn_tensor *bad = tarn_log(tarn_mul_scalar(tarn_sum(y, TARN_ALL_AXES), 0));
    assert_int_equal(tarn_model_check(bad, stream), 6);
    assert_non_null(
        strstr(check_stream_text(stream), "\"spare.bias\" [4]: its gradient is not finite"));
    fclose(stream);
    tarn_module_destroy(m.root);
}

static tarn_tensor *spare_forward(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    return tarn_linear_forward(context, inputs[0]);
}

static void checks_that_cannot_be(void **state)
{
    tarn_manager *tm = MANAGER(state);
    assert_int_equal(tarn_model_check(NULL, NULL), -1);
    tarn_tensor *x = tarn_require_grad(tarn_ones(tm, TARN_F32, TARN_SHAPE(1, 3)));
    tarn_tensor *sum = tarn_sum(x, TARN_ALL_AXES);
    assert_int_equal(tarn_model_check(sum, NULL), 0); /* there are no modules */
}

/* Parameters that only a function of tarn_checkpoint uses are seen. */
static void parameters_inside_checkpoints(void **state)
{
    tarn_manager *tm = MANAGER(state);
    model m = make_model(tm);
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(1, 3));
    tarn_tensor *y = tarn_checkpoint(spare_forward, TARN_LIST(x), &m.spare);
    assert_int_equal(tarn_model_check(tarn_sum(y, TARN_ALL_AXES), NULL), 4); /* those of the mlp */
    assert_false(tarn_has_grad(m.spare.bias));
    tarn_module_destroy(m.root);
}

/* ---- gradients of a model */

static tarn_tensor *loss_of(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    return tarn_cross_entropy(tarn_mlp_forward(context, inputs[0]), inputs[1]);
}

/* Passes values, and a gradient that is a tenth too large. */
static tarn_status pass_values(const tarn_custom_call *c)
{
    memcpy(c->out.data, c->in[0].data, (size_t)c->out.n * sizeof(double));
    return TARN_OK;
}

static tarn_status pass_too_much(const tarn_custom_call *c)
{
    double *dx = c->din[0].data;
    for (int64_t i = 0; i < c->din[0].n; i++)
        dx[i] = (c->add[0] ? dx[i] : 0) + 1.1 * ((const double *)c->dout.data)[i];
    return TARN_OK;
}

typedef struct wrong_model {
    tarn_linear layer;
    tarn_custom *wrong;
} wrong_model;

static tarn_tensor *wrong_loss(tarn_tensor *const *inputs, int n, void *context)
{
    const wrong_model *m = context;
    (void)n;
    tarn_tensor *y = tarn_linear_forward(&m->layer, inputs[0]);
    return tarn_mean(tarn_custom_apply(m->wrong, TARN_LIST(y), NULL, 0), TARN_ALL_AXES);
}

static void gradients_of_a_model(void **state)
{
    tarn_manager *tm = MANAGER(state);
    static const int64_t sizes[] = { 4, 6, 3 }, labels[] = { 2, 0, 1, 1, 0 };
    tarn_module *root = tarn_module_create(tm);
    tarn_mlp mlp = tarn_mlp_create(
        root, "mlp", sizes, 3,
        &(tarn_mlp_options){ .activation = TARN_TANH, .dropout = 0.5, .dtype = TARN_F64 });
    tarn_tensor *x = tarn_random_normal(tm, TARN_F64, TARN_SHAPE(5, 4), 0, 1, 1);
    tarn_tensor *y = tarn_from_array(tm, TARN_I64, TARN_SHAPE(5), labels);
    const tarn_model_pass pass = { loss_of, TARN_LIST(x, y), &mlp };
    const uint64_t digest = tarn_module_digest(root);
    tarn_gradcheck_report r;
    check_status(tarn_model_gradcheck(root, &pass, NULL, &r), TARN_OK);
    assert_int_equal(r.checked, 4 * 6 + 6 + 6 * 3 + 3);
    assert_true(tarn_module_digest(root) == digest);
    check_status(tarn_stop_grad(mlp.layers[1].bias), TARN_OK);
    const tarn_gradcheck_options some = { .samples = 5 };
    check_status(tarn_model_gradcheck(root, &pass, &some, &r), TARN_OK);
    assert_int_equal(r.checked, 15);
    tarn_module_destroy(root);
}

static void wrong_gradients_of_a_model(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    const tarn_linear_options f64 = { .dtype = TARN_F64 };
    const tarn_custom_options o = {
        .name = "wrong", .operands = { "x" }, .forward = pass_values, .backward = pass_too_much
    };
    wrong_model m = { tarn_linear_create_with(root, "l1", 3, 2, &f64), tarn_custom_create(tm, &o) };
    tarn_tensor *x = tarn_ones(tm, TARN_F64, TARN_SHAPE(2, 3));
    const tarn_model_pass pass = { wrong_loss, TARN_LIST(x), &m };
    tarn_gradcheck_report r;
    check_status(tarn_model_gradcheck(root, &pass, NULL, &r), TARN_ENUMERIC);
    assert_int_equal(r.failed, 8);
    check_error_part(tm, TARN_ENUMERIC, "tarn_gradcheck: 8 of 8 derivatives are out of tolerance");
    tarn_linear single = tarn_linear_create(root, "single", 3, 2);
    (void)single;
    check_status(tarn_model_gradcheck(root, &pass, NULL, NULL), TARN_EDTYPE);
    check_error_part(tm, TARN_EDTYPE, "\"single.weight\" [2,3] is float32");
    assert_int_equal(tarn_model_gradcheck(NULL, &pass, NULL, NULL), TARN_EARG);
    assert_int_equal(tarn_model_gradcheck(root, NULL, NULL, NULL), TARN_EARG);
    tarn_module_destroy(root);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_model_as_a_table),       TEST(looking_changes_nothing),
        TEST(parts_and_failing_passes), TEST(parameters_that_do_not_learn),
        TEST(checks_that_cannot_be),    TEST(parameters_inside_checkpoints),
        TEST(gradients_of_a_model),     TEST(wrong_gradients_of_a_model),
    };
    return cmocka_run_group_tests_name("debug", tests, NULL, NULL);
}
