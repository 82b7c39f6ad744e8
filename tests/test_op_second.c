/* SPDX-License-Identifier: MIT
 * test_op_second.c - every operation differentiated twice. Its gradient exists as a kernel and as
 * operations: both must agree, and the derivatives of the second, by operands and cotangent, with
 * central differences. The cases are in cases_*.c. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "op_subjects.h"
#include "ops/op_list.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

/* Whether the operation says its gradient in operations; a function of several may. */
static bool is_recordable(const char *name)
{
    for (int i = 0; tarn__ops[i] != NULL; i++)
        if (strcmp(tarn__ops[i]->name, name) == 0)
            return tarn__ops[i]->graph != NULL || tarn__ops[i]->compose != NULL;
    return true;
}

/* Why a trial is not differentiated twice; NULL if it is. */
static const char *excuse(const op_trial *t)
{
    if (!op_is_differentiable(t)) return "no gradient";
    if (!is_recordable(t->c->op)) return "no second derivative";
    if (strcmp(t->c->op, "cast") == 0 && t->v.dtype != TARN_F64) return "float32 is too coarse";
    return NULL;
}

/* The leaves of type F64. */
static tarn_list leaves_of(const op_trial *t, tarn_tensor *const *in, tarn_tensor **leaves)
{
    tarn_list list = { 0, leaves };
    for (int i = 0; i < t->n; i++)
        if (op_is_float(t, i)) leaves[list.n++] = in[i];
    return list;
}

/* Random numbers of a tensor's shape, of multiples of 2^-10. */
static tarn_tensor *draw_like(const tarn_tensor *y, uint64_t random)
{
    op_array v;
    const op_case any = { .values = { OP_ANY } };
    op_variant variant = { .shape = { tarn_get_shape(y) } };
    op_array_draw(&v, &any, &variant, 0, &random);
    tarn_tensor *t = op_base(tarn_manager_of(y), TARN_F64, &v, OP_PLAIN, 0);
    op_array_free(&v);
    return t;
}

/* ---- every operation that has a gradient has it in operations, too */

static void every_gradient_can_be_recorded(void **state)
{
    int missing = 0;
    (void)state;
    for (int i = 0; tarn__ops[i] != NULL; i++) {
        const tarn__op *op = tarn__ops[i];
        const bool has_gradient =
            !op->stops_gradient && (op->is_view || op->backward[0][0] != NULL);
        if (!has_gradient || is_recordable(op->name)) continue;
        print_error("%s has neither graph nor compose\n", op->name);
        missing++;
    }
    assert_int_equal(missing, 0);
}

/* ---- kernels against operations */

static void expect_near(tarn_tensor *a, tarn_tensor *e, int operand)
{
    op_array x, y;
    op_array_read(&x, a);
    op_array_read(&y, e);
    double largest = 0;
    for (int64_t i = 0; i < y.n; i++) largest = fmax(largest, fabs(y.data[i]));
    assert_int_equal(x.n, y.n);
    for (int64_t i = 0; i < x.n; i++)
        if (!(fabs(x.data[i] - y.data[i]) <= 1e-12 * fmax(1, largest)) &&
            !(isnan(x.data[i]) && isnan(y.data[i])))
            fail_msg("%s: gradient %d of element %lld is %.17g by operations, %.17g by the kernel",
                     op_trial_text, operand, (long long)i, x.data[i], y.data[i]);
    op_array_free(&x);
    op_array_free(&y);
}

static int check_agreement(tarn_manager *tm, op_trial *t)
{
    const char *why_not = excuse(t);
    if (why_not != NULL) return op_skip(why_not);
    op_subject s = op_make_subject(tm, t, TARN_F64, OP_PLAIN, ~0u);
    tarn_tensor *y = op_evaluate(s.leaf, t->n, &s);
    tarn_tensor *v = draw_like(y, 11);
    tarn_tensor *kernel[OP_OPERANDS], *graph[OP_OPERANDS], *of[OP_OPERANDS];
    const tarn_list leaves = leaves_of(t, s.leaf, of);
    tarn_grad_options o = { .gradients = &v, .create_graph = true };
    if (tarn_grad(TARN_LIST(y), leaves, graph, &o) != TARN_OK) return 0; /* told after that */
    o.create_graph = false;
    check_status(tarn_grad(TARN_LIST(y), leaves, kernel, &o), TARN_OK);
    for (int i = 0; i < leaves.n; i++) expect_near(graph[i], kernel[i], i);
    return leaves.n;
}

static void kernels_and_operations_agree(void **state)
{
    op_drive(MANAGER(state), "kernels and operations", 0, check_agreement);
}

/* ---- second derivatives against central differences */

/* The sum over all gradients of their products with fixed numbers. The last input is the
 * cotangent. */
static tarn_tensor *project(tarn_tensor *const *inputs, int n, void *context)
{
    op_subject *s = context;
    tarn_manager *tm = tarn_manager_of(inputs[0]);
    tarn_tensor *of[OP_OPERANDS], *g[OP_OPERANDS];
    const tarn_list leaves = leaves_of(s->t, inputs, of);
    tarn_tensor *y = op_evaluate(inputs, n - 1, s);
    tarn_tensor *const v = inputs[n - 1];
    tarn_tensor *sum = tarn_zeros(tm, TARN_F64, TARN_SCALAR);
    if (tarn_grad(TARN_LIST(y), leaves, g,
                  &(tarn_grad_options){ .gradients = &v, .create_graph = true }) != TARN_OK)
        return NULL;
    for (int i = 0; i < leaves.n; i++) {
        tarn_tensor *w = draw_like(g[i], 100 + (uint64_t)i);
        tarn_tensor *product = tarn_mul(g[i], w);
        tarn_tensor *term = tarn_sum(product, TARN_ALL_AXES);
        sum = tarn_add(sum, term);
    }
    return sum;
}

static int check_second(tarn_manager *tm, op_trial *t)
{
    const char *why_not = excuse(t);
    if (why_not != NULL) return op_skip(why_not);
    op_subject s = op_make_subject(tm, t, TARN_F64, OP_PLAIN, ~0u);
    tarn_tensor *y = op_evaluate(s.leaf, t->n, &s), *inputs[OP_OPERANDS + 1];
    if (tarn_numel(y) == 0 || t->in[0].n == 0) return op_skip("nothing to differentiate");
    for (int i = 0; i < t->n; i++) inputs[i] = s.leaf[i];
    inputs[t->n] = tarn_require_grad(draw_like(y, 11));
    tarn_gradcheck_report r;
    const tarn_gradcheck_options o = { .absolute = 1e-7, .relative = 1e-5, .seed = 3 };
    if (tarn_gradcheck(project, inputs, t->n + 1, &s, &o, &r) != TARN_OK)
        fail_msg("%s: second derivative %d of element %lld is %.17g, by differences %.17g: %s",
                 op_trial_text, r.input, (long long)r.element, r.analytic, r.numeric,
                 tarn_error_message(tm));
    return (int)r.checked;
}

enum { SECOND_MOST = 60 };

static void second_derivatives_are_those_of_central_differences(void **state)
{
    op_drive(MANAGER(state), "second derivatives", SECOND_MOST, check_second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_gradient_can_be_recorded),
        TEST(kernels_and_operations_agree),
        TEST(second_derivatives_are_those_of_central_differences),
    };
    return cmocka_run_group_tests_name("op_second", tests, NULL, NULL);
}
