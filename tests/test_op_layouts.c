/* SPDX-License-Identifier: MIT
 * test_op_layouts.c - operands and cotangents of any strides: results and gradients must be those
 * of contiguous ones, to the bit. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "op_subjects.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

/* A few roundings of what the largest element is, for sums in another order. */
static double roundings(const op_array *a, tarn_dtype dtype, double n)
{
    double largest = 0;
    for (int64_t i = 0; i < a->n; i++) largest = fmax(largest, fabs(a->data[i]));
    return largest * n * (dtype == TARN_F32 ? 0x1p-24 : 0x1p-53);
}

static void expect_same(const op_array *a, const op_array *e, double bound, op_layout layout,
                        const char *what)
{
    assert_int_equal(a->n, e->n);
    for (int64_t i = 0; i < a->n; i++) {
        const double x = a->data[i], y = e->data[i];
        if (isnan(y) ? isnan(x) : x == y || fabs(x - y) <= bound) continue;
        fail_msg("%s, %s: %s, element %lld is %.17g, not %.17g +- %.3g as of a contiguous tensor",
                 op_trial_text, op_layout_name(layout), what, (long long)i, x, y, bound);
    }
}

static void expect_zero(const op_array *a, op_layout layout)
{
    for (int64_t i = 0; i < a->n; i++)
        if (a->data[i] != 0)
            fail_msg("%s, %s: a gradient reached what the view does not show", op_trial_text,
                     op_layout_name(layout));
}

/* ---- results */

static tarn_tensor *compute(tarn_manager *tm, op_trial *t, tarn_dtype dtype, op_layout layout)
{
    op_subject s = op_make_subject(tm, t, dtype, layout, 0);
    return op_evaluate(s.leaf, t->n, &s);
}

static int check_results(tarn_manager *tm, op_trial *t)
{
    int checks = 0;
    for (int layout = OP_PLAIN + 1; layout < OP_LAYOUTS; layout++) {
        if (!op_trial_allows(t, (op_layout)layout)) continue;
        for (int dtype = TARN_F32; dtype <= TARN_F64; dtype++) {
            op_array a, e;
            op_array_read(&a, compute(tm, t, (tarn_dtype)dtype, (op_layout)layout));
            op_array_read(&e, compute(tm, t, (tarn_dtype)dtype, OP_PLAIN));
            const bool varies = (t->c->flags & OP_BY_LAYOUT) != 0;
            expect_same(&a, &e, varies ? roundings(&e, (tarn_dtype)dtype, 100) : 0,
                        (op_layout)layout, "result");
            op_array_free(&a);
            op_array_free(&e);
            checks++;
        }
    }
    return checks;
}

static void results_do_not_depend_on_strides(void **state)
{
    op_drive(MANAGER(state), "results of views", 0, check_results);
}

/* ---- gradients */

/* The rows that an expanded operand repeats, summed. */
static op_array sum_rows(const op_array *g)
{
    op_array sum;
    tarn_shape shape = g->shape;
    shape.dims[0] = 1;
    op_array_make(&sum, shape);
    for (int64_t i = 0; i < g->n; i++) sum.data[i % sum.n] += g->data[i];
    return sum;
}

/* The gradient of an operand that is repeated is a sum, whose order follows strides: it may differ
 * by its roundings, which are those of doubles, and the last one. */
static void compare_operand(const op_trial *t, op_array *a, const op_array *e, const op_pass *pass,
                            int i, double cotangents)
{
    char what[40];
    double bound = 0;
    const op_layout layout = op_layout_applies(pass->layout, &t->in[i]) ? pass->layout : OP_PLAIN;
    snprintf(what, sizeof(what), "gradient %d", i);
    if (layout == OP_EXPANDED) {
        op_array sum = sum_rows(e);
        bound = roundings(e, pass->dtype, (double)e->n * (double)e->n + 100);
        expect_same(a, &sum, bound, layout, what);
        op_array_free(&sum);
        return;
    }
    if (t->c->variant == op_any_pair) bound = roundings(e, pass->dtype, 4) + cotangents * 0x1p-50;
    if ((t->c->flags & OP_BY_LAYOUT) != 0) bound = roundings(e, pass->dtype, 100);
    op_array shown = op_show(a, layout, &t->in[i].shape);
    expect_same(&shown, e, bound, layout, what);
    expect_zero(a, layout);
    op_array_free(&shown);
}

/* Operands and cotangent in the same layout; where a repeated cotangent is, it is so for both. */
static int check_gradients(tarn_manager *tm, op_trial *t)
{
    int checks = 0;
    if (!op_is_differentiable(t)) return op_skip("no gradient");
    for (int layout = OP_PLAIN + 1; layout < OP_LAYOUTS; layout++) {
        if (!op_trial_allows(t, (op_layout)layout)) continue;
        for (int dtype = TARN_F32; dtype <= TARN_F64; dtype++) {
            const op_cotangent kind = layout == OP_EXPANDED ? OP_REPEATED : OP_DRAWN;
            const op_pass pass = { .dtype = (tarn_dtype)dtype,
                                   .layout = (op_layout)layout,
                                   .cotangent = (op_layout)layout,
                                   .kind = kind };
            const op_pass plain = { .dtype = (tarn_dtype)dtype, .kind = kind };
            op_gradients a = op_differentiate(tm, t, &pass);
            op_gradients e = op_differentiate(tm, t, &plain);
            for (int i = 0; i < t->n; i++) {
                if (!op_is_float(t, i)) continue;
                compare_operand(t, &a.of[i], &e.of[i], &pass, i, (double)e.out.n * e.largest);
                checks++;
            }
            op_free_gradients(&a);
            op_free_gradients(&e);
        }
    }
    return checks;
}

static void gradients_do_not_depend_on_strides(void **state)
{
    op_drive(MANAGER(state), "gradients of views", 0, check_gradients);
}

/* ---- empty and scalar operands */

static bool has_operand(const op_case *wanted, bool scalar)
{
    OP_EACH_CASE(c)
    {
        op_variant v = { .n = 0 };
        if (strcmp(c->op, wanted->op) != 0) continue;
        for (int i = 0; c->variant(i, &v); i++, v = (op_variant){ .n = 0 })
            for (int k = 0; k < (v.n != 0 ? v.n : c->n); k++)
                if (scalar ? v.shape[k].ndim == 0 : op_shape_numel(&v.shape[k]) == 0) return true;
    }
    return false;
}

/* Those that say they cannot have one are tried in test_op_refusals.c. */
static void every_operation_is_tried_empty_and_scalar(void **state)
{
    int missing = 0;
    (void)state;
    OP_EACH_CASE(c)
    {
        if ((c->flags & OP_NO_EMPTY) == 0 && !has_operand(c, false)) {
            print_error("%s: no variant has an empty operand, nor is it marked OP_NO_EMPTY\n",
                        c->op);
            missing++;
        }
        if ((c->flags & OP_NO_SCALAR) == 0 && !has_operand(c, true)) {
            print_error("%s: no variant has an operand without axes, nor is it marked "
                        "OP_NO_SCALAR\n",
                        c->op);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(results_do_not_depend_on_strides),
        TEST(gradients_do_not_depend_on_strides),
        TEST(every_operation_is_tried_empty_and_scalar),
    };
    return cmocka_run_group_tests_name("op_layouts", tests, NULL, NULL);
}
