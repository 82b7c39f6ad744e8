/* SPDX-License-Identifier: MIT
 * test_gradcheck.c - the gradient check accepts right gradients and finds each kind of wrong one.
 *
 * The wrong ones are operations of this file: y = x^2 elementwise, with a backward that errs in one
 * way each. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "ops/op.h"

/* ---- squares whose gradients are wrong */

static tarn_status square_forward(const tarn__call *call)
{
    const double *x = call->in[0]->data;
    double *y = call->out->data;
    for (int64_t i = 0; i < call->out->layout.numel; i++) y[i] = x[i] * x[i];
    return TARN_OK;
}

static int n_backward; /* calls of a backward kernel, for the one that changes */

/* dx of element i, of x and dy. */
typedef double (*derivative)(int64_t i, double x, double dy);

static tarn_status square_backward(const tarn__call *call, derivative f)
{
    const double *x = call->in[0]->data, *dy = call->dout->data;
    double *dx = call->din[0]->data;
    n_backward++;
    for (int64_t i = 0; i < call->out->layout.numel; i++)
        dx[i] = (call->add[0] ? dx[i] : 0) + f(i, x[i], dy[i]);
    return TARN_OK;
}

#define SQUARE(kind, formula)                                       \
    static double kind##_derivative(int64_t i, double x, double dy) \
    {                                                               \
        (void)i;                                                    \
        (void)x;                                                    \
        (void)dy;                                                   \
        return (formula);                                           \
    }                                                               \
    static tarn_status kind##_backward(const tarn__call *call)      \
    {                                                               \
        return square_backward(call, kind##_derivative);            \
    }                                                               \
    static const tarn__op kind = {                                  \
        .name = #kind,                                              \
        .operands = { "x" },                                        \
        .arity = 1,                                                 \
        .uses = { TARN__USES_IN0 },                                 \
        .infer = tarn__infer_same,                                  \
        .forward = TARN__ANY(square_forward),                       \
        .backward = TARN__ANY(kind##_backward),                     \
    };

SQUARE(right, 2 * x * dy)
SQUARE(wrong_sign, -2 * x * dy)
SQUARE(missing_factor, x *dy)
SQUARE(slightly_off, 2 * x * dy * (1 + 1e-6))
SQUARE(not_a_number, i == 3 ? NAN : 2 * x * dy)
SQUARE(infinite, i == 3 ? INFINITY : 2 * x * dy)
SQUARE(ignores_dout, 2 * x)
SQUARE(one_element_wrong, 2 * x * dy + (i == 4 ? 0.25 : 0))
SQUARE(nothing, 0)
SQUARE(changes, 2 * x * dy * (n_backward > 1 ? 1 + 0x1p-52 : 1))
SQUARE(forgets_half, i % 2 == 0 ? 2 * x * dy : 0)

/* Adding is part of the contract: this one stores, so that x used twice gets half. */
static tarn_status never_adds_backward(const tarn__call *call)
{
    tarn__call stores = *call;
    stores.add[0] = false;
    return square_backward(&stores, right_derivative);
}
static const tarn__op never_adds = {
    .name = "never_adds",
    .operands = { "x" },
    .arity = 1,
    .uses = { TARN__USES_IN0 },
    .infer = tarn__infer_same,
    .forward = TARN__ANY(square_forward),
    .backward = TARN__ANY(never_adds_backward),
};

typedef struct chosen {
    const tarn__op *op;
} chosen;

static tarn_tensor *square(tarn_tensor *x, const void *context)
{
    return tarn__apply1(((const chosen *)context)->op, x, NULL);
}

/* inputs[0] through the operation, times inputs[1] where there is one. */
static tarn_tensor *apply(tarn_tensor *const *inputs, int n, void *context)
{
    tarn_tensor *y = square(inputs[0], context);
    return n > 1 ? tarn_mul(y, inputs[1]) : y;
}

static tarn_tensor *apply_twice(tarn_tensor *const *inputs, int n, void *context)
{
    tarn_tensor *y = apply(inputs, n, context);
    return tarn_add(y, square(inputs[0], context));
}

/* The check of a function that uses `op`. */
static tarn_status check(tarn_function function, const tarn__op *op, tarn_tensor *const *inputs,
                         int n, const tarn_gradcheck_options *options,
                         tarn_gradcheck_report *report)
{
    chosen c = { op };
    return tarn_gradcheck(function, inputs, n, &c, options, report);
}

static const double values[6] = { -1.5, -0.5, 0.25, 0.75, 1.25, 2.0 };

static tarn_tensor *leaf(tarn_manager *tm)
{
    return tarn_require_grad(tarn_from_array(tm, TARN_F64, TARN_SHAPE(2, 3), values));
}

/* ---- accepting */

static void accepts_right_gradients(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *const inputs[] = { leaf(tm), leaf(tm) };
    tarn_gradcheck_report report;
    for (int n = 1; n <= 2; n++) {
        assert_int_equal(check(apply, &right, inputs, n, NULL, &report), TARN_OK);
        assert_int_equal(report.checked, 6 * n);
        assert_int_equal(report.failed, 0);
        assert_true(report.error < 1e-9);
        assert_true(fabs(report.analytic - report.numeric) == report.error);
    }
    assert_int_equal(check(apply_twice, &right, inputs, 2, NULL, NULL), TARN_OK);
    assert_false(tarn_has_grad(inputs[0]));
    assert_false(tarn_has_grad(inputs[1]));
}

/* The largest error is reported when all pass, though another is nearer to its tolerance. */
static tarn_tensor *large_and_small(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    return tarn_mul(square(inputs[0], context), inputs[1]);
}

static void reports_the_largest_error_when_all_pass(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    static const double scale[6] = { 0, 0, 0, 0, 1e6, 0 };
    tarn_tensor *const inputs[] = { leaf(tm),
                                    tarn_from_array(tm, TARN_F64, TARN_SHAPE(2, 3), scale) };
    tarn_gradcheck_report report;
    const tarn_gradcheck_options loose = { .absolute = 1e-9, .relative = 1e-2 };
    assert_int_equal(check(large_and_small, &slightly_off, inputs, 2, &loose, &report), TARN_OK);
    assert_int_equal(report.checked, 6);
    assert_int_equal(report.input, 0);
    assert_int_equal(report.element, 4);
    assert_true(report.error > 0);
}

static void tolerances_and_step_are_options(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *const inputs[] = { leaf(tm) };
    const tarn_gradcheck_options relative = { .relative = 1e-4 }, absolute = { .absolute = 1e-4 };
    const tarn_gradcheck_options coarse = { .step = 1e-2, .seed = 3 };
    assert_int_equal(check(apply, &slightly_off, inputs, 1, &relative, NULL), TARN_OK);
    assert_int_equal(check(apply, &slightly_off, inputs, 1, &absolute, NULL), TARN_OK);
    assert_int_equal(check(apply, &slightly_off, inputs, 1, &coarse, NULL), TARN_ENUMERIC);
    tarn_clear_error(tm);
    /* Central differences of a square have no error but rounding, whatever the step. */
    assert_int_equal(check(apply, &right, inputs, 1, &coarse, NULL), TARN_OK);
}

/* ---- rejecting */

static void rejects(tarn_manager *tm, tarn_function function, const tarn__op *op, int64_t at_least)
{
    tarn_tensor *const inputs[] = { leaf(tm), leaf(tm) };
    for (int n = 1; n <= 2; n++) {
        tarn_gradcheck_report report;
        n_backward = 0;
        if (check(function, op, inputs, n, NULL, &report) != TARN_ENUMERIC)
            fail_msg("%s was accepted", op->name);
        assert_int_equal(tarn_error_code(tm), TARN_ENUMERIC);
        tarn_clear_error(tm);
        assert_true(report.failed >= at_least);
        assert_true(report.checked == 0 || report.checked == 6 * n);
        assert_false(tarn_has_grad(inputs[0]));
    }
}

static void rejects_every_planted_error(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    rejects(tm, apply, &wrong_sign, 6);
    rejects(tm, apply, &missing_factor, 6);
    rejects(tm, apply, &slightly_off, 6);
    rejects(tm, apply, &not_a_number, 1);
    rejects(tm, apply, &infinite, 1);
    rejects(tm, apply, &ignores_dout, 6);
    rejects(tm, apply, &one_element_wrong, 1);
    rejects(tm, apply, &nothing, 6);
    rejects(tm, apply, &forgets_half, 3);
    rejects(tm, apply_twice, &never_adds, 6);
}

static void a_second_pass_must_give_the_same_bits(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *const inputs[] = { leaf(tm) };
    n_backward = 0;
    assert_int_equal(check(apply, &changes, inputs, 1, NULL, NULL), TARN_ENUMERIC);
    assert_int_equal(n_backward, 2);
    check_error(tm, TARN_ENUMERIC,
                "tarn_gradcheck: a second pass gave other bits for the gradient of input 0");
}

static void the_report_tells_which(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = leaf(tm), *constant = tarn_ones(tm, TARN_F64, TARN_SHAPE(2, 3));
    tarn_tensor *const first[] = { x };
    tarn_gradcheck_report report;
    assert_int_equal(check(apply, &one_element_wrong, first, 1, NULL, &report), TARN_ENUMERIC);
    assert_int_equal(report.input, 0);
    assert_int_equal(report.element, 4);
    assert_int_equal(report.checked, 6);
    assert_int_equal(report.failed, 1);
    assert_true(fabs(report.error - 0.25) < 1e-6);
    assert_true(fabs(report.analytic - report.numeric) == report.error);
    char text[256];
    (void)snprintf(
        text, sizeof text,
        "tarn_gradcheck: 1 of 6 derivatives are out of tolerance; the worst, element 4 of input 0, "
        "is %.17g by backward and %.17g by differences",
        report.analytic, report.numeric);
    check_error(tm, TARN_ENUMERIC, text);

    /* Constants and other types are passed through and keep their place in the count of inputs. */
    tarn_tensor *labels = tarn_zeros(tm, TARN_I32, TARN_SHAPE(1));
    tarn_tensor *const second[] = { x, constant, labels };
    assert_int_equal(check(apply, &not_a_number, second, 3, NULL, &report), TARN_ENUMERIC);
    tarn_clear_error(tm);
    assert_int_equal(report.input, 0);
    assert_int_equal(report.element, 3);
    assert_int_equal(report.checked, 6);
    assert_int_equal(report.failed, 1);
    assert_true(isnan(report.analytic) && isnan(report.error) && isfinite(report.numeric));
}

static tarn_tensor *second_is_wrong(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    return tarn_add(tarn_square(inputs[0]), square(inputs[1], context));
}

static void the_report_names_the_input(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *const inputs[] = { leaf(tm), leaf(tm) };
    tarn_gradcheck_report report;
    assert_int_equal(check(second_is_wrong, &one_element_wrong, inputs, 2, NULL, &report),
                     TARN_ENUMERIC);
    tarn_clear_error(tm);
    assert_int_equal(report.input, 1);
    assert_int_equal(report.element, 4);
    assert_int_equal(report.checked, 12);
}

/* ---- what it leaves behind */

static void inputs_are_restored_to_the_bit(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    static const double odd[6] = { -0.0, 1e-310, 0.1, 1e15 + 0.3, -3.0000000000000004, 1e-200 };
    tarn_tensor *x = tarn_require_grad(tarn_from_array(tm, TARN_F64, TARN_SHAPE(2, 3), odd));
    tarn_tensor *const inputs[] = { x };
    assert_int_equal(check(apply, &right, inputs, 1, NULL, NULL), TARN_OK);
    assert_memory_equal(tarn_data(x), odd, sizeof odd);
    assert_int_equal(check(apply, &wrong_sign, inputs, 1, NULL, NULL), TARN_ENUMERIC);
    tarn_clear_error(tm);
    assert_memory_equal(tarn_data(x), odd, sizeof odd);
    assert_true(tarn_requires_grad(x));
}

static void nothing_stays_on_tape_or_in_the_pool(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *const inputs[] = { leaf(tm), leaf(tm) };
    (void)tarn_grad_of(inputs[0]); /* gradients exist from here on */
    (void)tarn_grad_of(inputs[1]);
    const size_t live = tarn_pool_get_stats(tarn_manager_pool(tm)).live_blocks;
    const uint64_t handles = tarn_manager_get_stats(tm).handles;
    assert_int_equal(check(apply, &right, inputs, 2, NULL, NULL), TARN_OK);
    assert_int_equal(check(apply, &wrong_sign, inputs, 2, NULL, NULL), TARN_ENUMERIC);
    tarn_clear_error(tm);
    assert_int_equal(tarn_pool_get_stats(tarn_manager_pool(tm)).live_blocks, live);
    assert_int_equal(tarn_manager_get_stats(tm).handles, handles);
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

/* Strided leaves: the elements are counted in their order, whatever the strides. */
static void strided_leaves(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *base = tarn_from_array(tm, TARN_F64, TARN_SHAPE(2, 3), values);
    tarn_tensor *const inputs[] = { tarn_require_grad(tarn_transpose(base, 0, 1)) };
    tarn_gradcheck_report report;
    assert_int_equal(check(apply, &right, inputs, 1, NULL, &report), TARN_OK);
    assert_int_equal(report.checked, 6);
    assert_int_equal(check(apply, &one_element_wrong, inputs, 1, NULL, &report), TARN_ENUMERIC);
    tarn_clear_error(tm);
    assert_int_equal(report.element, 4);
    assert_memory_equal(tarn_data(base), values, sizeof values);
}

/* ---- errors */

/* Fails at its call number *context, counted down. */
static tarn_tensor *fails_at(tarn_tensor *const *inputs, int n, void *context)
{
    int *left = context;
    (void)n;
    if (--*left == 0) return tarn_reshape(inputs[0], TARN_SHAPE(7));
    return tarn_square(inputs[0]);
}

static void errors_of_the_function_are_passed_on(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = leaf(tm);
    tarn_tensor *const inputs[] = { x };
    /* Two passes, then two calls for each of six elements. */
    for (int at = 1; at <= 14; at++) {
        int left = at;
        assert_int_equal(tarn_gradcheck(fails_at, inputs, 1, &left, NULL, NULL), TARN_ESHAPE);
        assert_int_equal(left, 0);
        check_error(tm, TARN_ESHAPE, "reshape: x [2,3] with 6 elements does not fit into [7]");
        assert_memory_equal(tarn_data(x), values, sizeof values);
    }
    int left = 15;
    assert_int_equal(tarn_gradcheck(fails_at, inputs, 1, &left, NULL, NULL), TARN_OK);
    assert_int_equal(left, 1);
}

static tarn_tensor *returns_null(tarn_tensor *const *inputs, int n, void *context)
{
    (void)inputs;
    (void)n;
    (void)context;
    return NULL;
}

static tarn_tensor *returns_float(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    (void)context;
    return tarn_cast(inputs[0], TARN_F32);
}

static tarn_tensor *returns_constant(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    (void)context;
    return tarn_square(tarn_detach(inputs[0]));
}

static void functions_that_give_nothing_to_check(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *const inputs[] = { leaf(tm) };
    assert_int_equal(tarn_gradcheck(returns_null, inputs, 1, NULL, NULL, NULL), TARN_EARG);
    check_error(tm, TARN_EARG, "tarn_gradcheck: the function returned NULL");
    assert_int_equal(tarn_gradcheck(returns_float, inputs, 1, NULL, NULL, NULL), TARN_EDTYPE);
    check_error(tm, TARN_EDTYPE,
                "tarn_gradcheck: the function returned float32; float64 is needed");
    assert_int_equal(tarn_gradcheck(returns_constant, inputs, 1, NULL, NULL, NULL), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_backward: nothing that requires a gradient leads to the loss [2,3]: its "
                "operands were constants, detached, frozen, or used inside TARN_NO_GRAD "
                "(tarn_require_grad makes a leaf of a tensor)");
}

static void wrong_arguments(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *const inputs[] = { leaf(tm) }, *const none[] = { NULL };
    tarn_gradcheck_report report = { .checked = 9 };
    assert_int_equal(tarn_gradcheck(NULL, inputs, 1, NULL, NULL, &report), TARN_EARG);
    assert_int_equal(report.checked, 0);
    assert_int_equal(check(apply, &right, NULL, 1, NULL, NULL), TARN_EARG);
    assert_int_equal(check(apply, &right, none, 1, NULL, NULL), TARN_EARG);
    assert_int_equal(check(apply, &right, inputs, 0, NULL, NULL), TARN_EARG);
    assert_true(tarn_ok(tm));

    assert_null(tarn_reshape(inputs[0], TARN_SHAPE(7)));
    assert_int_equal(check(apply, &right, inputs, 1, NULL, &report), TARN_ESHAPE);
    assert_int_equal(report.checked, 0);
    tarn_clear_error(tm);

    /* A leaf in which one element stands for several cannot be perturbed. */
    tarn_tensor *const expanded[] = { tarn_require_grad(
        tarn_expand(tarn_ones(tm, TARN_F64, TARN_SHAPE(1)), TARN_SHAPE(3))) };
    assert_int_equal(check(apply, &right, expanded, 1, NULL, NULL), TARN_ESTATE);
    tarn_clear_error(tm);
}

static void memory_may_run_out_anywhere(void **state)
{
    check_fixture *f = *state;
    tarn_tensor *x = leaf(f->tm);
    tarn_tensor *const inputs[] = { x };
    uint64_t n = 0;
    tarn_status status = TARN_ENOMEM;
    while (status == TARN_ENOMEM) {
        check_fail_acquisition(f->pool, ++n);
        status = check(apply, &right, inputs, 1, NULL, NULL);
        assert_int_equal(tarn_error_code(f->tm), status);
        tarn_clear_error(f->tm);
        assert_memory_equal(tarn_data(x), values, sizeof values);
        assert_int_equal(tarn_pool_check(f->pool), TARN_OK);
        assert_int_equal(tarn_manager_get_stats(f->tm).tape_length, 0);
    }
    check_fail_acquisition(f->pool, 0);
    assert_int_equal(status, TARN_OK);
    assert_true(n > 20);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(accepts_right_gradients),
        TEST(reports_the_largest_error_when_all_pass),
        TEST(tolerances_and_step_are_options),
        TEST(rejects_every_planted_error),
        TEST(a_second_pass_must_give_the_same_bits),
        TEST(the_report_tells_which),
        TEST(the_report_names_the_input),
        TEST(inputs_are_restored_to_the_bit),
        TEST(nothing_stays_on_tape_or_in_the_pool),
        TEST(strided_leaves),
        TEST(errors_of_the_function_are_passed_on),
        TEST(functions_that_give_nothing_to_check),
        TEST(wrong_arguments),
        TEST(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests_name("gradcheck", tests, NULL, NULL);
}
